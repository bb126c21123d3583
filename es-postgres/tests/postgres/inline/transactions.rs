//! Appends within a transaction of the application.

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, StoreErrorKind};
use es_postgres::IdType;

use super::*;
use crate::support::sessions::{execute, insert, session};
use crate::support::waiting::soon;
use crate::support::{database, empty_store, events, open, to, told};

#[tokio::test]
async fn an_append_in_a_transaction_is_in_the_model_or_neither_is() {
    let (database, store) = empty_store().await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    let mut session = session(&database).await;
    execute(&mut session, "BEGIN").await;
    store.append_in(&mut session, to("account/1")).await.unwrap();
    execute(&mut session, "ROLLBACK").await;
    assert!(taken(&store).await.is_empty());
    execute(&mut session, "BEGIN").await;
    // what the transaction has written itself is in the model, too
    insert(&mut session, "raw", 1..=2).await;
    store.append_in(&mut session, to("account/1")).await.unwrap();
    // a refused one leaves nothing behind
    let refused =
        to("account/1").and("account/poison".parse().unwrap(), ExpectedVersion::Any, events(1));
    let error = store_error(store.append_in(&mut session, refused).await);
    assert!(told(&error).contains("this is poison"), "{error:?}");
    let stale =
        AppendRequest::to("account/1".parse().unwrap(), ExpectedVersion::NoStream, events(1));
    assert!(matches!(store.append_in(&mut session, stale).await, Err(AppendError::Conflict(_))));
    store.append_in(&mut session, to("account/1")).await.unwrap();
    execute(&mut session, "COMMIT").await;
    let order = ["account/raw@1", "account/raw@2", "account/1@1", "account/1@2"];
    assert_eq!(taken(&store).await, order);
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn a_transaction_that_does_not_see_what_others_commit_is_refused() {
    let (database, store) = empty_store().await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    let mut one = session(&database).await;
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        execute(&mut one, &format!("BEGIN ISOLATION LEVEL {level}")).await;
        let error = store_error(store.append_in(&mut one, to("account/1")).await);
        assert!(error.to_string().contains("READ COMMITTED"), "{error}");
        execute(&mut one, "COMMIT").await;
    }
    // and so is none at all
    let error = store_error(store.append_in(&mut one, to("account/1")).await);
    assert!(!error.is_outcome_unknown(), "{error:?}");
    assert!(told(&error).contains("SAVEPOINT"), "{error:?}");
    assert!(taken(&store).await.is_empty());
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn who_has_written_before_it_wants_the_models_gets_them() {
    let database = database(IdType::Text).await;
    let (store, other) = (open(&database).await, open(&database).await);
    for keeps in [&store, &other] {
        keeps.keep_inline(Definition::of::<Order>()).await.unwrap();
    }
    let mut session = session(&database).await;
    execute(&mut session, "BEGIN").await;
    insert(&mut session, "raw", 1..=1).await;
    // it holds the models, and cannot pass what was written before
    let appending = tokio::spawn(async move { other.append(to("account/2")).await });
    let within = store.append_in(&mut session, to("account/1"));
    soon("the models are let go", within).await.unwrap();
    execute(&mut session, "COMMIT").await;
    soon("the append goes on", appending).await.unwrap().unwrap();
    assert_eq!(taken(&store).await, ["account/raw@1", "account/1@1", "account/2@1"]);
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn another_failure_of_the_store_is_told_as_such() {
    let (database, store) = empty_store().await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    let mut session = session(&database).await;
    let runs = "UPDATE execution_events_projection_models
                SET holder = 'a runner', expires_at = now() + INTERVAL '10 minutes'";
    execute(&mut session, runs).await;
    let error = store_error(store.append(to("account/1")).await);
    assert_eq!(error.kind(), StoreErrorKind::Other);
    assert!(told(&error).contains("a runner"), "{error:?}");
    assert_eq!(store.end_of_log().await.unwrap(), es_core::backend::Position::START);
}
