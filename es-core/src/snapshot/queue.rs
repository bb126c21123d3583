//! Saving snapshots beside the path of appends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Snapshot, SnapshotStore};
use crate::environment::{Runtime, breathe, within};

/// Takes snapshots to be saved later, and never makes an append wait; a clone feeds the same queue.
///
/// The queue is bounded and best-effort: when it is full, when the runtime has no tasks, or when
/// saving fails or takes more than two seconds, the snapshot is dropped, and, unless it was refused
/// alone, those that waited behind it. That costs a longer replay and nothing else.
///
/// A task saves what is there, and ends when nothing is left: the next snapshot gets another one.
#[derive(Clone)]
pub(crate) struct SnapshotQueue(Arc<Shared>);

/// How many wait at most.
const CAPACITY: usize = 1_000;

/// How long one may take to be saved.
const SAVE: Duration = Duration::from_secs(2);

/// For how long the end of a program is held up.
const FLUSH: Duration = Duration::from_secs(10);

struct Shared {
    store: Arc<dyn SnapshotStore>,
    capacity: usize,
    state: Mutex<State>,
}

struct State {
    jobs: VecDeque<Job>,
    /// Whether a task saves them.
    is_served: bool,
    /// Since that was asked last.
    is_all_saved: bool,
    /// Whether it was told that some find no room.
    is_told: bool,
}

enum Job {
    Save(Snapshot),
    Flushed(oneshot::Sender<bool>),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_all_saved(&self) -> bool {
        std::mem::replace(&mut self.state().is_all_saved, true)
    }
}

impl SnapshotQueue {
    pub(crate) fn new(store: Arc<dyn SnapshotStore>) -> Self {
        Self::holding(store, CAPACITY)
    }

    fn holding(store: Arc<dyn SnapshotStore>, capacity: usize) -> Self {
        let state =
            State { jobs: VecDeque::new(), is_served: false, is_all_saved: true, is_told: false };
        Self(Arc::new(Shared { store, capacity, state: Mutex::new(state) }))
    }

    /// Whether a snapshot that is offered now would be taken; tells once of those that are not.
    pub(crate) fn has_room(&self) -> bool {
        let mut state = self.0.state();
        let has_room = state.jobs.len() < self.0.capacity;
        if !has_room && !std::mem::replace(&mut state.is_told, true) {
            let waiting = self.0.capacity;
            tracing::warn!(
                waiting,
                "snapshots come faster than they are saved, or the runtime that saves them stands \
                 still; those that find no room are dropped"
            );
        }
        has_room
    }

    /// Hands a snapshot over; answers whether it is going to be saved.
    pub(crate) fn offer(&self, runtime: &Arc<dyn Runtime>, snapshot: Snapshot) -> bool {
        {
            let mut state = self.0.state();
            if state.jobs.len() >= self.0.capacity {
                return false;
            }
            state.jobs.push_back(Job::Save(snapshot));
            if std::mem::replace(&mut state.is_served, true) {
                return true;
            }
        }
        let worker = Worker { shared: self.0.clone(), runtime: runtime.clone(), is_at_work: true };
        runtime.spawn(Box::pin(worker.run()))
    }

    /// Waits until everything offered before is saved or dropped, for ten seconds at most; for the
    /// end of a program. Answers false if it was not all saved.
    pub(crate) async fn flush(&self, runtime: &dyn Runtime) -> bool {
        let (done, flushed) = oneshot::channel();
        {
            let mut state = self.0.state();
            if !state.is_served {
                return std::mem::replace(&mut state.is_all_saved, true);
            }
            state.jobs.push_back(Job::Flushed(done));
        }
        match within(runtime, FLUSH, flushed).await {
            Some(Ok(is_all_saved)) => is_all_saved,
            // the task is gone, and with it what was waiting
            Some(Err(_)) => self.0.take_all_saved(),
            None => false,
        }
    }
}

/// The task that saves what is there.
struct Worker {
    shared: Arc<Shared>,
    runtime: Arc<dyn Runtime>,
    is_at_work: bool,
}

impl Worker {
    async fn run(mut self) {
        // so many are dropped: they waited while one could not be saved
        let mut late = 0;
        while let Some(job) = self.next() {
            match job {
                Job::Flushed(done) => {
                    let _ = done.send(self.shared.take_all_saved());
                }
                Job::Save(_) if late > 0 => {}
                Job::Save(snapshot) => {
                    breathe().await;
                    let saved = self.save(snapshot).await;
                    let mut state = self.shared.state();
                    state.is_all_saved &= matches!(saved, Saved::Yes);
                    if matches!(saved, Saved::StoreAway) {
                        late = state.jobs.len();
                        continue;
                    }
                }
            }
            late = late.saturating_sub(1);
        }
    }

    /// What is to be done next; if nothing is, the task is at its end.
    fn next(&mut self) -> Option<Job> {
        let mut state = self.shared.state();
        let next = state.jobs.pop_front();
        self.is_at_work = next.is_some();
        state.is_served = self.is_at_work;
        next
    }

    async fn save(&self, snapshot: Snapshot) -> Saved {
        let (stream, version) = (snapshot.stream.clone(), snapshot.version);
        match within(&*self.runtime, SAVE, self.shared.store.save_snapshot(snapshot)).await {
            Some(Ok(())) => Saved::Yes,
            Some(Err(error)) => {
                tracing::warn!(%stream, %version, %error, "snapshot not saved");
                if error.is_transient() { Saved::StoreAway } else { Saved::Refused }
            }
            None => {
                tracing::warn!(%stream, %version, "snapshot not saved within {SAVE:?}");
                Saved::StoreAway
            }
        }
    }
}

impl Drop for Worker {
    /// One that does not come to its end takes with it what was waiting: it was refused, its runtime
    /// has ended, or a store panicked.
    fn drop(&mut self) {
        if !self.is_at_work {
            return;
        }
        let mut state = self.shared.state();
        (state.is_served, state.is_all_saved) = (false, false);
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        // who waits for these is woken when nothing is locked any more
        drop(jobs);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use async_trait::async_trait;
    use futures_util::future::{BoxFuture, join};

    use crate::environment::{EventIds, SystemRuntime, UuidV7Ids};
    use crate::error::{StoreError, StoreErrorKind};
    use crate::payload::Payload;
    use crate::read::PageLimit;
    use crate::snapshot::{SnapshotAndTail, SnapshotSummary};
    use crate::stream::StreamId;
    use crate::timestamp::Timestamp;
    use crate::version::StreamVersion;

    use super::*;

    /// A runtime whose tasks run when the test says so, if it takes any.
    #[derive(Default)]
    struct Tasks {
        taken: Mutex<Vec<BoxFuture<'static, ()>>>,
        refuses: bool,
    }

    impl std::fmt::Debug for Tasks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Tasks")
        }
    }

    impl Runtime for Tasks {
        fn now(&self) -> Instant {
            SystemRuntime.now()
        }
        fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
            SystemRuntime.sleep_until(at)
        }
        fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
            if !self.refuses {
                self.taken.lock().unwrap().push(task);
            }
            !self.refuses
        }
    }

    impl Tasks {
        fn take(&self) -> Vec<BoxFuture<'static, ()>> {
            std::mem::take(&mut *self.taken.lock().unwrap())
        }

        async fn run(&self) {
            for task in self.take() {
                task.await;
            }
        }
    }

    /// The versions that were saved. Some are refused, others find the store away.
    #[derive(Default)]
    struct Versions(Mutex<Vec<u64>>);

    const REFUSED: u64 = 100;
    const STORE_AWAY: u64 = 200;

    #[async_trait]
    impl SnapshotStore for Versions {
        async fn latest_snapshot(
            &self,
            _: &StreamId,
            _: StreamVersion,
        ) -> Result<Option<Snapshot>, StoreError> {
            Ok(None)
        }
        async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
            match snapshot.version.as_u64() {
                REFUSED => Err(StoreError::new(StoreErrorKind::Other, "not this one")),
                STORE_AWAY => Err(StoreError::new(StoreErrorKind::Unavailable, "not now")),
                version => {
                    self.0.lock().unwrap().push(version);
                    Ok(())
                }
            }
        }
        async fn delete_snapshots(&self, _: &StreamId) -> Result<(), StoreError> {
            Ok(())
        }
        async fn prune_snapshots(&self, _: &StreamId, _: u64) -> Result<u64, StoreError> {
            Ok(0)
        }
        async fn list_snapshots(
            &self,
            _: Option<&SnapshotSummary>,
            _: usize,
        ) -> Result<Vec<SnapshotSummary>, StoreError> {
            Ok(Vec::new())
        }
        async fn latest_with_tail(
            &self,
            _: &StreamId,
            _: StreamVersion,
            _: PageLimit,
        ) -> Result<Option<SnapshotAndTail>, StoreError> {
            Ok(None)
        }
    }

    struct Scene {
        tasks: Arc<Tasks>,
        saved: Arc<Versions>,
        queue: SnapshotQueue,
    }

    impl Scene {
        fn new(capacity: usize) -> Self {
            let saved = Arc::new(Versions::default());
            let queue = SnapshotQueue::holding(saved.clone(), capacity);
            Self { tasks: Arc::default(), saved, queue }
        }

        fn offer(&self, version: u64) -> bool {
            let runtime: Arc<dyn Runtime> = self.tasks.clone();
            self.offer_on(&runtime, version)
        }

        fn offer_on(&self, runtime: &Arc<dyn Runtime>, version: u64) -> bool {
            let snapshot = Snapshot {
                stream: "account/a".parse().unwrap(),
                version: StreamVersion::new(version),
                last_event: UuidV7Ids.next_id(),
                schema: String::new(),
                state: Payload::of("").unwrap(),
                taken_at: Timestamp::EPOCH,
            };
            self.queue.offer(runtime, snapshot)
        }

        async fn flush(&self) -> bool {
            self.queue.flush(&*self.tasks).await
        }

        fn saved(&self) -> Vec<u64> {
            self.saved.0.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_and_its_task_ends_when_nothing_is_left() {
        let scene = Scene::new(2);
        assert!(scene.flush().await, "there is nothing to wait for");
        assert_eq!([1, 2, 3].map(|version| scene.offer(version)), [true, true, false]);
        assert!(!scene.queue.has_room());
        assert_eq!(scene.tasks.taken.lock().unwrap().len(), 1, "one task saves all");
        let (flushed, ()) = join(scene.flush(), scene.tasks.run()).await;
        assert!(flushed);
        assert_eq!(scene.saved(), [1, 2]);
        assert!(scene.queue.has_room() && scene.offer(4), "there is room again");
        scene.tasks.run().await;
        assert_eq!(scene.saved(), [1, 2, 4]);
    }

    #[tokio::test]
    async fn one_that_is_refused_is_dropped_alone_and_a_store_that_is_away_drops_all_that_wait() {
        let scene = Scene::new(10);
        assert_eq!([1, REFUSED, 2].map(|version| scene.offer(version)), [true; 3]);
        scene.tasks.run().await;
        assert_eq!(scene.saved(), [1, 2]);
        assert!(!scene.flush().await, "not all was saved");
        assert_eq!([3, STORE_AWAY, 4, 5].map(|version| scene.offer(version)), [true; 4]);
        let (flushed, ()) = join(scene.flush(), scene.tasks.run()).await;
        assert!(!flushed);
        assert!(scene.offer(6));
        let (flushed, ()) = join(scene.flush(), scene.tasks.run()).await;
        assert!(flushed);
        assert_eq!(scene.saved(), [1, 2, 3, 6]);
    }

    #[tokio::test]
    async fn without_tasks_nothing_is_kept_and_nobody_waits() {
        let scene = Scene::new(2);
        let refuses: Arc<dyn Runtime> = Arc::new(Tasks { refuses: true, ..Tasks::default() });
        assert_eq!([1, 2, 3].map(|version| scene.offer_on(&refuses, version)), [false; 3]);
        assert!(!scene.flush().await, "not all was saved");
        assert!(scene.flush().await, "what is dropped is not waited for again");
        // where there are tasks again, it goes on
        assert!(scene.offer(4));
        scene.tasks.run().await;
        assert_eq!(scene.saved(), [4]);
    }

    #[tokio::test]
    async fn a_task_that_is_ended_from_outside_is_followed_by_another() {
        let scene = Scene::new(2);
        assert!(scene.offer(1) && scene.offer(2));
        let ending = async { drop(scene.tasks.take()) };
        let (flushed, ()) = join(scene.flush(), ending).await;
        assert!(!flushed, "what waited is gone");
        assert!(scene.flush().await);
        assert!(scene.offer(3));
        scene.tasks.run().await;
        assert_eq!(scene.saved(), [3]);
    }
}
