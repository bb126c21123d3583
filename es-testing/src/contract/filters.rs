//! Reading a selection of the log.

use es_core::Event;
use es_core::backend::{EventReference, LogPage, PageLimit, Position, ReadLog};
use es_core::event::{EventFilter, RecordedEvent};

use super::parts::*;
use crate::fixture::Fixture;

/// 3 aggregate types by 3 event types, mixed.
async fn mixed(store: &Store) -> Vec<RecordedEvent> {
    let types = ["account", "audit", "account_archive"];
    let names = ["amount_paid_in", "amount_paid_out", "amount_paid"];
    for number in 0..36 {
        let target = typed_stream(types[(number / 2 % 3) as usize], &format!("{}", number % 4));
        append(store, &target, ANY, vec![typed_event(names[(number % 3) as usize], number)]).await;
    }
    read_log(store).await
}

/// What a filter selects, in pages of this many events, each of which is looked at, too, with the
/// place from which it was read.
pub(super) async fn selected(
    store: &Store,
    filter: &EventFilter,
    limit: usize,
    look: impl Fn(Position, &LogPage),
) -> Vec<RecordedEvent> {
    let mut found = Vec::new();
    let mut after = Position::START;
    for _ in 0..1_000 {
        let read = ReadLog::after(after).filter(filter.clone()).limit(PageLimit::events(limit));
        let page = log_page(store, &read).await;
        assert!(page.events.len() <= limit, "a page keeps its limit");
        if let Some(last) = page.events.last() {
            assert!(page.next >= last.position, "a page leads behind its own events");
        }
        look(after, &page);
        found.extend(page.events);
        if page.at_end {
            return found;
        }
        assert!(
            page.next > after,
            "a page that is not the last must lead on, but after {after} comes {}",
            page.next
        );
        after = page.next;
    }
    panic!("a log of a few events in pages of {limit} did not end after 1,000 pages");
}

pub(super) async fn types_select_events(fixture: &dyn Fixture) {
    let store = fixture.store();
    let log = mixed(&store).await;
    let filters = [
        EventFilter::all(),
        EventFilter::all().stored_aggregate_type("account"),
        EventFilter::all().stored_name("amount_paid"),
        EventFilter::all().stored_aggregate_type("audit").stored_aggregate_type("account_archive"),
        EventFilter::all().stored_name("amount_paid").stored_name("amount_paid_out"),
        EventFilter::all().stored_aggregate_type("account").stored_name("amount_paid_in"),
        EventFilter::all().stored_aggregate_type("account").stored_name("never_happened"),
        EventFilter::all().stored_aggregate_type("nothing"),
    ];
    for filter in filters {
        let expected: Vec<_> = log.iter().filter(|event| filter.accepts(event)).cloned().collect();
        for limit in [1, 2, 5, 1_000] {
            let found = selected(&store, &filter, limit, |_, _| {}).await;
            assert_eq!(
                numbers(&found),
                numbers(&expected),
                "{filter:?} in pages of {limit} selects these events and no others"
            );
            assert_eq!(found, expected);
        }
    }
}

/// Events of which one kind has had other names.
#[derive(Debug, Clone, PartialEq, Event)]
enum Renamed {
    #[event(alias = "amount_paid", alias = "amount_paid_in")]
    SumReceived {
        number: u64,
    },
    AccountLocked {
        number: u64,
    },
}

pub(super) async fn a_kind_is_found_under_each_of_its_names(fixture: &dyn Fixture) {
    let store = fixture.store();
    mixed(&store).await;
    for (number, name) in (36..).zip(["sum_received", "account_locked"]) {
        append(&store, &stream("9"), ANY, vec![typed_event(name, number)]).await;
    }
    let log = read_log(&store).await;
    let filters = [
        (EventFilter::events([Renamed::SUM_RECEIVED]), 25),
        (EventFilter::events([Renamed::ACCOUNT_LOCKED]), 1),
        (EventFilter::of::<Renamed>(), 26),
        (EventFilter::events([Renamed::SUM_RECEIVED]).stored_aggregate_type("audit"), 12),
    ];
    for (filter, count) in filters {
        let found = selected(&store, &filter, 3, |_, _| {}).await;
        let expected: Vec<_> = log.iter().filter(|event| filter.accepts(event)).cloned().collect();
        assert_eq!((found.len(), found), (count, expected), "{filter:?}");
    }
}

/// The last of these events that stands after `after` and not after `next`.
fn last_between<'a>(
    events: impl IntoIterator<Item = &'a RecordedEvent>,
    after: Position,
    next: Position,
) -> Option<EventReference> {
    let passed = events.into_iter();
    let passed = passed.filter(|event| event.position > after && event.position <= next);
    passed.last().map(EventReference::from)
}

pub(super) async fn a_page_tells_the_event_where_it_ends(fixture: &dyn Fixture) {
    let store = fixture.store();
    let log = mixed(&store).await;
    let filters = [
        EventFilter::all(),
        EventFilter::all().stored_aggregate_type("audit"),
        EventFilter::all().stored_name("amount_paid_in"),
        EventFilter::all().stored_aggregate_type("nothing"),
    ];
    for filter in filters {
        for limit in [1, 3, 1_000] {
            let mut after = Position::START;
            loop {
                let read = ReadLog::after(after).filter(filter.clone());
                let page = log_page(&store, &read.limit(PageLimit::events(limit))).await;
                let expected = last_between(&log, after, page.next);
                assert_eq!(page.last, expected, "{filter:?}, {limit} events after {after}");
                if page.next == after {
                    break;
                }
                after = page.next;
            }
            assert_eq!(after, end_of_log(&store).await, "{filter:?}");
        }
    }
}

pub(super) async fn a_prefix_selects_its_streams(fixture: &dyn Fixture) {
    let store = fixture.store();
    // ids that begin alike, by letters, cases, and what patterns take for any letter
    let ids = ["acme/1", "acme/2/b", "acme2/1", "acme", "Acme/1", "ac_e/1", "a%/1", "1/acme/1"];
    let types = ["account", "audit", "account_archive"];
    let names = ["amount_paid_in", "amount_paid_out"];
    for number in 0..64 {
        let id = ids[(number * 5 % 8) as usize];
        let target = typed_stream(types[(number / 8 % 3) as usize], id);
        let event = typed_event(names[(number / 3 % 2) as usize], number);
        append(&store, &target, ANY, vec![event]).await;
    }
    let log = read_log(&store).await;
    for prefix in ["acme/", "acme", "acme2/", "A", "ac_e/", "a%", "acme/1", "acme/1/", "none/"] {
        let view = EventFilter::all().ids_with_prefix(prefix);
        let shown: Vec<_> =
            log.iter().filter(|event| event.stream.aggregate_id().starts_with(prefix)).collect();
        for filter in [
            view.clone(),
            view.clone().stored_aggregate_type("audit"),
            view.clone().stored_name("amount_paid_in").stored_aggregate_type("account"),
            view.clone().stored_name("never_happened"),
        ] {
            let is_wanted = |event: &&&RecordedEvent| {
                let types = &filter.aggregate_types;
                (types.is_empty() || types.contains(event.stream.aggregate_type()))
                    && (filter.event_types.is_empty()
                        || filter.event_types.contains(&event.event_type))
            };
            let expected: Vec<RecordedEvent> =
                shown.iter().filter(is_wanted).map(|event| (*event).clone()).collect();
            for limit in [1, 3, 1_000] {
                let look = |after, page: &LogPage| {
                    let expected = last_between(shown.iter().copied(), after, page.next);
                    assert_eq!(page.last, expected, "{filter:?}, {limit} events after {after}");
                };
                let found = selected(&store, &filter, limit, look).await;
                assert_eq!(found, expected, "{filter:?} in pages of {limit}");
            }
        }
    }
}

pub(super) async fn an_unmatched_page_still_moves_on(fixture: &dyn Fixture) {
    let store = fixture.store();
    append(&store, &stream("1"), NONE, vec![event(1)]).await;
    for number in 2..=30 {
        append(&store, &typed_stream("audit", "1"), ANY, vec![event(number)]).await;
    }
    for filter in [
        EventFilter::all().stored_aggregate_type("account"),
        EventFilter::all().stored_aggregate_type("nothing"),
    ] {
        let mut after = Position::START;
        let mut pages = 0;
        loop {
            let read = ReadLog::after(after).filter(filter.clone()).limit(PageLimit::events(4));
            let page = log_page(&store, &read).await;
            after = page.next;
            pages += 1;
            assert!(pages < 100, "a reader must get past events that it does not want");
            if page.at_end {
                break;
            }
        }
        let end = end_of_log(&store).await;
        assert_eq!(after, end, "at the end, all that the filter leaves out is behind the reader");
        // else a follower would read the same unwanted events for ever
        let mut wait = store.wait_past(after);
        let woken = polled(&mut wait, 5).await;
        assert!(woken.is_none(), "nothing follows the end, so that a follower waits");
    }
}
