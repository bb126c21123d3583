//! How long the write-ahead log becomes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Folder, append_one, block_on, event};

/// Two connections read in turn until it is over, each until something was appended, or for as long as
/// `read`; there is no moment at which neither does. The longest of these reads: a busy machine makes
/// them longer than they were meant to be.
fn read_without_a_pause(folder: &Folder, read: Duration, is_over: &AtomicBool) -> Duration {
    let connections = [folder.connection(), folder.connection()];
    let begin = "BEGIN; SELECT count(*) FROM execution_events;";
    connections[0].execute_batch(begin).unwrap();
    let mut began = [Instant::now(); 2];
    let mut longest = Duration::ZERO;
    for turn in 0.. {
        let [ends, begins] = [turn % 2, (turn + 1) % 2];
        began[begins] = Instant::now();
        connections[begins].execute_batch(begin).unwrap();
        let length = folder.write_ahead_log_length();
        while length == folder.write_ahead_log_length() && began[begins].elapsed() < read {
            // the processor is for those who append
            std::thread::park_timeout(Duration::from_millis(1));
        }
        connections[ends].execute_batch("COMMIT").unwrap();
        longest = longest.max(began[ends].elapsed());
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    longest
}

const MIB: u64 = 1 << 20;

/// Appends until the log is begun again; how long it became, and what the longest read allows. A try
/// waits for 100 ms for each 64 MiB, and must wait for two reads: for one that has begun before it,
/// and for one that begins while it waits for the first. The next is made when the log is a quarter
/// longer, and one may just have been missed.
fn longest(read: Duration) -> (u64, u64) {
    /// From where on a try waits no longer.
    const MOST: u64 = 1400;
    let folder = Folder::new();
    let store = block_on(folder.store());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| read_without_a_pause(&folder, read, &is_over));
        let appends = async {
            let mut longest = 0;
            for _ in 0..MOST {
                append_one(&store, "posting/1", event(&"x".repeat(MIB as usize))).await;
                let length = folder.write_ahead_log_length();
                if length < longest {
                    break;
                }
                longest = length;
            }
            longest
        };
        let longest = block_on(appends) / MIB;
        is_over.store(true, Ordering::Relaxed);
        let tries = (2.0 * reads.join().unwrap().as_secs_f64() / 0.1).max(1.0);
        (longest, (64.0 * tries * 1.6) as u64 + 20)
    })
}

#[test]
fn the_write_ahead_log_is_bounded_where_somebody_always_reads() {
    let (longest, allowed) = longest(Duration::from_millis(5));
    assert!(longest > 60 && longest < allowed, "{longest} {allowed}");
}

#[test]
fn the_write_ahead_log_is_bounded_where_no_read_is_short() {
    let (longest, allowed) = longest(Duration::from_millis(120));
    assert!(longest > 64 && longest < allowed, "{longest} {allowed}");
}
