//! A lock that is lost while postings enter the run.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use es_core::Repository;
use es_core::backend::{AppendError, AppendRequest, EventStore};
use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use es_core::execution::Appended;
use es_core::layer::{Layered, StoreLayer};
use futures_util::TryStreamExt;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;
use turing::run::{Observer, RunError, RunOutcome};
use turing::store::{Access, Store, StoreUrl};
use turing_domain::{PostingEvent, WorkflowId, WorkflowRejection, WorkflowRuns};

use crate::support::within::options;
use crate::support::{ID_END, Workspace};

const WORKFLOW: WorkflowId = WorkflowId(3001);

/// Every 500 that have entered the lock is looked at, the last time when all have.
const POSTINGS: usize = 1000;
/// More than have entered or are entering at the look after the loss.
const FEW: usize = 600;
/// The append at which the lock is lost: the first begins the run.
const LOSS: usize = 200;

/// What becomes of the lock, and of the run.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// Its file is deleted.
    Deleted,
    /// The same, and somebody else takes it.
    Taken,
    /// The same, and whoever took it has given the run up.
    GivenUp,
}

/// A store whose run loses its lock, and is asked to stop when the last posting enters.
struct Losing {
    inner: Arc<dyn EventStore>,
    lock_file: PathBuf,
    loss: Loss,
    appends: AtomicUsize,
    /// What somebody else has locked.
    taken: Mutex<Option<File>>,
    stop: watch::Sender<bool>,
}

impl Losing {
    async fn lose(&self) {
        fs::remove_file(&self.lock_file).unwrap();
        match self.loss {
            Loss::Deleted => {}
            Loss::Taken => {
                let mut file = File::create(&self.lock_file).unwrap();
                flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
                file.write_all(b"another\n").unwrap();
                *self.taken.lock().unwrap() = Some(file);
            }
            Loss::GivenUp => {
                let runs = Repository::<WorkflowRuns>::new(self.inner.clone());
                let open = runs.load(&WORKFLOW).await.unwrap().state;
                let run_id = open.open_run().unwrap().run_id;
                let workflow = runs.by_id(&WORKFLOW);
                workflow.decide(|runs| runs.fail(WORKFLOW, run_id, "abandoned")).await.unwrap();
            }
        }
    }
}

#[async_trait]
impl StoreLayer for Losing {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        match self.appends.fetch_add(1, Ordering::SeqCst) + 1 {
            LOSS => self.lose().await,
            append if append == POSTINGS + 1 => drop(self.stop.send_replace(true)),
            _ => {}
        }
        self.inner.append(request).await
    }
}

/// What is told of the lock.
#[derive(Debug, Default)]
struct Watching {
    taken_again: Vec<String>,
    lost_to: Vec<String>,
}

impl Observer for Watching {
    fn lock_taken_again(&mut self, loss: &str) {
        self.taken_again.push(loss.to_owned());
    }
    fn lock_lost(&mut self, process: &str) {
        self.lost_to.push(process.to_owned());
    }
}

/// Runs; answers how that ended, what was told, and how many postings have entered.
async fn run_losing(loss: Loss) -> (Result<RunOutcome, RunError>, Watching, usize) {
    let workspace = Workspace::with_script(POSTINGS, "a", ID_END, "echo ok");
    let (stop, stopped) = watch::channel(false);
    let url = StoreUrl::Sqlite(workspace.path().join("turing.db"));
    let mut store = Store::open(&url, Access::Write).await.unwrap();
    store.events = es_core::Store::from(Layered(Losing {
        inner: store.events.event_store().clone(),
        lock_file: workspace.path().join("turing.db-run-3001.lock"),
        loss,
        appends: AtomicUsize::new(0),
        taken: Mutex::new(None),
        stop,
    }));
    let mut watching = Watching::default();
    let running = workspace.run_within(&store, options(), stopped, &mut watching);
    let done = tokio::time::timeout(Duration::from_secs(60), running).await;
    let done = done.unwrap_or_else(|_| panic!("{loss:?}: the run does not end"));
    let entered = EventFilter::events([PostingEvent::POSTING_ENTERED_RUN]);
    let entered = store.events.log(ReadLog::from_start().filter(entered));
    let entered = entered.try_fold(0, |count, _| std::future::ready(Ok(count + 1))).await.unwrap();
    store.close().await;
    (done, watching, entered)
}

#[tokio::test]
async fn when_somebody_else_takes_the_lock_while_postings_enter_no_more_do() {
    let (done, watching, entered) = run_losing(Loss::Taken).await;
    let Err(RunError::LockLost { process, .. }) = done else { panic!("{done:?}") };
    assert_eq!(process, "another");
    assert_eq!(watching.lost_to, ["another"]);
    assert!((LOSS..FEW).contains(&entered), "{entered}");
}

#[tokio::test]
async fn a_run_that_was_given_up_while_its_postings_enter_takes_no_more() {
    let (done, watching, entered) = run_losing(Loss::GivenUp).await;
    let Err(RunError::Record(why)) = done else { panic!("{done:?}") };
    let why = why.downcast_ref::<WorkflowRejection>();
    assert!(matches!(why, Some(WorkflowRejection::RunOver { .. })), "{why:?}");
    assert_eq!(watching.taken_again.len(), 1, "{watching:?}");
    assert!((LOSS..FEW).contains(&entered), "{entered}");
}

#[tokio::test]
async fn a_lock_that_is_lost_while_postings_enter_is_taken_again_and_all_enter() {
    let (done, watching, entered) = run_losing(Loss::Deleted).await;
    let Ok(RunOutcome::Stopped(report)) = done else { panic!("{done:?}") };
    assert_eq!((entered, report.not_entered), (POSTINGS, 0));
    assert_eq!(watching.taken_again.len(), 1, "{watching:?}");
    assert!(watching.taken_again[0].contains("3001.lock was deleted"), "{watching:?}");
}
