//! Handlers within the append.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::StoreErrorKind;
use es_postgres::sqlx::{self, AssertSqlSafe};
use es_postgres::{IdType, ModelTransaction, PostgresHandler};

use super::*;
use crate::support::{database, open, run, to, told, value};

/// Notes each event in a table, and runs a statement after an event of the stream `bad`.
struct Notes(&'static str);

#[async_trait]
impl PostgresHandler for Notes {
    async fn handle(
        &self,
        model: &mut ModelTransaction<'_>,
        events: &[RecordedEvent],
    ) -> Result<(), BoxError> {
        for event in events {
            sqlx::query("INSERT INTO public.notes (stream) VALUES ($1)")
                .bind(event.stream.to_string())
                .execute(model.connection())
                .await?;
            if event.stream.aggregate_id() == "bad" {
                sqlx::raw_sql(AssertSqlSafe(self.0)).execute(model.connection()).await?;
            }
        }
        Ok(())
    }
}

async fn noting(then: &'static str) -> (TestDatabase, PostgresStore) {
    let database = database(IdType::Text).await;
    let table = "CREATE TABLE notes (
        stream TEXT UNIQUE DEFERRABLE INITIALLY DEFERRED
    )";
    run(&database, table).await;
    let store = open(&database).await;
    store.handle("notes", Notes(then));
    store.keep_inline(Definition::handled("notes", 1, accounts())).await.unwrap();
    (database, store)
}

async fn counts(database: &TestDatabase) -> (i64, i64) {
    let events = value(database, "SELECT count(*) FROM execution_events").await;
    (events, value(database, "SELECT count(*) FROM notes").await)
}

#[tokio::test]
async fn a_handler_that_fails_refuses_its_append() {
    let (database, store) = noting("SELECT 'refused here'::int").await;
    store.append(to("account/good")).await.unwrap();
    let error = store_error(store.append(to("account/bad")).await);
    assert!(told(&error).contains("refused here"), "{error:?}");
    assert!(!error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(counts(&database).await, (1, 1));
    store.append(to("account/better")).await.unwrap();
    assert_eq!(counts(&database).await, (2, 2));
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_end_refuses_its_append() {
    let (database, store) = noting("").await;
    let written = AtomicUsize::new(0);
    let appends = (0..20).map(|number| {
        let (store, written) = (&store, &written);
        async move {
            // half of them note the same stream
            let stream = if number % 2 == 0 { 0 } else { number };
            match store.append(to(&format!("account/{stream}"))).await {
                Ok(_) => {
                    written.fetch_add(1, Ordering::Relaxed);
                }
                refused => assert!(!store_error(refused).is_outcome_unknown()),
            }
        }
    });
    futures_util::future::join_all(appends).await;
    assert_eq!(written.into_inner(), 11);
    assert_eq!(counts(&database).await, (11, 11));
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_leaves_the_outcome_unknown() {
    for (then, written) in [("ROLLBACK", 0), ("COMMIT", 1), ("COMMIT; BEGIN", 1)] {
        let (database, store) = noting(then).await;
        let error = store_error(store.append(to("account/bad")).await);
        assert_eq!(error.kind(), StoreErrorKind::OutcomeUnknown, "{then}: {error:?}");
        assert_eq!(counts(&database).await, (written, written), "{then}");
        // the connection is as good as before
        store.handle("notes", Notes(""));
        run(&database, "DELETE FROM notes").await;
        store.append(to("account/good")).await.unwrap();
    }
}
