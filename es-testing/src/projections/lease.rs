//! Who may write.

use std::time::Duration;

use es_core::backend::{Checkpoint, Lease, Renewal, SinkError, Slot};

use super::ProjectionFixture;
use super::parts::*;

pub(super) async fn the_first_claim_creates_the_model(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    assert_eq!(status(&sink, "totals").await, None, "nothing is there before the first claim");
    let lease = acquired(&sink, &claim("one")).await;
    assert_eq!(lease.checkpoints, [Checkpoint::START], "a new model begins at the start");
    assert_eq!((lease.projection.as_str(), lease.slot), ("totals", Slot::Active));
    assert_eq!(rows(&sink, Slot::Active).await, [], "a new model is empty");
    let active = status(&sink, "totals").await.and_then(|status| status.active);
    let active = active.expect("the claim created the model");
    assert_eq!(active.fingerprint, "totals v1", "a model has the fingerprint of its claim");
    assert_eq!(active.generation, lease.generation);
}

pub(super) async fn another_fingerprint_is_refused(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    sink.release(&lease).await.expect("the holder can release");
    let mut other = claim("two");
    other.fingerprint = "totals v2".to_owned();
    match sink.acquire(&other).await {
        Err(SinkError::Changed { stored, offered, .. }) => {
            assert_eq!((stored.as_str(), offered.as_str()), ("totals v1", "totals v2"));
        }
        other => panic!("a claim of other code must be refused as changed, but: {other:?}"),
    }
    let active = status(&sink, "totals").await.and_then(|status| status.active);
    let holder = active.and_then(|active| active.holder);
    assert_eq!(holder, None, "a refused claim takes no lease");
}

pub(super) async fn a_second_holder_is_refused_by_name(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    match sink.acquire(&claim("two")).await {
        Err(SinkError::Held { projection, holder, expires_at }) => {
            assert_eq!((projection.as_str(), holder.as_str()), ("totals", "one"));
            assert_eq!(expires_at, es_core::environment::Clock::now(&fixture.clock()).plus(TTL));
        }
        other => panic!("a lease that is held must be refused, but: {other:?}"),
    }
    commit(&sink, &lease, batch(10, 11, vec![])).await;
}

pub(super) async fn an_expired_lease_is_taken_over(fixture: &dyn ProjectionFixture) {
    let (sink, first) = started(fixture).await;
    fixture.clock().step(TTL + Duration::from_secs(1));
    let second = acquired(&sink, &claim("two")).await;
    assert!(second.epoch > first.epoch, "who takes a lease over gets a higher epoch");
    assert_eq!(second.generation, first.generation);
    assert_eq!(second.checkpoints, [at(10)], "the model goes on where it is");
    lost(sink.commit(&first, &batch(10, 11, vec![set("a", 2)])).await, "the lease was taken over");
    commit(&sink, &second, batch(10, 11, vec![set("a", 3)])).await;
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 3)]));
}

pub(super) async fn a_renewed_lease_is_not_taken(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    for _ in 0..3 {
        fixture.clock().step(TTL / 2 + Duration::from_secs(1));
        sink.renew(&lease, &Renewal::lasting(TTL)).await.expect("the holder can renew");
    }
    let answer = sink.acquire(&claim("two")).await;
    assert!(matches!(answer, Err(SinkError::Held { .. })), "renewed, but {answer:?}");
}

pub(super) async fn a_released_lease_is_free(fixture: &dyn ProjectionFixture) {
    let (sink, first) = started(fixture).await;
    sink.release(&first).await.expect("the holder can release");
    let second = acquired(&sink, &claim("two")).await;
    assert!(second.epoch > first.epoch, "each taking has a higher epoch");
    assert_eq!(second.checkpoints, [at(10)]);
}

pub(super) async fn the_same_holder_takes_over_at_once(fixture: &dyn ProjectionFixture) {
    let (sink, first) = started(fixture).await;
    let second = acquired(&sink, &claim("one")).await;
    assert!(second.epoch > first.epoch, "each taking has a higher epoch");
    lost(sink.commit(&first, &batch(10, 11, vec![])).await, "the process started again");
    commit(&sink, &second, batch(10, 11, vec![])).await;
}

pub(super) async fn a_lost_lease_changes_nothing(fixture: &dyn ProjectionFixture) {
    let (sink, old) = started(fixture).await;
    fixture.clock().step(TTL + Duration::from_secs(1));
    let new = acquired(&sink, &claim("two")).await;
    let before = status(&sink, "totals").await;
    lost(sink.commit(&old, &batch(10, 11, vec![set("b", 1)])).await, "commit");
    lost(sink.renew(&old, &Renewal::lasting(TTL * 100)).await, "renew");
    lost(sink.report(&old, Some("trouble")).await, "report");
    sink.release(&old).await.expect("releasing a lost lease is no error");
    assert_eq!(status(&sink, "totals").await, before, "a lost lease changes nothing");
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1)]));
    commit(&sink, &new, batch(10, 11, vec![])).await;
}

pub(super) async fn an_expired_lease_commits_until_it_is_taken(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    fixture.clock().step(TTL * 10);
    commit(&sink, &lease, batch(10, 11, vec![set("a", 2)])).await;
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 2)]));
}

const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn none_lasts_longer_than_the_longest(fixture: &dyn ProjectionFixture) {
    let (sink, clock) = (fixture.sink(), fixture.clock());
    let mut long = claim("one");
    long.time_to_live = DAY;
    let lease = acquired(&sink, &long).await;
    let ends_in = async |time| {
        let status = status(&sink, "totals").await.and_then(|status| status.active);
        let holder = status.and_then(|active| active.holder).expect("somebody has it");
        assert_eq!(holder.expires_at, es_core::environment::Clock::now(&clock).plus(time));
        let answer = sink.acquire(&claim("two")).await;
        assert!(matches!(answer, Err(SinkError::Held { .. })), "it is held, but {answer:?}");
    };
    ends_in(Lease::LONGEST).await;
    clock.step(Duration::from_secs(1));
    ends_in(Lease::LONGEST - Duration::from_secs(1)).await;
    sink.renew(&lease, &Renewal::lasting(DAY)).await.expect("the holder can renew");
    ends_in(Lease::LONGEST).await;
    // a clock that is set right takes it from nobody
    let set_right = Duration::from_secs(1);
    clock.step_back(set_right);
    ends_in(Lease::LONGEST + set_right).await;
    clock.step(Lease::LONGEST + set_right);
    acquired(&sink, &claim("two")).await;
}

pub(super) async fn one_of_a_clock_that_was_ahead_keeps_nobody_out(
    fixture: &dyn ProjectionFixture,
) {
    let (sink, first) = started(fixture).await;
    acquired(&sink, &shadow("one", 2)).await;
    // while it cannot be told from a long one, it is believed
    fixture.clock().step_back(Lease::BELIEVED - TTL);
    let answer = sink.acquire(&claim("two")).await;
    assert!(matches!(answer, Err(SinkError::Held { .. })), "it is held, but {answer:?}");
    for back in [Duration::from_millis(1), DAY] {
        fixture.clock().step_back(back);
        let status = status(&sink, "totals").await.expect("the projection is there");
        let holders = [status.active, status.shadow].map(|model| model.and_then(|it| it.holder));
        assert_eq!(holders, [None, None], "nobody has a lease of another clock");
    }
    let second = acquired(&sink, &claim("two")).await;
    assert!(second.epoch > first.epoch, "who takes a lease over gets a higher epoch");
    lost(sink.commit(&first, &batch(10, 11, vec![])).await, "the lease was taken over");
    acquired(&sink, &shadow("two", 2)).await;
    fixture.clock().step_back(DAY);
    sink.abandon("totals").await.expect("nobody has the shadow");
    commit(&sink, &second, batch(10, 11, vec![])).await;
}
