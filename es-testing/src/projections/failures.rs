//! Events that a projection cannot take.

use es_core::Runner;
use es_core::backend::{Definition, ListParked, Slot};
use es_core::projection::{BatchLimit, FailurePolicy, HealthState, TroubleKind};

use super::ProjectionFixture;
pub(super) use super::judged::a_row_is_judged_after_each_event;
use super::models::*;
use super::parts::*;
use super::tables::entries::{ENTRIES, Entries, entries, entries_in};
use super::upcasting::{After, Before, Payments, older, oldest};

const SMALL: BatchLimit = BatchLimit::events(3).bytes(usize::MAX).rows(usize::MAX);

fn poison(number: u64) -> es_core::backend::NewEvent {
    typed_event(POISON, number)
}

/// Two accounts, in the first of which the third of five events is poison.
async fn poisoned(fixture: &dyn ProjectionFixture) -> (Store, Sink) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=2).await;
    append(&store, &stream("1"), ANY, vec![poison(3)]).await;
    accounts_paid(&store, &["1", "2"], 4..=5).await;
    (store, sink)
}

fn parking(store: &Store, sink: &Sink, poison: &Poison) -> Runner {
    runner(store, sink, "one")
        .definition(Seen::failing(poison.clone()).on_failure(FailurePolicy::park_key()))
}

async fn stops(runner: &mut Runner) -> String {
    let stopped = soon("a runner that stops comes back", runner.catch_up()).await;
    let error = stopped.expect_err("an event cannot be taken");
    assert_eq!(error.stopped.len(), 1, "one projection stopped");
    error.to_string()
}

async fn number_of_waiting(sink: &Sink, projection: &str) -> u64 {
    let active = status(sink, projection).await.and_then(|status| status.active);
    active.map_or(0, |active| active.waiting)
}

pub(super) async fn a_poison_event_stops_without_loss(fixture: &dyn ProjectionFixture) {
    let (store, sink) = poisoned(fixture).await;
    for limit in [BatchLimit::default(), SMALL, BatchLimit::events(1)] {
        let bad = Poison::refused(u32::MAX);
        let mut first = runner(&store, &sink, "one")
            .definition(Seen::failing(bad))
            .definition(Crossing::model())
            .batches(limit);
        let reason = stops(&mut first).await;
        assert!(reason.contains("number 3 is poison"), "it says why: {reason}");
        let log = read_log(&store).await;
        let place = log[3].position;
        let active = status(&sink, "seen").await.and_then(|status| status.active);
        let active = active.expect("the model is there");
        assert_eq!(active.checkpoint().position, place, "it stands before the event");
        let trouble = active.trouble.expect("it says what is wrong");
        assert!(trouble.message.contains("number 3 is poison"), "{trouble:?}");
        assert_eq!(active.holder, None, "another one can go on at once");
        let seen = stored(&sink, "seen", Slot::Active).await;
        assert_eq!(seen["account/1"], numbers_of(&[1, 2]), "what stands before it is taken");
        assert_eq!(seen["account/2"], numbers_of(&[1, 2]), "and nothing that stands after it");
        let crossing = stored(&sink, "crossing", Slot::Active).await;
        assert_eq!(crossing, lives(&store, Crossing::model()).await, "other projections go on");
        first.release().await;
    }
    let mut fixed = runner(&store, &sink, "two").definition(Seen::model());
    caught_up(&mut fixed).await;
    serves_the_fold(&store, &sink, Seen::model()).await;
}

pub(super) async fn a_panic_is_a_failure(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1"], 1..=2).await;
    append(&store, &stream("1"), ANY, vec![typed_event(PANIC, 3)]).await;
    let mut first = runner(&store, &sink, "one").definition(Seen::model());
    let reason = stops(&mut first).await;
    assert!(reason.contains("this is how a bug looks"), "it says why: {reason}");
    let seen = stored(&sink, "seen", Slot::Active).await;
    assert_eq!(seen["account/1"], numbers_of(&[1, 2]), "what stands before it is taken");
    // so it is where tables are kept
    let mut second = runner(&store, &sink, "one").definition(Definition::table::<Entries>());
    let reason = stops(&mut second).await;
    assert!(reason.contains("this is how a bug looks"), "it says why: {reason}");
    let log = read_log(&store).await;
    assert_eq!(entries(&sink, Slot::Active).await, entries_in(&log[..2]));
}

pub(super) async fn a_failure_is_tried_again(fixture: &dyn ProjectionFixture) {
    let (store, sink) = poisoned(fixture).await;
    let policy = FailurePolicy::stop().after(no_delay(3));
    let mut passing = runner(&store, &sink, "one")
        .definition(Seen::failing(Poison::refused(3)).on_failure(policy));
    caught_up(&mut passing).await;
    serves_the_fold(&store, &sink, Seen::model()).await;

    append(&store, &stream("3"), ANY, vec![poison(9)]).await;
    passing.release().await;
    let policy = FailurePolicy::park_key().after(no_delay(2));
    let mut parking = runner(&store, &sink, "one")
        .definition(Seen::failing(Poison::refused(u32::MAX)).on_failure(policy));
    caught_up(&mut parking).await;
    let entries = sink.parked("seen", Slot::Active, &ListParked::default()).await;
    let entries = entries.expect("the model is there");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].attempts, 3, "the first attempt and two more");
}

pub(super) async fn a_parked_key_lets_others_go_on(fixture: &dyn ProjectionFixture) {
    let (store, sink) = poisoned(fixture).await;
    for (limit, count) in [(BatchLimit::default(), 3), (SMALL, 4), (BatchLimit::events(1), 5)] {
        let bad = Poison::refused(u32::MAX);
        let mut runner = parking(&store, &sink, &bad).batches(limit);
        caught_up(&mut runner).await;
        let seen = stored(&sink, "seen", Slot::Active).await;
        assert_eq!(seen["account/1"], numbers_of(&[1, 2]), "the key stands before the event");
        let log = read_log(&store).await;
        let of_two = log.iter().filter(|event| event.stream == stream("2"));
        let of_two: Vec<_> = of_two.map(number).collect();
        assert_eq!(seen["account/2"], numbers_of(&of_two), "the other key goes on");
        let entries = sink.parked("seen", Slot::Active, &ListParked::waiting("account/1")).await;
        let entries = entries.expect("the model is there");
        assert_eq!(entries.len(), count, "the event and all that follow it wait");
        assert_eq!((entries[0].attempts, entries[1].attempts), (1, 0));
        assert!(entries[0].reason.contains("number 3 is poison"), "{}", entries[0].reason);
        let of_one = log.iter().filter(|event| event.stream == stream("1")).skip(2);
        let wanted: Vec<_> = of_one.map(|event| event.event_id).collect();
        let waiting: Vec<_> = entries.iter().map(|entry| entry.event.event_id).collect();
        assert_eq!(waiting, wanted, "in the order of the log");
        let (clock, definition) = (fixture.clock(), Seen::failing(bad));
        let health = health(&store, &sink, &clock, &definition).await;
        let health = health.expect("store and sink answer");
        assert_eq!((health.state, health.waiting), (HealthState::Parked, count as u64));
        accounts_paid(&store, &["1", "2"], 6..=6).await;
    }
}

pub(super) async fn parked_events_are_retried_in_order(fixture: &dyn ProjectionFixture) {
    let (store, sink) = poisoned(fixture).await;
    append(&store, &stream("1"), ANY, vec![poison(6)]).await;
    append(&store, &stream("1"), ANY, events(7..=12)).await;
    let bad = Poison::refused(u32::MAX);
    let mut runner = parking(&store, &sink, &bad).batches(SMALL);
    caught_up(&mut runner).await;
    let waiting = number_of_waiting(&sink, "seen").await;

    // nothing was fixed: the key stays as it is
    retried(&sink, "seen", "account/1").await;
    caught_up(&mut runner).await;
    assert_eq!(number_of_waiting(&sink, "seen").await, waiting);
    let entries = sink.parked("seen", Slot::Active, &ListParked::waiting("account/1")).await;
    assert_eq!(entries.expect("the model is there")[0].attempts, 2);

    // fixed, and in the end at the same place as if nothing had happened
    bad.heal();
    caught_up(&mut runner).await;
    assert_eq!(number_of_waiting(&sink, "seen").await, waiting, "nobody asked");
    retried(&sink, "seen", "account/1").await;
    append(&store, &stream("1"), ANY, events(13..=14)).await;
    caught_up(&mut runner).await;
    assert_eq!(number_of_waiting(&sink, "seen").await, 0);
    serves_the_fold(&store, &sink, Seen::model()).await;
    append(&store, &stream("1"), ANY, events(15..=15)).await;
    caught_up(&mut runner).await;
    serves_the_fold(&store, &sink, Seen::model()).await;
}

pub(super) async fn parked_events_are_retried_through_an_upcaster(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), ANY, vec![older(1), oldest(2), older(3)]).await;
    append(&store, &stream("2"), ANY, vec![older(4)]).await;
    let mut before = runner(&store, &sink, "one").projection::<Payments<Before>>();
    caught_up(&mut before).await;
    let paid = stored(&sink, "payments", Slot::Active).await;
    assert_eq!(paid["account/1"], numbers_of(&[1]), "the key stands before the event");
    assert_eq!(paid["account/2"], numbers_of(&[4]), "the other key goes on");
    assert_eq!(number_of_waiting(&sink, "payments").await, 2);
    before.release().await;

    let mut after = runner(&store, &sink, "two").projection::<Payments<After>>();
    caught_up(&mut after).await;
    assert_eq!(number_of_waiting(&sink, "payments").await, 2, "nobody asked");
    retried(&sink, "payments", "account/1").await;
    append(&store, &stream("1"), ANY, vec![oldest(5)]).await;
    caught_up(&mut after).await;
    assert_eq!(number_of_waiting(&sink, "payments").await, 0);
    let paid = stored(&sink, "payments", Slot::Active).await;
    assert_eq!(paid["account/1"], numbers_of(&[1, 2, 3, 5]), "what was parked is a reference");
    assert_eq!(paid, lives(&store, Definition::of::<Payments<After>>()).await);
}

pub(super) async fn a_discarded_event_is_left_out(fixture: &dyn ProjectionFixture) {
    let (store, sink) = poisoned(fixture).await;
    let bad = Poison::refused(u32::MAX);
    let mut runner = parking(&store, &sink, &bad);
    caught_up(&mut runner).await;
    let entries = sink.parked("seen", Slot::Active, &ListParked::default()).await;
    let first = entries.expect("the model is there").remove(0);
    let discarded = sink.discard("seen", Slot::Active, &first.id(), "sold twice").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    append(&store, &stream("1"), ANY, events(6..=6)).await;
    caught_up(&mut runner).await;
    let expected = numbers_of(&[1, 2, 4, 5, 6]);
    let seen = stored(&sink, "seen", Slot::Active).await;
    assert_eq!(seen["account/1"], expected, "the key goes on without the event");
    runner.release().await;

    // also in a model that is made anew, from the same or from other code
    let rebuild =
        es_core::projection::Rebuild::definition(with_models(&store, &sink), Seen::failing(bad));
    let rebuilt = rebuild.slices(2).run().await;
    assert!(rebuilt.is_ok(), "what was discarded stops nothing: {rebuilt:?}");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, seen);
    let entries = sink.parked("seen", Slot::Active, &ListParked::default()).await;
    assert_eq!(entries.expect("the model is there").len(), 1, "the record is kept");
}

pub(super) async fn a_refused_batch_is_halved(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), ANY, events(1..=6)).await;
    append(&store, &stream("1"), ANY, vec![poison(7)]).await;
    append(&store, &stream("2"), ANY, events(8..=15)).await;
    append(&store, &stream("1"), ANY, events(16..=18)).await;
    let log = read_log(&store).await;
    let mut stopping = runner(&store, &sink, "one").definition(Definition::table::<Entries>());
    let reason = stops(&mut stopping).await;
    assert!(reason.contains("cannot be taken under key `account/1`"), "it says why: {reason}");
    let before = entries_in(&log[..6]);
    assert_eq!(entries(&sink, Slot::Active).await, before, "what stands before it is taken");

    let policy = FailurePolicy::park_key();
    let parking = Definition::table::<Entries>().on_failure(policy);
    let mut parking = runner(&store, &sink, "one").definition(parking);
    caught_up(&mut parking).await;
    let others = log.iter().filter(|event| event.stream == stream("2") || number(event) < 7);
    assert_eq!(entries(&sink, Slot::Active).await, entries_in(others), "other streams go on");
    assert_eq!(number_of_waiting(&sink, ENTRIES).await, 4, "the event and three that follow it");

    let healed = Definition::table::<Entries<true>>().on_failure(policy);
    let mut healed = runner(&store, &sink, "one").definition(healed);
    retried(&sink, ENTRIES, "account/1").await;
    caught_up(&mut healed).await;
    assert_eq!(entries(&sink, Slot::Active).await, entries_in(&log));
    assert_eq!(number_of_waiting(&sink, ENTRIES).await, 0);
}

pub(super) async fn health_tells_the_truth(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let (clock, bad) = (fixture.clock(), Poison::refused(u32::MAX));
    let definition = Seen::failing(bad.clone());
    let ask = || async {
        let asked = health(&store, &sink, &clock, &definition).await;
        asked.unwrap_or_else(|error| panic!("asking failed: {error}"))
    };
    accounts_paid(&store, &["1"], 1..=2).await;
    let asked = ask().await;
    assert_eq!((asked.state, asked.lag.events), (HealthState::NotRunning, 2));
    let environment = es_core::environment::Environment::default().with_clock(clock.clone());
    let mut runner = runner(&store, &sink, "one")
        .environment(environment)
        .definition(Seen::failing(bad.clone()));
    caught_up(&mut runner).await;
    let asked = ask().await;
    assert_eq!((asked.state, asked.lag.events), (HealthState::Idle, 0));
    assert_eq!(asked.holder.map(|holder| holder.name).as_deref(), Some("one"));
    assert_eq!(asked.position, end_of_log(&store).await);
    append(&store, &typed_stream("audit", "1"), ANY, events(1..=9)).await;
    let passed = std::time::Duration::from_secs(7);
    accounts_paid(&store, &["1"], 3..=5).await;
    clock.step(passed);
    let asked = ask().await;
    assert_eq!((asked.state, asked.lag.events), (HealthState::Behind, 3), "only selected ones");
    assert!(asked.lag.is_exact);
    assert_eq!(asked.lag.time, passed, "since the first of them was recorded");
    append(&store, &stream("2"), ANY, vec![poison(9)]).await;
    let reason = stops(&mut runner).await;
    let asked = ask().await;
    assert_eq!(asked.state, HealthState::Stalled);
    let trouble = asked.trouble.expect("it says what is wrong");
    assert_eq!(trouble.kind(), TroubleKind::Poison);
    let (_, message) = trouble.message.split_once(": ").expect("the kind comes first");
    assert!(reason.contains(message), "{reason} / {message}");
    assert_eq!(asked.lag.events, 1);
    bad.heal();
    let mut runner =
        super::models::runner(&store, &sink, "two").definition(Seen::failing(bad.clone()));
    caught_up(&mut runner).await;
    assert_eq!(ask().await.state, HealthState::Idle);
    runner.release().await;
    assert_eq!(ask().await.state, HealthState::NotRunning);
}
