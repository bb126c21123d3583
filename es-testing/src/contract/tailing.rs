//! Following the log.

use es_core::backend::{
    AppendRequest, EventStoreExt, PageLimit, Position, ReadLog, StoreErrorKind,
};
use es_core::event::{EventFilter, RecordedEvent};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};

use super::parts::*;
use crate::fault::{Call, Faults};
use crate::fixture::Fixture;

/// Enough polls for a store that answers from another thread or wakes its waiters needlessly.
const POLLS: usize = 20;

pub(super) async fn wait_past_returns_at_once_when_there_is_more(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("1"), NONE, events(1..=3)).await;
    let log = read_log(&store).await;
    for position in [Position::START, log[0].position, log[1].position] {
        let woken = soon("a wait behind the end returns", store.wait_past(position)).await;
        assert!(woken.is_ok(), "a wait for what is there failed: {woken:?}");
    }
}

pub(super) async fn wait_past_pends_until_an_append(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    for round in 0..5 {
        let end = end_of_log(&store).await;
        let mut wait = store.wait_past(end);
        let woken = polled(&mut wait, POLLS).await;
        assert!(woken.is_none(), "a wait past the end returned before there was an event");
        let stale = AppendRequest::to(account.clone(), exactly(99), vec![event(1)]);
        conflict(store.append(stale).await, "the stream is not at version 99");
        read_log(&store).await;
        let woken = polled(&mut wait, POLLS).await;
        assert!(woken.is_none(), "a refused append must not end a wait");
        append(&store, &account, exactly(round), vec![event(round)]).await;
        let woken = soon("an append ends the wait for it", wait).await;
        assert!(woken.is_ok(), "waiting failed: {woken:?}");
        let found = log_page(&store, &ReadLog::after(end)).await.events.len();
        assert_eq!(found, 1, "who was woken finds the event");
    }
}

pub(super) async fn all_waiters_are_woken(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("1"), NONE, vec![event(1)]).await;
    let end = end_of_log(&store).await;
    let mut waits: Vec<_> = (0..40).map(|_| store.wait_past(end)).collect();
    for wait in &mut waits {
        let woken = polled(wait, 2).await;
        assert!(woken.is_none(), "a wait past the end returned before there was an event");
    }
    append(&store, &stream("2"), NONE, vec![event(2)]).await;
    let woken = soon("one append wakes all 40 waiters", join_all(waits)).await;
    assert!(woken.iter().all(Result::is_ok), "waiting failed: {woken:?}");
}

pub(super) async fn a_dropped_wait_is_harmless(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    for round in 0..5 {
        let end = end_of_log(&store).await;
        let mut kept = store.wait_past(end);
        let mut dropped: Vec<_> = (0..5).map(|_| store.wait_past(end)).collect();
        for wait in &mut dropped {
            polled(wait, 2).await;
        }
        polled(&mut kept, 2).await;
        drop(dropped);
        let call = append(&store, &account, exactly(round), vec![event(round)]);
        soon("an append is answered while waits were dropped", call).await;
        let woken = soon("the wait that was kept ends", kept).await;
        assert!(woken.is_ok(), "waiting failed: {woken:?}");
    }
}

pub(super) async fn a_follower_sees_every_event_once_under_writers(fixture: &dyn Fixture) {
    const WRITERS: u64 = 4;
    let store = fixture.store();
    let each = rounds(40, 2_000);
    let follower = |limit: usize| -> BoxFuture<'static, Vec<RecordedEvent>> {
        let store = store.clone();
        Box::pin(async move {
            let (mut seen, mut after) = (Vec::<RecordedEvent>::new(), Position::START);
            loop {
                let read = ReadLog::after(after).limit(PageLimit::events(limit));
                let page = log_page(&store, &read).await;
                seen.extend(page.events);
                after = page.next;
                if seen.last().is_some_and(|event| event.stream == stream("closed")) {
                    return seen;
                }
                if page.at_end && store.wait_past(after).await.is_err() {
                    panic!("waiting for the next event failed");
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers = (0..WRITERS).map(|writer| -> BoxFuture<'static, Vec<RecordedEvent>> {
        let store = store.clone();
        Box::pin(async move {
            for number in 0..each {
                let own = stream(&format!("own-{writer}"));
                let request = AppendRequest::to(own, exactly(number * 2), events(1..=2));
                let shared = stream(&format!("shared-{}", number % 2));
                let request = if number % 3 == 0 {
                    request.and(shared, ANY, vec![event(number)])
                } else {
                    request
                };
                accepted(&store, request).await;
                if number % 4 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            Vec::new()
        })
    });
    let closing: BoxFuture<'static, Vec<RecordedEvent>> = {
        let (store, own) = (store.clone(), stream("own-0"));
        let writers: Vec<_> = writers.collect();
        Box::pin(async move {
            together("the writers come to an end", writers).await;
            assert_eq!(read(&store, &own).await.len() as u64, each * 2);
            append(&store, &stream("closed"), NONE, vec![event(0)]).await;
            Vec::new()
        })
    };
    let tasks = [closing, follower(1), follower(3), follower(500)];
    let seen = together("followers see the last event", tasks).await;
    let log = read_log(&store).await;
    let shared = (0..each).filter(|number| number % 3 == 0).count() as u64;
    let count = WRITERS * (each * 2 + shared) + 1;
    assert_eq!(log.len() as u64, count, "the log holds what was acknowledged");
    for seen in &seen[1..] {
        let (seen, log): (Vec<_>, Vec<_>) = (
            seen.iter().map(|event| event.position).collect(),
            log.iter().map(|event| event.position).collect(),
        );
        assert_eq!(seen, log, "a follower sees every event of the log, once, in order");
    }
}

pub(super) async fn a_tail_of_an_idle_log_reads_nothing(fixture: &dyn Fixture) {
    const FAR_TOO_MANY: u64 = 1_000;
    let faults = Faults::new();
    // a tail that never waits would keep its thread for ever
    faults.fail(Call::ReadLog, FAR_TOO_MANY, StoreErrorKind::Other);
    let store = faults.over(fixture.store()).event_store().clone();
    let wanted = EventFilter::all().stored_aggregate_type("account");
    let mut tail = Box::pin(store.tail(ReadLog::from_start().filter(wanted)));
    append(&store, &stream("1"), NONE, vec![event(1)]).await;
    append(&store, &typed_stream("audit", "1"), NONE, events(2..=9)).await;
    for number in [1, 10, 11] {
        if number > 1 {
            append(&store, &typed_stream("audit", "1"), ANY, events(2..=9)).await;
            append(&store, &stream("1"), ANY, vec![event(number)]).await;
            append(&store, &typed_stream("audit", "1"), ANY, events(2..=9)).await;
        }
        let next = soon("the tail gives the next wanted event", tail.next()).await;
        match next {
            Some(Ok(event)) => assert_eq!(self::number(&event), number, "the next wanted event"),
            other => panic!("a tail must go on, but gives {other:?}"),
        }
        let mut pending = Box::pin(tail.next());
        // what is left, unwanted, is read once
        assert!(polled(&mut pending, POLLS).await.is_none(), "nothing more is wanted");
        let before = faults.calls(Call::ReadLog);
        assert!(polled(&mut pending, POLLS).await.is_none(), "nothing more is wanted");
        let reads = faults.calls(Call::ReadLog) - before;
        assert_eq!(reads, 0, "while nothing is appended, a follower waits and does not read");
    }
}
