//! What the suite cannot know of models that appends keep: other writers, transactions of the
//! application, lost connections.

use std::collections::BTreeMap;

use es_core::projection::{ApplyError, Keying, Projection, ProjectionSink, Slot, all_rows, live};
use es_core::{AppendError, EventFilter, EventStore, RecordedEvent, StoreError};
use es_pgtest::TestDatabase;
use es_postgres::{PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;

mod handlers;
mod round_trips;
mod storm;
mod transactions;
mod writers;

/// All events in the order in which they were taken: neither order nor repetition is lost in it.
struct Order;

impl Order {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        Ok(vec!["all".to_owned(), event.stream.to_string()])
    }
}

impl Projection for Order {
    const NAME: &'static str = "order";
    const VERSION: u32 = 1;
    type Row = Vec<String>;

    fn selection(&self) -> EventFilter {
        EventFilter::all().stored_aggregate_type("account")
    }

    fn keying(&self) -> Keying<Self> {
        Keying::Across(Self::keys)
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<Vec<String>>,
        event: &RecordedEvent,
    ) -> Result<Option<Vec<String>>, ApplyError> {
        if event.stream.aggregate_id() == "poison" {
            return Err("this is poison".into());
        }
        let mut row = row.unwrap_or_default();
        row.push(format!("{}@{}", event.stream, event.version.as_u64()));
        Ok(Some(row))
    }
}

/// The same events for another model.
struct Again;

impl Again {
    fn keys(&self, event: &RecordedEvent) -> Result<Vec<String>, ApplyError> {
        Order.keys(event)
    }
}

impl Projection for Again {
    const NAME: &'static str = "again";
    const VERSION: u32 = 1;
    type Row = Vec<String>;

    fn selection(&self) -> EventFilter {
        Order.selection()
    }

    fn keying(&self) -> Keying<Self> {
        Keying::Across(Self::keys)
    }

    fn apply(
        &self,
        key: &str,
        row: Option<Vec<String>>,
        event: &RecordedEvent,
    ) -> Result<Option<Vec<String>>, ApplyError> {
        Order.apply(key, row, event)
    }
}

/// Another handle to the same database, as another process has it.
async fn another(
    database: &TestDatabase,
    change: fn(PostgresConfig) -> PostgresConfig,
) -> PostgresStore {
    PostgresStore::open(change(PostgresConfig::new(database.options()))).await.unwrap()
}

async fn rows<P: Projection<Row = Vec<String>>>(
    store: &PostgresStore,
) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<_> = all_rows(store.clone(), P::NAME, Slot::Active).try_collect().await.unwrap();
    rows.into_iter().map(|row| (row.key, row.value.decode().unwrap())).collect()
}

/// The order of all events in the model.
async fn taken(store: &PostgresStore) -> Vec<String> {
    rows::<Order>(store).await.remove("all").unwrap_or_default()
}

/// The model is the fold of the log, up to its end.
async fn assert_is_fold<P: Projection<Row = Vec<String>>>(store: &PostgresStore, projection: P) {
    assert_eq!(rows::<P>(store).await, live(store.clone(), projection).await.unwrap());
    let status = store.status(Some(P::NAME)).await.unwrap().remove(0).active.unwrap();
    assert_eq!(status.checkpoint().position, store.end_of_log().await.unwrap());
}

fn store_error(answer: Result<es_core::Appended, AppendError>) -> StoreError {
    match answer {
        Err(AppendError::Store(error)) => error,
        other => panic!("the store refuses it, but: {other:?}"),
    }
}
