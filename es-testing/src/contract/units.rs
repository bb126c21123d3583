//! One append to several streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::backend::{AppendError, AppendRequest};
use es_core::event::RecordedEvent;
use futures_util::future::BoxFuture;

use super::parts::*;
use crate::fixture::Fixture;

pub(super) async fn all_streams_or_none(fixture: &dyn Fixture) {
    let store = fixture.store();
    let (payer, payee, audit) = (stream("payer"), stream("payee"), typed_stream("audit", "1"));
    let unit = |payer_at, payee_at, number| {
        AppendRequest::to(payer.clone(), exactly(payer_at), events(number..=number + 1))
            .and(payee.clone(), exactly(payee_at), vec![event(number)])
            .and(audit.clone(), ANY, vec![event(number)])
    };
    accepted(&store, unit(0, 0, 1)).await;
    let before = read_log(&store).await;
    assert_eq!(before.len(), 4, "a unit of 2, 1 and 1 events writes 4");
    for (payer_at, payee_at) in [(2, 0), (0, 1), (2, 2), (3, 1)] {
        let answer = store.append(unit(payer_at, payee_at, 3)).await;
        conflict(answer, "one stream of the unit is not as expected");
        assert_eq!(read_log(&store).await, before, "a refused unit must write to no stream");
    }
    let used = event(3).with_id(before[0].event_id);
    let request = AppendRequest::to(payer.clone(), exactly(2), vec![event(3)]).and(
        payee.clone(),
        exactly(1),
        vec![used],
    );
    let answer = store.append(request).await;
    assert!(
        matches!(answer, Err(AppendError::DuplicateEvent { .. })),
        "a used id in the second stream, but the answer is {answer:?}"
    );
    assert_eq!(read_log(&store).await, before, "a refused unit must write to no stream");
    accepted(&store, unit(2, 1, 3)).await;
    holds(&store, &payer, &[1, 2, 3, 4], "both units wrote 2 events here").await;
    holds(&store, &payee, &[1, 3], "both units wrote 1 event here").await;
    holds(&store, &audit, &[1, 3], "both units wrote 1 event here").await;
}

pub(super) async fn readers_never_see_half_a_unit(fixture: &dyn Fixture) {
    let (store, payer, payee) = (fixture.store(), stream("payer"), stream("payee"));
    let units = rounds(60, 2_000);
    let done = Arc::new(AtomicBool::new(false));
    let writer: BoxFuture<'static, ()> = {
        let (store, payer, payee, done) =
            (store.clone(), payer.clone(), payee.clone(), done.clone());
        Box::pin(async move {
            for unit in 0..units {
                let request = AppendRequest::to(payer.clone(), exactly(unit), vec![event(unit)])
                    .and(payee.clone(), exactly(unit), vec![event(unit)]);
                accepted(&store, request).await;
                tokio::task::yield_now().await;
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let of_log: BoxFuture<'static, ()> = {
        let (store, done) = (store.clone(), done.clone());
        Box::pin(async move {
            while !done.load(Ordering::SeqCst) {
                let seen = read_log(&store).await.len();
                assert_eq!(seen % 2, 0, "a reader of the log saw {seen} events of units of 2");
                tokio::task::yield_now().await;
            }
        })
    };
    let across = |first: &es_core::backend::StreamId,
                  second: &es_core::backend::StreamId|
     -> BoxFuture<'static, ()> {
        let (store, done) = (store.clone(), done.clone());
        let (first, second) = (first.clone(), second.clone());
        Box::pin(async move {
            while !done.load(Ordering::SeqCst) {
                let earlier = read(&store, &first).await.len();
                let later = read(&store, &second).await.len();
                assert!(
                    later >= earlier,
                    "{earlier} units were visible in {first}, and afterwards {later} in {second}"
                );
                tokio::task::yield_now().await;
            }
        })
    };
    let tasks = [writer, of_log, across(&payer, &payee), across(&payee, &payer)];
    together("a writer of units and its readers come to an end", tasks).await;
}

pub(super) async fn the_answer_follows_the_request(fixture: &dyn Fixture) {
    let store = fixture.store();
    for (round, order) in
        [["z", "a", "m"], ["a", "m", "z"], ["m", "z", "a"]].into_iter().enumerate()
    {
        let [first, second, third] = order.map(stream);
        let at = 2 * round as u64;
        let request = AppendRequest::to(first.clone(), exactly(at), events(1..=2))
            .and(second.clone(), exactly(at), events(1..=2))
            .and(third.clone(), exactly(at), events(1..=2));
        let ids: Vec<Vec<_>> = request
            .streams()
            .iter()
            .map(|part| part.events.iter().map(|event| event.event_id).collect())
            .collect();
        let appended = accepted(&store, request).await;
        let told: Vec<_> = appended.streams.iter().map(|part| part.stream.clone()).collect();
        assert_eq!(
            told,
            [first, second, third],
            "the answer names the streams in the order of the request"
        );
        for (part, ids) in appended.streams.iter().zip(ids) {
            let told: Vec<_> = part.events.iter().map(|receipt| receipt.event_id).collect();
            assert_eq!(told, ids, "each stream of the answer has its own events");
            let newest = read(&store, &part.stream).await;
            let recorded: Vec<_> =
                newest[at as usize..].iter().map(RecordedEvent::receipt).collect();
            assert_eq!(part.events, recorded, "what is told is what a reader is given");
        }
        let end = end_of_log(&store).await;
        assert_eq!(appended.position(), end, "the unit's position is its last event's");
    }
}

pub(super) async fn opposite_orders_come_to_an_end(fixture: &dyn Fixture) {
    let store = fixture.store();
    let each = rounds(25, 500);
    let writer = |first: &str, second: &str| -> BoxFuture<'static, ()> {
        let (store, first, second) = (store.clone(), stream(first), stream(second));
        Box::pin(async move {
            for number in 0..each {
                let request = AppendRequest::to(first.clone(), ANY, vec![event(number)]).and(
                    second.clone(),
                    ANY,
                    vec![event(number)],
                );
                accepted(&store, request).await;
                tokio::task::yield_now().await;
            }
        })
    };
    let writers = [writer("a", "b"), writer("b", "a"), writer("b", "c"), writer("c", "a")];
    together("units that name streams in opposite orders come to an end", writers).await;
    for (id, writers) in [("a", 3), ("b", 3), ("c", 2)] {
        let count = read(&store, &stream(id)).await.len() as u64;
        assert_eq!(count, writers * each, "each unit wrote one event to stream {id}");
    }
}
