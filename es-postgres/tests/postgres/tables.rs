//! Tables of projections in a database.

use std::time::Duration;

use es_core::backend::{
    Batch, Content, Definition, ProjectionSink, SinkError, Slot, StoreErrorKind, TableChange,
};
use es_core::projection::{Changes, Rebuild, SqlValue, Table, TableRow, Which};
use es_core::{BoxError, Envelope, Runner, TableProjection};
use es_pgtest::{Server, TestDatabase, TransactionPooler};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};
use es_testing::scenes::orders::OrderEvent::*;
use es_testing::scenes::orders::*;
use es_testing::scenes::tables;

use crate::support::{database, empty_store, open, run, told, value};

mod grouped;
mod held;
mod names;
mod rights;
mod values;

async fn with_orders() -> (TestDatabase, PostgresStore) {
    let (database, store) = empty_store().await;
    place_orders(&store).await;
    (database, store)
}

/// What queries answer, a number a row.
fn numbers(database: &TestDatabase) -> impl AsyncFn(&str) -> Vec<Option<i64>> {
    async |query: &str| {
        let mut connection = database.options().connect().await.unwrap();
        let query = sqlx::query_scalar(AssertSqlSafe(query));
        query.fetch_all(&mut connection).await.unwrap()
    }
}

#[tokio::test]
async fn rows_are_read_by_type_and_by_any_sql() {
    let (database, store) = empty_store().await;
    tables::rows_are_read_by_type_and_by_any_sql(&store, numbers(&database)).await;
}

#[tokio::test]
async fn a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing() {
    let (database, store) = empty_store().await;
    let numbers = numbers(&database);
    tables::a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing(&store, numbers).await;
}

#[tokio::test]
async fn what_is_abandoned_is_gone_with_the_next_claim() {
    let (database, store) = with_orders().await;
    catch_up(&store).await;
    let mut rebuild = Rebuild::table::<WithLines>(store.clone());
    rebuild.fill().await.unwrap();
    rebuild.release().await;
    store.abandon(OpenOrder::NAME).await.unwrap();
    let kept = "SELECT count(*) FROM open_orders_models";
    assert_eq!(value::<i64>(&database, kept).await, 4);
    claimed(&store).await;
    assert_eq!(value::<i64>(&database, kept).await, 2);
    assert_eq!(all(&store).await.len(), 2);
}

#[tokio::test]
async fn what_takes_longer_is_removed_with_renewals() {
    let (database, store) = with_orders().await;
    catch_up(&store).await;
    let left = "INSERT INTO open_orders_models
                SELECT 999, 'o-' || n, 'anna', n FROM generate_series(1, 25000) n";
    run(&database, left).await;
    let left = [15_000, 5_000, 0, 0];
    tables::what_takes_longer_is_removed_with_renewals(&store, numbers(&database), left).await;
}

#[tokio::test]
async fn a_refused_change_writes_nothing() {
    let (database, store) = empty_store().await;
    let table = &OpenOrder::SCHEMA;
    let values = order("o-1", "anna", 1).into_values();
    let text = vec![SqlValue::Text("a".to_owned())];
    let odd = [
        update(Which::Where("true"), "cents = 9223372036854775807 + cents"),
        update(Which::Where("true"), "cents = open_order.cents + 1"),
        update(Which::Where("true"), "cents = no_such_schema.sum(cents)"),
        update(Which::Where("true"), "cents = no_such_function(cents)"),
        TableChange::Upsert { table, values, set: Some("cents = $1") },
        TableChange::Delete { table, rows: Which::Where("cents = $1"), values: text.clone() },
        TableChange::Delete { table, rows: Which::Where("customer = $2"), values: text },
    ];
    tables::a_refused_change_writes_nothing(&store, odd).await;
    // one that is checked at the end
    let lease = claimed(&store).await;
    let once = "ALTER TABLE open_orders_models
                ADD CONSTRAINT once UNIQUE (customer) DEFERRABLE INITIALLY DEFERRED";
    run(&database, once).await;
    let twice = changing(vec![placing("o-1"), placing("o-2")]);
    let Err(SinkError::Refused { source, .. }) = store.commit(&lease, &twice).await else {
        panic!("two of one customer");
    };
    let text = told(&*source);
    assert!(text.contains("once") && !text.contains("anna"), "{text}");
    assert!(all(&store).await.is_empty());
    // nothing of it is left behind
    store.commit(&lease, &changing(vec![placing("o-1")])).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
}

#[tokio::test]
async fn a_claim_makes_what_is_missing_and_nothing_else() {
    let (database, store) = empty_store().await;
    // each statement that makes or changes something writes these anew
    let made = async || {
        let text = "SELECT string_agg(c.relname || c.xmin::text, ',' ORDER BY c.relname)
                    FROM pg_class c WHERE c.relname LIKE 'open_orders%'";
        value::<String>(&database, text).await
    };
    claimed(&store).await;
    run(&database, "ALTER VIEW open_orders SET (security_barrier = true)").await;
    tables::a_claim_makes_what_is_missing_and_nothing_else(&store, made).await;
    // the view is as somebody has set it
    let options = "SELECT array_to_string(reloptions, ',') FROM pg_class
                   WHERE relname = 'open_orders'";
    assert_eq!(value::<String>(&database, options).await, "security_barrier=true");
}

#[tokio::test]
async fn who_claims_at_once_makes_them_once() {
    let database = database(IdType::Text).await;
    let claims = (0..4).map(|number| {
        let config = PostgresConfig::new(database.options());
        let mut claim = claim::<OpenOrder>(Slot::Active);
        claim.holder = number.to_string();
        async move { PostgresStore::open(config).await.unwrap().acquire(&claim).await }
    });
    let answers = futures_util::future::join_all(claims).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    for refused in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, SinkError::Held { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn tables_are_kept_within_the_append() {
    let (database, store) = empty_store().await;
    tables::tables_are_kept_within_the_append(&store, numbers(&database)).await;
    // a switch goes on inline
    Rebuild::table::<OpenOrder>(store.clone()).run().await.unwrap();
    record(&store, "o-2", LineAdded { cents: 1 }).await;
    assert_eq!(all(&store).await[1], order("o-2", "o'hara", 5));
}

#[tokio::test]
async fn tables_are_kept_behind_a_pooling_proxy() {
    for is_kept in [false, true] {
        let database = database(IdType::Text).await;
        let pooler = TransactionPooler::start(Server::shared()).await;
        let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
        let store = PostgresStore::open(config).await.unwrap();
        let numbers = numbers(&database);
        match is_kept {
            true => tables::tables_are_kept_within_the_append(&store, numbers).await,
            false => {
                tables::a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing(&store, numbers)
                    .await;
            }
        }
        store.close().await;
    }
}
