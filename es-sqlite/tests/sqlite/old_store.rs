//! A file that a program of the past made.

use es_testing::old_store;

use crate::support::Folder;

#[tokio::test]
async fn a_file_of_an_older_program_is_brought_up_to_date_and_gone_on_with() {
    let folder = Folder::new();
    let restored = folder.connection();
    restored.execute_batch(include_str!("../fixtures/old_store.sql")).unwrap();
    restored.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(restored);
    let store = folder.store().await;
    old_store::check(store.clone()).await;
    store.close().await;
}
