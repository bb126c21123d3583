//! How long the write-ahead log becomes.

use std::sync::atomic::{AtomicBool, Ordering};

use std::time::{Duration, Instant};

use crate::support::{Folder, append_one, block_on, event};

/// Two connections read in turn until it is over, each until something was appended, or for as long as
/// `read`; there is no moment at which neither does.
fn read_without_a_pause(folder: &Folder, read: Duration, is_over: &AtomicBool) {
    let connections = [folder.connection(), folder.connection()];
    let begin = "BEGIN; SELECT count(*) FROM execution_events;";
    connections[0].execute_batch(begin).unwrap();
    for turn in 0.. {
        let [ends, begins] = [&connections[turn % 2], &connections[(turn + 1) % 2]];
        begins.execute_batch(begin).unwrap();
        let (began, length) = (Instant::now(), folder.write_ahead_log_length());
        while length == folder.write_ahead_log_length() && began.elapsed() < read {
            std::thread::yield_now();
        }
        ends.execute_batch("COMMIT").unwrap();
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

const MIB: usize = 1 << 20;

/// How long the log becomes while so many MiB are appended.
fn longest(read: Duration, appended: usize) -> usize {
    let folder = Folder::new();
    let store = block_on(folder.store());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| read_without_a_pause(&folder, read, &is_over));
        let appends = async {
            let mut longest = 0;
            for _ in 0..appended {
                append_one(&store, "posting/1", event(&"x".repeat(MIB))).await;
                longest = longest.max(folder.write_ahead_log_length());
            }
            longest
        };
        let longest = block_on(appends);
        is_over.store(true, Ordering::Relaxed);
        usize::try_from(longest).unwrap() / MIB
    })
}

#[test]
fn the_write_ahead_log_is_bounded_where_somebody_always_reads() {
    // 64, and what comes until it is looked at and begun again
    let longest = longest(Duration::from_millis(5), 140);
    assert!(longest < 100, "{longest}");
}

/// A try must wait for two reads: for one that has begun before it, and for one that begins while it
/// waits for the first.
#[test]
fn the_write_ahead_log_is_bounded_where_no_read_is_short() {
    let longest = longest(Duration::from_millis(120), 340);
    assert!(longest < 300, "{longest}");
}
