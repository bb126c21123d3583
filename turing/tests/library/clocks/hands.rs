//! Both clocks of a run in the hand of a test: to wait is to jump, and to set the wall clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use es_core::environment::{Clock, Runtime};
use es_core::event::Timestamp;
use es_testing::ManualClock;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};

/// In microseconds, as the wall clock is set.
pub(crate) const HOUR: i64 = 3_600_000_000;
pub(crate) const DAY: i64 = 24 * HOUR;

/// What becomes of the process while it waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    /// The wait comes to its end.
    Wake,
    /// The run is asked to stop half-way.
    Stop,
    /// The process dies half-way.
    Die,
}

/// The clocks.
#[derive(Debug)]
pub(crate) struct Hands {
    beginning: Instant,
    wall: ManualClock,
    /// The time that nobody sets; events are recorded by it.
    pub(crate) passed: ManualClock,
    /// How many attempts are in progress: they take no time.
    at_work: watch::Sender<usize>,
    inner: Mutex<Inner>,
    pub(crate) died: Notify,
}

#[derive(Debug)]
struct Inner {
    plan: VecDeque<(i64, Act)>,
    slept: Vec<Duration>,
    stop: watch::Sender<bool>,
}

impl Hands {
    pub(crate) fn new() -> Arc<Self> {
        let (plan, slept, stop) = (VecDeque::new(), Vec::new(), watch::Sender::new(false));
        let inner = Inner { plan, slept, stop };
        Arc::new(Self {
            beginning: Instant::now(),
            wall: ManualClock::new(),
            passed: ManualClock::new(),
            at_work: watch::Sender::new(0),
            inner: Mutex::new(inner),
            died: Notify::new(),
        })
    }

    /// How far the wall clock is set when the next waits begin, and what becomes of them; later
    /// ones are left alone.
    pub(crate) fn plan(&self, plan: impl IntoIterator<Item = (i64, Act)>) {
        self.inner.lock().unwrap().plan = plan.into_iter().collect();
    }

    /// Sets the wall clock this much later, or earlier.
    pub(crate) fn set(&self, step: i64) {
        self.wall.set(Timestamp::from_micros(self.wall.now().as_micros() + step));
    }

    /// A new process, which is asked to stop through this.
    pub(crate) fn process(&self) -> watch::Receiver<bool> {
        let (stop, stopped) = watch::channel(false);
        self.at_work.send_replace(0);
        self.inner.lock().unwrap().stop = stop;
        stopped
    }

    pub(crate) fn attempt_begins(&self) {
        self.at_work.send_modify(|count| *count += 1);
    }

    pub(crate) fn attempt_ends(&self) {
        self.at_work.send_modify(|count| *count -= 1);
    }

    /// How long each wait was to be.
    pub(crate) fn slept(&self) -> Vec<Duration> {
        self.inner.lock().unwrap().slept.clone()
    }

    fn pass(&self, length: Duration) {
        self.wall.step(length);
        self.passed.step(length);
    }

    fn timer(&self) -> Instant {
        self.beginning + self.passed.now().since(ManualClock::new().now())
    }

    async fn wait(&self, until: Instant) {
        let mut at_work = self.at_work.subscribe();
        let quiet = at_work.wait_for(|count| *count == 0);
        tokio::time::timeout(Duration::from_secs(60), quiet).await.expect("attempts end").unwrap();
        let length = until.saturating_duration_since(self.timer());
        let (step, act) = {
            let mut inner = self.inner.lock().unwrap();
            inner.slept.push(length);
            assert!(inner.slept.len() < 1_000, "it waits again and again: {:?}", inner.slept);
            inner.plan.pop_front().unwrap_or((0, Act::Wake))
        };
        self.set(step);
        match act {
            Act::Wake => return self.pass(length),
            Act::Stop => {
                self.pass(length / 2);
                self.inner.lock().unwrap().stop.send_replace(true);
            }
            Act::Die => {
                self.pass(length / 2);
                self.died.notify_one();
            }
        }
        std::future::pending().await
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.wall.now()
    }
}

/// The clock that nobody sets.
#[derive(Debug)]
pub(crate) struct ManualTimer(pub(crate) Arc<Hands>);

impl Runtime for ManualTimer {
    fn now(&self) -> Instant {
        self.0.timer()
    }

    fn sleep_until(&self, until: Instant) -> BoxFuture<'static, ()> {
        let hands = self.0.clone();
        Box::pin(async move { hands.wait(until).await })
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) -> bool {
        false
    }
}
