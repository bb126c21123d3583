//! What the suite cannot know of models in a file: what is removed of them, and other processes.

use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, EventStore, ListParked, Position, ProjectionSink, ReadLog,
    RowChange, SinkError, Slot, StoreErrorKind,
};
use es_core::event::Payload;
use es_core::projection::{Parked, ParkedState};
use es_sqlite::{SqliteConfig, SqliteStore};

use crate::support::{Folder, append_one, event, waits};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn claim(slot: Slot, version: u32) -> Claim {
    Claim::new("mail", format!("mail v{version}"), slot, "one", Duration::from_secs(30))
}

fn count(folder: &Folder, table: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM {table}");
    folder.value(&statement)
}

#[tokio::test]
async fn appends_go_on_between_the_parts_of_a_model_that_is_removed() {
    const PART: i64 = 1_000;
    let (folder, store) = Folder::with_store().await;
    let old = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    append_one(&store, "posting/1", event("a")).await;
    let recorded = store.read_log(&ReadLog::from_start()).await.unwrap().events.remove(0);
    let mut batch = Batch::moving(0, Checkpoint::START, Checkpoint::at(&recorded));
    let parked = |key: i64| Parked {
        event: (&recorded).into(),
        key: key.to_string(),
        reason: "it failed".to_owned(),
        attempts: 1,
        parked_at: recorded.recorded_at,
        state: ParkedState::Waiting { is_due: false },
    };
    batch.park = (0..PART + 1).map(parked).collect();
    let row = |key: i64| RowChange { key: key.to_string(), value: Some(Payload::of(&1).unwrap()) };
    let batch = batch.content(Content::Rows((0..30 * PART).map(row).collect()));
    store.commit(&old, &batch).await.unwrap();

    let shadow = store.acquire(&claim(Slot::Shadow, 2)).await.unwrap();
    let new = Batch::moving(0, Checkpoint::START, Checkpoint::at(&recorded));
    store.commit(&shadow, &new.content(Content::Rows(vec![row(0)]))).await.unwrap();
    let left = || count(&folder, "projection_rows") + count(&folder, "projection_parked");
    let mut appends = 0;
    let mut switch = Box::pin(store.switch(&shadow));
    // the switch asks for one thing after the other, and nothing more while it is not polled
    while waits(&mut switch).await {
        let before = left();
        append_one(&store, "posting/1", event("b")).await;
        let gone = before - left();
        assert!(gone <= PART, "an append waits while {gone} rows go");
        appends += 1;
        assert_eq!(count(&folder, "projection_active_rows"), 1, "it is switched");
    }
    assert_eq!(left(), 1, "the row of the model that is served");
    assert!(appends > 8, "only {appends} appends were written meanwhile");
}

#[tokio::test]
async fn what_is_left_of_a_model_is_removed_by_the_next_who_comes() {
    let (folder, store) = Folder::with_store().await;
    for version in 1..=3 {
        let lease = store.acquire(&claim(Slot::Shadow, version)).await.unwrap();
        let row = RowChange { key: "a".to_owned(), value: Some(Payload::of(&1).unwrap()) };
        let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START);
        store.commit(&lease, &batch.content(Content::Rows(vec![row]))).await.unwrap();
        store.release(&lease).await.unwrap();
        assert_eq!(count(&folder, "projection_models"), 1);
        assert_eq!(count(&folder, "projection_rows"), i64::from(version), "until somebody comes");
    }
    store.abandon("mail").await.unwrap();
    assert_eq!(count(&folder, "projection_rows"), 0);
}

#[tokio::test]
async fn a_commit_through_another_store_wakes_who_waits() {
    let folder = Folder::new();
    let (one, other) = (folder.store().await, folder.store().await);
    let lease = other.acquire(&claim(Slot::Active, 1)).await.unwrap();
    let mut from = Checkpoint::START;
    for place in 1..=3 {
        let to = Checkpoint { position: Position::from_sequence(place), event: None };
        let (waiting, position) = (one.clone(), to.position);
        let waiter = tokio::spawn(async move { waiting.wait_reached("mail", position).await });
        other.commit(&lease, &Batch::moving(0, from, to.clone())).await.unwrap();
        tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap().unwrap();
        from = to;
    }
}

#[tokio::test]
async fn closing_ends_the_wait_for_a_projection() {
    let (_folder, store) = Folder::with_store().await;
    let waiting = store.clone();
    let mut waiter =
        Box::pin(async move { waiting.wait_reached("mail", Position::from_sequence(1)).await });
    assert!(waits(&mut waiter).await);
    store.close().await;
    match tokio::time::timeout(PATIENCE, waiter).await.unwrap() {
        Err(SinkError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Closed),
        other => panic!("the store is closed, but: {other:?}"),
    }
}

#[tokio::test]
async fn a_read_only_store_shows_models_and_writes_none() {
    let (folder, store) = Folder::with_store().await;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    let to = Checkpoint { position: Position::from_sequence(1), event: None };
    let row = RowChange { key: "a".to_owned(), value: Some(Payload::of(&1).unwrap()) };
    let batch = Batch::moving(0, Checkpoint::START, to).content(Content::Rows(vec![row]));
    store.commit(&lease, &batch).await.unwrap();
    let config = SqliteConfig::new(folder.path()).read_only(true);
    let reader = SqliteStore::open(config).await.unwrap();
    assert_eq!(reader.rows("mail", Slot::Active, None, 10).await.unwrap().len(), 1);
    let Err(SinkError::Store(error)) = reader.acquire(&claim(Slot::Active, 1)).await else {
        panic!("a read-only store gave a lease");
    };
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
}

#[tokio::test]
async fn texts_of_any_kind_come_back() {
    let (_folder, store) = Folder::with_store().await;
    let mut claim = claim(Slot::Active, 1);
    claim.holder = "a\0b '; \u{1F980}".to_owned();
    let lease = store.acquire(&claim).await.unwrap();
    append_one(&store, "posting/1", event("a")).await;
    let recorded = store.read_log(&ReadLog::from_start()).await.unwrap().events.remove(0);
    let entry = Parked {
        event: (&recorded).into(),
        key: "k".to_owned(),
        reason: "\0 it failed".to_owned(),
        attempts: u32::MAX,
        parked_at: recorded.recorded_at,
        state: ParkedState::Waiting { is_due: false },
    };
    let mut batch = Batch::moving(0, Checkpoint::START, Checkpoint::at(&recorded));
    batch.park = vec![entry.clone()];
    store.commit(&lease, &batch).await.unwrap();
    store.report(&lease, Some("trouble\0")).await.unwrap();
    let listed = store.parked("mail", Slot::Active, &ListParked::default()).await.unwrap();
    assert_eq!(listed, [entry]);
    let status = store.status(None).await.unwrap().remove(0).active.unwrap();
    assert_eq!(status.holder.unwrap().name, claim.holder);
    assert_eq!(status.trouble.unwrap().message, "trouble\0");
}
