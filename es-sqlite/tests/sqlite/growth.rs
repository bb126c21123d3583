//! How long the write-ahead log becomes.

use std::sync::atomic::{AtomicBool, Ordering};

use std::time::{Duration, Instant};

use crate::support::{Folder, append_one, block_on, event};

const READ: Duration = Duration::from_millis(5);

/// Two connections read in turn until it is over, each until something was appended, or for some
/// milliseconds; there is no moment at which neither does.
fn read_without_a_pause(folder: &Folder, is_over: &AtomicBool) {
    let connections = [folder.connection(), folder.connection()];
    let begin = "BEGIN; SELECT count(*) FROM execution_events;";
    connections[0].execute_batch(begin).unwrap();
    for turn in 0.. {
        let [ends, begins] = [&connections[turn % 2], &connections[(turn + 1) % 2]];
        begins.execute_batch(begin).unwrap();
        let (began, length) = (Instant::now(), folder.write_ahead_log_length());
        while length == folder.write_ahead_log_length() && began.elapsed() < READ {
            std::thread::yield_now();
        }
        ends.execute_batch("COMMIT").unwrap();
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

#[test]
fn the_write_ahead_log_is_bounded_where_somebody_always_reads() {
    const MIB: usize = 1 << 20;
    let folder = Folder::new();
    let store = block_on(folder.store());
    let is_over = AtomicBool::new(false);
    let longest = std::thread::scope(|scope| {
        scope.spawn(|| read_without_a_pause(&folder, &is_over));
        let appends = async {
            let mut longest = 0;
            for _ in 0..200 {
                append_one(&store, "posting/1", event(&"x".repeat(MIB))).await;
                longest = longest.max(folder.write_ahead_log_length());
            }
            longest
        };
        let longest = block_on(appends);
        is_over.store(true, Ordering::Relaxed);
        longest
    });
    // 64, and what comes until it is looked at and begun again
    assert!(longest < 100 * MIB as u64, "{longest}");
}
