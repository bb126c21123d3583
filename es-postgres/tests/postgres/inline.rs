//! What the suite cannot know of models that appends keep: other writers, transactions of the
//! application, lost connections.

use std::fmt::Debug;

use es_core::backend::{AppendError, Definition, EventStore, ProjectionSink, StoreError};
use es_core::event::EventFilter;
use es_core::projection::{Keying, ReadModel};
use es_core::{BoxError, Envelope, Event, Projection};
use es_pgtest::TestDatabase;
use es_postgres::{PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

mod round_trips;
mod storm;
mod tables;
mod transactions;
mod writers;

/// What is written here, by plain SQL or not.
#[derive(Event)]
enum AccountEvent {
    AmountPaidIn,
    ScriptExecutionCompleted,
}

/// All events in the order in which they were taken: neither order nor repetition is lost in it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Taken<const AGAIN: bool>(Vec<String>);

type Order = Taken<false>;

/// The same events for another model.
type Again = Taken<true>;

fn accounts() -> EventFilter {
    EventFilter::all().stored_aggregate_type("account")
}

impl<const AGAIN: bool> Projection for Taken<AGAIN> {
    const NAME: &'static str = if AGAIN { "again" } else { "order" };
    type Event = AccountEvent;
    type Key = String;

    fn selection() -> EventFilter {
        accounts()
    }

    fn keying() -> Keying<Self> {
        Keying::<Self>::by_metadata(|recorded| ["all".to_owned(), recorded.stream.to_string()])
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        event: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        if event.stream.aggregate_id() == "poison" {
            return Err("this is poison".into());
        }
        let taken = format!("{}@{}", event.stream, event.version.as_u64());
        row.get_or_insert_default().0.push(taken);
        Ok(())
    }
}

/// Another handle to the same database, as another process has it.
async fn another(
    database: &TestDatabase,
    change: fn(PostgresConfig) -> PostgresConfig,
) -> PostgresStore {
    PostgresStore::open(change(PostgresConfig::new(database.options()))).await.unwrap()
}

/// The order of all events in the model.
async fn taken(store: &PostgresStore) -> Vec<String> {
    let row = ReadModel::<Order>::new(store.clone()).get("all").await.unwrap();
    row.unwrap_or_default().0
}

/// The model is the fold of the log, up to its end.
async fn assert_is_fold<P>(store: &PostgresStore)
where
    P: Projection<Key = String> + Debug + PartialEq,
{
    let model = ReadModel::<P>::new(store.clone());
    let rows: Vec<_> = model.all().try_collect().await.unwrap();
    assert_eq!(rows, model.live().await.unwrap());
    let status = store.status(Some(P::NAME)).await.unwrap().remove(0).active.unwrap();
    assert_eq!(status.checkpoint().position, store.end_of_log().await.unwrap());
}

fn store_error(answer: Result<es_core::backend::Appended, AppendError>) -> StoreError {
    match answer {
        Err(AppendError::Store(error)) => error,
        other => panic!("the store refuses it, but: {other:?}"),
    }
}
