//! Stopping, waking and watching a runner.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::environment::{Clock, Runtime, SystemClock};
use crate::store::Store;
use crate::timestamp::Timestamp;

use super::super::rate::Rate;
use super::super::{Definition, Health, SinkError, health_of};

/// Stops, wakes and watches a [`Runner`](super::Runner); a clone is a handle to the same runner.
#[derive(Clone)]
pub struct RunnerHandle(pub(super) Arc<Signals>);

impl fmt::Debug for RunnerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerHandle").field("is_stopped", &self.0.is_stopped()).finish()
    }
}

impl RunnerHandle {
    /// Asks the runner to finish the commits that are under way, give its leases back, and end.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::SeqCst);
        self.0.call.notify_one();
        self.0.end.notify_waiters();
    }

    /// Makes the runner look at once for parked events that are due; it does so by itself after a
    /// third of the time of its leases.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// How the runner's projections and reactions are; the same that any process is told.
    ///
    /// # Errors
    ///
    /// When the store or the sink fails.
    pub async fn health(&self) -> Result<Vec<Health>, SinkError> {
        let definitions: Vec<_> =
            self.0.shared().projections.values().map(|it| it.0.clone()).collect();
        let clock = self.0.shared().clock.clone();
        let mut all = Vec::with_capacity(definitions.len());
        for definition in definitions {
            all.push(health_of(&self.0.store, &*clock, &definition).await?);
        }
        Ok(all)
    }
}

/// What a runner and its handles share.
pub(crate) struct Signals {
    is_stopped: AtomicBool,
    is_woken: AtomicBool,
    call: Notify,
    /// Told to each reaction when the runner is woken.
    wakes: watch::Sender<()>,
    end: Notify,
    /// How often store or sink answered.
    answers: AtomicU64,
    store: Store,
    shared: Mutex<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    projections: BTreeMap<String, (Definition, Rate)>,
}

impl Signals {
    pub(super) fn new(store: Store) -> Self {
        let shared = Shared { clock: Arc::new(SystemClock), projections: BTreeMap::new() };
        Self {
            is_stopped: AtomicBool::new(false),
            is_woken: AtomicBool::new(false),
            call: Notify::new(),
            wakes: watch::Sender::new(()),
            end: Notify::new(),
            answers: AtomicU64::new(0),
            store,
            shared: Mutex::new(shared),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, definition: &Definition) {
        let entry = (definition.clone(), Rate::default());
        self.shared().projections.insert(definition.name().to_owned(), entry);
    }

    pub(super) fn set_clock(&self, clock: Arc<dyn Clock>) {
        self.shared().clock = clock;
    }

    /// Notes what a batch took from `began` to now.
    pub(crate) fn count(&self, projection: &str, events: u64, began: Timestamp, now: Timestamp) {
        if let Some((_, rate)) = self.shared().projections.get_mut(projection) {
            rate.count(events, began, now);
        }
    }

    /// At which rate this runner took events lately.
    pub(crate) fn rate(&self, projection: &str, now: Timestamp) -> Option<f64> {
        self.shared().projections.get(projection).and_then(|(_, rate)| rate.per_second(now))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    pub(super) fn wake(&self) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.call.notify_one();
        self.wakes.send_replace(());
    }

    /// Ends a wait for a change whenever the runner is woken from now on.
    pub(crate) fn woken(&self) -> watch::Receiver<()> {
        self.wakes.subscribe()
    }

    pub(super) fn take_wake(&self) -> bool {
        self.is_woken.swap(false, Ordering::SeqCst)
    }

    /// Notes that store or sink answered.
    pub(super) fn answered(&self) {
        self.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until nothing has been answered for so long.
    pub(super) async fn silent_for(&self, runtime: &dyn Runtime, patience: Duration) {
        let mut before = None;
        loop {
            let answers = self.answers.load(Ordering::Relaxed);
            if before == Some(answers) {
                return;
            }
            before = Some(answers);
            runtime.sleep(patience).await;
        }
    }

    /// Waits until a call to stop was so long ago.
    pub(crate) async fn stopped_for(&self, runtime: &dyn Runtime, grace: Duration) {
        self.stopped().await;
        runtime.sleep(grace).await;
    }

    /// Waits for a call to stop.
    pub(crate) async fn stopped(&self) {
        // before the question, so that no call falls between it and the wait
        let called = self.end.notified();
        if !self.is_stopped() {
            called.await;
        }
    }

    /// Waits for a call to stop or to wake.
    pub(super) async fn called(&self) {
        self.call.notified().await;
    }
}
