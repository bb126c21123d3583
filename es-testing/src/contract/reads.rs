//! Reading one stream.

use std::time::Duration;

use es_core::backend::{AppendRequest, PageLimit, ReadStream, StreamPage, Timestamp};
use es_core::environment::Clock;
use es_core::event::RecordedEvent;
use serde_json::json;

use super::parts::*;
use crate::fixture::Fixture;

async fn numbers_of(store: &Store, read: ReadStream) -> Vec<u64> {
    numbers(&page(store, &read.limit(ONE_PAGE)).await.events)
}

pub(super) async fn forwards_and_backwards_are_mirrored(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=4)).await;
    append(&store, &account, ANY, events(5..=7)).await;
    let whole = ReadStream::new(account);
    let forwards = page(&store, &whole.clone().limit(ONE_PAGE)).await.events;
    assert_eq!(numbers(&forwards), [1, 2, 3, 4, 5, 6, 7], "forwards is oldest first");
    let mut backwards = page(&store, &whole.clone().backwards().limit(ONE_PAGE)).await.events;
    backwards.reverse();
    assert_eq!(backwards, forwards, "backwards is the same events, newest first");
    let newest = page(&store, &whole.backwards().limit(PageLimit::events(2))).await;
    assert_eq!(numbers(&newest.events), [7, 6], "a page backwards begins with the newest");
}

pub(super) async fn bounds_are_inclusive(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=6)).await;
    let cases: [(u64, u64, &[u64]); 9] = [
        (1, 6, &[1, 2, 3, 4, 5, 6]),
        (2, 4, &[2, 3, 4]),
        (3, 3, &[3]),
        (6, 6, &[6]),
        (0, 2, &[1, 2]),
        (5, u64::MAX, &[5, 6]),
        (7, u64::MAX, &[]),
        (1, 0, &[]),
        (4, 2, &[]),
    ];
    for (from, to, expected) in cases {
        let read =
            ReadStream::new(account.clone()).from_version(version(from)).to_version(version(to));
        let found = numbers_of(&store, read.clone()).await;
        assert_eq!(found, expected, "versions {from} to {to}, both included");
        let mut found = numbers_of(&store, read.backwards()).await;
        found.reverse();
        assert_eq!(found, expected, "versions {from} to {to} backwards, both included");
    }
}

pub(super) async fn an_unknown_stream_is_empty(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("1"), NONE, vec![event(1)]).await;
    let unknown = ReadStream::new(stream("2"));
    let reads = [
        unknown.clone(),
        unknown.clone().backwards(),
        unknown.clone().from_version(version(3)),
        unknown.until(Timestamp::EPOCH),
    ];
    for read in reads {
        let empty = StreamPage::new(Vec::new(), version(0), false);
        assert_eq!(page(&store, &read).await, empty, "a stream that nobody wrote to is empty");
    }
}

pub(super) async fn streams_do_not_mix(fixture: &dyn Fixture) {
    let store = fixture.store();
    let names = [
        ("account", "a"),
        ("account", "A"),
        ("account", "a "),
        ("account", " a"),
        ("account", "a/1"),
        ("account", "a_1"),
        ("account", "a%1"),
        ("account", "aa"),
        ("account", "é"),
        ("account", "e\u{301}"),
        ("account", "é'; --"),
        ("account", "0"),
        ("account", "00"),
        ("accounts", "a"),
        ("account_a", "1"),
        ("account", "\u{202e}a"),
    ];
    for (index, (aggregate_type, id)) in names.into_iter().enumerate() {
        let number = index as u64 * 10;
        let appended =
            append(&store, &typed_stream(aggregate_type, id), NONE, events(number..=number + 1))
                .await;
        assert_eq!(appended.streams[0].version(), version(2), "{aggregate_type}/{id} is its own");
    }
    for (index, (aggregate_type, id)) in names.into_iter().enumerate() {
        let (name, number) = (typed_stream(aggregate_type, id), index as u64 * 10);
        let found = read(&store, &name).await;
        assert_eq!(numbers(&found), [number, number + 1], "{name} has only its own events");
        for event in found {
            assert_eq!(event.stream, name, "an event names the stream that it belongs to");
        }
        let newest = numbers_of(&store, ReadStream::new(name).backwards()).await;
        assert_eq!(newest, [number + 1, number], "also backwards");
    }
}

pub(super) async fn a_page_tells_the_version_of_its_stream(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=3)).await;
    let early = read(&store, &account).await[0].recorded_at;
    fixture.let_pass(Duration::from_secs(1));
    append(&store, &account, ANY, events(4..=5)).await;
    append(&store, &stream("2"), NONE, vec![event(1)]).await;
    let whole = ReadStream::new(account);
    let reads = [
        whole.clone(),
        whole.clone().backwards(),
        whole.clone().limit(PageLimit::events(1)),
        whole.clone().to_version(version(2)),
        whole.clone().from_version(version(9)),
        whole.until(early),
    ];
    for read in reads {
        let told = page(&store, &read).await.stream_version;
        assert_eq!(told, version(5), "the stream is at version 5, whatever is read: {read:?}");
    }
}

/// A stream whose events were recorded at the seconds 10, 20, 30, 15, 40.
async fn recorded_at_seconds(fixture: &dyn Fixture) -> (Store, Timestamp) {
    let (store, clock) = (fixture.store(), fixture.clock());
    let zero = clock.now();
    for (number, second) in [(1, 10), (2, 20), (3, 30), (4, 15), (5, 40)] {
        clock.set(zero.plus(Duration::from_secs(second)));
        append(&store, &stream("1"), exactly(number - 1), vec![event(number)]).await;
    }
    (store, zero)
}

pub(super) async fn until_is_the_prefix_before_the_first_later_event(fixture: &dyn Fixture) {
    let (store, zero) = recorded_at_seconds(fixture).await;
    let prefixes: [(u64, &[u64]); 8] = [
        (5, &[]),
        (10, &[1]),
        (15, &[1]),
        (20, &[1, 2]),
        (25, &[1, 2]),
        (30, &[1, 2, 3, 4]),
        (39, &[1, 2, 3, 4]),
        (40, &[1, 2, 3, 4, 5]),
    ];
    for (second, prefix) in prefixes {
        let instant = zero.plus(Duration::from_secs(second));
        let until = ReadStream::new(stream("1")).until(instant);
        let found = numbers_of(&store, until.clone()).await;
        assert_eq!(
            found, prefix,
            "the clock showed 10, 20, 30, 15 and 40 s; until {second} s is the prefix before the \
             first later event"
        );
        let mut backwards = numbers_of(&store, until.clone().backwards()).await;
        backwards.reverse();
        assert_eq!(backwards, prefix, "until {second} s backwards is the same prefix");
        // the prefix is that of the stream, not of the range that is read
        let from: Vec<u64> = prefix.iter().copied().filter(|version| *version >= 4).collect();
        let found = numbers_of(&store, until.clone().from_version(version(4))).await;
        assert_eq!(found, from, "from version 4 until {second} s");
        let mut paged = Vec::new();
        let mut next = Some(until.limit(PageLimit::events(1)));
        while let Some(read) = next.filter(|_| paged.len() < 9) {
            let page = page(&store, &read).await;
            paged.extend(numbers(&page.events));
            next = read.after(&page);
        }
        assert_eq!(paged, prefix, "pages until {second} s join to the same prefix");
    }
}

pub(super) async fn a_clock_that_steps_back_changes_no_order(fixture: &dyn Fixture) {
    let (store, _) = recorded_at_seconds(fixture).await;
    let forwards = read(&store, &stream("1")).await;
    assert_eq!(
        numbers(&forwards),
        [1, 2, 3, 4, 5],
        "a stream is in version order, not in time order"
    );
    assert_eq!(read_log(&store).await, forwards, "the log is in position order, not in time order");
}

pub(super) async fn pages_keep_their_limits(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let batch = (1..=7).map(|number| {
        let text = "x".repeat(80);
        es_core::backend::NewEvent::new(
            new_id(),
            "amount_paid_in",
            payload(&json!({"number": number, "text": text})),
        )
    });
    append(&store, &account, NONE, batch.collect()).await;
    let size = read(&store, &account).await[0].payload.as_str().len();
    let whole = ReadStream::new(account);
    // by count: 0 counts as 1, and a full page is not the same as a page with more behind it
    for (limit, count, more) in
        [(0, 1, true), (1, 1, true), (3, 3, true), (6, 6, true), (7, 7, false), (8, 7, false)]
    {
        for read in [whole.clone(), whole.clone().backwards()] {
            let found = page(&store, &read.limit(PageLimit::events(limit))).await;
            assert_eq!(found.events.len(), count, "a page of at most {limit} events, of 7");
            assert_eq!(found.has_more, more, "whether more than {limit} of 7 events follow");
        }
    }
    for (bytes, count) in
        [(size * 3, 3), (size * 3 + size / 2, 3), (size * 4 - 1, 3), (size * 7, 7)]
    {
        let limit = PageLimit::events(100).bytes(bytes);
        let found = page(&store, &whole.clone().limit(limit)).await;
        assert_eq!(found.events.len(), count, "events of {size} bytes in a page of {bytes} bytes");
        assert_eq!(found.has_more, count < 7, "whether more follow a page of {bytes} bytes");
    }
    // what the bounds leave out does not follow
    let bounded = whole.clone().to_version(version(3)).limit(PageLimit::events(3));
    assert!(!page(&store, &bounded).await.has_more, "nothing follows the last wanted version");
    let bounded = whole.from_version(version(5)).backwards().limit(PageLimit::events(3));
    assert!(!page(&store, &bounded).await.has_more, "nothing follows the last wanted version");
}

pub(super) async fn a_large_event_still_comes(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=3)).await;
    let limit = PageLimit::events(10).bytes(1);
    let mut next = Some(ReadStream::new(account).limit(limit));
    let mut found = Vec::new();
    while let Some(read) = next.filter(|_| found.len() < 9) {
        let page = page(&store, &read).await;
        let one = page.events.len();
        assert_eq!(one, 1, "an event larger than the page comes, alone");
        found.extend(numbers(&page.events));
        next = read.after(&page);
    }
    assert_eq!(found, [1, 2, 3], "large events stop no reader");
}

pub(super) async fn pages_join_without_gap_or_overlap(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=11)).await;
    accepted(
        &store,
        AppendRequest::to(account.clone(), ANY, vec![event(12)]).and(
            stream("2"),
            ANY,
            events(1..=2),
        ),
    )
    .await;
    let whole: Vec<RecordedEvent> = read(&store, &account).await;
    let middle = ReadStream::new(account).from_version(version(2)).to_version(version(11));
    for limit in 1..=5 {
        for read in [middle.clone(), middle.clone().backwards()] {
            let mut next = Some(read.clone().limit(PageLimit::events(limit)));
            let mut joined = Vec::new();
            while let Some(read) = next.filter(|_| joined.len() < 50) {
                let page = page(&store, &read).await;
                joined.extend(page.events.iter().cloned());
                next = read.after(&page);
            }
            if read.direction == es_core::backend::Direction::Backwards {
                joined.reverse();
            }
            assert_eq!(joined, whole[1..11], "pages of {limit} join to the whole");
        }
    }
}
