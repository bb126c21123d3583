//! Where it begins, how it ends, and what is told of it in between.

use es_core::environment::{Environment, Jitter};
use es_core::projection::WaitError;

use super::super::telemetry::Warnings;
use super::*;

/// No chance: the longest delays.
#[derive(Debug)]
struct Longest;

impl Jitter for Longest {
    fn fraction(&self) -> f64 {
        1.0
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// Fails for `p`, hangs for `slow`, and does both well when it is healed; what fails is tried again
/// after an hour.
fn ailing() -> (Doing, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let seen = healed.clone();
    let retry = Retry { retries: 9, base: HOUR, longest: HOUR };
    let policy =
        ReactionPolicy::default().timeout(HOUR).on_failure(FailurePolicy::park_key().after(retry));
    let doing = Doing::new(policy, move |event| {
        let ails = !seen.load(Ordering::SeqCst);
        let account = event.stream.aggregate_id().to_owned();
        Box::pin(async move {
            match &*account {
                "p" if ails => Err("it is away".into()),
                "slow" if ails => std::future::pending().await,
                _ => Ok(()),
            }
        })
    });
    (doing, healed)
}

fn patient(store: impl Into<Store>, doing: &Doing) -> Runner {
    runner(store, doing).environment(Environment::default().with_jitter(Longest))
}

#[tokio::test(start_paused = true)]
async fn who_is_stopped_has_only_those_calls_made_again_that_did_not_end() {
    let (store, (doing, healed)) = (stored(), ailing());
    for account in ["p", "slow", "quick", "quick", "p", "quick"] {
        slip_in(&store, account, 1);
    }
    let runner = patient(store.clone(), &doing);
    let handle = runner.handle();
    let mut run = pin!(runner.run());
    assert!(timeout(LEASE / 2, run.as_mut()).await.is_err());
    handle.stop();
    timeout(LEASE, run).await.expect("it ends soon").unwrap();
    assert_eq!(doing.calls("quick"), [(1, 1), (2, 1), (3, 1)]);
    let waiting = parked(&store).await;
    let waiting: Vec<_> = waiting.iter().map(|entry| (&*entry.key, entry.attempts)).collect();
    assert_eq!(waiting, [("account/p", 1), ("account/slow", 1), ("account/p", 0)]);
    healed.store(true, Ordering::SeqCst);
    patient(store.clone(), &doing).catch_up().await.unwrap();
    assert_eq!(doing.calls("quick"), [(1, 1), (2, 1), (3, 1)], "they were answered");
    assert_eq!(doing.calls("p"), [(1, 1), (1, 2), (2, 1)]);
    assert_eq!(doing.calls("slow"), [(1, 1), (1, 2)]);
    assert_eq!(parked(&store).await, []);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_what_is_tried_again_is_not_told_that_it_has_stopped() {
    let (store, (doing, _)) = (stored(), ailing());
    slip_in(&store, "p", 1);
    let runner = patient(store.clone(), &doing);
    let handle = runner.handle();
    let mut run = pin!(runner.run());
    assert!(timeout(LEASE / 2, run.as_mut()).await.is_err());
    let subscription = Subscription::reaction::<Doing>(store.clone());
    let health = subscription.health().await.unwrap();
    let kind = health.trouble.map(|trouble| trouble.kind());
    assert_eq!((health.state, kind), (HealthState::Behind, Some(TroubleKind::Retrying)));
    handle.stop();
    run.await.unwrap();
    assert_eq!(parked(&store).await, [], "nothing behind it was answered");
    assert_eq!(subscription.health().await.unwrap().state, HealthState::NotRunning);
    let end = store.end_of_log().await.unwrap();
    let waited = subscription.wait_for(end, LEASE).await.unwrap_err();
    assert!(matches!(waited, WaitError::TimedOut { .. }), "{waited}");
}

#[tokio::test]
async fn who_catches_up_and_is_told_of_a_failure_commits_what_was_answered() {
    let (store, faults, doing) = (stored(), Faults::new(), failing_for("nobody"));
    slip_in(&store, "a", 1);
    // the first tells where it begins
    faults.fail(Call::Commit, 2, StoreErrorKind::Full);
    let mut runner = runner(faults.over(store.clone()), &doing);
    let stopped = runner.catch_up().await.unwrap_err().stopped;
    assert_eq!(stopped[0].cause.kind(), TroubleKind::Store, "{stopped:?}");
    runner.catch_up().await.unwrap();
    assert_eq!(doing.calls("a"), [(1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_holds_up_what_comes_behind_it_only() {
    let (store, faults, doing) = (stored(), Faults::new(), failing_for("p"));
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    for account in ["a", "p", "b"] {
        slip_in(&store, account, 1);
    }
    assert!(timeout(LEASE / 10, run.as_mut()).await.is_err());
    faults.fail_each(Call::ReadLog, Some(StoreErrorKind::Corrupt));
    slip_in(&store, "c", 1);
    store.request_retry(Doing::NAME, Slot::Active, "account/p").await.unwrap();
    assert!(timeout(LEASE * 3, run.as_mut()).await.is_err());
    let calls = ["a", "b", "c"].map(|account| doing.calls(account).len());
    assert_eq!((calls, doing.calls("p").len()), ([1, 1, 0], 2), "what was read is dealt with");
    assert_eq!(parked(&store).await[0].attempts, 2, "and is committed");
    let trouble = Subscription::reaction::<Doing>(store.clone()).health().await.unwrap().trouble;
    assert_eq!(trouble.map(|trouble| trouble.kind()), Some(TroubleKind::Store));
}

/// Begins with what comes.
struct Late(Doing);

impl Reaction for Late {
    const NAME: &'static str = "late";
    const START: Start = Start::Now;
    type Event = AccountEvent;

    async fn react(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        self.0.react(event).await
    }
}

#[tokio::test(flavor = "current_thread")]
async fn who_begins_now_is_told_once_what_is_passed_over() {
    let warnings = Warnings::default();
    let _watching = tracing::subscriber::set_default(warnings.clone());
    let (store, empty, doing) = (stored(), stored(), failing_for("nobody"));
    let subscription = Subscription::reaction::<Late>(store.clone());
    let lag = async || {
        let health = subscription.health().await.unwrap();
        (health.state, health.lag.events)
    };
    let run = async |store: &Arc<MemoryStore>| {
        let runner = Runner::new(store.clone()).reaction(Late(doing.clone()));
        runner.once().await.unwrap();
        warnings.take()
    };
    slip_in(&store, "a", 1);
    assert_eq!(lag().await, (HealthState::NotRunning, 0), "it will never be given that");
    let told = run(&store).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("begins now") && told[0].contains("late"), "{told:?}");
    slip_in(&store, "a", 1);
    assert_eq!(lag().await, (HealthState::NotRunning, 1));
    assert_eq!(run(&store).await, [""; 0], "that was decided before");
    assert_eq!(doing.calls("a"), [(2, 1)]);
    // where there is nothing yet, nothing is passed over
    assert_eq!(run(&empty).await, [""; 0]);
    let begun = Subscription::reaction::<Late>(empty.clone());
    slip_in(&empty, "a", 1);
    assert_eq!(begun.health().await.unwrap().lag.events, 1);
}
