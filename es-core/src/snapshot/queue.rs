//! Saving snapshots beside the path of appends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Snapshot, SnapshotStore};

/// Takes snapshots to be saved later, and never makes an append wait; a clone feeds the same queue.
///
/// The queue is bounded and best-effort: when it is full, or when saving fails or takes more than two
/// seconds, the snapshot is dropped, and, unless it was refused alone, those that waited behind it.
/// That costs a longer replay and nothing else.
#[derive(Debug, Clone)]
pub struct SnapshotQueue {
    jobs: mpsc::Sender<Job>,
}

/// How long one may take to be saved.
const SAVE: Duration = Duration::from_secs(2);

/// For how long the end of a program is held up.
const FLUSH: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Job {
    Save(Snapshot),
    Flushed(oneshot::Sender<bool>),
}

/// Saves what a [`SnapshotQueue`] takes.
#[must_use = "nothing is saved unless the worker runs"]
pub struct SnapshotWorker {
    store: Arc<dyn SnapshotStore>,
    jobs: mpsc::Receiver<Job>,
}

impl std::fmt::Debug for SnapshotWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotWorker").finish_non_exhaustive()
    }
}

impl SnapshotQueue {
    /// A queue for at most `capacity` waiting snapshots, and the worker that empties it.
    ///
    /// Run the worker as a task of your runtime: `tokio::spawn(worker.run())`.
    pub fn new(store: Arc<dyn SnapshotStore>, capacity: usize) -> (Self, SnapshotWorker) {
        let (sender, jobs) = mpsc::channel(capacity.max(1));
        (Self { jobs: sender }, SnapshotWorker { store, jobs })
    }

    /// Whether a snapshot that is offered now would be taken.
    pub fn has_room(&self) -> bool {
        self.jobs.capacity() > 0
    }

    /// Hands a snapshot over; answers whether there was room.
    pub fn offer(&self, snapshot: Snapshot) -> bool {
        self.jobs.try_send(Job::Save(snapshot)).is_ok()
    }

    /// Waits until everything offered before is saved or dropped, for ten seconds at most; for the
    /// end of a program. Answers false if it was not all saved.
    ///
    /// Returns at once if the worker was dropped.
    pub async fn flush(&self) -> bool {
        let flushed = async {
            let (done, flushed) = oneshot::channel();
            self.jobs.send(Job::Flushed(done)).await.ok()?;
            // an error means that the worker is gone, and with it what was waiting
            flushed.await.ok()
        };
        timeout(FLUSH, flushed).await.ok().flatten().unwrap_or(false)
    }
}

impl SnapshotWorker {
    /// Saves snapshots until every handle of the queue is dropped.
    pub async fn run(mut self) {
        let mut is_all_saved = true;
        // so many are dropped: they waited while one could not be saved
        let mut late = 0;
        while let Some(job) = self.jobs.recv().await {
            match job {
                Job::Flushed(done) => {
                    let _ = done.send(std::mem::replace(&mut is_all_saved, true));
                }
                Job::Save(_) if late > 0 => {}
                Job::Save(snapshot) => {
                    let saved = self.save(snapshot).await;
                    is_all_saved &= matches!(saved, Saved::Yes);
                    if matches!(saved, Saved::StoreAway) {
                        late = self.jobs.len();
                        continue;
                    }
                }
            }
            late = late.saturating_sub(1);
        }
    }

    async fn save(&self, snapshot: Snapshot) -> Saved {
        let (stream, version) = (snapshot.stream.clone(), snapshot.version);
        match timeout(SAVE, self.store.save_snapshot(snapshot)).await {
            Ok(Ok(())) => Saved::Yes,
            Ok(Err(error)) => {
                tracing::warn!(%stream, %version, %error, "snapshot not saved");
                if error.is_transient() { Saved::StoreAway } else { Saved::Refused }
            }
            Err(_) => {
                tracing::warn!(%stream, %version, "snapshot not saved within {SAVE:?}");
                Saved::StoreAway
            }
        }
    }
}

/// What became of a snapshot.
enum Saved {
    Yes,
    /// This one cannot be kept; others can.
    Refused,
    /// None can be kept just now.
    StoreAway,
}
