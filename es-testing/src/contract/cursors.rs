//! Cursors: places in the log that somebody kept, and that may be of another log.

use es_core::backend::{EventStoreExt, PageLimit, Position, ReadLog, StoreError, StoreErrorKind};
use es_core::event::EventFilter;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::parts::*;
use crate::fixture::Fixture;

fn refused<T>(answer: Result<T, StoreError>, what: &str) {
    match answer {
        Err(error) if error.kind() == StoreErrorKind::Diverged => {}
        Err(error) => panic!("{what} beyond the end is refused as diverged, but: {error:?}"),
        Ok(_) => panic!("{what} beyond the end of the log is refused"),
    }
}

pub(super) async fn a_cursor_beyond_the_end_is_refused(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    let mut newest = Position::START;
    for round in 0..3 {
        let beyond = [1, 2, 100_000].map(|more| newest.to_sequence() + more);
        for cursor in beyond.into_iter().chain([i64::MAX as u64, u64::MAX]) {
            let cursor = Position::from_sequence(cursor);
            let wanted = EventFilter::all().stored_aggregate_type("nothing");
            for read in [ReadLog::after(cursor), ReadLog::after(cursor).filter(wanted)] {
                refused(store.read_log(&read).await, "a read");
                let mut tail = store.tail(read);
                let first = soon("a tail beyond the end ends", tail.next()).await;
                refused(first.expect("a tail ends with an error"), "a tail");
            }
            let wait = soon("a wait beyond the end ends", store.wait_past(cursor)).await;
            refused(wait, "a wait");
        }
        // the refusal is no end of the store
        assert_eq!(read_log(&store).await.len() as u64, round * 3, "the log can be read");
        let appended = append(&store, &account, exactly(round * 3), events(1..=3)).await;
        newest = appended.position();
    }
}

pub(super) async fn a_place_that_was_answered_is_never_refused(fixture: &dyn Fixture) {
    let store = fixture.store();
    let each = rounds(15, 500);
    let writers = (0..4).map(|writer| -> BoxFuture<'static, ()> {
        let store = store.clone();
        Box::pin(async move {
            let own = stream(&format!("{writer}"));
            for number in 0..each {
                let appended = append(&store, &own, exactly(number), vec![event(number)]).await;
                goes_on(&store, appended.position(), "an acknowledged position").await;
                let seen = read(&store, &own).await;
                let newest = seen.last().expect("an acknowledged event is there").position;
                goes_on(&store, newest, "the position of an event that was seen").await;
                goes_on(&store, end_of_log(&store).await, "the end of the log").await;
            }
        })
    });
    let followers = [1, 3].map(|limit| -> BoxFuture<'static, ()> {
        let (store, mut after) = (store.clone(), Position::START);
        Box::pin(async move {
            let mut count = 0;
            while count < 4 * each as usize {
                let read = ReadLog::after(after).limit(PageLimit::events(limit));
                let page = log_page(&store, &read).await;
                count += page.events.len();
                after = page.next;
                goes_on(&store, after, "the place after a page").await;
                tokio::task::yield_now().await;
            }
        })
    });
    let tasks = writers.chain(followers).collect::<Vec<_>>();
    together("readers and writers come to an end", tasks).await;
}

/// A read and a wait from this place are no errors.
async fn goes_on(store: &Store, place: Position, what: &str) {
    let page = store.read_log(&ReadLog::after(place).limit(PageLimit::events(1))).await;
    assert!(page.is_ok(), "{what}, {place}, must be read from, but: {page:?}");
    let waited = polled(&mut store.wait_past(place), 2).await;
    assert!(!matches!(waited, Some(Err(_))), "{what}, {place}, is waited at, but: {waited:?}");
}
