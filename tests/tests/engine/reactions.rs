//! Reactions over a store that fails, is late, or has lost something. Time is tokio's, which passes at
//! once where everybody waits.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    EventStore, ListParked, ProjectionSink, ReadStream, SinkError, Slot, StoreError,
    StoreErrorKind, StreamPage,
};
use es_core::environment::{Runtime, SystemRuntime};
use es_core::execution::Retry;
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{
    FailurePolicy, HealthState, Parked, StopCause, Subscription, TroubleKind,
};
use es_core::reaction::{Delivery, ReactionPolicy, Start};
use es_core::{BoxError, Reaction, Runner, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::{Call, Faults, Gate};
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::account::*;
use super::telemetry::Kept;

mod ends;
mod parked;
mod slow;

/// What is done in a call.
type Act =
    dyn Fn(&Delivery<AccountEvent>) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// Does this, and notes the calls that begin: of which account, and which attempt at which version.
#[derive(Clone)]
struct Doing {
    policy: ReactionPolicy,
    act: Arc<Act>,
    begun: Arc<Mutex<Vec<(String, u64, u32)>>>,
}

impl Doing {
    fn new(
        policy: ReactionPolicy,
        act: impl Fn(&Delivery<AccountEvent>) -> BoxFuture<'static, Result<(), BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { policy, act: Arc::new(act), begun: Arc::default() }
    }

    /// The versions and attempts of the calls for an account.
    fn calls(&self, account: &str) -> Vec<(u64, u32)> {
        let begun = self.begun.lock().unwrap();
        let of_account = begun.iter().filter(|(of, _, _)| of == account);
        of_account.map(|(_, version, attempt)| (*version, *attempt)).collect()
    }
}

impl Reaction for Doing {
    const NAME: &'static str = "doing";
    const START: Start = Start::Beginning;
    type Event = AccountEvent;

    async fn react(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        let account = event.stream.aggregate_id().to_owned();
        self.begun.lock().unwrap().push((account, event.version.as_u64(), event.attempt()));
        (self.act)(event).await
    }

    fn policy(&self) -> ReactionPolicy {
        self.policy
    }
}

fn parking() -> ReactionPolicy {
    ReactionPolicy::default().on_failure(FailurePolicy::park_key())
}

/// Fails for what is paid to this account.
fn failing_for(account: &'static str) -> Doing {
    Doing::new(parking(), move |event| {
        let fails = event.stream.aggregate_id() == account;
        Box::pin(async move { if fails { Err("it is away".into()) } else { Ok(()) } })
    })
}

/// A store whose leases last as long as nobody steps its clock.
fn stored() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_clock(Arc::new(ManualClock::new())))
}

fn runner(store: impl Into<Store>, doing: &Doing) -> Runner {
    Runner::new(store).holder("one").reaction(doing.clone())
}

async fn parked(store: &MemoryStore) -> Vec<Parked> {
    store.parked(Doing::NAME, Slot::Active, &ListParked::default()).await.unwrap()
}

/// A store that has lost a stream.
struct Without(Arc<dyn EventStore>, &'static str);

#[async_trait]
impl StoreLayer for Without {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.0.read_stream(read).await?;
        if read.stream == stream(self.1) {
            page.events.clear();
        }
        Ok(page)
    }
}

#[tokio::test]
async fn a_parked_event_that_is_lost_stops_its_stream_only() {
    let (store, doing) = (stored(), failing_for("p"));
    slip_in(&store, "p", 1);
    slip_in(&store, "a", 1);
    runner(store.clone(), &doing).catch_up().await.unwrap();
    store.request_retry(Doing::NAME, Slot::Active, "account/p").await.unwrap();
    slip_in(&store, "a", 1);
    let lost = Store::from(Layered(Without(store.clone(), "p")));
    runner(lost, &doing).catch_up().await.unwrap();
    assert_eq!((doing.calls("p"), doing.calls("a")), (vec![(1, 1)], vec![(1, 1), (2, 1)]));
    let entry = parked(&store).await.remove(0);
    assert!(entry.is_waiting() && entry.reason.contains("the log does not hold"), "{entry:?}");
    assert_eq!(entry.attempts, 2);
    store.discard(Doing::NAME, Slot::Active, &entry.id(), "lost").await.unwrap();
}

#[tokio::test]
async fn a_reaction_to_another_history_is_told_what_it_can_do() {
    let (before, restored, doing) = (stored(), stored(), failing_for("nobody"));
    slip_in(&before, "a", 1);
    slip_in(&restored, "b", 1);
    runner(before.clone(), &doing).catch_up().await.unwrap();
    let restored = Store::from(restored).with_models(before);
    let stopped = runner(restored, &doing).catch_up().await.unwrap_err().stopped;
    assert_eq!(stopped[0].cause.kind(), TroubleKind::Diverged);
    let text = stopped[0].cause.to_string();
    assert!(text.contains("give the reaction another name"), "{text}");
    assert_eq!(doing.calls("b"), [], "it is not called");
}

/// The time of a runner's leases.
const LEASE: Duration = Duration::from_secs(10);

/// Waits for a permit with what is paid to `slow`, and does all else at once.
fn waiting_for(gate: &Arc<Semaphore>) -> Doing {
    let gate = gate.clone();
    Doing::new(parking().timeout(LEASE * 360), move |event| {
        let gate = (event.stream.aggregate_id() == "slow").then(|| gate.clone());
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await?.forget();
            }
            Ok(())
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_cuts_no_call_off_as_long_as_the_lease_lasts() {
    type Fail = fn(&Faults, Call);
    let away: Fail = |faults, call| faults.fail_each(call, Some(StoreErrorKind::Unavailable));
    let broken: Fail = |faults, call| faults.fail_each(call, Some(StoreErrorKind::Corrupt));
    let lost: Fail = |faults, call| (1..=3).for_each(|nth| faults.lose_answer(call, nth));
    for (call, fail) in [
        (Call::Renew, away),
        (Call::ReadStream, away),
        (Call::ReadLog, away),
        (Call::Commit, away),
        (Call::ReadLog, broken),
        (Call::Commit, broken),
        (Call::Renew, lost),
        (Call::Commit, lost),
    ] {
        let (store, faults, gate) = (stored(), Faults::new(), Arc::new(Semaphore::new(0)));
        let doing = waiting_for(&gate);
        slip_in(&store, "quick", 1);
        slip_in(&store, "slow", 1);
        let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
        assert!(timeout(LEASE / 100, run.as_mut()).await.is_err(), "{call:?}: it stays");
        assert_eq!(doing.calls("slow"), [(1, 1)], "{call:?}");
        fail(&faults, call);
        slip_in(&store, "quick", 1);
        assert!(timeout(LEASE / 2, run.as_mut()).await.is_err(), "{call:?}: it stays");
        faults.fail_each(call, None);
        gate.add_permits(1);
        assert!(timeout(LEASE, run.as_mut()).await.is_err(), "{call:?}: it stays");
        assert_eq!(doing.calls("slow"), [(1, 1)], "{call:?}: a call was cut off");
        assert_eq!(doing.calls("quick"), [(1, 1), (2, 1)], "{call:?}: each is made once");
        let status = store.status(Some(Doing::NAME)).await.unwrap().remove(0);
        let active = status.active.unwrap();
        let end = store.end_of_log().await.unwrap();
        assert!(active.checkpoint().position >= end, "{call:?}: it has come to the end");
        assert_eq!(active.trouble, None, "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_have_lost_the_lease_begins_no_call() {
    let (store, faults, gate) = (stored(), Faults::new(), Gate::new());
    // each call takes a second
    let doing = Doing::new(parking().concurrency(1), |_| {
        Box::pin(async {
            SystemRuntime.sleep_until(SystemRuntime.now() + Duration::from_secs(1)).await;
            Ok(())
        })
    });
    for account in 0..60 {
        slip_in(&store, &account.to_string(), 1);
    }
    // the first tells where it begins
    faults.delay(Call::Commit, 2, gate.clone());
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    let begun = || doing.begun.lock().unwrap().len();
    assert!(timeout(LEASE + Duration::from_secs(1), run.as_mut()).await.is_err());
    let before = begun();
    assert!((5..=11).contains(&before), "one a second, as long as the lease lasts: {before}");
    assert!(timeout(LEASE, run.as_mut()).await.is_err());
    assert_eq!(begun(), before, "whoever has the lease now gives them");
    gate.open();
    assert!(timeout(LEASE, run.as_mut()).await.is_err());
    assert!(begun() > before, "nobody has taken it, so it goes on");
}

#[tokio::test(start_paused = true)]
async fn what_is_tried_again_is_told_and_forgotten() {
    let (store, faults, healed) = (stored(), Faults::new(), Arc::new(AtomicBool::new(false)));
    let second = Duration::from_secs(1);
    let retry = Retry { retries: 1_000, base: second, longest: second };
    let seen = healed.clone();
    let policy = ReactionPolicy::default().on_failure(FailurePolicy::park_key().after(retry));
    let doing = Doing::new(policy, move |_| {
        let fails = !seen.load(Ordering::SeqCst);
        Box::pin(async move { if fails { Err("it is away".into()) } else { Ok(()) } })
    });
    slip_in(&store, "a", 1);
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    let subscription = Subscription::reaction::<Doing>(store.clone());
    let trouble = async || subscription.health().await.unwrap().trouble;
    assert!(timeout(second * 3, run.as_mut()).await.is_err());
    let told = trouble().await.unwrap();
    assert_eq!(told.kind(), TroubleKind::Retrying);
    assert!(told.message.contains("under key `account/a`: it is away"), "{told:?}");
    healed.store(true, Ordering::SeqCst);
    assert!(timeout(second * 3, run.as_mut()).await.is_err());
    assert_eq!(trouble().await, None);
    faults.fail_each(Call::ReadLog, Some(StoreErrorKind::Busy));
    slip_in(&store, "a", 1);
    assert!(timeout(second * 3, run.as_mut()).await.is_err());
    assert_eq!(trouble().await.unwrap().kind(), TroubleKind::Store);
    faults.fail_each(Call::ReadLog, None);
    assert!(timeout(second * 6, run.as_mut()).await.is_err());
    let health = subscription.health().await.unwrap();
    assert_eq!((health.trouble, health.lag.events), (None, 0));
    assert_ne!(health.state, HealthState::Stalled);
}

#[tokio::test]
async fn catching_up_gives_what_follows_the_only_parked_event_that_was_discarded() {
    let (store, doing) = (stored(), failing_for("p"));
    let mut runner = runner(store.clone(), &doing);
    slip_in(&store, "p", 1);
    runner.catch_up().await.unwrap();
    let entry = parked(&store).await.remove(0);
    store.discard(Doing::NAME, Slot::Active, &entry.id(), "by hand").await.unwrap();
    slip_in(&store, "p", 1);
    runner.catch_up().await.unwrap();
    assert_eq!(doing.calls("p"), [(1, 1), (2, 1)]);
}

/// Cannot say how it is to be called.
struct Undecided;

impl Reaction for Undecided {
    const NAME: &'static str = "undecided";
    const START: Start = Start::Now;
    type Event = AccountEvent;

    async fn react(&self, _: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        Ok(())
    }

    fn policy(&self) -> ReactionPolicy {
        panic!("no policy")
    }
}

#[tokio::test]
async fn a_reaction_that_panics_when_it_is_asked_stops_no_other() {
    let (store, doing) = (stored(), failing_for("nobody"));
    slip_in(&store, "a", 1);
    let mut runner = runner(store.clone(), &doing).reaction(Undecided);
    let stopped = runner.catch_up().await.unwrap_err().stopped;
    let [stopped] = &stopped[..] else { panic!("one of them can be called: {stopped:?}") };
    match &stopped.cause {
        StopCause::Sink(SinkError::Unusable { projection, reason }) => {
            assert_eq!(projection, Undecided::NAME);
            assert!(reason.contains("no policy"), "{reason}");
        }
        other => panic!("it cannot say its policy, but: {other}"),
    }
    assert_eq!(doing.calls("a"), [(1, 1)]);
}

#[tokio::test(flavor = "current_thread")]
async fn metrics_tell_how_long_calls_take() {
    let kept = Kept::default();
    let _guard = metrics::set_default_local_recorder(&kept);
    let (store, doing) = (stored(), failing_for("p"));
    for account in ["a", "b", "p"] {
        slip_in(&store, account, 1);
    }
    runner(store.clone(), &doing).catch_up().await.unwrap();
    let read = |name: &str| kept.read(name, "projection=doing");
    assert_eq!(read("es.projection.events"), Some(3));
    assert_eq!(read("es.reaction.call.duration"), Some(3));
    assert_eq!(read("es.projection.failures"), Some(1));
    assert_eq!(read("es.projection.batch.duration"), None, "it has no batches");
}
