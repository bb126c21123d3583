//! What waits, waits by the environment: also where there is no runtime.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use es_core::backend::SnapshotStore;
use es_core::environment::{Environment, Jitter, Runtime};
use es_core::execution::{Retry, StreamVersion};
use es_core::projection::{ReadModel, Rebuild};
use es_core::{Repository, Runner};
use es_memory::MemoryStore;
use es_testing::ManualRuntime;
use futures_util::future::BoxFuture;

use super::account::*;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// An executor that is nothing but this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Every delay is half of what it can be.
#[derive(Debug)]
struct Half;

impl Jitter for Half {
    fn fraction(&self) -> f64 {
        0.5
    }
}

/// Deposits while others do so at the same time, as often as that.
async fn deposit_against(
    accounts: &Repository<Account>,
    store: &Arc<MemoryStore>,
    others: u64,
    retry: Retry,
) -> u64 {
    let seen = AtomicU64::new(0);
    let decision = |account: &Account| {
        if seen.fetch_add(1, Ordering::Relaxed) < others {
            slip_in(store, "a", 10);
        }
        account.deposit(1)
    };
    let executed = accounts.by_id("a").decide(decision).retry(retry).await.unwrap();
    executed.state.balance
}

#[test]
fn without_a_runtime_commands_retry_and_no_state_is_kept() {
    let store = store();
    let environment = Environment::default().with_jitter(Half);
    let accounts = accounts(&store).snapshot_every(1).with_environment(environment);
    let retry = Retry::times(3);
    let began = Instant::now();
    assert_eq!(block_on(deposit_against(&accounts, &store, 3, retry)), 31);
    let waited: Duration = (1..=3).map(|nth| retry.delay(nth, 0.5)).sum();
    assert!(began.elapsed() >= waited, "it waits before it tries again");
    assert!(!block_on(accounts.flush_snapshots()), "nobody saves what was to be kept");
    assert!(block_on(accounts.flush_snapshots()), "nothing is left to be waited for");
    let kept = block_on(store.latest_snapshot(&stream("a"), StreamVersion::MAX));
    assert_eq!(kept.unwrap(), None);
    assert_eq!(block_on(accounts.load("a")).unwrap().state.balance, 31);
}

#[test]
fn without_a_runtime_models_are_kept_and_made_anew() {
    let store = store();
    (0..5).for_each(|_| slip_in(&store, "a", 1));
    slip_in(&store, "b", 1);
    let counted = || {
        ["a", "b"].map(|account| {
            let row = block_on(ReadModel::<Counted>::new(store.clone()).get(account));
            row.unwrap().map(|row| row.0)
        })
    };
    let mut runner = Runner::new(store.clone()).holder("one").projection::<Counted>();
    block_on(runner.catch_up()).unwrap();
    assert_eq!(counted(), [Some(5), Some(1)]);
    slip_in(&store, "b", 1);
    let rebuild = Rebuild::projection::<Counted>(store.clone()).slices(3);
    block_on(rebuild.run()).unwrap();
    assert_eq!(counted(), [Some(5), Some(2)]);
}

#[tokio::test]
async fn a_command_waits_by_the_clock_of_its_environment() {
    let (store, runtime) = (store(), ManualRuntime::new());
    let environment = Environment::default().with_jitter(Half).with_runtime(runtime.clone());
    let accounts = accounts(&store).with_environment(environment);
    let hour = Duration::from_secs(3_600);
    let retry = Retry { retries: 2, base: hour, longest: hour * 24 };
    let began = runtime.now();
    let moving = async {
        for delay in [hour / 2, hour] {
            runtime.asleep(1).await;
            runtime.step(delay);
        }
    };
    let (balance, ()) = tokio::join!(deposit_against(&accounts, &store, 2, retry), moving);
    assert_eq!(balance, 21);
    assert_eq!(runtime.now() - began, hour / 2 + hour);
}

#[tokio::test]
async fn states_are_kept_by_the_tasks_of_the_environment() {
    /// A runtime without tasks.
    #[derive(Debug)]
    struct Alone(ManualRuntime);

    impl Runtime for Alone {
        fn now(&self) -> Instant {
            self.0.now()
        }
        fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
            self.0.sleep_until(at)
        }
        fn spawn(&self, _: BoxFuture<'static, ()>) -> bool {
            false
        }
    }
    let store = store();
    let alone = Environment::default().with_runtime(Alone(ManualRuntime::new()));
    let keeping = accounts(&store).snapshot_every(1);
    let before = accounts(&store).with_environment(alone.clone()).snapshot_every(1);
    let after = keeping.clone().with_environment(alone);
    let deposit = async |accounts: &Repository<Account>| {
        accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
        let is_all_saved = accounts.flush_snapshots().await;
        let kept = store.latest_snapshot(&stream("a"), StreamVersion::MAX).await.unwrap();
        (is_all_saved, kept.map(|kept| kept.version.as_u64()))
    };
    assert_eq!(deposit(&before).await, (false, None));
    assert_eq!(deposit(&after).await, (false, None));
    assert_eq!(deposit(&keeping).await, (true, Some(3)));
    assert_eq!(deposit(&after).await, (false, Some(3)));
}
