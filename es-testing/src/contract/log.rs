//! Reading the log of all events.

use std::collections::HashSet;

use es_core::backend::{AppendRequest, PageLimit, Position, ReadLog};
use es_core::event::{EventFilter, RecordedEvent};

use super::filters::selected;
use super::parts::*;
use crate::fixture::Fixture;

/// Appends, batches, units and refusals over several streams; answers the number of events.
async fn mixed_history(store: &Store) -> usize {
    let mut count = 0;
    for round in 0..4 {
        for id in ["a", "b", "c"] {
            append(store, &stream(id), ANY, events(count + 1..=count + 1 + round)).await;
            count += 1 + round;
        }
        let stale = AppendRequest::to(stream("a"), NONE, vec![event(999)]);
        conflict(store.append(stale).await, "stream a exists");
        let unit = AppendRequest::to(stream("c"), ANY, events(count + 1..=count + 2)).and(
            stream("a"),
            ANY,
            vec![event(count + 3)],
        );
        accepted(store, unit).await;
        count += 3;
    }
    count as usize
}

fn check_order(log: &[RecordedEvent]) {
    for pair in log.windows(2) {
        assert!(
            pair[0].position < pair[1].position,
            "positions must grow along the log, but {} stands before {}",
            pair[0].position,
            pair[1].position
        );
    }
}

pub(super) async fn every_event_once_in_position_order(fixture: &dyn Fixture) {
    let store = fixture.store();
    assert_eq!(read_log(&store).await, [], "the log of an empty store is empty");
    let count = mixed_history(&store).await;
    let log = read_log(&store).await;
    check_order(&log);
    assert!(log[0].position > Position::START, "every event is after the start of the log");
    let ids: HashSet<_> = log.iter().map(|event| event.event_id).collect();
    assert_eq!((log.len(), ids.len()), (count, count), "the log holds every event once");
    for id in ["a", "b", "c"] {
        for event in read(&store, &stream(id)).await {
            assert!(log.contains(&event), "the log holds what stream {id} holds: {event:?}");
        }
    }
    for limit in [1, 2, 3, 7] {
        let joined = selected(&store, &EventFilter::all(), limit, |_, _| {}).await;
        assert_eq!(joined, log, "pages of {limit} join to the whole log");
    }
}

pub(super) async fn stream_order_is_log_order(fixture: &dyn Fixture) {
    let store = fixture.store();
    mixed_history(&store).await;
    let log = read_log(&store).await;
    check_order(&log);
    for id in ["a", "b", "c"] {
        let mine: Vec<_> = log.iter().filter(|event| event.stream == stream(id)).cloned().collect();
        let dense: Vec<u64> = (1..=mine.len() as u64).collect();
        assert_eq!(versions(&mine), dense, "in the log, stream {id} stands in version order");
        assert_eq!(mine, read(&store, &stream(id)).await, "log and stream {id} agree");
    }
}

pub(super) async fn later_appends_stand_later(fixture: &dyn Fixture) {
    let store = fixture.store();
    let mut last = Position::START;
    for round in 0..rounds(20, 200) {
        let request = AppendRequest::to(stream(&format!("{}", round % 7)), ANY, events(1..=2)).and(
            stream(&format!("x{}", round % 5)),
            ANY,
            vec![event(1)],
        );
        let appended = accepted(&store, request).await;
        let positions = appended.streams.iter().flat_map(|part| &part.events);
        for receipt in positions {
            assert!(
                receipt.position > last,
                "an append stands after all that was acknowledged before it began, but {} is not \
                 after {last}",
                receipt.position
            );
        }
        last = appended.position();
    }
}

pub(super) async fn a_position_is_never_reused(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let mut seen: HashSet<Position> = HashSet::new();
    let mut last = Position::START;
    let first = event(0);
    append(&store, &account, NONE, vec![first.clone()]).await;
    for round in 1..=rounds(10, 200) {
        for event in read_log_after(&store, last).await {
            assert!(seen.insert(event.position), "{} was given to two events", event.position);
            last = event.position;
        }
        let stale = AppendRequest::to(account.clone(), NONE, events(1..=3));
        conflict(store.append(stale).await, "the stream exists");
        let used = event(1).with_id(first.event_id);
        let duplicate = AppendRequest::to(account.clone(), ANY, vec![event(1), used]);
        assert!(store.append(duplicate).await.is_err(), "a used event id must be refused");
        let nothing = AppendRequest::to(account.clone(), ANY, Vec::new());
        assert!(store.append(nothing).await.is_err(), "an append of nothing must be refused");
        let appended = append(&store, &account, exactly(round), vec![event(round)]).await;
        assert!(
            !seen.contains(&appended.position()) && appended.position() > last,
            "after refused appends, {} was visible before and is given again",
            appended.position()
        );
    }
    let all: HashSet<_> = read_log(&store).await.iter().map(|event| event.position).collect();
    assert_eq!(all.len() as u64, rounds(10, 200) + 1, "each event has a position of its own");
}

pub(super) async fn pages_keep_their_limits(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("1"), NONE, events(1..=4)).await;
    append(&store, &stream("2"), NONE, events(5..=7)).await;
    let size = read_log(&store).await[0].payload.as_str().len();
    let cases = [
        (PageLimit::events(0), 1),
        (PageLimit::events(1), 1),
        (PageLimit::events(5), 5),
        (PageLimit::events(100).bytes(1), 1),
        (PageLimit::events(100).bytes(size * 3), 3),
        (PageLimit::events(100).bytes(size * 5 - 1), 4),
        (PageLimit::events(2).bytes(size * 5), 2),
    ];
    for (limit, count) in cases {
        let page = log_page(&store, &ReadLog::from_start().limit(limit)).await;
        let expected: Vec<u64> = (1..=count).collect();
        assert_eq!(numbers(&page.events), expected, "a page of the log within {limit:?}");
        assert!(!page.at_end, "more events follow a page of {limit:?}");
        let last = page.events.last().map(|event| event.position);
        assert_eq!(Some(page.next), last, "the next page begins after the last event of this one");
    }
}

pub(super) async fn the_end_is_told_truly(fixture: &dyn Fixture) {
    let store = fixture.store();
    assert_eq!(end_of_log(&store).await, Position::START, "an empty log ends at its start");
    let empty = log_page(&store, &ReadLog::from_start()).await;
    assert!(empty.at_end, "a page of an empty log reaches its end");
    assert_eq!(empty.next, Position::START, "a page of an empty log leads nowhere");
    append(&store, &stream("1"), NONE, events(1..=3)).await;
    let log = read_log(&store).await;
    let end = log[2].position;
    assert_eq!(end_of_log(&store).await, end, "the log ends with its newest event");
    for (limit, at_end) in [(1, false), (2, false), (3, true), (4, true)] {
        let page = log_page(&store, &ReadLog::from_start().limit(PageLimit::events(limit))).await;
        assert_eq!(page.at_end, at_end, "a page of at most {limit} events, of 3");
    }
    let rest = log_page(&store, &ReadLog::after(log[1].position)).await;
    assert_eq!(rest.events, log[2..], "what stands after an event, without that event");
    let nothing = log_page(&store, &ReadLog::after(end)).await;
    assert_eq!(nothing.events, [], "nothing stands after the end");
    assert!(nothing.at_end, "a read from the end reaches the end");
    assert_eq!(nothing.next, end, "a read from the end leads to the end");
    let stale = AppendRequest::to(stream("1"), NONE, vec![event(4)]);
    conflict(store.append(stale).await, "the stream exists");
    assert_eq!(end_of_log(&store).await, end, "a refused append does not move the end");
}
