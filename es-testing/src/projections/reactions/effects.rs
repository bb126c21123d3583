//! What a call does, once, and what follows when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use es_core::backend::{AppendRequest, InvalidRequest, ListParked, Slot};
use es_core::projection::{FailurePolicy, Parked, ParkedState};
use es_core::reaction::Delivery;
use es_core::{Aggregate, BoxError, CommandError, Repository};
use tokio::sync::Semaphore;

use super::super::ProjectionFixture;
use super::super::cut::{Side, cut};
use super::super::models::{AccountEvent, accounts_paid, no_delay};
use super::super::parts::*;
use super::subject::NAME;
use super::{Reactors, Subject};

/// What follows from payments.
#[derive(Clone, Default)]
struct Audit;

impl Aggregate for Audit {
    const TYPE: &'static str = "audit";
    type Id = String;
    type Event = AccountEvent;

    fn evolve(&mut self, _: &AccountEvent) {}
}

pub(super) async fn keyed_commands_are_done_once(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    const CALLS: u64 = 5;
    let (store, sink) = (fixture.store(), fixture.sink());
    let log = store.clone();
    let subject = Subject::new(move |event| {
        let log = log.clone();
        Box::pin(async move {
            let audit = typed_stream("audit", event.stream.aggregate_id());
            let done =
                AppendRequest::to(audit, ANY, vec![super::super::parts::event(number(event))]);
            log.append(done.with_key(event.key().clone())).await?;
            // the first answer is lost
            if event.attempt() == 1 { Err("the connection was cut".into()) } else { Ok(()) }
        })
    });
    for at in 0..CALLS {
        for (turn, side) in [Side::Before, Side::After].into_iter().enumerate() {
            let number = at * 2 + turn as u64;
            accounts_paid(&store, &["1", "2"], number..=number).await;
            let cut_off = with_models(&store, &cut(&sink, at, side));
            // whether it notices depends on how many calls it makes
            let first = reactors.attend(&cut_off, "one", subject.clone(), false);
            let _ = soon("a reaction that is cut off comes back", first).await;
            subject.caught_up(fixture, reactors, "one").await;
        }
    }
    let all = Vec::from_iter(0..CALLS * 2);
    for account in ["1", "2"] {
        holds(&store, &typed_stream("audit", account), &all, "each event has one effect").await;
        assert!(subject.given(account).len() > all.len(), "some were given again");
    }
}

pub(super) async fn a_second_command_on_a_stream_needs_a_step(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let store = fixture.store();
    let audits = Repository::<Audit>::new(store.clone());
    let subject = Subject::new(move |event| {
        let audits = audits.clone();
        Box::pin(async move { audited_twice(&audits, event).await })
    });
    accounts_paid(&store, &["1"], 1..=2).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!(subject.given("1"), [1, 2], "no call fails");
    holds(&store, &typed_stream("audit", "1"), &[1, 101, 2, 102], "each is done once").await;
}

async fn audited_twice(
    audits: &Repository<Audit>,
    event: &Delivery<AccountEvent>,
) -> Result<(), BoxError> {
    let (id, number) = (event.stream.aggregate_id(), number(event));
    let paid = |number| audits.by_id(id).decide(move |_| AccountEvent::AmountPaidIn { number });
    paid(number).reacting_to(event).await?;
    match paid(number + 100).reacting_to(event).await {
        Err(CommandError::Invalid(InvalidRequest::KeyTwice { .. })) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the second was taken for a repeat, or done".into()),
    }
    paid(number + 100).reacting_to_step(event, "second").await?;
    Ok(())
}

/// One whose call for number 1 of account `p` fails, until it is healed.
fn poisoned() -> (Subject, Arc<AtomicBool>) {
    let healed = Arc::new(AtomicBool::new(false));
    let seen = healed.clone();
    let subject = Subject::new(move |event| {
        let is_it = event.stream.aggregate_id() == "p" && number(event) == 1;
        let fails = is_it && !seen.load(Ordering::SeqCst);
        Box::pin(async move { if fails { Err("it is poison".into()) } else { Ok(()) } })
    });
    (subject, healed)
}

async fn parked(sink: &Sink) -> Vec<Parked> {
    match sink.parked(NAME, Slot::Active, &ListParked::default()).await {
        Ok(parked) => parked,
        Err(error) => panic!("listing what is parked failed: {error}"),
    }
}

async fn parked_under(sink: &Sink, key: &str) -> Vec<Parked> {
    parked(sink).await.into_iter().filter(|entry| entry.key == key).collect()
}

/// The versions and attempts of what waits.
async fn waiting(sink: &Sink) -> Vec<(u64, u32)> {
    let waiting = parked(sink).await.into_iter().filter(Parked::is_waiting);
    waiting.map(|entry| (entry.event.version.as_u64(), entry.attempts)).collect()
}

pub(super) async fn a_failing_event_is_parked_and_retried(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let (subject, healed) = poisoned();
    accounts_paid(&store, &["p", "2"], 1..=3).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!(subject.attempts("p", 1), [1, 2, 3], "it is tried as often as the policy says");
    assert_eq!(subject.given("p"), [1, 1, 1], "what follows waits, untried");
    assert_eq!(subject.given("2"), [1, 2, 3], "other streams go on");
    assert_eq!(waiting(&sink).await, [(1, 3), (2, 0), (3, 0)]);
    accounts_paid(&store, &["p"], 4..=4).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!(waiting(&sink).await.len(), 4, "what is recorded later joins it");
    let retry = || sink.request_retry(NAME, Slot::Active, "account/p");
    assert!(retry().await.is_ok(), "something waits");
    subject.caught_up(fixture, reactors, "one").await;
    assert!(subject.attempts("p", 1).contains(&4), "attempts before it was parked count");
    healed.store(true, Ordering::SeqCst);
    assert!(retry().await.is_ok(), "something waits");
    subject.caught_up(fixture, reactors, "one").await;
    assert!(subject.given("p").ends_with(&[1, 2, 3, 4]), "in order, from its first");
    assert!(waiting(&sink).await.is_empty(), "nothing waits any more");
    accounts_paid(&store, &["p"], 5..=5).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert!(subject.given("p").ends_with(&[4, 5]), "the stream goes on");
}

pub(super) async fn a_discarded_event_is_not_given(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let (subject, _healed) = poisoned();
    accounts_paid(&store, &["p"], 1..=3).await;
    subject.caught_up(fixture, reactors, "one").await;
    let before = subject.count();
    let first = parked(&sink).await.into_iter().next().expect("it is parked");
    let discarded = sink.discard(NAME, Slot::Active, &first.id(), "by hand").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!(subject.given("p")[before..], [2, 3], "it goes on without it");
    assert!(waiting(&sink).await.is_empty(), "nothing waits any more");
    assert_eq!(parked(&sink).await.len(), 1, "the record stays");
}

pub(super) async fn a_discard_outlasts_an_attempt(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    for (account, retries) in [("p", 0), ("q", 2)] {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let subject = Subject::new(move |event| {
            let is_it = event.stream.aggregate_id() == account && number(event) == 1;
            let gate = (is_it && event.attempt() > retries + 1).then(|| held.clone());
            Box::pin(async move {
                if let Some(gate) = gate {
                    gate.acquire().await?.forget();
                }
                if is_it { Err("it is poison".into()) } else { Ok(()) }
            })
        });
        let subject = subject
            .policy(|policy| policy.on_failure(FailurePolicy::park_key().after(no_delay(retries))));
        accounts_paid(&store, &[account], 1..=4).await;
        subject.caught_up(fixture, reactors, "one").await;
        let key = stream(account).to_string();
        let waiting = parked_under(&sink, &key).await;
        assert_eq!(waiting.len(), 4, "all of its stream waits: {waiting:?}");
        retried(&sink, NAME, &key).await;
        let decided = async {
            subject.until(|it| it.attempts(account, 1).contains(&(retries + 2))).await;
            // the one whose call is under way, and one behind it
            for entry in [&waiting[0], &waiting[2]] {
                let discarded = sink.discard(NAME, Slot::Active, &entry.id(), "by hand").await;
                assert!(discarded.is_ok(), "it waits: {discarded:?}");
            }
            gate.add_permits(100);
            subject.until(|it| it.given(account).contains(&4)).await;
        };
        subject.beside(fixture, reactors, "the stream goes on", decided).await;
        subject.caught_up(fixture, reactors, "one").await;
        let attempts = Vec::from_iter(1..=retries + 2);
        assert_eq!(subject.attempts(account, 1), attempts, "what was discarded is not given");
        assert!(!subject.given(account).contains(&3), "what was discarded is not given");
        let at = es_core::environment::Clock::now(&fixture.clock());
        let state = ParkedState::Discarded { reason: "by hand".to_owned(), at };
        let left = parked_under(&sink, &key).await.into_iter();
        let left: Vec<_> = left.map(|entry| (entry.event.version.as_u64(), entry.state)).collect();
        assert_eq!(left, [(1, state.clone()), (3, state)], "the records stay, and nothing waits");
    }
}

pub(super) async fn a_hanging_call_is_dropped(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let subject = Subject::hanging_at("1", 2).policy(|policy| {
        policy.timeout(Duration::from_millis(20)).on_failure(FailurePolicy::park_key())
    });
    accounts_paid(&store, &["1", "2"], 1..=3).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!((subject.given("1"), subject.given("2")), (vec![1, 2], vec![1, 2, 3]));
    assert_eq!(waiting(&sink).await, [(2, 1), (3, 0)]);
}
