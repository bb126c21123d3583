//! `schema.sql` shows what the migrations make.

use es_sqlite::rusqlite::Connection;

use crate::support::Folder;

/// The schema as SQLite keeps it.
pub(crate) fn dump(connection: &Connection) -> String {
    let number = |pragma: &str| {
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).unwrap()
    };
    let mut dump = format!(
        "-- what the migrations make; written by the test that compares it (ES_BLESS=1)\n\n\
         PRAGMA application_id = {};\nPRAGMA user_version = {};\n",
        number("application_id"),
        number("user_version")
    );
    let mut statement = connection
        .prepare("SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid")
        .unwrap();
    let objects = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for object in objects {
        dump.push_str(&format!("\n{};\n", object.unwrap()));
    }
    dump
}

#[tokio::test]
async fn the_dumped_schema_equals_schema_sql() {
    let folder = Folder::new();
    folder.store().await;
    let made = dump(&folder.connection());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.sql");
    if std::env::var_os("ES_BLESS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let shown = std::fs::read_to_string(path).unwrap_or_default();
    assert!(made == shown, "{path} is out of date; run with ES_BLESS=1 and review:\n{made}");
}
