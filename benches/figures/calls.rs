//! Appends and commands of many callers, on any store.

use es_benches::{Calls, Posting, PostingEvent, Workload, concurrently};
use es_core::backend::AppendRequest;
use es_core::execution::StreamVersion;
use es_core::{ExpectedVersion, Repository, Store};

/// The first posting of what is not measured, so that connections and plans are there.
pub(crate) const WARM_UP: i64 = 2_000_000_000;

/// What a caller does with a posting before it goes on to the next.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    appends: u64,
    events: usize,
}

impl Shape {
    /// Ten appends of one event.
    pub(crate) const SINGLE: Self = Self { appends: 10, events: 1 };

    /// One append of so many events.
    pub(crate) const fn batch(events: usize) -> Self {
        Self { appends: 1, events }
    }

    /// Events of so many appends.
    pub(crate) fn events(self, appends: u64) -> u64 {
        appends * self.events as u64
    }
}

/// What each of so many callers does, in the order in which they will: `input` gets the posting, which no
/// other caller has, and how many appends it has had.
fn lists<I>(
    first: i64,
    callers: usize,
    each: u64,
    shape: Shape,
    mut input: impl FnMut(i64, u64) -> I,
) -> Vec<Vec<I>> {
    let mut lists: Vec<Vec<I>> = std::iter::repeat_with(Vec::new).take(callers).collect();
    for n in 0..each {
        for (caller, list) in lists.iter_mut().enumerate() {
            let number = n / shape.appends * callers as u64 + caller as u64;
            list.push(input(first + number.cast_signed(), n % shape.appends));
        }
    }
    lists
}

/// Appends with the exact version.
pub(crate) fn requests(
    first: i64,
    callers: usize,
    each: u64,
    shape: Shape,
) -> Vec<Vec<AppendRequest>> {
    let mut workload = Workload::seeded(first.unsigned_abs());
    lists(first, callers, each, shape, |posting, n| {
        let version = ExpectedVersion::Exact(StreamVersion::new(shape.events(n)));
        AppendRequest::to(Workload::stream(posting), version, workload.events(shape.events))
    })
}

/// A posting and what is to be recorded.
pub(crate) type Command = (i64, Vec<PostingEvent>);

pub(crate) fn commands(first: i64, callers: usize, each: u64, shape: Shape) -> Vec<Vec<Command>> {
    let mut workload = Workload::seeded(first.unsigned_abs());
    lists(first, callers, each, shape, |posting, _| {
        (posting, (0..shape.events).map(|_| workload.execution()).collect())
    })
}

pub(crate) async fn append(store: &Store, lists: Vec<Vec<AppendRequest>>) -> Calls {
    let store = store.clone();
    let calls = concurrently(lists, move |request| {
        let store = store.clone();
        async move {
            store.append(request).await.expect("no other writer has these postings");
        }
    });
    calls.await
}

/// A repository whose events have a cause, as an application's do.
pub(crate) fn repository(store: &Store) -> Repository<Posting> {
    Repository::new(store).with_metadata(Workload::seeded(7).cause())
}

/// Loads, decides and appends.
pub(crate) async fn command(postings: &Repository<Posting>, lists: Vec<Vec<Command>>) -> Calls {
    let postings = postings.clone();
    let calls = concurrently(lists, move |(posting, executions)| {
        let postings = postings.clone();
        async move {
            let command =
                postings.by_id(&posting).decide(|posting| posting.record_all(&executions));
            command.await.expect("no other writer, and no posting is terminal");
        }
    });
    calls.await
}

/// Loads postings, which have so many events each.
pub(crate) async fn load(
    postings: &Repository<Posting>,
    lists: Vec<Vec<i64>>,
    events: u64,
) -> Calls {
    let postings = postings.clone();
    let calls = concurrently(lists, move |posting| {
        let postings = postings.clone();
        async move {
            let loaded = postings.load(&posting).await.expect("the posting can be read");
            assert_eq!(loaded.version, StreamVersion::new(events));
        }
    });
    calls.await
}
