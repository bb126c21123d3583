//! Projections that are kept within the append.

use es_core::backend::{AppendRequest, Definition, EventStore, NewEvent, ProjectionSink};
use es_core::environment::Environment;
use es_core::event::Payload;
use es_core::projection::{Changes, Keying, ReadModel, TableRow};
use es_core::{BoxError, Envelope, Event, ExpectedVersion, Projection, TableProjection};
use es_sqlite::rusqlite::Error::QueryReturnedNoRows;
use es_sqlite::{SqliteStore, TransactionError};
use serde::{Deserialize, Serialize};

use crate::support::Folder;

#[derive(Event)]
enum AccountEvent {
    Paid,
}

/// How many events an account has.
#[derive(Default, Serialize, Deserialize)]
struct Counted {
    events: u64,
}

impl Projection for Counted {
    const NAME: &'static str = "counted";
    type Event = AccountEvent;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.stream.to_string())
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        _: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        row.get_or_insert_default().events += 1;
        Ok(())
    }
}

/// The same in a table.
#[derive(TableRow)]
#[table(name = "account_counts")]
struct Count {
    #[table(key)]
    account: String,
    events: i64,
}

impl TableProjection for Count {
    type Event = AccountEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, AccountEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let account = event.stream.to_string();
        rows.insert_or_update(Self { account, events: 1 }, "events = account_counts.events + 1");
        Ok(())
    }
}

fn counted() -> Definition {
    Definition::of::<Counted>()
}

fn request(streams: &[&str], event_type: &str) -> AppendRequest {
    let ids = Environment::default().event_ids;
    let event = || NewEvent::new(ids.next_id(), event_type, Payload::of(&()).unwrap());
    let mut streams = streams.iter().map(|stream| stream.parse().unwrap());
    let first = AppendRequest::to(streams.next().unwrap(), ExpectedVersion::Any, vec![event()]);
    streams.fold(first, |request, stream| request.and(stream, ExpectedVersion::Any, vec![event()]))
}

async fn count(store: &SqliteStore, key: &str) -> Option<u64> {
    ReadModel::<Counted>::new(store.clone()).get(key).await.unwrap().map(|row| row.events)
}

#[tokio::test]
async fn what_other_processes_append_is_taken_with_the_next_append() {
    let folder = Folder::new();
    let (store, other) = (folder.store().await, folder.store().await);
    store.keep_inline(counted()).await.unwrap();
    other.append(request(&["account/1"], "paid")).await.unwrap();
    store.append(request(&["account/1"], "paid")).await.unwrap();
    assert_eq!(count(&store, "account/1").await, Some(2));
    // and both may keep it
    other.keep_inline(counted()).await.unwrap();
    for _ in 0..3 {
        other.append(request(&["account/1"], "paid")).await.unwrap();
        store.append(request(&["account/1"], "paid")).await.unwrap();
    }
    assert_eq!(count(&store, "account/1").await, Some(8));
}

#[tokio::test]
async fn an_append_within_a_transaction_is_in_the_model_or_neither_is() {
    let (_folder, store) = Folder::with_store().await;
    store.keep_inline(counted()).await.unwrap();
    for (is_kept, expected) in [(false, None), (true, Some(1))] {
        let written = store.write(move |tx| {
            tx.append(request(&["account/1"], "paid"))?;
            if is_kept { Ok(()) } else { Err(TransactionError::Sqlite(QueryReturnedNoRows)) }
        });
        assert_eq!(written.await.is_ok(), is_kept);
        assert_eq!(count(&store, "account/1").await, expected);
    }
}

/// Appends check no triggers by themselves; those of the application run all the same.
#[tokio::test]
async fn a_trigger_on_any_table_that_appends_write_runs_with_them() {
    let tables = ["execution_events", "idempotency_keys"];
    let models =
        ["projection_slices", "projection_models", "projection_rows", "account_counts_models"];
    for table in tables.into_iter().chain(models) {
        for change in ["INSERT", "UPDATE"] {
            let (folder, store) = Folder::with_store().await;
            store.keep_inline(counted()).await.unwrap();
            store.keep_inline(Definition::table::<Count>()).await.unwrap();
            let first = request(&["account/1"], "paid").with_key(key("first"));
            store.append(first).await.unwrap();
            folder.run(&format!(
                "CREATE TABLE noted (n);
                 CREATE TRIGGER note AFTER {change} ON {table} BEGIN INSERT INTO noted VALUES (1); END"
            ));
            let second = request(&["account/1", "account/2"], "paid").with_key(key("second"));
            store.append(second).await.unwrap();
            let noted: i64 = folder.value("SELECT count(*) FROM noted");
            let is_inserted = change == "INSERT";
            let is_expected = match table {
                "execution_events" | "idempotency_keys" => is_inserted,
                "projection_rows" | "account_counts_models" => true,
                _ => !is_inserted,
            };
            assert_eq!(noted > 0, is_expected, "{change} on {table}");
        }
    }
}

fn key(text: &str) -> es_core::execution::IdempotencyKey {
    es_core::execution::IdempotencyKey::new(text).unwrap()
}
