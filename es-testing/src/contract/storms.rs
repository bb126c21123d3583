//! Many writers, readers and followers at once; afterwards the whole history is judged.

use es_core::ExpectedVersion;
use es_core::backend::{
    AppendRequest, NewEvent, PageLimit, Position, ReadLog, ReadStream, StreamId,
};
use es_core::event::EventFilter;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::parts::*;
use crate::checker::{Follower, Recorder, Summary, WriteOrder};
use crate::fixture::Fixture;

/// Few streams, so that writers meet.
const STREAMS: [&str; 4] = ["a", "b", "c", "d"];
const WRITERS: u64 = 6;

pub(super) async fn many_writers_leave_a_consistent_history(fixture: &dyn Fixture) {
    let summary = storm(fixture, false).await;
    assert_eq!(summary.unknown, 0, "a store without faults answers every append");
    let least = (rounds(30, 1_000) * WRITERS / 60) as usize;
    for (count, what) in [
        (summary.acknowledged, "acknowledged"),
        (summary.refused, "refused"),
        (summary.repeated, "repeated"),
    ] {
        assert!(count >= least, "the storm tried too little: {count} appends {what}, of {summary}");
    }
}

pub(super) async fn dropped_appends_leave_a_consistent_history(fixture: &dyn Fixture) {
    storm(fixture, true).await;
}

async fn storm(fixture: &dyn Fixture, with_drops: bool) -> Summary {
    let seed = seed();
    let store = fixture.store();
    let recorder = Recorder::with_order(fixture.write_order());
    let watched = recorder.over(store.clone()).event_store().clone();
    let writers: Vec<BoxFuture<'static, ()>> = (0..WRITERS)
        .map(|writer| -> BoxFuture<'static, ()> {
            let rng = fastrand::Rng::with_seed(seed.wrapping_add(writer));
            let writer = Writer {
                store: watched.clone(),
                rng,
                writer,
                last: None,
                versions: [0; STREAMS.len()],
            };
            Box::pin(writer.run(with_drops))
        })
        .collect();
    let closing: BoxFuture<'static, ()> = {
        let watched = watched.clone();
        Box::pin(async move {
            together("the writers of the storm come to an end", writers).await;
            append(&watched, &stream("closed"), NONE, vec![event(0)]).await;
        })
    };
    let only_a = EventFilter::all().stored_aggregate_type("account").stored_name("amount_paid_in");
    // only where writers overlap may a dropped append still come behind the closing one
    let to_the_end = !with_drops || fixture.write_order() == WriteOrder::Serial;
    let followers = [("of everything", EventFilter::all(), 7), ("of one type", only_a, 3)].map(
        |(name, filter, limit)| -> BoxFuture<'static, ()> {
            let follower = Follower {
                name: name.to_owned(),
                after: Position::START,
                filter,
                seen: Vec::new(),
                to_the_end,
            };
            Box::pin(follow(watched.clone(), recorder.clone(), follower, limit))
        },
    );
    let tasks = [closing].into_iter().chain(followers);
    together(&format!("writers and followers come to an end (ES_SEED={seed})"), tasks).await;
    let history = match recorder.finish(store).await {
        Ok(history) => history,
        Err(error) => panic!("reading after the storm failed: {error}"),
    };
    match history.check() {
        Ok(summary) => summary,
        Err(violations) => panic!("after the storm of ES_SEED={seed}, {violations}"),
    }
}

/// Follows the log until the event that closes the storm.
async fn follow(store: Store, recorder: Recorder, mut follower: Follower, limit: usize) {
    let mut after = follower.after;
    loop {
        let read =
            ReadLog::after(after).filter(follower.filter.clone()).limit(PageLimit::events(limit));
        let page = log_page(&store, &read).await;
        // a dropped append may come behind it
        let is_closed = page.events.iter().any(|event| event.stream == stream("closed"));
        follower.seen.extend(page.events);
        after = page.next;
        if is_closed {
            break;
        }
        if page.at_end && store.wait_past(after).await.is_err() {
            panic!("waiting for the next event failed");
        }
        tokio::task::yield_now().await;
    }
    recorder.add_follower(follower);
}

struct Writer {
    store: Store,
    rng: fastrand::Rng,
    writer: u64,
    last: Option<AppendRequest>,
    /// The versions of the streams as this writer last saw them.
    versions: [u64; STREAMS.len()],
}

impl Writer {
    async fn run(mut self, with_drops: bool) {
        for attempt in 0..rounds(30, 1_000) {
            if self.rng.u8(..4) == 0 {
                self.read().await;
            }
            let request = self.request(attempt);
            if with_drops && self.rng.u8(..3) == 0 {
                let polls = self.rng.usize(..4);
                let mut call = self.store.append(request.clone());
                let _ = polled(&mut call, polls).await;
            } else if let Ok(appended) = self.store.append(request.clone()).await {
                for part in &appended.streams {
                    if let Some(index) = index_of(&part.stream) {
                        self.versions[index] = part.version().as_u64();
                    }
                }
            }
            self.last = Some(request);
            if self.rng.bool() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn request(&mut self, attempt: u64) -> AppendRequest {
        match self.rng.u8(..10) {
            // the same again, as after a lost answer
            0 => match self.last.clone() {
                Some(last) => last,
                None => self.fresh(attempt),
            },
            // under a key that others use too
            1 | 2 => self.keyed(attempt),
            _ => self.fresh(attempt),
        }
    }

    fn fresh(&mut self, attempt: u64) -> AppendRequest {
        let mut indexes: Vec<usize> = (0..STREAMS.len()).collect();
        self.rng.shuffle(&mut indexes);
        indexes.truncate(if self.rng.u8(..4) == 0 { 3 } else { 1 });
        let (first, others) = indexes.split_first().expect("there are four streams");
        let (expected, events) = self.part(*first, attempt);
        let mut request = AppendRequest::to(stream(STREAMS[*first]), expected, events);
        for index in others {
            let (expected, events) = self.part(*index, attempt);
            request = request.and(stream(STREAMS[*index]), expected, events);
        }
        request
    }

    fn part(&mut self, index: usize, attempt: u64) -> (ExpectedVersion, Vec<NewEvent>) {
        let expected = match self.rng.u8(..8) {
            0 => NONE,
            1 => ExpectedVersion::StreamExists,
            2 | 3 => ANY,
            _ => exactly(self.versions[index]),
        };
        let written_as = payload(&json!({
            "writer": self.writer,
            "attempt": attempt,
            "expected": expected.to_string(),
        }));
        let name = if self.rng.bool() { "amount_paid_in" } else { "amount_paid_out" };
        let count = self.rng.usize(1..=3);
        let event = |_| NewEvent::new(new_id(), name, written_as.clone());
        (expected, (0..count).map(event).collect())
    }

    /// One of a few things to do, each of which has one key.
    fn keyed(&mut self, attempt: u64) -> AppendRequest {
        let task = attempt / 5;
        let index = task as usize % STREAMS.len();
        let content = if self.rng.u8(..6) == 0 { 1 } else { 0 };
        let request = AppendRequest::to(stream(STREAMS[index]), ANY, events(content..=content + 1));
        let request = if task.is_multiple_of(3) {
            let other = stream(STREAMS[(index + 1) % STREAMS.len()]);
            request.and(other, ANY, vec![event(task)])
        } else {
            request
        };
        request.with_key(key(&format!("task-{task}")))
    }

    async fn read(&mut self) {
        let index = self.rng.usize(..STREAMS.len());
        let limit = PageLimit::events(self.rng.usize(1..20));
        let read = ReadStream::new(stream(STREAMS[index])).limit(limit);
        match self.rng.u8(..5) {
            0 => {
                end_of_log(&self.store).await;
            }
            1 => {
                let task = key(&format!("task-{}", self.rng.u8(..6)));
                let found = self.store.find_append(&stream(STREAMS[index]), &task).await;
                assert!(found.is_ok(), "looking for a key failed: {found:?}");
            }
            2 => {
                let read = ReadLog::after(end_of_log(&self.store).await).limit(limit);
                log_page(&self.store, &read).await;
            }
            3 => {
                let page = page(&self.store, &read.backwards()).await;
                self.versions[index] = page.stream_version.as_u64();
            }
            _ => {
                let page = page(&self.store, &read).await;
                self.versions[index] = page.stream_version.as_u64();
            }
        }
    }
}

fn index_of(stream: &StreamId) -> Option<usize> {
    STREAMS.iter().position(|name| *name == stream.aggregate_id())
}
