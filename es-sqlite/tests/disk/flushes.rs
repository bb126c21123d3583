//! What waits for the disk: flushes are counted, or fail, in a process whose calls are watched.

use std::path::PathBuf;
use std::time::Duration;

use es_core::backend::{
    AppendError, Batch, Checkpoint, Claim, Content, EventStore, ProjectionSink, ReadLog, Renewal,
    RowChange, SinkError, Slot, Snapshot, SnapshotStore, StoreErrorKind, Timestamp,
};
use es_core::event::Payload;
use es_core::projection::{Parked, ParkedState};
use es_sqlite::{SqliteStore, TransactionError};

use crate::faults::{Disk, in_a_process_that_is_watched};
use crate::program::{STORE, append};
use crate::run::FOLDER;

const MINUTE: Duration = Duration::from_secs(60);

fn claim(slot: Slot) -> Claim {
    Claim::new("mail", "mail v1", slot, "one", MINUTE)
}

fn row(key: u32, bytes: usize) -> Content {
    let value = Some(Payload::of(&"x".repeat(bytes)).unwrap());
    Content::Rows(vec![RowChange { key: key.to_string(), value }])
}

/// A store in the folder that is watched, and its disk; `None` in a process that is not.
async fn watched_store() -> Option<(SqliteStore, Disk)> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let store = SqliteStore::open(folder.join(STORE)).await.unwrap();
    append(&store, 1, 1, 10).await.unwrap();
    Some((store, Disk::of(folder)))
}

/// Appends, leases and what somebody decides are flushed, each once; what a runner does beside that,
/// and kept states, are flushed with what comes next.
pub(crate) async fn counted(test: &str) {
    let Some((store, disk)) = watched_store().await else {
        return in_a_process_that_is_watched(test);
    };
    let flushes = || disk.let_fail("none").get(&'s').copied().unwrap_or_default();
    let recorded = store.read_log(&ReadLog::from_start()).await.unwrap().events.remove(0);
    flushes();

    let lease = store.acquire(&claim(Slot::Active)).await.unwrap();
    assert_eq!(flushes(), 1, "a lease");
    let entry = Parked {
        event: (&recorded).into(),
        key: "k".to_owned(),
        reason: "it failed".to_owned(),
        attempts: 1,
        parked_at: recorded.recorded_at,
        state: ParkedState::Waiting { is_due: false },
    };
    let mut batch = Batch::moving(0, Checkpoint::START, Checkpoint::at(&recorded));
    batch.park = vec![entry.clone()];
    store.commit(&lease, &batch.content(row(1, 10))).await.unwrap();
    store.renew(&lease, &Renewal::lasting(MINUTE)).await.unwrap();
    store.report(&lease, Some("it is slow")).await.unwrap();
    let (stream, version) = (recorded.stream.clone(), recorded.version);
    let state = Payload::of(&1).unwrap();
    let kept =
        Snapshot::new(stream.clone(), version, recorded.event_id, "s", state, Timestamp::EPOCH);
    store.save_snapshot(kept.clone()).await.unwrap();
    store.prune_snapshots(&stream, 1).await.unwrap();
    assert_eq!(flushes(), 0, "a commit of a model, a renewal, a report, a kept state");
    append(&store, 1, 2, 10).await.unwrap();
    assert_eq!(flushes(), 1, "an append, and all that came before it");

    store.request_retry("mail", Slot::Active, "k").await.unwrap();
    assert_eq!(flushes(), 1, "somebody asks for another attempt");
    store.discard("mail", Slot::Active, &entry.id(), "it is old").await.unwrap();
    assert_eq!(flushes(), 1, "somebody goes without it");
    store.delete_snapshots(&stream).await.unwrap();
    assert_eq!(flushes(), 1, "somebody wants no states");
    store.save_snapshot(kept).await.unwrap();
    store.prune_snapshots(&stream, 0).await.unwrap();
    assert_eq!(flushes(), 1, "somebody keeps none of the states");
    store.release(&lease).await.unwrap();
    assert_eq!(flushes(), 0, "a lease that is given back");

    let shadow = store.acquire(&claim(Slot::Shadow)).await.unwrap();
    assert_eq!(flushes(), 1, "a lease of a second model");
    let batch = Batch::moving(0, Checkpoint::START, Checkpoint::at(&recorded));
    store.commit(&shadow, &batch.content(row(1, 10))).await.unwrap();
    assert_eq!(flushes(), 0, "a second model");
    store.switch(&shadow).await.unwrap();
    assert_eq!(flushes(), 1, "a switch, and not what it leaves behind");
    let written = store.write(|tx| {
        tx.execute("CREATE TABLE mail (text TEXT)", [])?;
        Ok::<_, TransactionError>(())
    });
    written.await.unwrap();
    assert_eq!(flushes(), 1, "rows of one's own");
    store.close().await;
}

/// The flush that fails is that of the log before it is written back, which no commit waits for. What
/// was committed before may not be on the disk, and the next flush would say that all is well.
pub(crate) async fn one_that_fails_stops_the_store(test: &str) {
    let Some((store, disk)) = watched_store().await else {
        return in_a_process_that_is_watched(test);
    };
    let lease = store.acquire(&claim(Slot::Active)).await.unwrap();
    // which puts a hook of SQLite's own in the place of the store's
    let replaced = store.write(|tx| {
        let connection = tx.connection();
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 1_000, |_| Ok(()))?;
        Ok::<_, TransactionError>(())
    });
    replaced.await.unwrap();
    disk.let_fail("s 1 1 5");
    let mut stopped = None;
    // the log is written back when it has 4 MB
    for key in 0..100 {
        let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START);
        stopped = store.commit(&lease, &batch.content(row(key, 100_000))).await.err();
        if stopped.is_some() {
            break;
        }
    }
    match stopped {
        Some(SinkError::Store(error)) => assert!(error.is_outcome_unknown(), "{error}"),
        other => panic!("a flush has failed, but: {other:?}"),
    }
    match append(&store, 1, 2, 10).await {
        Err(AppendError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Closed),
        other => panic!("the store goes on after a flush that failed: {other:?}"),
    }
    disk.let_fail("none");
    store.close().await;
    let store = SqliteStore::open(store.path()).await.unwrap();
    append(&store, 1, 2, 10).await.unwrap();
    store.close().await;
}
