//! Sins of keeping snapshots.

use std::sync::Arc;

use async_trait::async_trait;
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::{
    AppendRequest, ExpectedVersion, NewEvent, Payload, Snapshot, SnapshotStore, StoreError,
    StreamId, StreamVersion, Timestamp,
};
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::{Clause, Healthy, Saboteur, Stores};
use crate::wrapper::Store;

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
            save: |sinner, mut snapshot| {
                snapshot.schema = String::new();
                Box::pin(async move { sinner.snapshots.save_snapshot(snapshot).await })
            },
            ..sinner
        }),
        of_snapshots("rounds_the_time_to_seconds", 1, |sinner| Sins {
            save: |sinner, mut snapshot| {
                let seconds = snapshot.taken_at.as_micros() / 1_000_000;
                snapshot.taken_at = Timestamp::from_micros(seconds * 1_000_000);
                Box::pin(async move { sinner.snapshots.save_snapshot(snapshot).await })
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
            save: |sinner, mut snapshot| {
                snapshot.stream = folded(&snapshot.stream);
                Box::pin(async move { sinner.snapshots.save_snapshot(snapshot).await })
            },
            latest: |snapshots, stream, up_to| {
                Box::pin(async move {
                    let found = snapshots.latest_snapshot(&folded(&stream), up_to).await?;
                    Ok(found.map(|found| Snapshot { stream, ..found }))
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
    ]
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
        sabotage: Box::new(move |healthy: Healthy| {
            let sinner = |snapshots: Snapshots| -> Snapshots {
                Arc::new(sin(Sins {
                    snapshots,
                    events: healthy.events.clone(),
                    saved: Mutex::default(),
                    latest: |snapshots, stream, up_to| {
                        Box::pin(async move { snapshots.latest_snapshot(&stream, up_to).await })
                    },
                    save: |sinner, snapshot| sinner.snapshots.save_snapshot(snapshot),
                    delete: |sinner, stream| {
                        Box::pin(async move { sinner.snapshots.delete_snapshots(&stream).await })
                    },
                }))
            };
            Stores {
                snapshots: healthy.snapshots.clone().map(sinner),
                events: healthy.events.clone(),
            }
        }),
    }
}

/// Keeps snapshots as these functions do.
struct Sins {
    snapshots: Snapshots,
    events: Store,
    saved: Mutex<Vec<StreamId>>,
    latest: fn(Snapshots, StreamId, StreamVersion) -> Found,
    save: for<'a> fn(&'a Sins, Snapshot) -> Done<'a>,
    delete: for<'a> fn(&'a Sins, StreamId) -> Done<'a>,
}

#[async_trait]
impl SnapshotStore for Sins {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        (self.latest)(self.snapshots.clone(), stream.clone(), up_to).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.saved.lock().await.push(snapshot.stream.clone());
        (self.save)(self, snapshot).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        (self.delete)(self, stream.clone()).await
    }
}
