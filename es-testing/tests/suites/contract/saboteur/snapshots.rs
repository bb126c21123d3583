//! Sins of keeping snapshots.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, NewEvent, PageLimit, ReadStream, Snapshot, SnapshotAndTail, SnapshotStore,
    SnapshotSummary, StoreError, StreamId, Timestamp,
};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::StreamVersion;
use es_core::layer::{LayeredSnapshots, SnapshotLayer};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Clause, Healthy, Saboteur, Store, Stores};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_snapshots("serves_a_newer_one", 1, |sinner| Sins {
            latest: |sinner, stream, _| {
                Box::pin(async move { sinner.latest_snapshot(&stream, StreamVersion::MAX).await })
            },
            ..sinner
        }),
        of_snapshots("serves_the_oldest", 1, |sinner| Sins {
            latest: |snapshots, stream, up_to| {
                Box::pin(async move {
                    let mut found = snapshots.latest_snapshot(&stream, up_to).await?;
                    while let Some(newer) = &found {
                        let below = StreamVersion::new(newer.version.as_u64().saturating_sub(1));
                        match snapshots.latest_snapshot(&stream, below).await? {
                            Some(older) => found = Some(older),
                            None => break,
                        }
                    }
                    Ok(found)
                })
            },
            ..sinner
        }),
        of_snapshots("leaves_out_the_bound", 1, |sinner| Sins {
            latest: |snapshots, stream, up_to| {
                Box::pin(async move {
                    let below = StreamVersion::new(up_to.as_u64().saturating_sub(1));
                    snapshots.latest_snapshot(&stream, below).await
                })
            },
            ..sinner
        }),
        of_snapshots("forgets_the_schema", 1, |sinner| Sins {
            kept: |snapshot| snapshot.schema = String::new(),
            ..sinner
        }),
        of_snapshots("rounds_numbers_of_states", 10, |sinner| Sins {
            save: |sinner, mut snapshot| {
                Box::pin(async move {
                    snapshot.check()?;
                    if let Ok(state) = snapshot.state.decode::<serde_json::Value>() {
                        snapshot.state = Payload::of(&state).unwrap_or(snapshot.state);
                    }
                    sinner.snapshots.save_snapshot(snapshot).await
                })
            },
            ..sinner
        }),
        of_snapshots("keeps_anything", 10, |sinner| Sins {
            kept: |snapshot| {
                if snapshot.check().is_err() {
                    snapshot.state = Payload::of(&()).expect("null is JSON");
                }
            },
            ..sinner
        }),
        of_snapshots("forgets_the_last_event", 1, |sinner| Sins {
            kept: |snapshot| snapshot.last_event = UuidV7Ids.next_id(),
            ..sinner
        }),
        of_snapshots("takes_every_state_for_one_of_this_history", 9, |sinner| Sins {
            save: |sinner, mut snapshot| {
                Box::pin(async move {
                    let at = snapshot.version;
                    let read = ReadStream::new(snapshot.stream.clone()).from_version(at);
                    let page = sinner.events.read_stream(&read.to_version(at)).await?;
                    if let Some(event) = page.events.first() {
                        snapshot.last_event = event.event_id;
                    }
                    sinner.snapshots.save_snapshot(snapshot).await
                })
            },
            ..sinner
        }),
        of_snapshots("rounds_the_time_to_seconds", 1, |sinner| Sins {
            kept: |snapshot| {
                let seconds = snapshot.taken_at.as_micros() / 1_000_000;
                snapshot.taken_at = Timestamp::from_micros(seconds * 1_000_000);
            },
            ..sinner
        }),
        of_snapshots("keeps_the_first_of_a_version", 2, |sinner| Sins {
            save: |sinner, snapshot| {
                Box::pin(async move {
                    let snapshots = &sinner.snapshots;
                    let found = snapshots.latest_snapshot(&snapshot.stream, snapshot.version);
                    match found.await? {
                        Some(first) if first.version == snapshot.version => Ok(()),
                        _ => snapshots.save_snapshot(snapshot).await,
                    }
                })
            },
            ..sinner
        }),
        of_snapshots("lets_a_late_older_one_win", 2, |sinner| Sins {
            save: |sinner, snapshot| {
                Box::pin(async move {
                    let newest = StreamVersion::MAX;
                    let found = sinner.snapshots.latest_snapshot(&snapshot.stream, newest).await?;
                    if found.is_some_and(|newer| newer.version > snapshot.version) {
                        sinner.snapshots.delete_snapshots(&snapshot.stream).await?;
                    }
                    sinner.snapshots.save_snapshot(snapshot).await
                })
            },
            ..sinner
        }),
        of_snapshots("mixes_streams", 3, |sinner| Sins {
            kept: |snapshot| snapshot.stream = folded(&snapshot.stream),
            latest: |snapshots, stream, up_to| {
                Box::pin(async move {
                    let found = snapshots.latest_snapshot(&folded(&stream), up_to).await?;
                    Ok(found.map(|found| of(stream, found)))
                })
            },
            delete: |sinner, stream| {
                Box::pin(async move { sinner.snapshots.delete_snapshots(&folded(&stream)).await })
            },
            ..sinner
        }),
        of_snapshots("deletes_those_of_all_streams", 4, |sinner| Sins {
            delete: |sinner, _| {
                Box::pin(async move {
                    for stream in sinner.saved.lock().await.iter() {
                        sinner.snapshots.delete_snapshots(stream).await?;
                    }
                    Ok(())
                })
            },
            ..sinner
        }),
        of_snapshots("deletes_nothing", 4, |sinner| Sins {
            delete: |_, _| Box::pin(async { Ok(()) }),
            ..sinner
        }),
        of_snapshots("writes_an_event_for_a_snapshot", 5, |sinner| Sins {
            save: |sinner, snapshot| {
                Box::pin(async move {
                    let null = Payload::of(&()).expect("null is JSON");
                    let event = NewEvent::new(UuidV7Ids.next_id(), "snapshot_taken", null);
                    let stream = snapshot.stream.clone();
                    let request = AppendRequest::to(stream, ExpectedVersion::Any, vec![event]);
                    // what is wrong here is that it succeeds
                    let _ = sinner.events.append(request).await;
                    sinner.snapshots.save_snapshot(snapshot).await
                })
            },
            ..sinner
        }),
        of_snapshots("prunes_one_too_many", 6, |sinner| Sins {
            prune: |sinner, stream, keep| {
                Box::pin(async move {
                    sinner.snapshots.prune_snapshots(&stream, keep.saturating_sub(1)).await
                })
            },
            ..sinner
        }),
        of_snapshots("prunes_nothing", 6, |sinner| Sins {
            prune: |_, _, _| Box::pin(async { Ok(0) }),
            ..sinner
        }),
        of_snapshots("prunes_all_streams", 6, |sinner| Sins {
            prune: |sinner, stream, keep| {
                Box::pin(async move {
                    for other in sinner.saved.lock().await.iter().filter(|other| **other != stream)
                    {
                        sinner.snapshots.prune_snapshots(other, keep).await?;
                    }
                    sinner.snapshots.prune_snapshots(&stream, keep).await
                })
            },
            ..sinner
        }),
        of_snapshots("prunes_the_newest", 6, |sinner| Sins {
            prune: |sinner, stream, keep| {
                Box::pin(async move {
                    let (snapshots, mut all) = (&sinner.snapshots, Vec::new());
                    let mut up_to = StreamVersion::MAX;
                    while let Some(found) = snapshots.latest_snapshot(&stream, up_to).await? {
                        up_to = StreamVersion::new(found.version.as_u64() - 1);
                        all.push(found);
                    }
                    snapshots.delete_snapshots(&stream).await?;
                    let count = all.len() as u64;
                    for snapshot in all.into_iter().rev().take(keep as usize) {
                        snapshots.save_snapshot(snapshot).await?;
                    }
                    Ok(count.saturating_sub(keep))
                })
            },
            ..sinner
        }),
        of_snapshots("lists_the_newest_only", 7, |sinner| Sins {
            list: |mut all| {
                let copy = all.clone();
                all.retain(|one| {
                    !copy
                        .iter()
                        .any(|other| other.stream == one.stream && other.version > one.version)
                });
                all
            },
            ..sinner
        }),
        of_snapshots("lists_in_the_order_of_time", 7, |sinner| Sins {
            list: |mut all| {
                all.sort_by_key(|one| one.taken_at);
                all
            },
            ..sinner
        }),
        of_snapshots("loses_the_first_of_the_tail", 8, |sinner| Sins {
            tail: |found| {
                if !found.tail.events.is_empty() {
                    found.tail.events.remove(0);
                }
            },
            ..sinner
        }),
        of_snapshots("says_that_no_more_follow", 8, |sinner| Sins {
            tail: |found| found.tail.has_more = false,
            ..sinner
        }),
        of_snapshots("hides_the_snapshot_before_the_tail", 8, |sinner| Sins {
            tail: |found| found.snapshot = None,
            ..sinner
        }),
    ]
}

/// The snapshot as one of this stream.
fn of(stream: StreamId, mut snapshot: Snapshot) -> Snapshot {
    snapshot.stream = stream;
    snapshot
}

fn folded(stream: &StreamId) -> StreamId {
    let lower = stream.aggregate_id().to_lowercase();
    StreamId::new(stream.aggregate_type(), &lower).unwrap_or_else(|_| stream.clone())
}

type Snapshots = Arc<dyn SnapshotStore>;
type Found = BoxFuture<'static, Result<Option<Snapshot>, StoreError>>;
type Done<'a> = BoxFuture<'a, Result<(), StoreError>>;

fn of_snapshots(name: &'static str, clause: u32, sin: fn(Sins) -> Sins) -> Saboteur {
    Saboteur {
        name,
        clause: Clause::SnapshotStore(clause),
        sabotage: Box::new(move |healthy: Healthy| Stores {
            snapshots: sinning(&healthy, sin),
            events: healthy.events,
        }),
    }
}

/// Those of the healthy store, if it has any, with a sin.
fn sinning(healthy: &Healthy, sin: fn(Sins) -> Sins) -> Option<Snapshots> {
    Some(Arc::new(LayeredSnapshots(sin(Sins {
        snapshots: healthy.snapshots.clone()?,
        events: healthy.events.clone(),
        saved: Mutex::default(),
        latest: |snapshots, stream, up_to| {
            Box::pin(async move { snapshots.latest_snapshot(&stream, up_to).await })
        },
        kept: |_| {},
        save: |sinner, snapshot| sinner.snapshots.save_snapshot(snapshot),
        delete: |sinner, stream| {
            Box::pin(async move { sinner.snapshots.delete_snapshots(&stream).await })
        },
        prune: |sinner, stream, keep| {
            Box::pin(async move { sinner.snapshots.prune_snapshots(&stream, keep).await })
        },
        list: |all| all,
        tail: |_| {},
    }))))
}

/// Those of another store, in which nothing that is kept here is found.
pub(super) fn elsewhere(healthy: &Healthy) -> Option<Snapshots> {
    sinning(healthy, |sinner| Sins {
        latest: |snapshots, stream, up_to| {
            Box::pin(async move {
                let found = snapshots.latest_snapshot(&of_another_store(&stream), up_to).await?;
                Ok(found.map(|found| of(stream, found)))
            })
        },
        kept: |snapshot| snapshot.stream = of_another_store(&snapshot.stream),
        ..sinner
    })
}

fn of_another_store(stream: &StreamId) -> StreamId {
    StreamId::new("elsewhere", stream.aggregate_id()).unwrap_or_else(|_| stream.clone())
}

/// Keeps snapshots as these functions do.
struct Sins {
    snapshots: Snapshots,
    events: Store,
    saved: Mutex<Vec<StreamId>>,
    latest: fn(Snapshots, StreamId, StreamVersion) -> Found,
    /// What a snapshot becomes before it is saved.
    kept: fn(&mut Snapshot),
    save: for<'a> fn(&'a Sins, Snapshot) -> Done<'a>,
    delete: for<'a> fn(&'a Sins, StreamId) -> Done<'a>,
    prune: for<'a> fn(&'a Sins, StreamId, u64) -> BoxFuture<'a, Result<u64, StoreError>>,
    list: fn(Vec<SnapshotSummary>) -> Vec<SnapshotSummary>,
    tail: fn(&mut SnapshotAndTail),
}

#[async_trait]
impl SnapshotLayer for Sins {
    fn inner(&self) -> &Snapshots {
        &self.snapshots
    }

    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        (self.latest)(self.snapshots.clone(), stream.clone(), up_to).await
    }

    async fn save_snapshot(&self, mut snapshot: Snapshot) -> Result<(), StoreError> {
        self.saved.lock().await.push(snapshot.stream.clone());
        (self.kept)(&mut snapshot);
        (self.save)(self, snapshot).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        (self.delete)(self, stream.clone()).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        (self.prune)(self, stream.clone(), keep).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.snapshots.list_snapshots(after, limit).await.map(self.list)
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        let mut found = self.snapshots.latest_with_tail(stream, up_to, limit).await?;
        found.iter_mut().for_each(self.tail);
        Ok(found)
    }
}
