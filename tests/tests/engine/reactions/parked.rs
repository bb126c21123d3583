//! What is parked, and when it is given again.

use es_core::event::EventFilter;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_joins_a_parked_stream_costs_no_renewal() {
    let (store, faults, doing) = (stored(), Faults::new(), failing_for("p"));
    slip_in(&store, "p", 1);
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    assert!(timeout(LEASE / 100, run.as_mut()).await.is_err());
    let before = faults.calls(Call::Renew);
    for _ in 0..20 {
        slip_in(&store, "p", 1);
        assert!(timeout(LEASE / 100, run.as_mut()).await.is_err());
    }
    assert_eq!(parked(&store).await.len(), 21);
    // a fifth of the time of the lease has passed
    let renewals = faults.calls(Call::Renew) - before;
    assert!(renewals <= 1, "{renewals} renewals");
    let entry = parked(&store).await.remove(0);
    store.discard(Doing::NAME, Slot::Active, &entry.id(), "by hand").await.unwrap();
    slip_in(&store, "p", 1);
    assert!(timeout(LEASE / 100, run.as_mut()).await.is_err());
    assert_eq!(doing.calls("p"), [(1, 1), (2, 1)], "nothing stands before the second any more");
}

#[tokio::test]
async fn more_that_is_due_than_is_told_at_once_is_given_all() {
    let (store, healed) = (stored(), Arc::new(AtomicBool::new(false)));
    let seen = healed.clone();
    let doing = Doing::new(parking().ahead(2), move |_| {
        let fails = !seen.load(Ordering::SeqCst);
        Box::pin(async move { if fails { Err("it is away".into()) } else { Ok(()) } })
    });
    let accounts: Vec<_> = (0..12).map(|number| number.to_string()).collect();
    accounts.iter().for_each(|account| slip_in(&store, account, 1));
    runner(store.clone(), &doing).catch_up().await.unwrap();
    for account in &accounts {
        let key = stream(account).to_string();
        store.request_retry(Doing::NAME, Slot::Active, &key).await.unwrap();
    }
    healed.store(true, Ordering::SeqCst);
    runner(store.clone(), &doing).catch_up().await.unwrap();
    for account in &accounts {
        assert_eq!(doing.calls(account), [(1, 1), (1, 2)], "{account}");
    }
    assert_eq!(parked(&store).await, []);
}

/// A store with an event of `p` that is parked and due, which the fourth question is about that the
/// next runner asks.
async fn with_one_due() -> Arc<MemoryStore> {
    let (store, doing) = (stored(), failing_for("p"));
    slip_in(&store, "p", 1);
    runner(store.clone(), &doing).once().await.unwrap();
    store.request_retry(Doing::NAME, Slot::Active, "account/p").await.unwrap();
    store
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_is_given_by_nobody_who_may_have_lost_the_lease() {
    let (store, faults, doing) = (with_one_due().await, Faults::new(), failing_for("p"));
    let (away, slow) = (Gate::new(), Gate::new());
    faults.delay(Call::Renew, 2, away.clone());
    faults.delay(Call::Parked, 4, slow.clone());
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    assert!(timeout(LEASE + LEASE / 10, run.as_mut()).await.is_err());
    assert_eq!(faults.left(), [], "both hang");
    slow.open();
    assert!(timeout(LEASE / 10, run.as_mut()).await.is_err());
    assert_eq!(doing.calls("p"), [], "whoever has the lease now gives it");
    away.open();
    assert!(timeout(LEASE, run.as_mut()).await.is_err());
    assert_eq!(doing.calls("p"), [(1, 2)], "nobody has taken it, so it goes on");
}

#[tokio::test(start_paused = true)]
async fn what_was_parked_is_given_by_nobody_who_was_stopped() {
    let (store, faults, doing) = (with_one_due().await, Faults::new(), failing_for("p"));
    let slow = Gate::new();
    faults.delay(Call::Parked, 4, slow.clone());
    let runner = runner(faults.over(store.clone()), &doing);
    let handle = runner.handle();
    let mut run = pin!(runner.run());
    assert!(timeout(LEASE / 10, run.as_mut()).await.is_err());
    assert_eq!(faults.left(), [], "it hangs");
    handle.stop();
    slow.open();
    run.await.unwrap();
    assert_eq!(doing.calls("p"), []);
    assert_eq!(parked(&store).await[0].attempts, 1, "it is given by who comes next");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_say_what_waits_costs_no_attempt() {
    let (store, faults) = (stored(), Faults::new());
    let moment = Duration::from_millis(10);
    let retry = Retry { retries: 2, base: moment, longest: moment };
    let policy = ReactionPolicy::default().on_failure(FailurePolicy::park_key().after(retry));
    let doing = Doing::new(policy, |_| Box::pin(async { Err("it is away".into()) }));
    slip_in(&store, "p", 1);
    runner(store.clone(), &doing).once().await.unwrap();
    store.request_retry(Doing::NAME, Slot::Active, "account/p").await.unwrap();
    // before the second of the attempts that are left
    faults.fail(Call::Parked, 5, StoreErrorKind::Unavailable);
    let mut run = pin!(runner(faults.over(store.clone()), &doing).run());
    assert!(timeout(LEASE, run.as_mut()).await.is_err());
    assert_eq!(faults.left(), []);
    let calls: Vec<_> = doing.calls("p").into_iter().map(|(_, attempt)| attempt).collect();
    assert_eq!(calls, [1, 2, 3, 4, 5, 6]);
    let entry = parked(&store).await.remove(0);
    assert_eq!((entry.attempts, &*entry.reason), (6, "it is away"));
}

#[tokio::test]
async fn who_catches_up_is_told_that_the_store_cannot_say_what_waits() {
    let (store, faults, doing) = (with_one_due().await, Faults::new(), failing_for("p"));
    faults.fail(Call::Parked, 4, StoreErrorKind::Busy);
    let mut runner = runner(faults.over(store.clone()), &doing);
    let stopped = runner.catch_up().await.unwrap_err().stopped;
    assert_eq!(stopped[0].cause.kind(), TroubleKind::Store, "{stopped:?}");
    assert_eq!(doing.calls("p"), []);
    runner.catch_up().await.unwrap();
    assert_eq!(doing.calls("p"), [(1, 2)]);
}

/// The same, of code that wants no deposits any more.
struct Narrowed(Doing);

impl Reaction for Narrowed {
    const NAME: &'static str = Doing::NAME;
    const START: Start = Doing::START;
    type Event = AccountEvent;

    async fn react(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        self.0.react(event).await
    }

    fn selection() -> EventFilter {
        EventFilter::events([AccountEvent::MONEY_WITHDRAWN])
    }
}

#[tokio::test]
async fn what_is_parked_and_not_selected_any_more_is_done() {
    let (store, doing) = (with_one_due().await, failing_for("nobody"));
    slip_in(&store, "p", 1);
    let mut narrowed = Runner::new(store.clone()).holder("one").reaction(Narrowed(doing.clone()));
    narrowed.catch_up().await.unwrap();
    assert_eq!(doing.calls("p"), []);
    assert_eq!(parked(&store).await, []);
}
