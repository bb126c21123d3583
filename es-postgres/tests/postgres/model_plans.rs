//! What is asked of models looks up each key by itself, in sessions that planned it on empty tables, too.

use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, EventReference, Position, ProjectionSink, RowChange, Slot,
    Timestamp,
};
use es_core::event::Payload;
use es_core::execution::StreamVersion;
use es_core::projection::{Parked, ParkedState};
use es_postgres::IdType;

use crate::support::waiting::until;
use crate::support::{database, open, run, value};

/// How many rows the model has, and how many events wait.
const ROWS: u64 = 2_000;
/// How many keys a call names.
const KEYS: u64 = 50;
const CALLS: u64 = 20;

fn key(number: u64) -> String {
    format!("account/{number}")
}

fn place(number: u64) -> Checkpoint {
    Checkpoint { position: Position::from_sequence(number), event: None }
}

fn waiting(number: u64) -> Parked {
    let position = Position::from_sequence(number + 1);
    Parked {
        event: EventReference {
            position,
            event_id: es_core::event::EventId::stand_in(position),
            stream: key(number).parse().unwrap(),
            version: StreamVersion::new(1),
        },
        key: key(number),
        reason: "it failed".to_owned(),
        attempts: 1,
        parked_at: Timestamp::EPOCH,
        state: ParkedState::Waiting { is_due: false },
    }
}

/// One call, whose keys begin with this number.
fn removing(call: u64, first: u64) -> Batch {
    let removed = (first..first + KEYS).map(|number| RowChange { key: key(number), value: None });
    let batch = Batch::moving(0, place(call), place(call + 1));
    let mut batch = batch.content(Content::Rows(removed.collect()));
    batch.unpark = (first..first + KEYS).map(|number| waiting(number).id()).collect();
    batch
}

#[tokio::test]
async fn calls_read_as_many_entries_as_they_have_keys() {
    let database = database(IdType::Text).await;
    run(&database, "VACUUM ANALYZE").await;
    let store = open(&database).await;
    let claim = Claim::new("mail", "mail v1", Slot::Active, "one", Duration::from_secs(600));
    let lease = store.acquire(&claim).await.unwrap();
    // the statements are planned on tables that are known to be empty
    store.load("mail", Slot::Active, &[key(0)]).await.unwrap();
    let filled = (0..ROWS).map(|number| {
        let value = Some(Payload::of(&number).unwrap());
        RowChange { key: key(number), value }
    });
    let batch = Batch::moving(0, place(0), place(1));
    let mut batch = batch.content(Content::Rows(filled.collect()));
    batch.park = (0..ROWS).map(waiting).collect();
    store.commit(&lease, &batch).await.unwrap();
    for call in 0..CALLS {
        let first = call * KEYS;
        let keys: Vec<_> = (first..first + KEYS).map(key).collect();
        for _ in 0..2 {
            let rows = store.load("mail", Slot::Active, &keys).await.unwrap();
            assert_eq!(rows.len() as u64, KEYS);
        }
        store.commit(&lease, &removing(call + 1, first)).await.unwrap();
        assert!(store.load("mail", Slot::Active, &keys).await.unwrap().is_empty());
    }
    // what a session has counted is told when it ends, at the latest
    store.close().await;
    let removed = "SELECT sum(n_tup_del)::bigint FROM pg_stat_user_tables
                   WHERE relname LIKE 'execution_events_projection_%'";
    let all = i64::try_from(2 * KEYS * CALLS).unwrap();
    until("all is counted", async || value::<i64>(&database, removed).await == all).await;
    let read: i64 = value(
        &database,
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
         WHERE relname IN ('execution_events_projection_rows', 'execution_events_projection_parked')",
    )
    .await;
    // a pass over all rows, or over all that waits, with each call would be a hundred thousand
    assert!(read < 15_000, "{CALLS} calls of {KEYS} keys have read {read} entries");
}
