//! Opening what is no store, or no longer one.

use std::error::Error;
use std::fs;
use std::path::Path;

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendError, AppendRequest, EventStore, ReadLog, ReadStream, StoreError, StoreErrorKind,
};
use es_core::execution::StreamVersion;
use es_sqlite::{SqliteConfig, SqliteStore};

use crate::support::{Folder, append_one, event, stream};

/// Opens what must be refused; the error names the path.
pub(crate) async fn refused(path: &Path, config: SqliteConfig) -> StoreError {
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
    folder.run("CREATE TABLE mine (a)");
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
    // which who only looks is told, and not that it is another file
    for config in [folder.config().read_only(true), folder.config().create(false)] {
        let error = refused(&folder.path(), config).await;
        assert_eq!(error.kind(), StoreErrorKind::NotAStore);
        assert!(error.to_string().contains("yet: the file has nothing in it"), "{error}");
    }
    let store = folder.store().await;
    append_one(&store, "posting/1", event("first")).await;
}

#[tokio::test]
async fn a_truncated_store_is_corrupt_and_not_made_worse() {
    let (folder, store) = Folder::with_store().await;
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
    let store = folder.damaged_store().await;
    let error = store.read_log(&ReadLog::from_start()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    // whatever was handed over before: a page is whole, or it is none
    let read = ReadStream::new(stream("posting/1"));
    for read in [read.clone(), read.clone().backwards()] {
        let error = store.read_stream(&read).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
    let last = read.from_version(StreamVersion::new(196));
    assert_eq!(store.read_stream(&last).await.unwrap().events.len(), 5);
}

#[tokio::test]
async fn a_store_without_one_of_its_tables_is_refused() {
    for table in ["execution_events", "idempotency_keys", "snapshots"] {
        let folder = Folder::new();
        folder.store().await.close().await;
        folder.run(&format!("DROP TABLE {table}"));
        let error = refused(&folder.path(), folder.config()).await;
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named() {
    let (folder, store) = Folder::with_store().await;
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
    let (folder, store) = Folder::with_store().await;
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
