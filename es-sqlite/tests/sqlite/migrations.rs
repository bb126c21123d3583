//! Files of other versions of the schema.

use es_core::backend::{EventStore, ReadLog, StoreErrorKind};
use es_sqlite::SqliteStore;
use es_sqlite::rusqlite::Connection;

use crate::schema::dump;
use crate::support::{Folder, append_one, event};

/// The migrations, oldest first.
fn migrations() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn schema_version(connection: &Connection) -> usize {
    connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn each_migration_sets_its_own_number() {
    let connection = Connection::open_in_memory().unwrap();
    for (index, migration) in migrations().iter().enumerate() {
        connection.execute_batch(migration).unwrap();
        assert_eq!(schema_version(&connection), index + 1);
    }
}

#[tokio::test]
async fn a_store_of_every_older_version_is_brought_up_to_date() {
    let new = Folder::new();
    new.store().await;
    let expected = dump(&new.connection());
    for applied in 1..migrations().len() {
        let folder = Folder::new();
        let connection = folder.connection();
        for migration in &migrations()[..applied] {
            connection.execute_batch(migration).unwrap();
        }
        connection
            .execute(
                "INSERT INTO execution_events
                 (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
                 VALUES ('posting', 1, 1, 'posting_terminal', '{}')",
                [],
            )
            .unwrap();
        let error = SqliteStore::open(folder.config().read_only(true)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::OlderSchema, "{error}");
        assert_eq!(schema_version(&connection), applied, "it was only looked at");
        let store = folder.store().await;
        let log = store.read_log(&ReadLog::from_start()).await.unwrap();
        assert_eq!(log.events.len(), 1, "from version {applied}");
        assert_eq!(dump(&connection), expected, "from version {applied}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("kept")).await;
    store.close().await;
    let newer = i64::try_from(migrations().len()).unwrap() + 1;
    folder.connection().pragma_update(None, "user_version", newer).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    for config in [folder.config(), folder.config().read_only(true)] {
        let error = SqliteStore::open(config).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NewerSchema);
        assert!(error.to_string().contains(&format!("schema version {newer}")), "{error}");
    }
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[tokio::test]
async fn many_that_open_a_new_store_at_once_all_get_it() {
    let folder = Folder::new();
    let opening: Vec<_> = (0..8)
        .map(|number| {
            let config = folder.config();
            tokio::spawn(async move {
                let store = SqliteStore::open(config).await.unwrap();
                append_one(&store, &format!("posting/{number}"), event("mine")).await;
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    let store = folder.store().await;
    let log = store.read_log(&ReadLog::from_start()).await.unwrap();
    assert_eq!(log.events.len(), 8);
}
