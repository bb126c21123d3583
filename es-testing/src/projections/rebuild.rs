//! A second model, and the switch to it.

use std::time::Duration;

use es_core::backend::{Batch, Checkpoint, ListParked, SinkError, Slot};
use futures_util::future::BoxFuture;

use super::ProjectionFixture;
use super::parts::*;

fn of_slice(slice: u32, mut batch: Batch) -> Batch {
    batch.slice = slice;
    batch
}

pub(super) async fn a_shadow_grows_beside_the_active_model(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let filling = acquired(&sink, &shadow("two", 2)).await;
    assert_eq!(filling.checkpoints, [Checkpoint::START, Checkpoint::START]);
    assert!(filling.generation > lease.generation, "a shadow is a new generation");
    commit(&sink, &filling, of_slice(1, batch(0, 4, vec![set("a", 7), set("s", 1)]))).await;
    commit(&sink, &lease, batch(10, 11, vec![set("b", 2)])).await;
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1), ("b", 2)]));
    assert_eq!(rows(&sink, Slot::Shadow).await, pairs(&[("a", 7), ("s", 1)]));
    let status = status(&sink, "totals").await.expect("the projection is there");
    let (active, shadow) = (status.active.expect("served"), status.shadow.expect("filled"));
    assert_eq!((active.checkpoints, shadow.checkpoints), (vec![at(11)], vec![at(0), at(4)]));
    assert_eq!((active.fingerprint, shadow.fingerprint), ("totals v1".into(), "totals v2".into()));
}

pub(super) async fn a_second_rebuild_is_refused_by_name(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let filling = acquired(&sink, &shadow("two", 2)).await;
    for fingerprint in ["totals v2", "totals v3"] {
        let mut second = shadow("three", 2);
        second.fingerprint = fingerprint.to_owned();
        match sink.acquire(&second).await {
            Err(SinkError::RebuildRunning { projection, holder, .. }) => {
                assert_eq!((projection.as_str(), holder.as_str()), ("totals", "two"));
            }
            other => panic!("a second rebuild must be refused, but: {other:?}"),
        }
    }
    commit(&sink, &filling, batch(0, 1, vec![])).await;
}

pub(super) async fn a_rebuild_is_resumed(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let first = acquired(&sink, &shadow("two", 3)).await;
    commit(&sink, &first, of_slice(2, batch(0, 4, vec![set("s", 1)]))).await;
    fixture.clock().step(TTL + Duration::from_secs(1));
    // whatever the second asks for, the slices stay what they are
    let second = acquired(&sink, &shadow("three", 5)).await;
    assert_eq!(second.checkpoints, [at(0), at(0), at(4)], "it goes on where the first was");
    assert_eq!(second.generation, first.generation);
    assert_eq!(rows(&sink, Slot::Shadow).await, pairs(&[("s", 1)]));
    lost(sink.commit(&first, &of_slice(0, batch(0, 4, vec![]))).await, "it was taken over");
}

pub(super) async fn a_shadow_of_other_code_is_replaced(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let first = acquired(&sink, &shadow("two", 3)).await;
    commit(&sink, &first, of_slice(2, batch(0, 4, vec![set("s", 1)]))).await;
    sink.release(&first).await.expect("the holder can release");
    let mut other = shadow("three", 1);
    other.fingerprint = "totals v3".to_owned();
    let second = acquired(&sink, &other).await;
    assert!(second.generation > first.generation, "it is another model");
    assert_eq!(second.checkpoints, [at(0)]);
    assert_eq!(rows(&sink, Slot::Shadow).await, [], "nothing of the other code is left");
    lost(sink.commit(&first, &of_slice(2, batch(4, 5, vec![]))).await, "its model is gone");
}

pub(super) async fn discarded_entries_are_taken_over(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    commit(&sink, &lease, park(10, 12, vec![parked(11, "p", 1), parked(12, "q", 1)])).await;
    sink.discard("totals", Slot::Active, &id(11, "p"), "sold twice").await.expect("it waits");
    acquired(&sink, &shadow("two", 2)).await;
    let discarded = listed(&sink, Slot::Active, &ListParked::default()).await.remove(0);
    let copied = listed(&sink, Slot::Shadow, &ListParked::default()).await;
    assert_eq!(copied, [discarded], "what was decided stays decided; what waits is found again");
}

pub(super) async fn a_switch_replaces_the_model_in_one_step(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    for n in 0..rounds(10, 200) {
        let filling = acquired(&sink, &shadow("two", 2)).await;
        let wanted = vec![set("x", n), set("y", n)];
        commit(&sink, &filling, of_slice(0, batch(0, 10, wanted))).await;
        commit(&sink, &filling, of_slice(1, batch(0, 10, vec![set("z", n)]))).await;
        let reader: BoxFuture<'static, ()> = {
            let sink = sink.clone();
            Box::pin(async move {
                for _ in 0..20 {
                    let seen = rows(&sink, Slot::Active).await;
                    let old = if n == 0 { vec![("a", 1)] } else { three(n - 1) };
                    assert!(
                        seen == pairs(&old) || seen == pairs(&three(n)),
                        "a reader sees the old model or the new one, but: {seen:?}"
                    );
                    tokio::task::yield_now().await;
                }
            })
        };
        let switch: BoxFuture<'static, ()> = {
            let (sink, filling) = (sink.clone(), filling.clone());
            Box::pin(async move {
                if let Err(error) = sink.switch(&filling).await {
                    panic!("a permitted switch was refused: {error}");
                }
            })
        };
        together("a switch and a reader come to an end", [reader, switch]).await;
        let status = status(&sink, "totals").await.expect("the projection is there");
        let active = status.active.expect("the shadow is active now");
        assert_eq!(status.shadow, None, "there is no shadow any more");
        assert_eq!((active.generation, active.holder), (filling.generation, None));
        assert_eq!(active.checkpoints, [at(10)], "an active model has one slice");
        assert_eq!(rows(&sink, Slot::Active).await, pairs(&three(n)));
    }
    let mut next = claim("one");
    next.fingerprint = "totals v2".to_owned();
    let next = acquired(&sink, &next).await;
    assert!(next.generation > lease.generation);
    commit(&sink, &next, batch(10, 11, vec![removed("x")])).await;
}

fn three(n: u64) -> Vec<(&'static str, u64)> {
    vec![("x", n), ("y", n), ("z", n)]
}

pub(super) async fn no_switch_before_the_shadow_has_caught_up(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let filling = acquired(&sink, &shadow("two", 1)).await;
    commit(&sink, &filling, batch(0, 9, vec![set("x", 1)])).await;
    match sink.switch(&filling).await {
        Err(SinkError::NotCaughtUp { shadow, active, .. }) => {
            assert_eq!((shadow, active), (at(9).position, at(10).position));
        }
        other => panic!("the shadow is behind, but: {other:?}"),
    }
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1)]), "the old model is served");
    commit(&sink, &lease, batch(10, 11, vec![])).await;
    commit(&sink, &filling, batch(9, 11, vec![])).await;
    assert!(sink.switch(&filling).await.is_ok(), "the shadow has caught up");
}

pub(super) async fn no_switch_while_slices_differ(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let filling = acquired(&sink, &shadow("two", 2)).await;
    commit(&sink, &filling, of_slice(0, batch(0, 12, vec![]))).await;
    commit(&sink, &filling, of_slice(1, batch(0, 11, vec![]))).await;
    match sink.switch(&filling).await {
        Err(SinkError::NotCaughtUp { shadow, active, .. }) => {
            assert_eq!((shadow, active), (at(11).position, at(12).position));
        }
        other => panic!("the slices differ, but: {other:?}"),
    }
    commit(&sink, &filling, of_slice(1, batch(11, 12, vec![]))).await;
    assert!(sink.switch(&filling).await.is_ok(), "all slices stand at one place");
}

pub(super) async fn the_old_lease_ends_with_a_switch(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let filling = acquired(&sink, &shadow("two", 1)).await;
    commit(&sink, &filling, batch(0, 10, vec![set("x", 1)])).await;
    assert!(sink.switch(&filling).await.is_ok(), "the shadow has caught up");
    lost(sink.commit(&lease, &batch(10, 11, vec![set("a", 5)])).await, "its model is gone");
    lost(sink.commit(&filling, &batch(10, 11, vec![set("a", 5)])).await, "the lease has ended");
    lost(sink.switch(&filling).await, "it is switched already");
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("x", 1)]));
}

pub(super) async fn an_abandoned_shadow_is_gone(fixture: &dyn ProjectionFixture) {
    let (sink, _lease) = started(fixture).await;
    let answer = sink.abandon("totals").await;
    assert!(matches!(answer, Err(SinkError::NoModel { .. })), "no shadow, but: {answer:?}");
    let filling = acquired(&sink, &shadow("two", 1)).await;
    commit(&sink, &filling, batch(0, 10, vec![set("x", 1)])).await;
    match sink.abandon("totals").await {
        Err(SinkError::RebuildRunning { holder, .. }) => assert_eq!(holder, "two"),
        other => panic!("the shadow is held, but: {other:?}"),
    }
    sink.release(&filling).await.expect("the holder can release");
    assert!(sink.abandon("totals").await.is_ok(), "nobody holds it");
    let status = status(&sink, "totals").await.expect("the projection is there");
    assert_eq!(status.shadow, None);
    lost(sink.switch(&filling).await, "its model is gone");
    let again = acquired(&sink, &shadow("two", 1)).await;
    assert_eq!(again.checkpoints, [at(0)]);
    assert_eq!(rows(&sink, Slot::Shadow).await, [], "a new shadow begins empty");
}
