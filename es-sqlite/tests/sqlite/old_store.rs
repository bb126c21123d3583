//! A file that a program of the past made.

use es_testing::old_store;

use crate::support::Folder;

/// Makes the file as it was.
pub(crate) fn restore(folder: &Folder) {
    folder.run(include_str!("../fixtures/old_store.sql"));
    folder.run("PRAGMA journal_mode = WAL");
}

#[tokio::test]
async fn a_file_of_an_older_program_is_brought_up_to_date_and_gone_on_with() {
    let folder = Folder::new();
    restore(&folder);
    let store = folder.store().await;
    old_store::check(store.clone()).await;
    store.close().await;
}
