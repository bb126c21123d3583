//! A backup that is copied over the file of a store that was not closed.
//!
//! Whatever was written before the backup, between it and the last time that the log was written
//! into the file, and after that: either the store is refused, with the cure, or nothing is missing.

use std::fs;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, ReadLog, StoreErrorKind};
use es_sqlite::SqliteStore;

use crate::support::{Folder, append_one, event, stream};

/// How much was written, and what of.
#[derive(Debug)]
struct Case {
    before: u32,
    between: u32,
    after: u32,
    streams: u32,
    bytes: usize,
    /// By `VACUUM INTO`, which puts everything in another place.
    is_vacuumed: bool,
}

fn cases() -> Vec<(String, Case)> {
    let seed =
        std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    let mut chance = fastrand::Rng::with_seed(seed);
    let is_full = std::env::var("ES_CAMPAIGN").is_ok_and(|it| it == "full");
    let mut sizes = vec![(200, 20, 3), (40, 5, 5), (100, 3, 2), (20, 10, 1), (600, 300, 3)];
    for _ in 0..if is_full { 500 } else { 15 } {
        sizes.push((chance.u32(1..400), chance.u32(0..40), chance.u32(1..40)));
    }
    // the log has the highest position and pages that the backup does not know
    let unseen =
        Case { before: 186, between: 36, after: 10, streams: 50, bytes: 23, is_vacuumed: false };
    let case = |(before, between, after)| {
        let streams = *chance.choice([1, 3, 50, 1_000]).as_ref().unwrap();
        let (bytes, is_vacuumed) = (chance.usize(1..200), chance.u8(..4) == 0);
        let case = Case { before, between, after, streams, bytes, is_vacuumed };
        (format!("seed {seed}: {case:?}"), case)
    };
    let unseen = (format!("{unseen:?}"), unseen);
    sizes.into_iter().map(case).chain([unseen]).collect()
}

struct Written {
    folder: Folder,
    store: SqliteStore,
    backup: std::path::PathBuf,
    events: usize,
}

/// A store with a backup beside it, which has events in the file that the backup lacks, and others
/// in the write-ahead log.
async fn written(case: &Case) -> Written {
    let (folder, store) = Folder::with_store().await;
    let mut events = 0;
    let mut append = async |count: u32| {
        for _ in 0..count {
            let name = format!("posting/{}", events % case.streams as usize);
            append_one(&store, &name, event(&"x".repeat(case.bytes))).await;
            events += 1;
        }
    };
    append(case.before).await;
    let backup = folder.path().with_extension("backup");
    let connection = folder.connection();
    if case.is_vacuumed {
        connection.execute("VACUUM INTO ?1", [backup.to_str()]).unwrap();
    } else {
        connection.backup("main", &backup, None).unwrap();
    }
    append(case.between).await;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    append(case.after).await;
    Written { folder, store, backup, events }
}

fn log_of(folder: &Folder) -> std::path::PathBuf {
    folder.path().with_extension("db-wal")
}

/// Nothing is missing, and nothing is damaged.
async fn is_whole(store: &SqliteStore, folder: &Folder, events: usize, what: &str) {
    let mut read = ReadLog::from_start();
    let mut found = 0;
    loop {
        let page = store.read_log(&read).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        found += page.events.len();
        read = ReadLog::after(page.next);
        if page.at_end {
            break;
        }
    }
    assert_eq!(found, events, "{what}");
    let check = "PRAGMA integrity_check";
    let check: String = folder.value(check);
    assert_eq!(check, "ok", "{what}");
}

#[tokio::test]
async fn a_backup_beside_the_log_of_another_file_is_refused_with_the_cure() {
    let mut refused = 0;
    for (what, case) in cases() {
        let written = written(&case).await;
        let restored = Folder::new();
        fs::copy(log_of(&written.folder), log_of(&restored)).unwrap();
        fs::copy(&written.backup, restored.path()).unwrap();
        written.store.close().await;
        match SqliteStore::open(restored.config()).await {
            Ok(store) => is_whole(&store, &restored, written.events, &what).await,
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}: {error:?}");
                let cure = "the write-ahead log";
                assert!(error.to_string().contains(cure), "{what}: {error}");
                assert!(error.to_string().contains("-wal beside it is of another file"), "{error}");
            }
        }
    }
    assert!(refused > 5, "{refused}");
}

/// The log has every page of the store, and would be the old store again, whole.
#[tokio::test]
async fn a_backup_beside_a_log_that_has_everything_is_refused_with_the_cure() {
    for is_ours in [true, false] {
        let (folder, store) = Folder::with_store().await;
        for _ in 0..30 {
            append_one(&store, "posting/1", event("before")).await;
        }
        let backup = folder.path().with_extension("backup");
        match is_ours {
            true => drop(store.backup_to(&backup).await.unwrap()),
            false => folder.connection().backup("main", &backup, None).unwrap(),
        }
        for _ in 0..30 {
            append_one(&store, "posting/1", event("after")).await;
        }
        assert_eq!(fs::metadata(folder.path()).unwrap().len(), 4096, "all is in the log");
        let restored = Folder::new();
        fs::copy(log_of(&folder), log_of(&restored)).unwrap();
        fs::copy(&backup, restored.path()).unwrap();
        store.close().await;
        for config in [restored.config(), restored.config().read_only(true)] {
            let error = SqliteStore::open(config).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
            assert!(error.to_string().contains("-wal beside it is of another file"), "{error}");
        }
        fs::remove_file(log_of(&restored)).unwrap();
        let _ = fs::remove_file(restored.path().with_extension("db-shm"));
        let store = restored.store().await;
        is_whole(&store, &restored, 30, "the backup").await;
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_after_a_backup_was_copied_over_an_open_file() {
    let mut refused = 0;
    for (what, case) in cases() {
        let Written { folder, store, backup, events } = written(&case).await;
        fs::copy(&backup, folder.path()).unwrap();
        let one = AppendRequest::to(stream("posting/x"), ExpectedVersion::Any, vec![event("x")]);
        match store.append(one).await {
            Ok(_) => is_whole(&store, &folder, events + 1, &what).await,
            Err(AppendError::Store(error)) => {
                refused += 1;
                assert_eq!(error.kind(), StoreErrorKind::Diverged, "{what}: {error:?}");
                store.close().await;
                let is_untouched = fs::read(folder.path()).unwrap() == fs::read(&backup).unwrap();
                assert!(is_untouched, "{what}: closing wrote into the file");
            }
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
    assert!(refused > 5, "{refused}");
}

/// What others do to a log by hand, and every reader lives with.
const BY_HAND: [&str; 5] = [
    "INSERT INTO execution_events (position, aggregate_type, aggregate_id, aggregate_version,
         event_type, event_data) VALUES (1000, 'audit', '1', 1, 'x', '{}')",
    "UPDATE sqlite_sequence SET seq = 5000",
    "DROP TRIGGER execution_events_are_not_deleted;
     DELETE FROM execution_events WHERE position = 7",
    "DROP TRIGGER execution_events_are_appended;
     INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version,
         event_type, event_data) VALUES ('audit', '1', 9, 'x', '{}')",
    "PRAGMA writable_schema = ON;
     UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), ') STRICT', ')')
     WHERE name = 'execution_events';
     PRAGMA writable_schema = RESET;
     DROP TRIGGER execution_events_are_appended;
     PRAGMA ignore_check_constraints = ON;
     INSERT INTO execution_events (event_id, event_data) VALUES (NULL, '{}'), (NULL, '{}')",
];

#[tokio::test]
async fn what_is_done_to_a_log_by_hand_stops_no_store_and_no_opening() {
    for by_hand in BY_HAND {
        for is_open in [true, false] {
            let folder = Folder::new();
            let mut store = folder.store().await;
            for _ in 0..20 {
                append_one(&store, "posting/1", event("x")).await;
            }
            let connection = folder.connection();
            // what an open store has seen must stay there
            if !is_open || by_hand.contains("DELETE") {
                store.close().await;
                connection.execute_batch(by_hand).unwrap();
                store = folder.store().await;
            } else {
                connection.execute_batch(by_hand).unwrap();
            }
            for _ in 0..3 {
                append_one(&store, "posting/1", event("x")).await;
                connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
                append_one(&store, "posting/1", event("x")).await;
            }
            let left = Folder::new();
            fs::copy(folder.path(), left.path()).unwrap();
            fs::copy(log_of(&folder), log_of(&left)).unwrap();
            let store = left.store().await;
            append_one(&store, "posting/1", event("x")).await;
        }
    }
}

/// `VACUUM` makes the file shorter by right, and checks of it tell of what columns forbid, too.
#[tokio::test]
async fn a_store_with_an_odd_value_that_somebody_has_shrunk_goes_on() {
    let (folder, store) = Folder::with_store().await;
    let connection = folder.connection();
    connection
        .execute_batch("CREATE TABLE large (x BLOB); INSERT INTO large VALUES (zeroblob(1000000))")
        .unwrap();
    for step in [
        "PRAGMA ignore_check_constraints = ON;
         INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version,
             event_type, event_data) VALUES ('audit', '1', 1, 'x', 'no JSON')",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "DROP TABLE large",
        "VACUUM",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        connection.execute_batch(step).unwrap();
        append_one(&store, "posting/1", event("x")).await;
    }
    assert!(fs::metadata(folder.path()).unwrap().len() < 500_000, "it is shorter");
    let check = "PRAGMA quick_check(1)";
    let check: String = folder.value(check);
    assert!(check.starts_with("CHECK constraint failed"), "{check}");
}

#[tokio::test]
async fn nothing_is_acknowledged_after_another_database_was_copied_over_an_open_file() {
    for statements in ["CREATE TABLE other (x)", "CREATE TABLE execution_events (x)"] {
        let (folder, store) = Folder::with_store().await;
        for _ in 0..20 {
            append_one(&store, "posting/1", event("x")).await;
        }
        folder.run("PRAGMA wal_checkpoint(TRUNCATE)");
        append_one(&store, "posting/1", event("x")).await;
        let other = folder.path().with_extension("other");
        let connection = rusqlite::Connection::open(&other).unwrap();
        connection.execute_batch(&format!("PRAGMA journal_mode = WAL; {statements}")).unwrap();
        drop(connection);
        fs::copy(&other, folder.path()).unwrap();
        for _ in 0..2 {
            let one =
                AppendRequest::to(stream("posting/x"), ExpectedVersion::Any, vec![event("x")]);
            match store.append(one).await {
                Err(AppendError::Store(error)) => {
                    assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error:?}");
                }
                answer => panic!("{answer:?}"),
            }
        }
    }
}
