//! What is there after the sink was opened again.

use es_core::backend::Slot;

use super::ProjectionFixture;
use super::parts::*;

pub(super) async fn models_and_checkpoints_survive_reopening(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    commit(&sink, &lease, park(10, 12, vec![parked(11, "p", 2), parked(12, "p", 0)])).await;
    sink.discard("totals", Slot::Active, &id(11, "p"), "unreadable").await.expect("it waits");
    let filling = acquired(&sink, &shadow("two", 3)).await;
    let mut part = batch(0, 7, vec![set("s", 7)]);
    part.slice = 2;
    commit(&sink, &filling, part).await;
    let before = status(&sink, "totals").await;
    let entries = listed(&sink, Slot::Active, &Default::default()).await;
    drop(sink);
    assert!(fixture.reopen().await, "the fixture is durable");
    let sink = fixture.sink();
    assert_eq!(status(&sink, "totals").await, before);
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1)]));
    assert_eq!(rows(&sink, Slot::Shadow).await, pairs(&[("s", 7)]));
    assert_eq!(listed(&sink, Slot::Active, &Default::default()).await, entries);
    commit(&sink, &lease, batch(12, 13, vec![])).await;
    let resumed = acquired(&sink, &shadow("two", 3)).await;
    assert_eq!(resumed.checkpoints, [at(0), at(0), at(7)]);
}
