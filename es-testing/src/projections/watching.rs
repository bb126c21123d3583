//! What operators and readers are told.

use std::time::Duration;

use es_core::backend::{Lease, Renewal, Slot};
use es_core::environment::Clock;
use es_core::projection::{Holder, Trouble};
use futures_util::future::join_all;

use super::ProjectionFixture;
use super::parts::*;

const POLLS: usize = 20;

pub(super) async fn the_status_is_true(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let all = sink.status(None).await.expect("the sink answers");
    assert_eq!(all, [], "nothing was ever projected");
    let (sink, lease) = started(fixture).await;
    let first = fixture.clock().now();
    let later = fixture.clock().step(Duration::from_secs(5));
    commit(&sink, &lease, park(10, 13, vec![parked(11, "p", 1), parked(12, "p", 0)])).await;
    let active = status(&sink, "totals").await.and_then(|status| status.active);
    let active = active.expect("the model is there");
    assert_eq!((active.generation, active.events), (lease.generation, 13));
    assert_eq!(active.fingerprint, "totals v1");
    assert_eq!(active.committed_at, Some(later), "by the sink's clock");
    assert_eq!((active.waiting, active.discarded), (2, 0));
    assert_eq!(active.checkpoints, [at(13)]);
    let holder = Holder { name: "one".to_owned(), expires_at: first.plus(TTL), rate: None };
    assert_eq!(active.holder, Some(holder));
    fixture.clock().step(TTL);
    let active = status(&sink, "totals").await.and_then(|status| status.active);
    assert_eq!(active.and_then(|active| active.holder), None, "an expired lease is nobody's");
    acquired(&sink, &claim_of("alpha", "one")).await;
    acquired(&sink, &claim_of("zeta", "one")).await;
    let all = sink.status(None).await.expect("the sink answers");
    let names: Vec<_> = all.iter().map(|status| status.projection.as_str()).collect();
    assert_eq!(names, ["alpha", "totals", "zeta"], "all projections, by name");
}

pub(super) async fn a_rate_lasts_as_long_as_its_lease(fixture: &dyn ProjectionFixture) {
    let (sink, first) = started(fixture).await;
    let told = async || {
        let active = status(&sink, "totals").await.and_then(|status| status.active);
        active.and_then(|active| active.holder).map(|holder| (holder.name, holder.rate))
    };
    let by = |name: &str, rate: Option<f64>| Some((name.to_owned(), rate));
    let renewed = async |lease: &Lease, rate: Option<f64>| {
        let renewal = Renewal { rate, ..Renewal::lasting(TTL) };
        sink.renew(lease, &renewal).await.expect("the holder can renew");
    };
    assert_eq!(told().await, by("one", None), "it has not told a rate");
    renewed(&first, Some(12.5)).await;
    assert_eq!(told().await, by("one", Some(12.5)));
    commit(&sink, &first, batch(10, 11, vec![])).await;
    assert_eq!(told().await, by("one", Some(12.5)), "a commit says nothing about it");
    renewed(&first, None).await;
    assert_eq!(told().await, by("one", None), "it cannot say any more");
    renewed(&first, Some(7.0)).await;
    let second = acquired(&sink, &claim("one")).await;
    assert_eq!(told().await, by("one", None), "the process started again");
    renewed(&second, Some(6.0)).await;
    let late = Renewal { rate: Some(99.0), ..Renewal::lasting(TTL) };
    lost(sink.renew(&first, &late).await, "the lease was taken over");
    assert_eq!(told().await, by("one", Some(6.0)));
    sink.release(&second).await.expect("the holder can release");
    assert_eq!(told().await, None, "nobody runs it");
    let third = acquired(&sink, &claim("two")).await;
    assert_eq!(told().await, by("two", None), "that was the rate of another");
    renewed(&third, Some(5.0)).await;
    fixture.clock().step(TTL + Duration::from_secs(1));
    assert_eq!(told().await, None, "the lease has expired");
    acquired(&sink, &claim("three")).await;
    assert_eq!(told().await, by("three", None), "that was the rate of another");
    let filling = acquired(&sink, &shadow("four", 1)).await;
    commit(&sink, &filling, batch(0, 11, vec![])).await;
    renewed(&filling, Some(4.0)).await;
    sink.switch(&filling).await.expect("the shadow has caught up");
    let mut other = claim("five");
    other.fingerprint = "totals v2".to_owned();
    acquired(&sink, &other).await;
    assert_eq!(told().await, by("five", None), "that was the rate of the rebuild");
}

pub(super) async fn a_commit_clears_the_trouble(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let at_time = fixture.clock().step(Duration::from_secs(3));
    sink.report(&lease, Some("cannot read event 11")).await.expect("the holder can report");
    let trouble = |status: Option<es_core::projection::ProjectionStatus>| {
        status.and_then(|status| status.active).and_then(|active| active.trouble)
    };
    let expected = Trouble { message: "cannot read event 11".to_owned(), at: at_time };
    assert_eq!(trouble(status(&sink, "totals").await), Some(expected.clone()));
    sink.release(&lease).await.expect("the holder can release");
    let lease = acquired(&sink, &claim("two")).await;
    assert_eq!(trouble(status(&sink, "totals").await), Some(expected), "nothing was committed");
    commit(&sink, &lease, batch(10, 11, vec![])).await;
    assert_eq!(trouble(status(&sink, "totals").await), None);
}

pub(super) async fn a_report_of_nothing_clears_the_trouble(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    for trouble in [Some("the store was away"), None] {
        sink.report(&lease, trouble).await.expect("the holder can report");
        let active = status(&sink, "totals").await.and_then(|status| status.active);
        let told = active.and_then(|active| active.trouble).map(|trouble| trouble.message);
        assert_eq!(told.as_deref(), trouble);
    }
}

pub(super) async fn a_wait_ends_with_the_commit(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let place = at(10).position;
    let mut early = sink.wait_reached("totals", place);
    assert!(polled(&mut early, POLLS).await.is_none(), "there is no such projection yet");
    let (sink, lease) = started(fixture).await;
    let woken = soon("a wait ends with the commit", early).await;
    assert!(woken.is_ok(), "waiting failed: {woken:?}");
    for reached in [at(0).position, at(9).position, at(10).position] {
        let wait = sink.wait_reached("totals", reached);
        let woken = soon("a wait for what is reached ends at once", wait).await;
        assert!(woken.is_ok(), "waiting failed: {woken:?}");
    }
    let mut waits: Vec<_> = (0..20).map(|_| sink.wait_reached("totals", at(12).position)).collect();
    for wait in &mut waits {
        assert!(polled(wait, 2).await.is_none(), "the projection is not there yet");
    }
    let mut dropped = sink.wait_reached("totals", at(12).position);
    polled(&mut dropped, 2).await;
    drop(dropped);
    commit(&sink, &lease, batch(10, 11, vec![])).await;
    assert!(polled(&mut waits[0], POLLS).await.is_none(), "it is still not there");
    commit(&sink, &lease, batch(11, 12, vec![])).await;
    let woken = soon("one commit wakes all who wait", join_all(waits)).await;
    assert!(woken.iter().all(Result::is_ok), "waiting failed: {woken:?}");
}

pub(super) async fn a_switch_ends_a_wait(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let mut wait = sink.wait_reached("totals", at(20).position);
    let filling = acquired(&sink, &shadow("two", 1)).await;
    commit(&sink, &filling, batch(0, 20, vec![set("x", 1)])).await;
    assert!(polled(&mut wait, POLLS).await.is_none(), "a shadow serves nobody");
    assert!(sink.switch(&filling).await.is_ok(), "the shadow has caught up");
    let woken = soon("a switch ends the wait", wait).await;
    assert!(woken.is_ok(), "waiting failed: {woken:?}");
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("x", 1)]));
}
