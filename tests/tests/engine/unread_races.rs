//! Several processes that decide from their caches, at once: what they answer, judged call by call and
//! against what the log holds in the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, EventStore, ReadStream, StoreError, StreamPage,
};
use es_core::execution::Retry;
use es_core::layer::{Layered, StoreLayer};
use es_core::{Aggregate, CommandError, Event, ExpectedVersion, Repository, transact};
use es_memory::MemoryStore;
use es_testing::checker::{Recorder, Summary};
use futures_util::future::join_all;

#[derive(Event, Debug, Clone, PartialEq)]
enum CounterEvent {
    /// With the count that the decision saw.
    CountRaised { seen: u64 },
}
use CounterEvent::*;

#[derive(Debug, Clone, Default)]
struct Counter {
    count: u64,
}

impl Aggregate for Counter {
    const TYPE: &'static str = "counter";
    type Id = String;
    type Event = CounterEvent;

    fn evolve(&mut self, _: &CounterEvent) {
        self.count += 1;
    }
}

const COUNTERS: [&str; 3] = ["a", "b", "c"];
const TASKS: u64 = 6;
const COMMANDS: u64 = 60;

/// Lets others go first, now and then, and where it is `blind` takes what any version expects.
struct Busy {
    inner: Arc<dyn EventStore>,
    calls: AtomicU64,
    blind: bool,
}

impl Busy {
    async fn others(&self) {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        for _ in 0..call.wrapping_mul(7919) % 5 {
            tokio::task::yield_now().await;
        }
    }
}

/// The same request, which any version will do for.
fn unchecked(request: AppendRequest) -> AppendRequest {
    let key = request.idempotency_key().cloned();
    let mut parts = request.into_streams().into_iter();
    let first = parts.next().expect("it is for a counter at least");
    let first = AppendRequest::to(first.stream, ExpectedVersion::Any, first.events);
    let all =
        parts.fold(first, |all, part| all.and(part.stream, ExpectedVersion::Any, part.events));
    match key {
        Some(key) => all.with_key(key),
        None => all,
    }
}

#[async_trait]
impl StoreLayer for Busy {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.others().await;
        let request = if self.blind { unchecked(request) } else { request };
        let answer = self.inner.append(request).await;
        self.others().await;
        answer
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.others().await;
        let answer = self.inner.read_stream(read).await;
        self.others().await;
        answer
    }
}

/// What is known to everybody who is told of it: how far each counter was when an answer came.
#[derive(Default)]
struct Told {
    counts: [AtomicU64; COUNTERS.len()],
    faults: Mutex<Vec<String>>,
}

impl Told {
    fn count(&self, counter: usize) -> u64 {
        self.counts[counter].load(Ordering::SeqCst)
    }

    /// An answer that rests on this count, to a call before which the counter was known to be at `least`.
    fn answer(&self, counter: usize, count: u64, least: u64) {
        self.counts[counter].fetch_max(count, Ordering::SeqCst);
        if count < least {
            let fault = format!("{} was at {least}, and answered at {count}", COUNTERS[counter]);
            self.faults.lock().unwrap().push(fault);
        }
    }
}

async fn commands(counters: Repository<Counter>, told: &Told, task: u64) {
    for number in 0..COMMANDS {
        // each third command is sent by both tasks of a process
        let sender = if number % 3 == 0 { task / 2 * 2 } else { task };
        let chance = (sender * COMMANDS + number + 1).wrapping_mul(2_654_435_761) >> 7;
        let at = (chance % 3) as usize;
        let counter = counters.by_id(COUNTERS[at]);
        let least = told.count(at);
        match chance / 3 % 6 {
            0 => {
                let refused = counter.decide(|counter| Err::<CounterEvent, _>(counter.count)).await;
                if let Err(CommandError::Rejected(seen)) = refused {
                    told.answer(at, seen, least);
                }
            }
            1 => {
                let nothing = counter.decide(|_| None).await.unwrap();
                told.answer(at, nothing.state.count, least);
            }
            2 => {
                let other = (at + 1) % 3;
                let least = [least, told.count(other)];
                let both = (counter, counters.by_id(COUNTERS[other]));
                let both = transact(both, |(one, other)| {
                    one.record(CountRaised { seen: one.count });
                    other.record(CountRaised { seen: other.count });
                    Ok::<_, ()>(())
                });
                if let Ok(both) = both.await {
                    told.answer(at, both.version.0.as_u64(), least[0]);
                    told.answer(other, both.version.1.as_u64(), least[1]);
                }
            }
            kind => {
                let raise = counter.decide(|counter| CountRaised { seen: counter.count });
                let raise = match kind {
                    3 => raise.idempotency_key(format!("{sender}/{number}")),
                    _ => raise,
                };
                if let Ok(raised) = raise.await {
                    told.answer(at, raised.version.as_u64(), least);
                }
            }
        }
    }
}

/// Has all tasks send their commands, two each in one process, and judges what came of it.
async fn race(blind: bool) -> Result<Summary, String> {
    let store = MemoryStore::new();
    let busy = Busy { inner: Arc::new(store.clone()), calls: AtomicU64::new(0), blind };
    let recorder = Recorder::new();
    let watched = recorder.over(Layered(busy));
    let retry = Retry { retries: 30, base: Duration::ZERO, longest: Duration::ZERO };
    let process = || Repository::<Counter>::new(&watched).with_retry(retry);
    let from_cache = || process().with_cache(10).deciding_from_cache();
    let processes = [from_cache(), from_cache(), process()];
    let told = Told::default();
    let tasks = (0..TASKS).map(|task| {
        let counters = processes[(task / 2) as usize].clone();
        commands(counters, &told, task)
    });
    join_all(tasks).await;
    let faults = std::mem::take(&mut *told.faults.lock().unwrap());
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault);
    }
    for counter in COUNTERS {
        let read = ReadStream::new(format!("counter/{counter}").parse().unwrap());
        let page = store.read_stream(&read).await.unwrap();
        for (before, event) in (0..).zip(&page.events) {
            for CountRaised { seen } in event.decode::<CounterEvent>().unwrap() {
                if seen != before {
                    return Err(format!("{counter} was at {before}, and {seen} was decided on"));
                }
            }
        }
    }
    let history = recorder.finish(store).await.map_err(|error| error.to_string())?;
    history.check().map_err(|violations| violations.to_string())
}

#[tokio::test]
async fn every_answer_is_true_and_every_append_rests_on_what_was_there() {
    let summary = race(false).await.unwrap();
    assert!(summary.acknowledged > 100, "{summary}");
    assert!(summary.refused > 0, "nobody was overtaken: {summary}");
}

#[tokio::test]
async fn a_store_that_takes_what_rests_on_an_old_state_is_found_out() {
    race(true).await.unwrap_err();
}
