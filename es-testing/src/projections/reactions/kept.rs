//! What is kept of a reaction: its checkpoint, its lease, its health.

use std::time::Duration;

use es_core::backend::{Definition, ListParked, Position, RawKeying, SinkError, Slot};
use es_core::environment::Environment;
use es_core::execution::Retry;
use es_core::projection::{
    FailurePolicy, HealthState, Rebuild, RebuildError, Subscription, TroubleKind,
};

use super::super::ProjectionFixture;
use super::super::models::{CLOSED, accounts, accounts_paid, taken};
use super::super::parts::*;
use super::subject::{FromBeginning, NAME};
use super::{Reactors, Subject};

async fn reached(sink: &Sink) -> Position {
    let active = status(sink, NAME).await.and_then(|status| status.active);
    active.expect("the reaction has run").checkpoint().position
}

/// The place of the last event.
async fn last(store: &Store) -> Position {
    read_log(store).await.last().map_or(Position::START, |event| event.position)
}

pub(super) async fn a_checkpoint_follows_the_effect(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let subject = Subject::hanging_at("1", 2);
    accounts_paid(&store, &["1", "2"], 1..=5).await;
    let others = subject.until(|it| it.given("2").len() == 5 && it.given("1").len() == 2);
    subject.beside(fixture, reactors, "all but one stream is given", others).await;
    let held_back = read(&store, &stream("1")).await[1].position;
    assert!(reached(&sink).await < held_back, "the checkpoint passed a call that has not ended");
    let next = Subject::sound();
    next.caught_up(fixture, reactors, "one").await;
    assert!(next.given("1").ends_with(&[2, 3, 4, 5]), "whoever comes next makes the call again");
    assert!(reached(&sink).await >= last(&store).await, "it has come to the end");
}

pub(super) async fn two_runners_take_turns(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let both = with_models(&store, &sink);
    let (first, second) = (Subject::hanging_at("1", 3), Subject::sound());
    accounts_paid(&store, &["1"], 1..=2).await;
    first.caught_up(fixture, reactors, "one").await;
    match soon("who is second is answered", reactors.attend(&both, "two", second.clone(), false))
        .await
    {
        Err(error) => assert!(error.contains("`one`"), "it says who has the lease: {error}"),
        Ok(()) => panic!("two at once"),
    }
    assert_eq!(second.count(), 0, "nothing is given without the lease");
    let overtaken = async {
        accounts_paid(&store, &["1", "2"], 3..=4).await;
        first.until(|it| it.given("1").contains(&3)).await;
        fixture.clock().step(TTL + Duration::from_secs(1));
        second.caught_up(fixture, reactors, "two").await;
    };
    first.beside(fixture, reactors, "a lease that has expired is taken over", overtaken).await;
    assert_eq!(second.given("1"), [3, 4], "what was not committed is given again");
    assert!(reached(&sink).await >= last(&store).await, "it has come to the end");
    let before = first.count();
    let answer = reactors.attend(&both, "one", first.clone(), false);
    let answer = soon("who was overtaken is answered", answer).await;
    assert!(answer.is_err(), "who lost its lease cannot go on");
    assert_eq!(first.count(), before, "who lost its lease gives nothing");
}

pub(super) async fn a_long_call_keeps_its_lease(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    const LEASE: Duration = Duration::from_millis(300);
    let (store, sink) = (fixture.store(), fixture.sink());
    let subject = Subject::hanging_at("1", 1).leased(LEASE);
    let kept = async {
        accounts_paid(&store, &["1"], 1..=1).await;
        subject.until(|it| it.count() == 1).await;
        for _ in 0..5 {
            // less than it lasts, and more in all
            let renewed = fixture.clock().step(LEASE * 2 / 3).plus(LEASE);
            loop {
                let active = status(&sink, NAME).await.and_then(|status| status.active);
                let holder = active.and_then(|active| active.holder);
                let holder = holder.expect("somebody has the lease as long as the call lasts");
                if holder.expires_at >= renewed {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    };
    subject.beside(fixture, reactors, "the lease is renewed while a call lasts", kept).await;
    assert_eq!(subject.count(), 1, "the call is made once");
}

pub(super) async fn health_tells_the_truth(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink, clock) = (fixture.store(), fixture.sink(), fixture.clock());
    let environment = Environment::default().with_clock(clock.clone());
    let subscription = Subscription::reaction::<FromBeginning>(with_models(&store, &sink));
    let subscription = subscription.with_environment(environment);
    let health = || async {
        let health = subscription.health().await;
        health.unwrap_or_else(|error| panic!("asking for health failed: {error}"))
    };
    accounts_paid(&store, &["1"], 1..=3).await;
    clock.step(Duration::from_secs(5));
    let before = health().await;
    assert_eq!((before.state, before.lag.events), (HealthState::NotRunning, 3));
    assert_eq!(before.lag.time, Duration::from_secs(5));
    let failing = Subject::new(|event| {
        let fails = number(event) == 2;
        Box::pin(async move { if fails { Err("it fails".into()) } else { Ok(()) } })
    });
    let hour = Duration::from_secs(3_600);
    let patient = FailurePolicy::park_key().after(Retry { retries: 9, base: hour, longest: hour });
    let told = async {
        loop {
            let health = health().await;
            if let Some(trouble) = health.trouble {
                return (health.state, trouble);
            }
            tokio::task::yield_now().await;
        }
    };
    let trying = failing.clone().policy(|policy| policy.on_failure(patient));
    let (state, told) = trying.beside(fixture, reactors, "what is tried again is told", told).await;
    assert_eq!((state, told.kind()), (HealthState::Behind, TroubleKind::Retrying), "{told:?}");
    assert!(!told.kind().is_final() && told.message.contains("it fails"), "{told:?}");
    failing.caught_up(fixture, reactors, "one").await;
    let parked = health().await;
    assert_eq!((parked.state, parked.waiting, parked.lag.events), (HealthState::Parked, 2, 0));
    assert_eq!(parked.holder.map(|holder| holder.name).as_deref(), Some("one"));
    let listed = sink.parked(NAME, Slot::Active, &ListParked::default()).await;
    let listed = listed.unwrap_or_else(|error| panic!("listing what is parked failed: {error}"));
    let discarded = subscription.discard(&listed[0].id(), "by hand").await;
    assert!(discarded.is_ok(), "it waits: {discarded:?}");
    failing.caught_up(fixture, reactors, "one").await;
    let idle = health().await;
    assert_eq!((idle.state, idle.waiting, idle.discarded), (HealthState::Idle, 0, 1));
    clock.step(TTL + Duration::from_secs(1));
    assert_eq!(health().await.state, HealthState::NotRunning, "the lease has expired");
}

pub(super) async fn a_rebuild_repeats_nothing(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let both = with_models(&store, &sink);
    let subject = Subject::sound();
    accounts_paid(&store, &["1"], 1..=3).await;
    let selection = accounts();
    let projection = Definition::rows(NAME, 1, selection, RawKeying::Streams, |_, row, event| {
        Ok(taken(row, event))
    });
    let mut early = Rebuild::definition(&both, projection.clone());
    let filled = soon("a rebuild is answered", early.fill()).await;
    assert!(filled.is_ok(), "nothing has this name yet: {filled:?}");
    subject.caught_up(fixture, reactors, "one").await;
    let switched = soon("a switch is answered", early.switch()).await;
    let rebuilt = Rebuild::definition(&both, projection.clone()).run();
    let rebuilt = soon("a rebuild is answered", rebuilt).await;
    for refused in [switched, rebuilt] {
        match refused {
            Err(RebuildError::Sink(SinkError::Unusable { projection, .. })) => {
                assert_eq!(projection, NAME);
            }
            other => panic!("what has a reaction's name must not be rebuilt, but: {other:?}"),
        }
    }
    let kept = Subscription::reaction::<FromBeginning>(&both).keep_inline().await;
    assert!(matches!(kept, Err(SinkError::Unusable { .. })), "no append calls it: {kept:?}");
    let mut runner = super::super::models::runner(&store, &sink, "one").definition(projection);
    let changed = soon("a runner is answered", runner.catch_up()).await;
    let changed = changed.expect_err("a projection of its name is other code").to_string();
    assert!(changed.contains("give one of the two another name"), "it names the cure: {changed}");
    append(&store, &stream("1"), ANY, vec![typed_event(CLOSED, 4)]).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert_eq!(subject.given("1"), [1, 2, 3, 4], "each was given once");
}

pub(super) async fn other_code_goes_on(fixture: &dyn ProjectionFixture, reactors: &dyn Reactors) {
    let store = fixture.store();
    let (before, narrow, after) = (Subject::sound(), Subject::sound().narrow(), Subject::sound());
    accounts_paid(&store, &["1"], 1..=2).await;
    before.caught_up(fixture, reactors, "one").await;
    accounts_paid(&store, &["1"], 3..=3).await;
    append(&store, &stream("1"), ANY, vec![typed_event(CLOSED, 4)]).await;
    narrow.caught_up(fixture, reactors, "one").await;
    assert_eq!(narrow.given("1"), [3], "it goes on where the other code was");
    append(&store, &stream("1"), ANY, vec![typed_event(CLOSED, 5)]).await;
    after.caught_up(fixture, reactors, "one").await;
    assert_eq!(after.given("1"), [5], "new kinds are given from where it stands");
}
