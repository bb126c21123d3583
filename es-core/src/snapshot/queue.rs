//! Saving snapshots beside the path of appends.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{Snapshot, SnapshotStore};

/// Takes snapshots to be saved later, and never makes an append wait; a clone feeds the same queue.
///
/// The queue is bounded and best-effort: when it is full, or when saving fails, the snapshot is
/// dropped, which costs a longer replay and nothing else.
#[derive(Debug, Clone)]
pub struct SnapshotQueue {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
enum Job {
    Save(Snapshot),
    Flushed(oneshot::Sender<()>),
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

    /// Waits until everything offered before is saved or dropped; for the end of a program.
    ///
    /// Waits for ever if the worker was never run; returns at once if it was dropped.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.jobs.send(Job::Flushed(done)).await.is_ok() {
            // an error means that the worker is gone, and with it what was waiting
            let _ = flushed.await;
        }
    }
}

impl SnapshotWorker {
    /// Saves snapshots until every handle of the queue is dropped.
    pub async fn run(mut self) {
        while let Some(job) = self.jobs.recv().await {
            match job {
                Job::Save(snapshot) => {
                    let (stream, version) = (snapshot.stream.clone(), snapshot.version);
                    if let Err(error) = self.store.save_snapshot(snapshot).await {
                        tracing::warn!(%stream, %version, %error, "snapshot not saved");
                    }
                }
                Job::Flushed(done) => {
                    let _ = done.send(());
                }
            }
        }
    }
}
