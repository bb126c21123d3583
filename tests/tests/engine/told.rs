//! What decisions and the cache tell of themselves: a span each, and counters.

use es_core::ExpectedVersion::NoStream;
use es_core::backend::StoreErrorKind;
use es_core::execution::Retry;
use es_core::{Aggregate, Repository, transact};
use es_testing::fault::Call;

use super::account::*;
use super::telemetry::{Fields, Kept, Spans};

/// What stands in ids and keys.
const SECRET: &str = "zyx";

/// Of another type than accounts.
#[derive(Clone, Default)]
struct Ledger;

impl Aggregate for Ledger {
    const TYPE: &'static str = "ledger";
    type Id = String;
    type Event = AccountEvent;

    fn evolve(&mut self, _: &AccountEvent) {}
}

/// A span with these fields and no others.
fn span(aggregate: Option<&str>, attempts: u32, outcome: &str) -> Fields {
    let fields = [
        ("name", Some("es.decision".to_owned())),
        ("es.aggregate.type", aggregate.map(str::to_owned)),
        ("es.decision.attempts", Some(attempts.to_string())),
        ("es.decision.outcome", Some(outcome.to_owned())),
    ];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.collect()
}

#[tokio::test(flavor = "current_thread")]
async fn each_decision_is_a_span_and_is_counted_by_how_it_ended() {
    let (kept, spans) = (Kept::default(), Spans::of("es_core::execution"));
    let _recording = metrics::set_default_local_recorder(&kept);
    let _watching = tracing::subscriber::set_default(spans.clone());
    let (memory, faults, accounts) = faulty();
    let accounts = accounts.with_retry(Retry::NONE);
    let account = accounts.by_id(SECRET);
    let is = |attempts: u32, outcome: &str| {
        assert_eq!(spans.take(), [span(Some("account"), attempts, outcome)]);
    };
    let deposit = |account: &Account| account.deposit(5);

    account.decide(deposit).await.unwrap();
    is(1, "written");
    account.decide(|_| None).await.unwrap();
    is(1, "nothing");
    account.decide(|account| account.withdraw(9)).await.unwrap_err();
    is(1, "rejected");
    account.clone().expecting(NoStream).decide(deposit).await.unwrap_err();
    is(1, "precondition_failed");
    let overtaken = || {
        account.decide(|account| {
            slip_in(&memory, SECRET, 1);
            account.deposit(1)
        })
    };
    overtaken().await.unwrap_err();
    is(1, "conflict");
    overtaken().retry(Retry::times(2)).await.unwrap_err();
    is(3, "conflict");
    account.decide(deposit).idempotency_key(SECRET).await.unwrap();
    is(1, "written");
    account.decide(deposit).idempotency_key(SECRET).await.unwrap();
    is(1, "repeat");
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    account.decide(deposit).retry(Retry::times(1)).await.unwrap();
    is(2, "written");
    faults.fail(Call::Append, 1, StoreErrorKind::Full);
    account.decide(deposit).retry(Retry::times(9)).await.unwrap_err();
    is(1, "failed");

    // what is of several types has none
    let ledgers = Repository::<Ledger>::new(accounts.store());
    let both = transact((account.clone(), ledgers.by_id(SECRET)), |_| Ok::<_, TooLittle>(()));
    both.await.unwrap();
    assert_eq!(spans.take(), [span(None, 1, "nothing")]);
    let two = transact(vec![account.clone(), accounts.by_id("b")], |_| Ok::<_, TooLittle>(()));
    two.await.unwrap();
    is(1, "nothing");

    for (outcome, count) in [
        ("written", 3),
        ("nothing", 2),
        ("rejected", 1),
        ("precondition_failed", 1),
        ("conflict", 2),
        ("repeat", 1),
        ("failed", 1),
    ] {
        let labels = format!("es.aggregate.type=account,es.decision.outcome={outcome}");
        assert_eq!(kept.read("es.decisions", &labels), Some(count), "{outcome}");
    }
    assert_eq!(kept.read("es.decisions", "es.decision.outcome=nothing"), Some(1));
    assert_eq!(kept.read("es.decision.retries", "es.aggregate.type=account"), Some(2 + 1));
    let names = kept.names();
    assert!(names.iter().all(|name| !name.contains(SECRET)), "{names:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn who_begins_to_record_later_is_told_too() {
    let accounts = accounts(&store()).with_cache(10);
    let deposit = async || {
        let decided = accounts.by_id("a").decide(|account| account.deposit(1)).await;
        decided.unwrap();
    };
    deposit().await;
    for _ in 0..2 {
        let kept = Kept::default();
        let _recording = metrics::set_default_local_recorder(&kept);
        deposit().await;
        let labels = "es.aggregate.type=account,es.decision.outcome=written";
        assert_eq!(kept.read("es.decisions", labels), Some(1));
        assert_eq!(kept.read("es.state_cache.hits", "es.aggregate.type=account"), Some(1));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_a_cache_saves_is_counted() {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let store = store();
    ["a", "b"].iter().for_each(|account| slip_in(&store, account, 1));
    let without = accounts(&store);
    without.load("a").await.unwrap();
    assert!(kept.names().iter().all(|name| !name.starts_with("es.state_cache")));
    let accounts = without.with_cache(10);
    let load = async |account: &str| drop(accounts.load(account).await.unwrap());
    load("a").await;
    load("a").await;
    load("b").await;
    accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
    load("none").await;
    // what has no event is not kept
    load("none").await;
    let read = |name: &str| kept.read(name, "es.aggregate.type=account");
    assert_eq!(read("es.state_cache.hits"), Some(2));
    assert_eq!(read("es.state_cache.misses"), Some(4));
}

#[tokio::test(flavor = "current_thread")]
async fn what_deciding_from_the_cache_saves_is_counted() {
    let kept = Kept::default();
    let _recording = metrics::set_default_local_recorder(&kept);
    let store = store();
    let accounts = accounts(&store).with_cache(10).deciding_from_cache();
    let deposit = |account: &Account| account.deposit(1);
    accounts.by_id("a").decide(deposit).await.unwrap();
    accounts.by_id("a").decide(deposit).await.unwrap();
    slip_in(&store, "a", 1);
    accounts.by_id("a").decide(deposit).await.unwrap();
    let read = |name: &str| kept.read(name, "es.aggregate.type=account");
    let unread = |outcome: &str| {
        let labels = format!("es.aggregate.type=account,es.decision.unread.outcome={outcome}");
        kept.read("es.decisions.unread", &labels)
    };
    assert_eq!((unread("answered"), unread("read_for")), (Some(1), Some(1)));
    assert_eq!((read("es.state_cache.hits"), read("es.state_cache.misses")), (Some(2), Some(1)));
    // where one is to be read all are, and the one that is kept is one hit
    slip_in(&store, "b", 1);
    accounts.load("b").await.unwrap();
    let both = transact((accounts.by_id("a"), accounts.by_id("b")), |(a, b)| {
        a.record(a.deposit(1)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    both.await.unwrap();
    assert_eq!((unread("answered"), unread("read_for")), (Some(1), Some(1)));
    assert_eq!((read("es.state_cache.hits"), read("es.state_cache.misses")), (Some(4), Some(2)));
}
