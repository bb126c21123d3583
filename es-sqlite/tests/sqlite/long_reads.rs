//! Reads that keep the write-ahead log from being cut back: what a store tells of them.

use std::sync::mpsc::channel;

use es_core::backend::StoreError;
use es_sqlite::SqliteStore;

use crate::listener::{gauge, listened_to, warnings};
use crate::support::{Folder, append_one, block_on, event};

const MIB: usize = 1 << 20;
const CUT_TO: u64 = 64 << 20;

fn append(store: &SqliteStore, mib: usize) {
    block_on(async {
        for _ in 0..mib {
            append_one(store, "posting/1", event(&"x".repeat(MIB))).await;
        }
    });
}

#[test]
fn a_read_that_keeps_the_log_is_named_once_and_the_log_cut_back_after_it() {
    let folder = Folder::new();
    let store = listened_to(&folder);
    assert_eq!(store.write_ahead_log().oldest_read, None);
    let ((begin, begun), (end, ended)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        // it goes with this closure, so that the read ends if an assertion fails
        let end = end;
        let report = store.read(move |connection| {
            let count = "SELECT count(*) FROM execution_events";
            connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
            begin.send(()).unwrap();
            let _ = ended.recv();
            Ok::<_, StoreError>(())
        });
        scope.spawn(|| block_on(report).unwrap());
        begun.recv().unwrap();
        append(&store, 140);
        let log = store.write_ahead_log();
        assert!(log.bytes > 140 * MIB as u64, "{log:?}");
        assert_eq!(log.oldest_read.unwrap().call, "read");
        let warnings = warnings(&folder);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("`read` of this process"), "{warnings:?}");
        end.send(()).unwrap();
    });
    assert_eq!(store.write_ahead_log().oldest_read, None);
    append(&store, 64);
    let bytes = store.write_ahead_log().bytes;
    assert!(bytes <= CUT_TO + 32 * MIB as u64, "{bytes}");
    assert!(gauge("es.sqlite.write_ahead_log.bytes", &folder) > 0.0);
    assert_eq!(warnings(&folder).len(), 1);
}

#[test]
fn a_read_of_another_program_that_keeps_the_log_is_told_of_once() {
    let folder = Folder::new();
    let store = listened_to(&folder);
    append(&store, 1);
    let other = folder.connection();
    other.execute_batch("BEGIN; SELECT count(*) FROM execution_events;").unwrap();
    append(&store, 140);
    assert_eq!(store.write_ahead_log().oldest_read, None);
    let warnings = warnings(&folder);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("another process has read"), "{warnings:?}");
}
