//! Handlers within the transaction of the commit.

use es_core::RecordedEvent;
use es_core::projection::{Batch, Content, SinkError};

use super::models::PANIC;
use super::parts::*;
use super::{HANDLED, ProjectionFixture, SuiteHandler};

fn handing(from: u64, to: u64, events: &[RecordedEvent]) -> Batch {
    batch(from, to, vec![]).content(Content::Events(events.to_vec()))
}

pub(super) async fn a_handler_takes_events_in_order(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=5)).await;
    append(&store, &stream("2"), NONE, events(6..=9)).await;
    let log = read_log(&store).await;
    let lease = acquired(&sink, &claim_of(HANDLED, "one")).await;
    commit(&sink, &lease, handing(0, 5, &log[..5])).await;
    commit(&sink, &lease, handing(5, 9, &log[5..])).await;
    commit(&sink, &lease, handing(9, 10, &[])).await;
    let expected: Vec<_> =
        log.iter().map(|event| (event.stream.to_string(), number(event))).collect();
    assert_eq!(fixture.effects().await, expected, "each event was taken once, in order");
    let active = status(&sink, HANDLED).await.and_then(|status| status.active);
    assert_eq!(active.map(|active| active.checkpoint().clone()), Some(at(10)));
}

pub(super) async fn a_failing_handler_writes_nothing(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=2)).await;
    append(&store, &stream("1"), ANY, vec![typed_event(SuiteHandler::POISON, 3)]).await;
    let log = read_log(&store).await;
    let lease = acquired(&sink, &claim_of(HANDLED, "one")).await;
    let mut failing = handing(0, 3, &log);
    failing.park = vec![parked(1, "x", 1)];
    match sink.commit(&lease, &failing).await {
        Err(SinkError::Handler { projection, source }) => {
            assert_eq!(projection, HANDLED);
            assert!(source.to_string().contains("poison"), "the handler's own words: {source}");
        }
        other => panic!("the handler fails, but the answer is {other:?}"),
    }
    assert_eq!(fixture.effects().await, [], "what a failed handler wrote is undone");
    let active = status(&sink, HANDLED).await.and_then(|status| status.active);
    let active = active.expect("the model is there");
    assert_eq!((active.checkpoint(), active.waiting, active.events), (&at(0), 0, 0));
    fixture.handler().heal();
    commit(&sink, &lease, handing(0, 3, &log)).await;
    assert_eq!(fixture.effects().await.len(), 3, "the same batch is taken once it can be");
}

pub(super) async fn a_panicking_handler_writes_nothing(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=2)).await;
    append(&store, &stream("1"), ANY, vec![typed_event(PANIC, 3)]).await;
    let log = read_log(&store).await;
    let lease = acquired(&sink, &claim_of(HANDLED, "one")).await;
    match sink.commit(&lease, &handing(0, 3, &log)).await {
        Err(SinkError::Handler { source, .. }) => {
            assert!(source.to_string().contains("how a bug looks"), "its own words: {source}");
        }
        other => panic!("the handler panics, but the answer is {other:?}"),
    }
    assert_eq!(fixture.effects().await, [], "what it wrote before is undone");
    commit(&sink, &lease, handing(0, 2, &log[..2])).await;
    assert_eq!(fixture.effects().await.len(), 2, "the sink goes on");
}

pub(super) async fn an_unknown_handler_is_refused(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), NONE, events(1..=2)).await;
    let log = read_log(&store).await;
    let lease = acquired(&sink, &claim("one")).await;
    let answer = sink.commit(&lease, &handing(0, 2, &log)).await;
    assert!(matches!(answer, Err(SinkError::NoHandler { .. })), "no handler, but {answer:?}");
    assert_eq!(checkpoint(&sink).await, at(0), "nothing was written");
}
