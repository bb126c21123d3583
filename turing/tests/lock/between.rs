//! What happens between the look at the lock and the attempt that it is for.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::{
    AppendError, AppendRequest, Appended, EventStore, IdempotencyKey, LogPage, Position, ReadLog,
    ReadStream, StoreError, StoreErrorKind, StreamId, StreamPage,
};
use es_memory::MemoryStore;
use serde_json::{Map, Value};
use tokio::sync::watch;
use turing::definition::Definition;
use turing::postings::{PostingInput, RefusedPosting};
use turing::registry::{MemoryRegistry, PostingRegistry};
use turing::run::{Observer, RunError, RunOptions, RunOutcome, run, take_in};
use turing::store::Store;
use turing_domain::{Conversation, PostingId};

use crate::support::Workspace;

/// What is asked of a store before an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    State,
    Data,
}

/// A store that is asked for what an attempt needs.
struct Asking {
    events: Arc<MemoryStore>,
    postings: MemoryRegistry,
    /// Whether attempts begin: what is asked before is for something else.
    begins: watch::Receiver<bool>,
    /// What is not answered, and how often.
    fails: (Asked, usize),
    failed: AtomicUsize,
    /// Stops the run at the first question.
    stop: Option<watch::Sender<bool>>,
}

impl Asking {
    fn is_asked(&self, what: Asked) -> Result<(), StoreError> {
        if !*self.begins.borrow() {
            return Ok(());
        }
        if let Some(stop) = &self.stop {
            stop.send_replace(true);
        }
        let (fails, times) = self.fails;
        match fails == what && self.failed.fetch_add(1, Ordering::SeqCst) < times {
            true => Err(StoreError::new(StoreErrorKind::Unavailable, "the server restarts")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl PostingRegistry for Asking {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        self.postings.register(postings).await
    }
    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        self.is_asked(Asked::Data)?;
        self.postings.data(posting).await
    }
}

#[async_trait]
impl EventStore for Asking {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.events.append(request).await
    }
    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.events.find_append(stream, key).await
    }
    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        if read.stream.aggregate_type() == "posting" {
            self.is_asked(Asked::State)?;
        }
        self.events.read_stream(read).await
    }
    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.events.read_log(read).await
    }
    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.events.end_of_log().await
    }
    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.events.wait_past(position).await
    }
}

/// Tells when attempts begin.
struct Watching(watch::Sender<bool>);

impl Observer for Watching {
    fn wave_begins(&mut self, _: &Conversation, _: usize) {
        self.0.send_replace(true);
    }
}

/// Runs two postings one after the other; answers how that ended, and how many attempts began.
async fn run_asking(
    fails: (Asked, usize),
    is_stopped: bool,
) -> (Result<RunOutcome, RunError>, usize) {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("a.sh", "echo >> begun; echo ok");
    workspace.definition(10, &[(10, "a", "input = \"x\"\n[[conversations.branches]]\n")]);
    let ((begin, begins), (stop, stopped)) = (watch::channel(false), watch::channel(false));
    let events = Arc::<MemoryStore>::default();
    let (postings, failed) = (MemoryRegistry::default(), AtomicUsize::new(0));
    let stop = is_stopped.then_some(stop);
    let asking = Arc::new(Asking { events: events.clone(), postings, begins, fails, failed, stop });
    let store = Store::new(asking.clone(), events.clone(), asking, events);
    let definition = Definition::load(&workspace.path().join("workflow.toml")).unwrap();
    let intake = take_in(&*store.postings, &workspace.path().join("postings")).await.unwrap();
    let lock = store.lock_run(definition.workflow.id).await.unwrap();
    let options = RunOptions::new(env!("CARGO_BIN_EXE_turing"));
    let options = RunOptions { parallelism: NonZeroUsize::MIN, ..options };
    let mut watching = Watching(begin);
    let running = run(&store, &lock, definition, intake, options, stopped, &mut watching);
    let done = running.await;
    let begun = fs::read_to_string(workspace.path().join("begun")).unwrap_or_default();
    (done, begun.lines().count())
}

#[tokio::test]
async fn a_run_that_is_asked_to_stop_before_an_attempt_begins_does_not_begin_it() {
    let (done, begun) = run_asking((Asked::State, 0), true).await;
    let Ok(RunOutcome::Stopped(report)) = done else { panic!("{done:?}") };
    assert_eq!((begun, report.open, report.left.len()), (0, 2, 0));
}

#[tokio::test]
async fn a_store_that_is_away_for_a_moment_before_an_attempt_is_asked_again() {
    for asked in [Asked::State, Asked::Data] {
        let (done, begun) = run_asking((asked, 1), false).await;
        let Ok(RunOutcome::Finished(report)) = done else { panic!("{asked:?}: {done:?}") };
        assert_eq!((begun, report.completed()), (2, 2), "{asked:?}");
    }
}

/// The lock is answered for all the time, so nothing is to be waited for.
#[tokio::test]
async fn a_store_that_stays_away_while_the_lock_is_held_ends_the_run() {
    for asked in [Asked::State, Asked::Data] {
        let (done, begun) = run_asking((asked, usize::MAX), false).await;
        let error = done.unwrap_err();
        assert!(matches!(error, RunError::Store(_) | RunError::Step(_)), "{error}");
        assert_eq!(begun, 0, "{asked:?}");
    }
}
