//! A file, or a log, that is replaced under a running store.

use std::fs;

use es_core::backend::{AppendError, AppendRequest, EventStore, ReadLog, StoreErrorKind};
use es_core::{CommandError, ExpectedVersion, Repository};
use es_sqlite::SqliteStore;
use es_testing::scenes::prepared::OrderEvent::{ItemAdded, OrderPaid};
use es_testing::scenes::prepared::{Order, add};

use crate::support::{Folder, append_one, event, stream};

async fn is_over(store: &SqliteStore) {
    for _ in 0..2 {
        let one = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("x")]);
        let Err(AppendError::Store(error)) = store.append(one).await else {
            panic!("an append was acknowledged");
        };
        assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
        let read = store.read_log(&ReadLog::from_start()).await.unwrap_err();
        assert_eq!(read.kind(), StoreErrorKind::Diverged, "{read}");
        let end = store.end_of_log().await.unwrap_or_default_end();
        let waited = store.wait_past(end).await.unwrap_err();
        assert_eq!(waited.kind(), StoreErrorKind::Diverged, "{waited}");
    }
}

trait OrStart {
    fn unwrap_or_default_end(self) -> es_core::backend::Position;
}

impl OrStart for Result<es_core::backend::Position, es_core::backend::StoreError> {
    fn unwrap_or_default_end(self) -> es_core::backend::Position {
        self.unwrap_or(es_core::backend::Position::START)
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_into_a_file_that_was_replaced_or_removed() {
    for is_replaced in [true, false] {
        let (folder, other) = (Folder::new(), Folder::new());
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        let another = other.store().await;
        append_one(&another, "posting/2", event("two")).await;
        another.close().await;
        match is_replaced {
            true => fs::rename(other.path(), folder.path()).unwrap(),
            false => fs::remove_file(folder.path()).unwrap(),
        }
        is_over(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_decision_that_does_not_read_is_told_what_others_did_to_its_file() {
    let (folder, other) = (Folder::new(), Folder::new());
    let store = folder.store().await;
    let orders = Repository::<Order>::new(store.clone()).with_cache(10).deciding_from_cache();
    add(&orders, 700).await;
    // another program wrote into it
    let twin = folder.store().await;
    add(&Repository::new(twin.clone()), 300).await;
    twin.close().await;
    let paid = orders.by_id("o-1").decide(Order::pay).await.unwrap();
    assert_eq!((paid.events, paid.version.as_u64()), (vec![OrderPaid { cents: 1_000 }], 3));
    // another file is in its place, where the order has as many events
    let another = other.store().await;
    for cents in 1..=3 {
        add(&Repository::new(another.clone()), cents).await;
    }
    another.close().await;
    fs::rename(other.path(), folder.path()).unwrap();
    let refused = orders.by_id("o-1").decide(|_| ItemAdded { cents: 5 }).await.unwrap_err();
    let CommandError::Store(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
    store.close().await;
}

#[tokio::test]
async fn a_log_that_went_back_and_on_is_another_one_for_ever() {
    for grown in [0, 5] {
        let (folder, store) = Folder::with_store().await;
        for _ in 0..5 {
            append_one(&store, "posting/1", event("one")).await;
        }
        let emptied = "DROP TRIGGER IF EXISTS execution_events_delete;
            DELETE FROM execution_events WHERE position > 2; DELETE FROM sqlite_sequence";
        folder.drop_triggers();
        folder.run(emptied);
        if grown > 0 {
            let other = folder.store().await;
            for _ in 0..grown {
                append_one(&other, "posting/2", event("two")).await;
            }
            other.close().await;
        }
        is_over(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn a_sequence_behind_the_table_gives_no_position_again() {
    let (folder, store) = Folder::with_store().await;
    for _ in 0..5 {
        append_one(&store, "posting/1", event("one")).await;
    }
    folder.run("UPDATE sqlite_sequence SET seq = 1");
    let next = append_one(&store, "posting/1", event("two")).await;
    assert_eq!(next.position().to_sequence(), 6);
}

/// What somebody does to the files of an open store, by name.
type Damage = fn(&Folder);

fn cut_to(folder: &Folder, share: u64) {
    let file = fs::File::options().write(true).open(folder.path()).unwrap();
    file.set_len(file.metadata().unwrap().len() / share).unwrap();
}

fn companion(folder: &Folder, suffix: &str) -> std::path::PathBuf {
    folder.path().with_file_name(format!("store.db{suffix}"))
}

#[tokio::test]
async fn nothing_is_acknowledged_after_one_of_its_files_was_damaged() {
    let damages: [(&str, Damage); 6] = [
        ("-wal removed", |folder| fs::remove_file(companion(folder, "-wal")).unwrap()),
        ("-shm removed", |folder| fs::remove_file(companion(folder, "-shm")).unwrap()),
        ("-wal replaced", |folder| {
            fs::rename(companion(folder, "-wal"), companion(folder, "-old")).unwrap();
            fs::write(companion(folder, "-wal"), "").unwrap();
        }),
        ("hard link", |folder| fs::hard_link(folder.path(), companion(folder, "-2")).unwrap()),
        ("cut off", |folder| cut_to(folder, 2)),
        ("overwritten", |folder| {
            fs::copy(companion(folder, "-backup"), folder.path()).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let (folder, store) = Folder::with_store().await;
        for number in 0..5 {
            append_one(&store, "posting/1", event("one")).await;
            if number == 2 {
                let backup = companion(&folder, "-backup");
                folder.connection().execute("VACUUM INTO ?1", [backup.to_str()]).unwrap();
            }
        }
        for _ in 0..60 {
            append_one(&store, "posting/1", event(&"long ".repeat(500))).await;
        }
        folder.run("PRAGMA wal_checkpoint(FULL)");
        append_one(&store, "posting/1", event("in the log")).await;
        append_one(&store, "posting/1", event("in the log")).await;
        damage(&folder);
        println!("{name}");
        is_over(&store).await;
    }
}

#[tokio::test]
async fn a_shorter_file_that_is_whole_is_no_other_one() {
    let (folder, store) = Folder::with_store().await;
    let many = "CREATE TABLE much (text TEXT); INSERT INTO much VALUES (hex(zeroblob(100000)))";
    folder.run(many);
    let checkpoint = "PRAGMA wal_checkpoint(FULL)";
    folder.run(checkpoint);
    append_one(&store, "posting/1", event("one")).await;
    let before = fs::metadata(folder.path()).unwrap().len();
    folder.run("DROP TABLE much; VACUUM");
    folder.run(checkpoint);
    assert!(fs::metadata(folder.path()).unwrap().len() < before);
    append_one(&store, "posting/1", event("two")).await;
}

#[tokio::test]
async fn the_end_of_the_positions_is_named_with_the_cure() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("one")).await;
    let set = |position: i64| {
        let statement = format!("UPDATE sqlite_sequence SET seq = {position}");
        folder.run(&statement);
    };
    set(i64::MAX);
    let one = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("x")]);
    let error = store.append(one.clone()).await.unwrap_err().to_string();
    assert!(error.contains("the positions of this log are used up"), "{error}");
    let cure = "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'execution_events'";
    assert!(error.contains(cure), "{error}");
    set(i64::MAX - 1);
    append_one(&store, "posting/1", event("the last")).await;
    let error = store.append(one).await.unwrap_err().to_string();
    assert!(error.contains("used up") && error.contains("copy the events"), "{error}");
}

/// How many files it may have open is the affair of a process, so it is one of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_want_of_files_is_no_damage_and_hides_none() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    use es_sqlite::SqliteConfig;
    use es_sqlite::rusqlite::Connection;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use crate::support::{block_on, child, child_path, succeeds};

    let name = "histories::a_want_of_files_is_no_damage_and_hides_none";
    let Some(path) = child_path() else {
        let folder = Folder::new();
        succeeds(child(name, &folder.path()));
        return;
    };
    let usual = getrlimit(Resource::Nofile);
    let allow = |current| setrlimit(Resource::Nofile, Rlimit { current, ..usual }).unwrap();
    let leave = |spare: u64| {
        let next = fs::File::open("/dev/null").unwrap().as_raw_fd();
        allow(Some(u64::try_from(next).unwrap() + spare));
        assert_eq!(fs::File::open("/dev/null").is_err(), spare == 0);
    };
    block_on(async {
        let store = SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
        let other = Connection::open(&path).unwrap();
        let checkpoint = || other.execute_batch("PRAGMA wal_checkpoint(FULL)").unwrap();
        let append = async |output: &str| append_one(&store, "posting/1", event(output)).await;
        for spare in 0..4 {
            for _ in 0..20 {
                append(&"long ".repeat(500)).await;
            }
            checkpoint();
            leave(spare);
            append("meanwhile").await;
            allow(usual.current);
            append("after").await;
        }
        checkpoint();
        append("in the log").await;
        append("in the log").await;
        // a longer file
        let another = Folder::new();
        let longer = another.store().await;
        for _ in 0..100 {
            append_one(&longer, "posting/2", event(&"long ".repeat(500))).await;
        }
        longer.close().await;
        let longer = fs::read(another.path()).unwrap();
        // kept to the end: closing it ends the locks that this process has on it
        let file = fs::File::options().write(true).open(&path).unwrap();
        leave(0);
        file.write_all_at(&longer, 0).unwrap();
        let one = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("x")]);
        drop(store.append(one).await);
        allow(usual.current);
        is_over(&store).await;
        drop(file);
    });
}
