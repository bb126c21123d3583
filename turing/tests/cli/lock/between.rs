//! What happens between the look at the lock and the attempt that it is for.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{EventStore, StreamPage};
use es_core::event::ReadStream;
use es_core::execution::{StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use serde_json::{Map, Value};
use tokio::sync::watch;
use turing::postings::{PostingInput, RefusedPosting};
use turing::registry::{MemoryRegistry, PostingRegistry};
use turing::run::{Observer, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::{Conversation, PostingId};

use crate::support::Workspace;
use crate::support::jumping::Jumping;
use crate::support::within::one_by_one;

/// What is asked of a store before an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Asked {
    State,
    Data,
}

/// What becomes of what is asked before an attempt.
struct Asking {
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

/// The postings of a store that is asked for what an attempt needs.
struct Postings(MemoryRegistry, Arc<Asking>);

/// Its events.
struct Events(Arc<dyn EventStore>, Arc<Asking>);

#[async_trait]
impl PostingRegistry for Postings {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        self.0.register(postings).await
    }
    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        self.1.is_asked(Asked::Data)?;
        self.0.data(posting).await
    }
}

#[async_trait]
impl StoreLayer for Events {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        if read.stream.aggregate_type() == "posting" {
            self.1.is_asked(Asked::State)?;
        }
        self.0.read_stream(read).await
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
    let end = "input = \"x\"\n[[conversations.branches]]\n";
    let workspace = Workspace::with_script(2, "a", end, "echo >> begun; echo ok");
    let ((begin, begins), (stop, stopped)) = (watch::channel(false), watch::channel(false));
    let memory = Arc::<MemoryStore>::default();
    let (stop, failed) = (is_stopped.then_some(stop), AtomicUsize::new(0));
    let asking = Arc::new(Asking { begins, fails, failed, stop });
    let events = Layered(Events(memory, asking.clone()));
    let store = Store::new(events, Arc::new(Postings(MemoryRegistry::default(), asking)));
    let options = RunOptions { timer: Jumping::new(), ..one_by_one() };
    let done = workspace.run_within(&store, options, stopped, &mut Watching(begin)).await;
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

#[tokio::test]
async fn a_run_that_is_asked_to_stop_while_the_store_is_away_does_not_wait_for_it() {
    for asked in [Asked::State, Asked::Data] {
        let (done, begun) = run_asking((asked, usize::MAX), true).await;
        let Ok(RunOutcome::Stopped(report)) = done else { panic!("{asked:?}: {done:?}") };
        assert_eq!((begun, report.open, report.left.len()), (0, 2, 0), "{asked:?}");
    }
}

/// The lock is answered for all the time.
#[tokio::test]
async fn a_store_that_stays_away_while_the_lock_is_held_ends_the_run() {
    for asked in [Asked::State, Asked::Data] {
        let (done, begun) = run_asking((asked, usize::MAX), false).await;
        let error = done.unwrap_err();
        assert!(matches!(error, RunError::Store(_) | RunError::Step(_)), "{error}");
        assert_eq!(begun, 0, "{asked:?}");
    }
}
