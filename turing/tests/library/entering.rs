//! A run that is asked to stop while its postings enter it, or leave the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, EventStore};
use es_core::event::{EventFilter, EventStoreExt, EventType, ReadLog};
use es_core::execution::Appended;
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use turing::registry::MemoryRegistry;
use turing::run::{Observer, Preparation, Report, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::{Posting, PostingEvent};

use crate::support::within::{Quiet, options};
use crate::support::{ID_END, Workspace};

/// More than enter side by side.
const POSTINGS: usize = 100;

/// A store that asks the run to stop when it is asked for its nth append.
struct Stopping {
    inner: Arc<dyn EventStore>,
    appends: AtomicUsize,
    nth: usize,
    stop: watch::Sender<bool>,
}

#[async_trait]
impl StoreLayer for Stopping {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        if self.appends.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            self.stop.send_replace(true);
        }
        self.inner.append(request).await
    }
}

/// Keeps how many postings had come through what, whenever that is told.
#[derive(Default)]
struct Prepared(Vec<(Preparation, usize)>);

impl Observer for Prepared {
    fn prepares(&mut self, what: Preparation, done: usize, of: usize) {
        assert_eq!(of, POSTINGS);
        self.0.push((what, done));
    }
}

impl Prepared {
    /// What is told of one, in its order.
    fn of(&self, what: Preparation) -> Vec<usize> {
        self.0.iter().filter(|(told, _)| *told == what).map(|(_, done)| *done).collect()
    }
}

struct Scene {
    workspace: Workspace,
    memory: Arc<MemoryStore>,
    postings: Arc<MemoryRegistry>,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::with_script(POSTINGS, "echo", ID_END, "echo ok");
        Self { workspace, memory: Arc::default(), postings: Arc::default() }
    }

    /// Runs, and is asked to stop at the nth append.
    async fn run(&self, nth: usize, abandon: bool) -> Result<RunOutcome, RunError> {
        self.run_watched(nth, abandon, &mut Quiet).await
    }

    async fn run_watched(
        &self,
        nth: usize,
        abandon: bool,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, RunError> {
        let (stop, stopped) = watch::channel(false);
        let events = Stopping {
            inner: self.memory.clone(),
            appends: AtomicUsize::new(0),
            nth,
            stop: stop.clone(),
        };
        let store = Store::new(Layered(events), self.postings.clone());
        let options = RunOptions { abandon, ..options() };
        self.workspace.run_within(&store, options, stopped, observer).await
    }

    /// How often an event of postings is stored, over all of them.
    async fn count(&self, event: EventType) -> usize {
        let filter = EventFilter::events([event]).aggregate::<Posting>();
        let log = self.memory.log(ReadLog::from_start().filter(filter));
        log.try_fold(0, |count, _| std::future::ready(Ok(count + 1))).await.unwrap()
    }
}

#[track_caller]
fn adds_up(report: &Report) {
    let ended: usize = report.ended.iter().map(|ending| ending.postings).sum();
    assert_eq!(report.postings, POSTINGS);
    assert_eq!(report.postings, ended + report.open, "{report:?}");
    assert!(report.not_entered <= report.open, "{report:?}");
}

#[tokio::test]
async fn a_run_that_stops_while_postings_enter_is_continued_and_adds_up() {
    for nth in [1, 2, 30, 60, POSTINGS + 1] {
        let scene = Scene::new();
        // the first append begins the run
        let RunOutcome::Stopped(first) = scene.run(nth, false).await.unwrap() else {
            panic!("append {nth}")
        };
        adds_up(&first);
        let entered = scene.count(PostingEvent::POSTING_ENTERED_RUN).await;
        assert_eq!(first.not_entered, POSTINGS - entered, "append {nth}");
        assert_eq!(first.open, POSTINGS, "append {nth}");
        if nth < 30 {
            assert!(entered < POSTINGS, "append {nth}");
        }
        // the next ones get as far as they get, too
        let (mut rounds, mut later) = (0, 50);
        let last = loop {
            match scene.run(later, false).await.unwrap() {
                RunOutcome::Stopped(report) => adds_up(&report),
                RunOutcome::Finished(report) => break report,
                RunOutcome::AlreadyCompleted(_) => panic!("it was not completed before"),
            }
            (rounds, later) = (rounds + 1, later + 10);
            assert!(rounds < 100, "each goes on");
        };
        adds_up(&last);
        assert_eq!((last.open, last.not_entered), (0, 0));
        assert_eq!(last.completed(), POSTINGS);
        for event in [PostingEvent::POSTING_ENTERED_RUN, PostingEvent::POSTING_TERMINAL] {
            assert_eq!(scene.count(event).await, POSTINGS, "each once, first asked at {nth}");
        }
    }
}

#[tokio::test]
async fn a_run_that_stops_while_it_gives_up_another_has_not_begun() {
    let scene = Scene::new();
    let first = scene.run(POSTINGS + 1, false).await.unwrap();
    assert!(matches!(first, RunOutcome::Stopped(_)), "{first:?}");
    scene.workspace.redefine();
    let stopped = scene.run(3, true).await.unwrap_err();
    assert!(matches!(stopped, RunError::NotBegun), "{stopped:?}");
    let released = scene.count(PostingEvent::POSTING_TERMINAL).await;
    assert!((1..POSTINGS).contains(&released), "{released}");
    let RunOutcome::Finished(report) = scene.run(usize::MAX, true).await.unwrap() else {
        panic!("it is not asked to stop")
    };
    adds_up(&report);
    assert_eq!(scene.count(PostingEvent::POSTING_ENTERED_RUN).await, 2 * POSTINGS);
    assert_eq!(scene.count(PostingEvent::POSTING_TERMINAL).await, 2 * POSTINGS);
}

#[tokio::test]
async fn it_is_told_how_many_postings_are_looked_at_given_up_and_have_entered() {
    let scene = Scene::new();
    let mut prepared = Prepared::default();
    let first = scene.run_watched(POSTINGS + 1, false, &mut prepared).await.unwrap();
    assert!(matches!(first, RunOutcome::Stopped(_)), "{first:?}");
    let each: Vec<_> = (0..=POSTINGS).collect();
    assert_eq!(prepared.of(Preparation::Entered), each);
    assert_eq!(prepared.0.len(), each.len(), "nothing was there before");

    scene.workspace.redefine();
    let mut prepared = Prepared::default();
    let second = scene.run_watched(usize::MAX, true, &mut prepared).await.unwrap();
    assert!(matches!(second, RunOutcome::Finished(_)), "{second:?}");
    assert_eq!(prepared.of(Preparation::GivenUp), each[..POSTINGS]);
    assert_eq!(prepared.of(Preparation::LookedAt), [0, 64], "as many as are loaded together");
    assert_eq!(prepared.of(Preparation::Entered), each);
}
