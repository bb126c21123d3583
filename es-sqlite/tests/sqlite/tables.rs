//! Tables of projections in a file.

use es_core::backend::{ProjectionSink, StoreErrorKind};
use es_core::projection::Table;
use es_testing::projection::given_in;
use es_testing::scenes::orders::OrderEvent::*;
use es_testing::scenes::orders::*;
use es_testing::scenes::{tables, values};

use crate::support::Folder;

/// What queries answer, a number a row.
fn numbers(folder: &Folder) -> impl AsyncFn(&str) -> Vec<Option<i64>> {
    async |query: &str| folder.values(query)
}

#[tokio::test]
async fn rows_are_read_by_type_and_by_any_sql() {
    let (folder, store) = Folder::with_store().await;
    tables::rows_are_read_by_type_and_by_any_sql(&store, numbers(&folder)).await;
}

#[tokio::test]
async fn rows_are_those_of_what_was_given() {
    let folder = Folder::new();
    let placed = OrderPlaced { customer: "anna".to_owned() };
    given_in::<OpenOrder>(folder.store().await)
        .events::<Order>("o-1", [placed, LineAdded { cents: 5 }])
        .then_rows([order("o-1", "anna", 5)])
        .await
        .events::<Order>("o-1", [LineAdded { cents: 7 }])
        .then_rows([order("o-1", "anna", 12)])
        .await
        .events::<Order>("o-1", [OrderPaid])
        .then_rows([] as [OpenOrder; 0])
        .await
        .events::<Order>("o-9", [LineAdded { cents: 1 }])
        .then_refused("nothing to be updated")
        .await;
}

#[tokio::test]
async fn a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing() {
    let folder = Folder::new();
    let (store, numbers) = (folder.store().await, numbers(&folder));
    tables::a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing(&store, numbers).await;
}

#[tokio::test]
async fn what_takes_longer_is_removed_with_renewals() {
    let (folder, store) = Folder::with_store().await;
    place_orders(&store).await;
    catch_up(&store).await;
    let left = "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
        INSERT INTO open_orders_models (generation, id, cents) SELECT 999, 'o-' || n, n FROM n";
    folder.run(left);
    let left = [1_500, 500, 0, 0];
    tables::what_takes_longer_is_removed_with_renewals(&store, numbers(&folder), left).await;
}

#[tokio::test]
async fn a_refused_change_writes_nothing() {
    let folder = Folder::new();
    tables::a_refused_change_writes_nothing(&folder.store().await, []).await;
}

#[tokio::test]
async fn what_the_file_is_to_blame_for_is_no_poison() {
    let (folder, store) = Folder::with_store().await;
    let lease = claimed(&store).await;
    // where no number is left SQLite says that the file is full
    let full = "CREATE TABLE counted (number INTEGER PRIMARY KEY AUTOINCREMENT);
        INSERT INTO counted VALUES (9223372036854775807);
        CREATE TRIGGER count_orders AFTER INSERT ON open_orders_models BEGIN
            INSERT INTO counted VALUES (NULL);
        END";
    folder.run(full);
    let batch = changing(vec![placing("o-1")]);
    assert_eq!(failed(store.commit(&lease, &batch).await).kind(), StoreErrorKind::Full);
    assert!(all(&store).await.is_empty());
    folder.run("DROP TRIGGER count_orders");
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
    // nor is it for a table that somebody has dropped, which the next claim makes
    folder.run("DROP TABLE open_orders_models");
    assert_eq!(failed(store.commit(&lease, &batch).await).kind(), StoreErrorKind::NotAStore);
    let lease = claimed(&store).await;
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
}

#[tokio::test]
async fn a_claim_makes_what_is_missing_and_nothing_else() {
    let (folder, store) = Folder::with_store().await;
    let schema = async || folder.value::<i64>("PRAGMA schema_version");
    tables::a_claim_makes_what_is_missing_and_nothing_else(&store, schema).await;
    assert_eq!(folder.value::<i64>("SELECT count(lines) FROM open_orders"), 0);
}

#[tokio::test]
async fn a_field_that_is_not_there_yet_is_told() {
    let (_folder, store) = Folder::with_store().await;
    place_orders(&store).await;
    catch_up(&store).await;
    let read = Table::<WithLines>::new(store.clone()).get("o-1").await;
    assert!(unusable(read).contains("`open_orders`"));
}

#[tokio::test]
async fn tables_are_kept_within_the_append() {
    let (folder, store) = Folder::with_store().await;
    tables::tables_are_kept_within_the_append(&store, numbers(&folder)).await;
}

#[tokio::test]
async fn values_come_back_as_they_were() {
    let folder = Folder::new();
    values::values_come_back_as_they_were(&folder.store().await).await;
}
