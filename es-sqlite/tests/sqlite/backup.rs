//! Backups that are made while others write.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use es_core::backend::{EventStore, ReadLog, StoreErrorKind};
use es_core::event::RecordedEvent;
use es_sqlite::rusqlite::Connection;
use es_sqlite::{BackupError, BackupProgress, SqliteConfig, SqliteStore};
use es_testing::old_store;

use crate::old_store::restore;
use crate::support::{Folder, append_one, block_on, event, waits};

fn to(folder: &Folder) -> PathBuf {
    folder.path().with_file_name("backup.db")
}

/// A store with enough for some steps of a backup.
async fn filled(folder: &Folder) -> SqliteStore {
    let store = folder.store().await;
    for _ in 0..12 {
        append_one(&store, "posting/1", event(&"x".repeat(1 << 20))).await;
    }
    store
}

async fn log(store: &SqliteStore) -> Vec<RecordedEvent> {
    let mut read = ReadLog::from_start();
    let mut log = Vec::new();
    loop {
        let page = store.read_log(&read).await.unwrap();
        log.extend(page.events);
        if page.at_end {
            return log;
        }
        read = ReadLog::after(page.next);
    }
}

/// A closure that says each time how far the backup has come, and goes on when it is told to; and
/// the other ends.
type Steps = (Receiver<BackupProgress>, Sender<()>);

fn step_by_step() -> (impl FnMut(BackupProgress) -> ControlFlow<()> + Send + 'static, Steps) {
    let ((come, comes), (go_on, goes_on)) = (channel(), channel());
    let closure = move |progress| match come.send(progress).is_ok() && goes_on.recv().is_ok() {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    (closure, (comes, go_on))
}

#[test]
fn a_backup_holds_the_log_of_one_moment_whoever_writes_meanwhile() {
    let folder = Folder::new();
    let store = block_on(filled(&folder));
    block_on(store.write(|tx| {
        tx.execute("CREATE TABLE mail (text TEXT)", [])?;
        tx.execute("INSERT INTO mail VALUES ('kept')", [])?;
        Ok::<_, es_sqlite::TransactionError>(())
    }))
    .unwrap();
    let before = block_on(log(&store));
    let (progress, (comes, go_on)) = step_by_step();
    let backup = std::thread::scope(|scope| {
        // they go with this closure, so that the backup ends if an assertion fails
        let (comes, go_on) = (comes, go_on);
        let backup = scope.spawn(|| block_on(store.backup_with(to(&folder), progress)));
        let mut seen = Vec::new();
        while let Ok(come) = comes.recv() {
            seen.push(come);
            assert!(seen.len() < 20, "it begins again with each write: {seen:?}");
            // by this store, and by another program, which also brings the log into the file
            block_on(append_one(&store, "posting/2", event("meanwhile")));
            let other = folder.connection();
            other.execute("INSERT INTO mail VALUES ('meanwhile')", []).unwrap();
            other.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
            let _ = go_on.send(());
        }
        assert!(seen.len() > 2, "{seen:?}");
        assert!(seen.is_sorted_by_key(|come| come.copied), "{seen:?}");
        let last = seen.last().unwrap();
        assert_eq!(last.copied, last.pages);
        backup.join().unwrap().unwrap()
    });
    assert_eq!((&backup.path, backup.end), (&to(&folder), before.last().unwrap().position));
    assert_eq!(fs::metadata(&backup.path).unwrap().len(), backup.bytes);
    block_on(async {
        let copy = SqliteStore::open(&backup.path).await.unwrap();
        assert_eq!(log(&copy).await, before);
        assert_eq!(copy.find_damage().await.unwrap(), [""; 0]);
        append_one(&copy, "posting/1", event("it goes on")).await;
        copy.close().await;
        let mail = Connection::open(&backup.path).unwrap();
        let mail: String = mail.query_row("SELECT text FROM mail", [], |row| row.get(0)).unwrap();
        assert_eq!(mail, "kept");
        assert!(log(&store).await.len() > before.len());
        store.close().await;
    });
    assert_eq!(folder.files(), ["backup.db", "store.db"]);
}

#[tokio::test]
async fn what_is_in_the_way_of_a_backup_is_named_and_kept() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("x")).await;
    for name in ["backup.db", "backup.db-wal", "backup.db-journal", "backup.db.unfinished"] {
        let there = folder.path().with_file_name(name);
        fs::write(&there, "mine").unwrap();
        let BackupError::Occupied { there: named, .. } =
            store.backup_to(to(&folder)).await.unwrap_err()
        else {
            panic!("{name}");
        };
        assert_eq!(named, there);
        assert_eq!(fs::read(&there).unwrap(), b"mine");
        fs::remove_file(there).unwrap();
    }
    let own = store.backup_to(folder.path()).await.unwrap_err();
    assert!(matches!(own, BackupError::Itself { .. }), "{own:?}");
    for nowhere in [folder.path().with_file_name("deeper").join("backup.db"), PathBuf::new()] {
        let error = store.backup_to(nowhere).await.unwrap_err();
        assert!(matches!(error, BackupError::Target { .. }), "{error:?}");
    }
    store.backup_to(to(&folder)).await.unwrap();
}

#[tokio::test]
async fn a_backup_has_the_rights_of_its_store() {
    let (folder, store) = Folder::with_store().await;
    for mode in [0o600, 0o640, 0o444] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        let backup = store.backup_to(to(&folder)).await.unwrap();
        let found = fs::metadata(&backup.path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode);
        fs::remove_file(backup.path).unwrap();
    }
}

#[test]
fn a_backup_that_is_given_up_leaves_nothing() {
    let folder = Folder::new();
    let store = block_on(filled(&folder));
    let stopped = |_| ControlFlow::Break(());
    let error = block_on(store.backup_with(to(&folder), stopped)).unwrap_err();
    assert!(matches!(error, BackupError::GivenUp { .. }), "{error:?}");
    let error = block_on(es_sqlite::backup(folder.path(), to(&folder), stopped)).unwrap_err();
    assert!(matches!(error, BackupError::GivenUp { .. }), "{error:?}");

    // nobody waits for it any more
    let (progress, (comes, go_on)) = step_by_step();
    block_on(async {
        let mut backup = Box::pin(store.backup_with(to(&folder), progress));
        assert!(waits(&mut backup).await);
        comes.recv().unwrap();
    });
    go_on.send(()).unwrap();

    // it ends with the store
    let (progress, (comes, go_on)) = step_by_step();
    let closed = std::thread::scope(|scope| {
        let other = folder.path().with_file_name("other.db");
        let backup = scope.spawn(|| block_on(store.backup_with(other, progress)));
        comes.recv().unwrap();
        block_on(async {
            let mut closing = Box::pin(store.close());
            assert!(waits(&mut closing).await);
            go_on.send(()).unwrap();
            closing.await;
        });
        backup.join().unwrap()
    });
    let Err(BackupError::Store(error)) = closed else { panic!("{closed:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Closed);
    assert_eq!(folder.files(), ["store.db"]);
    let refused = block_on(store.backup_to(to(&folder))).unwrap_err();
    let BackupError::Store(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), StoreErrorKind::Closed);
}

#[tokio::test]
async fn no_backup_is_made_of_a_damaged_store() {
    let folder = Folder::new();
    let store = folder.damaged_store().await;
    let BackupError::Store(error) = store.backup_to(to(&folder)).await.unwrap_err() else {
        panic!("not the store's error");
    };
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("is damaged"), "{error}");
    assert!(!store.find_damage().await.unwrap().is_empty());
    store.close().await;
    assert_eq!(folder.files(), ["store.db"]);
}

#[tokio::test]
async fn a_store_of_an_older_program_is_copied_as_it_is() {
    let folder = Folder::new();
    restore(&folder);
    let version = |path: PathBuf| -> i64 {
        let connection = Connection::open(path).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    let before = version(folder.path());
    let go_on = |_| ControlFlow::Continue(());
    let backup = es_sqlite::backup(folder.path(), to(&folder), go_on).await.unwrap();
    assert_eq!(version(backup.path.clone()), before);
    let store = SqliteStore::open(&backup.path).await.unwrap();
    old_store::check(store.clone()).await;

    let text = folder.path().with_file_name("notes.txt");
    fs::write(&text, "x".repeat(2000)).unwrap();
    let other = folder.path().with_file_name("other");
    let error = es_sqlite::backup(SqliteConfig::new(text), other, go_on).await.unwrap_err();
    let BackupError::Store(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
}

#[tokio::test]
async fn a_backup_needs_no_shared_memory() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("x")).await;
    // no file can be made there
    let memory = folder.path().with_file_name("backup.db.unfinished-shm");
    std::os::unix::fs::symlink("nowhere/at/all", memory).unwrap();
    store.backup_to(to(&folder)).await.unwrap();
}
