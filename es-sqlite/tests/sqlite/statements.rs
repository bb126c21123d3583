//! Every statement is used and fits the schema.

use std::path::PathBuf;

use crate::support::Folder;

/// Every statement with the name of its file, but for the templates of tables, which the tests of
/// tables run.
pub(crate) fn statements() -> Vec<(String, String)> {
    let statements = files().into_iter();
    statements.filter(|(_, statement)| !statement.contains('{')).collect()
}

fn files() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    let mut statements: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    statements.sort();
    assert!(statements.len() > 20);
    statements
}

#[tokio::test]
async fn every_statement_prepares_on_a_migrated_database() {
    let folder = Folder::new();
    folder.store().await;
    let connection = folder.connection();
    for (name, statement) in statements() {
        let prepared = connection.prepare(&statement);
        assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
    }
}

#[test]
fn every_statement_is_declared() {
    let declared = include_str!("../../src/sql.rs");
    for (name, _) in files() {
        assert!(declared.contains(&format!("\"{name}\"")), "{name}.sql is not used");
    }
}
