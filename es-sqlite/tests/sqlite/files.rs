//! Opening what is no store, or no longer one.

use std::error::Error;
use std::fs;
use std::path::Path;

use es_core::StoreErrorKind;
use es_core::{AppendError, AppendRequest, EventStore, ExpectedVersion, ReadLog, StoreError};
use es_sqlite::{SqliteConfig, SqliteStore};

use crate::support::{Folder, append_one, event, stream};

/// Opens what must be refused; the error names the path.
async fn refused(path: &Path, config: SqliteConfig) -> StoreError {
    let error = SqliteStore::open(config).await.unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

#[tokio::test]
async fn a_text_file_is_refused_and_kept() {
    let folder = Folder::new();
    fs::write(folder.path(), "my notes, much longer than a header").unwrap();
    let error = refused(&folder.path(), folder.config()).await;
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert_eq!(fs::read_to_string(folder.path()).unwrap(), "my notes, much longer than a header");
    assert_eq!(folder.files(), ["store.db"]);
}

#[tokio::test]
async fn names_that_mean_no_file_are_refused() {
    for name in [":memory:", "file:store.db?mode=memory", "file::memory:"] {
        let error = refused(Path::new(name), SqliteConfig::new(name)).await;
        assert_eq!(error.kind(), StoreErrorKind::NotAStore);
        assert!(!Path::new(name).exists());
    }
}

#[tokio::test]
async fn a_file_of_two_names_is_refused_under_both() {
    let folder = Folder::new();
    folder.store().await.close().await;
    let other = folder.path().with_file_name("other.db");
    fs::hard_link(folder.path(), &other).unwrap();
    for path in [folder.path(), other.clone()] {
        for config in [SqliteConfig::new(&path), SqliteConfig::new(&path).read_only(true)] {
            let error = refused(&path, config).await;
            assert!(error.to_string().contains("hard links"), "{error}");
        }
    }
    fs::remove_file(other).unwrap();
    append_one(&folder.store().await, "posting/1", event("x")).await;
}

#[tokio::test]
async fn another_programs_database_is_refused_and_kept() {
    let folder = Folder::new();
    folder.connection().execute_batch("CREATE TABLE mine (a)").unwrap();
    let before = fs::read(folder.path()).unwrap();
    let error = refused(&folder.path(), folder.config()).await;
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert_eq!(fs::read(folder.path()).unwrap(), before);
    assert_eq!(folder.files(), ["store.db"]);
}

#[tokio::test]
async fn a_folder_is_refused() {
    let folder = Folder::new();
    fs::create_dir(folder.path()).unwrap();
    let error = refused(&folder.path(), folder.config()).await;
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = Folder::new();
    let path = folder.path().join("deeper/store.db");
    let error = refused(&path, SqliteConfig::new(&path)).await;
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert!(error.to_string().contains("make it first"), "{error}");
}

#[tokio::test]
async fn a_missing_file_is_made_only_if_that_is_wanted() {
    let folder = Folder::new();
    for config in [folder.config().create(false), folder.config().read_only(true)] {
        let error = refused(&folder.path(), config).await;
        assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    }
    assert!(folder.files().is_empty());
    folder.store().await;
}

#[tokio::test]
async fn an_empty_path_and_sqlites_own_names_make_nothing_unexpected() {
    let error = SqliteStore::open("").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    let folder = Folder::new();
    let odd = folder.path().with_file_name("file:x?mode=memory");
    let store = SqliteStore::open(&odd).await.unwrap();
    append_one(&store, "posting/1", event("kept")).await;
    store.close().await;
    assert!(odd.exists());
}

#[tokio::test]
async fn the_largest_settings_open_a_store_like_any_other() {
    let folder = Folder::new();
    let config = folder
        .config()
        .busy_timeout(std::time::Duration::MAX)
        .poll_interval(std::time::Duration::MAX)
        .queue(usize::MAX);
    let store = SqliteStore::open(config).await.unwrap();
    append_one(&store, "posting/1", event("first")).await;
    store.close().await;
}

#[tokio::test]
async fn an_empty_file_becomes_a_store() {
    let folder = Folder::new();
    fs::write(folder.path(), "").unwrap();
    let store = folder.store().await;
    append_one(&store, "posting/1", event("first")).await;
}

#[tokio::test]
async fn a_truncated_store_is_corrupt_and_not_made_worse() {
    let folder = Folder::new();
    let store = folder.store().await;
    for number in 0..50 {
        append_one(&store, "posting/1", event(&"x".repeat(1000 + number))).await;
    }
    store.close().await;
    let whole = fs::read(folder.path()).unwrap();
    fs::write(folder.path(), &whole[..whole.len() / 2]).unwrap();
    let error = refused(&folder.path(), folder.config()).await;
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
    let said = error.source().unwrap();
    assert!(said.source().is_none(), "SQLite's text is there once: {said:?}");
    assert_eq!(fs::read(folder.path()).unwrap(), &whole[..whole.len() / 2]);
}

#[tokio::test]
async fn damage_in_the_middle_is_an_error_of_the_read_that_meets_it() {
    let folder = Folder::new();
    let store = folder.store().await;
    for _ in 0..200 {
        append_one(&store, "posting/1", event(&"x".repeat(1000))).await;
    }
    store.close().await;
    let mut bytes = fs::read(folder.path()).unwrap();
    let from = bytes.len() / 2 / 4096 * 4096;
    bytes[from..from + 4096].fill(0xA5);
    fs::write(folder.path(), bytes).unwrap();
    let store = folder.store().await;
    let error = store.read_log(&ReadLog::from_start()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn a_store_without_one_of_its_tables_is_refused() {
    for table in ["execution_events", "idempotency_keys", "snapshots"] {
        let folder = Folder::new();
        folder.store().await.close().await;
        folder.connection().execute_batch(&format!("DROP TABLE {table}")).unwrap();
        let error = refused(&folder.path(), folder.config()).await;
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    let store = folder.store().await;
    let connection = folder.connection();
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    connection
        .execute(
            "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('posting', 7, 1, 'posting_terminal', 'no json')",
            [],
        )
        .unwrap();
    let page = store.read_log(&ReadLog::from_start()).await.unwrap();
    let error = page.events[0].payload.decode::<Option<bool>>().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("event_data of event 1 of stream posting/7"), "{text}");
}

#[tokio::test]
async fn a_read_only_store_reads_and_follows_but_refuses_to_write() {
    let folder = Folder::new();
    let writer = folder.store().await;
    let first = append_one(&writer, "posting/1", event("one")).await;
    let reader = SqliteStore::open(folder.config().read_only(true)).await.unwrap();
    let request = AppendRequest::to(stream("posting/1"), ExpectedVersion::Any, vec![event("two")]);
    let AppendError::Store(error) = reader.append(request).await.unwrap_err() else {
        panic!("not the store's error");
    };
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
    let waiting = reader.wait_past(first.position());
    let second = append_one(&writer, "posting/1", event("two"));
    let (waited, second) = tokio::join!(waiting, second);
    waited.unwrap();
    assert_eq!(reader.end_of_log().await.unwrap(), second.position());
}

#[tokio::test]
async fn who_only_looks_leaves_no_log_behind() {
    let folder = Folder::new();
    let store = folder.store().await;
    append_one(&store, "posting/1", event("one")).await;
    store.close().await;
    let reader = SqliteStore::open(folder.config().read_only(true)).await.unwrap();
    assert_eq!(reader.end_of_log().await.unwrap().to_sequence(), 1);
    reader.close().await;
    assert_eq!(folder.files(), ["store.db"]);
    let go_on = |_| std::ops::ControlFlow::Continue(());
    let to = folder.path().with_file_name("copy.db");
    es_sqlite::backup(folder.path(), to, go_on).await.unwrap();
    assert_eq!(folder.files(), ["copy.db", "store.db"]);

    // what another one has open stays, and so does a log that has something
    let store = folder.store().await;
    let reader = SqliteStore::open(folder.config().read_only(true)).await.unwrap();
    reader.close().await;
    assert!(folder.files().contains(&"store.db-wal".to_owned()), "{:?}", folder.files());
    append_one(&store, "posting/1", event("two")).await;
    let reader = SqliteStore::open(folder.config().read_only(true)).await.unwrap();
    store.close().await;
    reader.close().await;
    assert!(folder.write_ahead_log_length() > 0);
    assert_eq!(folder.store().await.end_of_log().await.unwrap().to_sequence(), 2);
}

/// How many files it may have open is the affair of a process, so it is one of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_want_of_files_is_told_from_a_want_of_rights() {
    use std::os::fd::AsRawFd;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let name = "files::a_want_of_files_is_told_from_a_want_of_rights";
    let Some(path) = crate::support::child_path() else {
        let folder = Folder::new();
        crate::support::block_on(async { folder.store().await.close().await });
        crate::support::succeeds(crate::support::child(name, &folder.path()));
        return;
    };
    let usual = getrlimit(Resource::Nofile);
    let allow = |current| setrlimit(Resource::Nofile, Rlimit { current, ..usual }).unwrap();
    crate::support::block_on(async {
        // the file, its log and the index of that
        for spare in 0..3 {
            let next = fs::File::open("/dev/null").unwrap().as_raw_fd();
            allow(Some(u64::try_from(next).unwrap() + spare));
            let opened = SqliteStore::open(SqliteConfig::new(&path)).await;
            allow(usual.current);
            let error = opened.unwrap_err().to_string();
            assert!(error.contains("too many files are open"), "{spare}: {error}");
        }
        SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
    });
}

/// A file that belongs to somebody else: the test runs once more as a user without rights, if it
/// can choose one.
#[test]
#[cfg(unix)]
fn a_file_without_the_right_to_write_is_refused_and_opens_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let name = "files::a_file_without_the_right_to_write_is_refused_and_opens_read_only";
    if let Some(path) = crate::support::child_path() {
        crate::support::block_on(async move {
            let error = refused(&path, SqliteConfig::new(&path)).await;
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
            let config = SqliteConfig::new(&path).read_only(true);
            let store = SqliteStore::open(config).await.unwrap();
            assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 1);
        });
        return;
    }
    let folder = Folder::new();
    crate::support::block_on(async {
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        store.close().await;
    });
    let open_to_all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(folder.path().parent().unwrap(), open_to_all).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o444)).unwrap();
    let mut child = crate::support::child(name, &folder.path());
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        child.uid(65534);
    }
    crate::support::succeeds(child);
}

/// As above, in a folder in which nothing can be made.
#[test]
#[cfg(unix)]
fn a_store_in_a_folder_without_the_right_to_write_says_what_reading_needs() {
    use std::os::unix::fs::PermissionsExt;
    let name = "files::a_store_in_a_folder_without_the_right_to_write_says_what_reading_needs";
    if let Some(path) = crate::support::child_path() {
        crate::support::block_on(async move {
            let error = refused(&path, SqliteConfig::new(&path).read_only(true)).await;
            println!("\nanswer {:?} {error}", error.kind());
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
            assert!(error.to_string().contains("-shm"), "{error}");
            assert!(error.to_string().contains("folder"), "{error}");
        });
        return;
    }
    let folder = Folder::new();
    crate::support::block_on(async {
        let store = folder.store().await;
        append_one(&store, "posting/1", event("one")).await;
        store.close().await;
    });
    let parent = folder.path().parent().unwrap().to_owned();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o555)).unwrap();
    let mut child = crate::support::child(name, &folder.path());
    if rustix::process::geteuid().is_root() {
        use std::os::unix::process::CommandExt;
        child.uid(65534);
    }
    let output = child.output().unwrap();
    // or the folder cannot be removed
    fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}
