//! What is given, when, and in which order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use es_core::backend::{AppendRequest, ListParked, Slot};
use es_core::execution::Retry;
use es_core::projection::{FailurePolicy, ParkedState};
use es_core::reaction::Start;
use tokio::sync::Semaphore;

use super::super::ProjectionFixture;
use super::super::cut::{Side, cut};
use super::super::models::accounts_paid;
use super::super::parts::*;
use super::subject::NAME;
use super::{Reactors, Subject};

pub(super) async fn every_event_is_given_after_any_cut(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    const CALLS: u64 = 6;
    let (store, sink) = (fixture.store(), fixture.sink());
    let subject = Subject::sound();
    for at in 0..CALLS {
        for side in [Side::Before, Side::After] {
            accounts_paid(&store, &["1", "2"], at * 10..=at * 10 + 2).await;
            let cut_off = with_models(&store, &cut(&sink, at, side));
            // whether it notices depends on how many calls it makes
            let first = reactors.attend(&cut_off, "one", subject.clone(), false);
            let _ = soon("a reaction that is cut off comes back", first).await;
            subject.caught_up(fixture, reactors, "one").await;
            for account in ["1", "2"] {
                let log = numbers(&read(&store, &stream(account)).await);
                let given = BTreeSet::from_iter(subject.given(account));
                assert_eq!(given, BTreeSet::from_iter(log), "cut {side:?} call {at}");
            }
        }
    }
    // what was begun is ended by a process that goes on, too
    let hanging = Subject::hanging_at("3", 2);
    let begun = async {
        accounts_paid(&store, &["3", "4"], 1..=3).await;
        hanging.until(|it| it.given("3").contains(&2)).await;
    };
    hanging.beside(fixture, reactors, "a call begins", begun).await;
    subject.caught_up(fixture, reactors, "one").await;
    assert!(subject.given("3").ends_with(&[2, 3]), "the call that was cut off is made again");
}

pub(super) async fn what_is_not_committed_is_not_given(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let store = fixture.store();
    let log = store.clone();
    let subject = Subject::new(move |event| {
        let log = log.clone();
        Box::pin(async move {
            let recorded = read(&log, &event.stream).await;
            match recorded.iter().any(|it| it.event_id == event.event_id) {
                true => Ok(()),
                false => panic!("event {} is given and not in its stream", event.event_id),
            }
        })
    });
    let appended = async {
        append(&store, &stream("1"), NONE, vec![event(1)]).await;
        let refused = AppendRequest::to(stream("1"), NONE, vec![event(2)]);
        assert!(store.append(refused).await.is_err(), "the stream exists");
        append(&store, &stream("1"), ANY, vec![event(3)]).await;
        subject.until(|it| it.given("1").contains(&3)).await;
    };
    subject.beside(fixture, reactors, "what is committed is given", appended).await;
    assert_eq!(subject.given("1"), [1, 3]);
}

pub(super) async fn a_stream_is_in_order(fixture: &dyn ProjectionFixture, reactors: &dyn Reactors) {
    // some take longer than others
    let subject = Subject::new(|event| {
        let turns = number(event) * 7 % 5;
        Box::pin(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    });
    accounts_paid(&fixture.store(), &["1", "2", "3"], 1..=30).await;
    subject.caught_up(fixture, reactors, "one").await;
    for account in ["1", "2", "3"] {
        assert_eq!(subject.given(account), Vec::from_iter(1..=30));
    }
    assert!(!subject.is_overlapping(), "two events of one stream were under way at once");
}

pub(super) async fn other_streams_go_on(fixture: &dyn ProjectionFixture, reactors: &dyn Reactors) {
    let subject = Subject::hanging_at("1", 1);
    accounts_paid(&fixture.store(), &["1", "2"], 1..=5).await;
    let others = subject.until(|it| it.given("2") == [1, 2, 3, 4, 5]);
    subject.beside(fixture, reactors, "other streams go on", others).await;
    assert_eq!(subject.given("1"), [1], "what follows in its stream waits");
}

pub(super) async fn a_stream_goes_on_while_another_hangs(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, subject) = (fixture.store(), Subject::hanging_at("1", 1));
    let later = async {
        accounts_paid(&store, &["1"], 1..=2).await;
        subject.until(|it| it.count() == 1).await;
        accounts_paid(&store, &["2"], 1..=3).await;
        subject.until(|it| it.given("2") == [1, 2, 3]).await;
    };
    subject.beside(fixture, reactors, "what comes later is given", later).await;
}

pub(super) async fn what_fails_for_long_holds_up_no_other(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let healed = Arc::new(AtomicBool::new(false));
    let seen = healed.clone();
    let hour = Duration::from_secs(3_600);
    let patient = FailurePolicy::park_key().after(Retry { retries: 9, base: hour, longest: hour });
    let subject = Subject::new(move |event| {
        let fails = event.stream.aggregate_id() == "1" && !seen.load(Ordering::SeqCst);
        Box::pin(async move { if fails { Err("it is away".into()) } else { Ok(()) } })
    });
    let subject = subject.policy(|policy| policy.ahead(4).on_failure(patient));
    let others = async {
        // more than are held at once
        accounts_paid(&store, &["1", "2"], 1..=10).await;
        subject.until(|it| it.given("2").contains(&10)).await;
    };
    subject.beside(fixture, reactors, "other streams go on", others).await;
    assert_eq!(BTreeSet::from_iter(subject.given("1")), BTreeSet::from([1]), "the others wait");
    let parked = sink.parked(NAME, Slot::Active, &ListParked::waiting("account/1")).await;
    let parked = parked.unwrap_or_else(|error| panic!("listing what is parked failed: {error}"));
    let first = parked.first().expect("who asks finds what is set aside");
    assert_eq!((first.event.version, &*first.reason), (version(1), "it is away"));
    assert_eq!(first.state, ParkedState::Waiting { is_due: true }, "nobody has to ask for it");
    healed.store(true, Ordering::SeqCst);
    subject.caught_up(fixture, reactors, "one").await;
    assert!(subject.given("1").ends_with(&Vec::from_iter(1..=10)), "in order, from its first");
}

pub(super) async fn calls_are_bounded(fixture: &dyn ProjectionFixture, reactors: &dyn Reactors) {
    let accounts = ["1", "2", "3", "4", "5", "6"];
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let subject = Subject::new(move |_| {
        let gate = held.clone();
        Box::pin(async move {
            gate.acquire().await?.forget();
            Ok(())
        })
    });
    let subject = subject.policy(|policy| policy.concurrency(2));
    accounts_paid(&fixture.store(), &accounts, 1..=2).await;
    let all = async {
        for ended in 0..12 {
            // as many as may be are under way, and no more
            subject.until(|it| it.count() >= (ended + 2).min(12)).await;
            gate.add_permits(1);
        }
    };
    subject.beside(fixture, reactors, "all are given, two at once", all).await;
    assert_eq!(subject.most(), 2);
}

pub(super) async fn the_start_is_recorded(
    fixture: &dyn ProjectionFixture,
    reactors: &dyn Reactors,
) {
    let store = fixture.store();
    accounts_paid(&store, &["1"], 1..=3).await;
    let first = Subject::sound().starting(Start::Now);
    first.caught_up(fixture, reactors, "one").await;
    assert!(first.given("1").is_empty(), "that was before");
    accounts_paid(&store, &["1"], 4..=5).await;
    let second = Subject::sound().starting(Start::Beginning);
    second.caught_up(fixture, reactors, "one").await;
    assert_eq!(second.given("1"), [4, 5], "where it began is not decided again");
    accounts_paid(&store, &["1"], 6..=6).await;
    let third = Subject::sound().starting(Start::Now);
    third.caught_up(fixture, reactors, "one").await;
    assert_eq!(third.given("1"), [6], "nor is where it goes on");
}

pub(super) async fn now_on_an_empty_log(fixture: &dyn ProjectionFixture, reactors: &dyn Reactors) {
    let first = Subject::sound().starting(Start::Now);
    first.caught_up(fixture, reactors, "one").await;
    accounts_paid(&fixture.store(), &["1"], 1..=2).await;
    let second = Subject::sound().starting(Start::Now);
    second.caught_up(fixture, reactors, "one").await;
    assert_eq!(second.given("1"), [1, 2], "it began before them");
}
