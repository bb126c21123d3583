//! A runtime whose time stands still until a test moves it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use es_core::environment::{Runtime, SystemRuntime};
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

/// A runtime whose sleeps end when a test moves its time, and not before; clones are the same one.
///
/// Tasks run on tokio if whoever asks is within it, and are refused otherwise.
///
/// ```
/// # use std::time::Duration;
/// # use es_core::environment::Environment;
/// use es_testing::ManualRuntime;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let runtime = ManualRuntime::new();
/// let environment = Environment::default().with_runtime(runtime.clone());
/// # let hour = Duration::from_secs(3_600);
/// # let at = environment.runtime.now() + hour;
/// # environment.runtime.spawn(environment.runtime.sleep_until(at));
/// // something waits for an hour by the environment
/// runtime.asleep(1).await;
/// runtime.step(hour);
/// assert_eq!(runtime.sleeping(), 0);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ManualRuntime(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    sleeping: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    now: Instant,
    /// By their ends, and by their beginnings where these are the same.
    sleeps: BTreeMap<(Instant, u64), oneshot::Sender<()>>,
    begun: u64,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let answer = change(&mut state);
        // under the lock, so that what is told last is how it is
        self.sleeping.send_replace(state.sleeps.len());
        answer
    }
}

impl ManualRuntime {
    /// A runtime in which nothing sleeps; its time is now.
    pub fn new() -> Self {
        let state = State { now: Instant::now(), sleeps: BTreeMap::new(), begun: 0 };
        Self(Arc::new(Inner { state: Mutex::new(state), sleeping: watch::Sender::new(0) }))
    }

    /// Moves the time on, and wakes whose sleep ends by then, the earliest first.
    pub fn step(&self, by: Duration) {
        let due = self.0.change(|state| {
            state.now += by;
            let later = state.sleeps.split_off(&(state.now, u64::MAX));
            std::mem::replace(&mut state.sleeps, later)
        });
        for sleep in due.into_values() {
            // nobody listens any more if the sleep was dropped just now
            let _ = sleep.send(());
        }
    }

    /// How many sleep. A sleep begins when it is first polled.
    pub fn sleeping(&self) -> usize {
        *self.0.sleeping.borrow()
    }

    /// Waits until at least so many sleep.
    pub async fn asleep(&self, count: usize) {
        let mut sleeping = self.0.sleeping.subscribe();
        let reached = sleeping.wait_for(|sleeping| *sleeping >= count).await;
        reached.expect("the sender is this runtime's");
    }
}

impl Default for ManualRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl Runtime for ManualRuntime {
    fn now(&self) -> Instant {
        self.0.state().now
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let inner = self.0.clone();
        Box::pin(async move {
            if let Some(mut sleep) = Sleep::until(inner, at) {
                // it ends with a word; without one, nobody is left who could end it
                let _ = (&mut sleep.end).await;
            }
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) -> bool {
        SystemRuntime.spawn(task)
    }
}

/// Somebody who sleeps until this is dropped.
struct Sleep {
    inner: Arc<Inner>,
    key: (Instant, u64),
    end: oneshot::Receiver<()>,
}

impl Sleep {
    /// None if that has passed.
    fn until(inner: Arc<Inner>, at: Instant) -> Option<Self> {
        let (sender, end) = oneshot::channel();
        let begun = inner.change(|state| {
            let is_later = at > state.now;
            is_later.then(|| {
                state.begun += 1;
                state.sleeps.insert((at, state.begun), sender);
                state.begun
            })
        });
        begun.map(|begun| Self { inner, key: (at, begun), end })
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.inner.change(|state| state.sleeps.remove(&self.key));
    }
}

#[cfg(test)]
mod tests {
    use es_core::environment::within;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_sleep_ends_when_the_time_has_come_and_not_before() {
        let runtime = ManualRuntime::new();
        let began = runtime.now();
        let mut sleep = runtime.sleep_until(began + SECOND * 2);
        assert_eq!(runtime.sleeping(), 0, "it was not polled yet");
        assert_eq!((&mut sleep).now_or_never(), None);
        runtime.asleep(1).await;
        runtime.step(SECOND * 2 - Duration::from_nanos(1));
        assert_eq!((&mut sleep).now_or_never(), None);
        runtime.clone().step(Duration::from_nanos(1));
        assert_eq!(runtime.now() - began, SECOND * 2);
        assert_eq!((&mut sleep).now_or_never(), Some(()));
        // what has passed is not slept for
        assert_eq!(runtime.sleep_until(began + SECOND).now_or_never(), Some(()));
    }

    #[tokio::test]
    async fn what_is_dropped_does_not_sleep() {
        let runtime = ManualRuntime::new();
        let mut sleep = runtime.sleep_until(runtime.now() + SECOND);
        assert_eq!((&mut sleep).now_or_never(), None);
        drop(sleep);
        assert_eq!(runtime.sleeping(), 0);
    }

    #[tokio::test]
    async fn a_limit_is_over_when_the_test_says_so() {
        let runtime = ManualRuntime::new();
        let stepping = async {
            runtime.asleep(1).await;
            runtime.step(SECOND);
        };
        let late = within(&runtime, SECOND, std::future::pending::<()>());
        assert_eq!(tokio::join!(late, stepping), (None, ()));
        assert_eq!(within(&runtime, Duration::ZERO, std::future::ready(7)).await, Some(7));
        assert_eq!(runtime.sleeping(), 0);
    }

    #[test]
    fn where_there_is_no_tokio_tasks_are_refused() {
        assert!(!ManualRuntime::new().spawn(Box::pin(std::future::ready(()))));
    }

    /// Lets each length sleep in a task of its own, and answers which have woken after each step, in
    /// the order in which they did.
    async fn woken(lengths: &[u64], steps: &[u64]) -> Vec<Vec<u64>> {
        let runtime = ManualRuntime::new();
        let (sender, mut ended) = tokio::sync::mpsc::unbounded_channel();
        let began = runtime.now();
        for length in lengths.iter().copied() {
            let (sleep, sender) =
                (runtime.sleep_until(began + SECOND * length as u32), sender.clone());
            assert!(runtime.spawn(Box::pin(async move {
                sleep.await;
                sender.send(length).expect("the test listens");
            })));
        }
        runtime.asleep(lengths.len()).await;
        let (mut passed, mut after) = (0, Vec::new());
        for step in steps {
            let due = |until: u64| lengths.iter().filter(|length| **length <= until).count();
            let expected = due(passed + step) - due(passed);
            passed += step;
            runtime.step(SECOND * *step as u32);
            assert_eq!(runtime.sleeping(), lengths.len() - due(passed));
            let mut woken = Vec::new();
            for _ in 0..expected {
                woken.extend(ended.recv().await);
            }
            assert!(ended.try_recv().is_err(), "nobody wakes too early");
            after.push(woken);
        }
        after
    }

    proptest! {
        #[test]
        fn sleepers_wake_in_the_order_of_their_ends(
            lengths in proptest::collection::vec(1_u64..50, 0..20),
            steps in proptest::collection::vec(0_u64..20, 0..8),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let woken = runtime.block_on(woken(&lengths, &steps));
            let mut sorted = lengths;
            sorted.sort_unstable();
            let mut passed = 0;
            for (step, woken) in steps.iter().zip(woken) {
                let now = passed + step;
                let due = sorted.iter().copied().filter(|it| (passed + 1..=now).contains(it));
                prop_assert_eq!(woken, due.collect::<Vec<_>>());
                passed = now;
            }
        }
    }
}
