//! Projections that are kept within the append.

use std::sync::Arc;

use es_core::projection::{
    ApplyError, HealthState, Projection, ProjectionSink, Rebuild, Runner, SinkError, Slot, health,
    live, read_row,
};
use es_core::{
    AppendError, AppendRequest, Environment, EventFilter, EventStore, ExpectedVersion,
    IdempotencyKey, NewEvent, Payload, RecordedEvent,
};
use es_sqlite::rusqlite::Error::QueryReturnedNoRows;
use es_sqlite::{SqliteStore, TransactionError};

use crate::support::Folder;
use serde::{Deserialize, Serialize};

#[derive(Clone)]
struct Counted;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Count {
    events: u64,
}

impl Projection for Counted {
    const NAME: &'static str = "counted";
    const VERSION: u32 = 1;
    type Row = Count;

    fn selection(&self) -> EventFilter {
        EventFilter::all().aggregate_type("account")
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<Count>,
        event: &RecordedEvent,
    ) -> Result<Option<Count>, ApplyError> {
        if event.event_type == *"poison_found" {
            return Err("this is poison".into());
        }
        Ok(Some(Count { events: row.unwrap_or_default().events + 1 }))
    }
}

fn request(streams: &[&str], event_type: &str) -> AppendRequest {
    let ids = Environment::default().event_ids;
    let event = || NewEvent::new(ids.next_id(), event_type, Payload::of(&1).unwrap());
    let mut streams = streams.iter().map(|stream| stream.parse().unwrap());
    let first = AppendRequest::to(streams.next().unwrap(), ExpectedVersion::Any, vec![event()]);
    streams.fold(first, |request, stream| request.and(stream, ExpectedVersion::Any, vec![event()]))
}

async fn count(store: &SqliteStore, key: &str) -> Option<u64> {
    read_row::<Counted>(store, key).await.unwrap().map(|row| row.events)
}

#[tokio::test]
async fn an_append_is_in_the_model_when_it_is_answered() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.append(request(&["account/1"], "paid")).await.unwrap();
    store.keep_inline(Counted).await.unwrap();
    assert_eq!(count(&store, "account/1").await, Some(1), "what was there before is taken, too");
    let appended = store.append(request(&["account/1", "account/2", "audit/1"], "paid")).await;
    assert_eq!(count(&store, "account/1").await, Some(2));
    assert_eq!(count(&store, "account/2").await, Some(1));
    assert_eq!(count(&store, "audit/1").await, None);
    let last = appended.unwrap().streams[2].events[0].position;
    store.wait_reached("counted", last).await.unwrap();
    let health =
        health(&store, &store, &es_core::environment::SystemClock, &Counted.into(), None).await;
    assert_eq!(health.unwrap().state, HealthState::Idle);
}

#[tokio::test]
async fn an_event_that_cannot_be_taken_refuses_its_append() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.keep_inline(Counted).await.unwrap();
    store.append(request(&["account/1"], "paid")).await.unwrap();
    let end = store.end_of_log().await.unwrap();
    let mut refused = request(&["account/1"], "paid");
    let poison = request(&["account/2"], "poison_found");
    for part in poison.into_streams() {
        refused = refused.and(part.stream, part.expected, part.events);
    }
    match store.append(refused).await {
        Err(AppendError::Store(error)) => assert!(!error.is_outcome_unknown(), "{error}"),
        other => panic!("the projection cannot take it, but: {other:?}"),
    }
    assert_eq!(store.end_of_log().await.unwrap(), end, "nothing was written");
    assert_eq!(count(&store, "account/1").await, Some(1), "and nothing was taken");
    store.append(request(&["account/1"], "paid")).await.unwrap();
    assert_eq!(count(&store, "account/1").await, Some(2));
}

#[tokio::test]
async fn a_repeat_is_taken_once() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.keep_inline(Counted).await.unwrap();
    for _ in 0..3 {
        let key = IdempotencyKey::new("pay").unwrap();
        store.append(request(&["account/1"], "paid").with_key(key)).await.unwrap();
    }
    assert_eq!(count(&store, "account/1").await, Some(1));
}

#[tokio::test]
async fn no_runner_takes_it_and_it_is_what_a_fold_of_the_log_is() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.keep_inline(Counted).await.unwrap();
    for number in 0..20 {
        let account = format!("account/{}", number % 3);
        store.append(request(&[&account], "paid")).await.unwrap();
    }
    let shared = Arc::new(store.clone());
    let mut runner = Runner::new(shared.clone(), shared.clone()).projection(Counted);
    let refused = runner.catch_up().await.unwrap_err();
    assert!(refused.to_string().contains("the append"), "{refused}");
    for (key, row) in live(&store, Counted).await.unwrap() {
        assert_eq!(count(&store, &key).await, Some(row.events));
    }
    // a rebuild beside it sees the same
    let mut rebuild = Rebuild::new(shared.clone(), shared, Counted);
    rebuild.fill().await.unwrap();
    let (active, shadow) = (
        store.rows("counted", Slot::Active, None, 100).await.unwrap(),
        store.rows("counted", Slot::Shadow, None, 100).await.unwrap(),
    );
    assert_eq!(active, shadow);
    // and after the switch appends go on with the new model
    store.append(request(&["account/0"], "paid")).await.unwrap();
    rebuild.switch().await.unwrap();
    store.append(request(&["account/0"], "paid")).await.unwrap();
    for (key, row) in live(&store, Counted).await.unwrap() {
        assert_eq!(count(&store, &key).await, Some(row.events));
    }
}

#[tokio::test]
async fn what_is_in_the_log_must_be_taken_first() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.append(request(&["account/1"], "poison_found")).await.unwrap();
    let refused = store.keep_inline(Counted).await;
    assert!(matches!(refused, Err(SinkError::Store(_))), "{refused:?}");
    store.append(request(&["account/1"], "paid")).await.unwrap();
}

#[tokio::test]
async fn what_other_processes_append_is_taken_with_the_next_append() {
    let folder = Folder::new();
    let (store, other) = (folder.store().await, folder.store().await);
    store.keep_inline(Counted).await.unwrap();
    other.append(request(&["account/1"], "paid")).await.unwrap();
    store.append(request(&["account/1"], "paid")).await.unwrap();
    assert_eq!(count(&store, "account/1").await, Some(2));
    // and both may keep it
    other.keep_inline(Counted).await.unwrap();
    for _ in 0..3 {
        other.append(request(&["account/1"], "paid")).await.unwrap();
        store.append(request(&["account/1"], "paid")).await.unwrap();
    }
    assert_eq!(count(&store, "account/1").await, Some(8));
}

#[tokio::test]
async fn an_append_within_a_transaction_is_in_the_model_or_neither_is() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.keep_inline(Counted).await.unwrap();
    for (is_kept, expected) in [(false, None), (true, Some(1))] {
        let written = store.write(move |tx| {
            tx.append(request(&["account/1"], "paid"))?;
            if is_kept { Ok(()) } else { Err(TransactionError::Sqlite(QueryReturnedNoRows)) }
        });
        assert_eq!(written.await.is_ok(), is_kept);
        assert_eq!(count(&store, "account/1").await, expected);
    }
}

#[tokio::test]
async fn appends_that_share_a_transaction_are_each_taken_or_refused() {
    let folder = Folder::new();
    let store = folder.store().await;
    store.keep_inline(Counted).await.unwrap();
    let calls = (0..60).map(|number| {
        let (store, kind) = (store.clone(), if number % 3 == 0 { "poison_found" } else { "paid" });
        tokio::spawn(async move { store.append(request(&["account/1"], kind)).await.is_ok() })
    });
    let calls: Vec<_> = calls.collect();
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), number % 3 != 0);
    }
    assert_eq!(count(&store, "account/1").await, Some(40));
}
