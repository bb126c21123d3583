//! A posting that cannot go on holds up no other, and is named.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, NewEvent};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::{Payload, StreamId};
use es_core::execution::{Appended, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use tokio::sync::watch;
use turing::registry::MemoryRegistry;
use turing::run::{Observer, Report, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::PostingId;

use crate::support::Workspace;
use crate::support::within::{one_by_one, options};

/// The posting whose stream somebody holds.
const HELD: PostingId = PostingId(2);

/// How many appends a run makes to each of the streams.
const APPENDS: usize = 3;

/// How many postings there are.
const POSTINGS: usize = 4;

/// A store of which one stream is held by somebody else, from its nth append on.
struct Holding {
    inner: Arc<dyn EventStore>,
    free_appends: usize,
    appends: AtomicUsize,
    /// Whether the stream is free again; an append waits for that, unless it is `Busy`.
    is_free: watch::Receiver<bool>,
    is_patient: bool,
    /// Whether all streams are held.
    is_whole: bool,
}

#[async_trait]
impl StoreLayer for Holding {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let is_held = |id: &str| self.is_whole || id == HELD.to_string();
        let mut streams = request.streams().iter().map(|batch| &batch.stream);
        let is_held =
            streams.any(|it| it.aggregate_type() == "posting" && is_held(it.aggregate_id()));
        if is_held && self.appends.fetch_add(1, Ordering::SeqCst) >= self.free_appends {
            if !self.is_patient {
                let text = "another transaction holds the stream";
                return Err(StoreError::new(StoreErrorKind::Busy, text).into());
            }
            self.is_free.clone().wait_for(|is_free| *is_free).await.unwrap();
        }
        self.inner.append(request).await
    }
}

/// Lets the stream go once all other postings have ended; keeps who was named.
struct Watching {
    free: watch::Sender<bool>,
    waited_for: Vec<PostingId>,
    left: Vec<PostingId>,
}

impl Observer for Watching {
    fn waits_for(&mut self, postings: &[PostingId]) {
        // nothing else is left to be done
        self.free.send_replace(true);
        self.waited_for.extend(postings);
    }
    fn posting_left(&mut self, posting: PostingId, _: &str) {
        self.left.push(posting);
    }
}

struct Scene {
    workspace: Workspace,
    memory: Arc<MemoryStore>,
    postings: Arc<MemoryRegistry>,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::with_two_scripts(POSTINGS, ["cat", "cat"]);
        Self { workspace, memory: Arc::default(), postings: Arc::default() }
    }

    /// Runs while the stream is held from its nth append on.
    async fn run(
        &self,
        hold: impl FnOnce(&mut Holding),
        options: RunOptions,
    ) -> (Result<RunOutcome, RunError>, Watching) {
        let (free, is_free) = watch::channel(false);
        let mut watching = Watching { free, waited_for: Vec::new(), left: Vec::new() };
        let mut holding = Holding {
            inner: self.memory.clone(),
            free_appends: usize::MAX,
            appends: AtomicUsize::new(0),
            is_free,
            is_patient: true,
            is_whole: false,
        };
        hold(&mut holding);
        let store = Store::new(Layered(holding), self.postings.clone());
        let (_stop, stopped) = watch::channel(false);
        let running = self.workspace.run_within(&store, options, stopped, &mut watching);
        let done = tokio::time::timeout(Duration::from_secs(60), running).await;
        (done.expect("the others wait for the posting that is held"), watching)
    }

    /// Runs to the end with nothing held.
    async fn finish(&self) {
        let (done, _) = self.run(|_| {}, one_by_one()).await;
        assert_eq!(finished(done).open, 0);
    }
}

#[track_caller]
fn finished(done: Result<RunOutcome, RunError>) -> Report {
    match done {
        Ok(RunOutcome::Finished(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn stopped(done: Result<RunOutcome, RunError>) -> Report {
    match done {
        Ok(RunOutcome::Stopped(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn whoever_holds_one_stream_for_a_time_holds_up_no_other_posting() {
    for free_appends in 0..APPENDS {
        let scene = Scene::new();
        let hold = |holding: &mut Holding| holding.free_appends = free_appends;
        // the stream is let go only when nothing else is left to be done
        let (done, watching) = scene.run(hold, one_by_one()).await;
        let report = finished(done);
        assert_eq!((report.open, report.completed()), (0, POSTINGS), "{free_appends}");
        assert_eq!(watching.waited_for, [HELD], "it is named");
        assert_eq!(watching.left, []);
        let attempts: usize = report.conversations.values().map(|it| it.completed).sum();
        assert_eq!(attempts, 2 * POSTINGS, "no attempt is made twice, and none is forgotten");
    }
}

#[tokio::test]
async fn a_posting_whose_stream_stays_held_is_left_open_and_named() {
    for free_appends in 0..APPENDS {
        let scene = Scene::new();
        let hold = |holding: &mut Holding| {
            (holding.free_appends, holding.is_patient) = (free_appends, false);
        };
        let (done, watching) = scene.run(hold, one_by_one()).await;
        let report = stopped(done);
        assert_eq!((report.open, report.completed()), (1, POSTINGS - 1), "{free_appends}");
        assert_eq!(watching.left, [HELD]);
        assert_eq!(report.left.len(), 1);
        assert!(report.left[0].reason.contains("holds the stream"), "{:?}", report.left);
        scene.finish().await;
    }
}

#[tokio::test]
async fn a_store_that_is_held_as_a_whole_ends_the_run() {
    let scene = Scene::new();
    let hold = |holding: &mut Holding| {
        (holding.free_appends, holding.is_patient, holding.is_whole) = (POSTINGS, false, true);
    };
    let (done, _) = scene.run(hold, one_by_one()).await;
    let error = done.unwrap_err();
    assert!(error.to_string().contains("holds the stream"), "{error}");
    scene.finish().await;
}

#[tokio::test]
async fn a_posting_that_cannot_be_read_is_left_open_and_named() {
    for events_before in 0..=2 {
        let scene = Scene::new();
        let hold = |holding: &mut Holding| {
            (holding.free_appends, holding.is_patient) = (events_before, false);
        };
        if events_before > 0 {
            stopped(scene.run(hold, one_by_one()).await.0);
        }
        let stream: StreamId = format!("posting/{HELD}").parse().unwrap();
        let odd = NewEvent::new(UuidV7Ids.next_id(), "note_added", Payload::of(&1).unwrap());
        let odd = AppendRequest::to(stream, ExpectedVersion::Any, vec![odd]);
        scene.memory.append(odd).await.unwrap();
        let (done, watching) = scene.run(|_| {}, options()).await;
        let report = stopped(done);
        assert_eq!((report.open, report.completed()), (1, POSTINGS - 1), "{events_before}");
        assert_eq!(watching.left, [HELD]);
        assert!(report.left[0].reason.contains("note_added"), "{:?}", report.left);

        // another run of the workflow does not wait for it for ever
        scene.workspace.redefine();
        let abandoning = RunOptions { abandon: true, ..options() };
        let report = stopped(scene.run(|_| {}, abandoning).await.0);
        assert_eq!((report.is_continued, report.completed()), (false, POSTINGS - 1));
    }
}
