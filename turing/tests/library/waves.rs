//! When it is recorded that waves begin and end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, EventStore};
use es_core::environment::{Environment, Jitter};
use es_core::event::{EventStoreExt, ReadLog};
use es_core::execution::{Appended, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use turing::registry::MemoryRegistry;
use turing::run::{Observer, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::{Conversation, PostingId};

use crate::support::Workspace;
use crate::support::jumping::Jumping;
use crate::support::within::{Quiet, one_by_one};

/// What becomes of the append by which a wave ends and the next begins.
enum Fate {
    /// It is made once there is this file.
    Waits(PathBuf),
    /// It fails, for a reason that does not pass, once there is this file.
    Fails(PathBuf),
    /// It fails, as if somebody held one of the streams, once there is this file; then, too, the run is
    /// asked to stop.
    Held(PathBuf),
    /// It fails, as does that by which the first begins.
    Never,
    /// It is made when the store has been away for so many calls; the next one fails.
    After(usize),
    /// It is made.
    Made,
}

/// A store that counts appends to conversations.
struct Watched {
    inner: Arc<dyn EventStore>,
    fate: Fate,
    stop: watch::Sender<bool>,
    /// To one conversation, and to two.
    appends: [AtomicUsize; 2],
}

/// No command waits before it is tried again.
#[derive(Debug)]
struct AtOnce;

impl Jitter for AtOnce {
    fn fraction(&self) -> f64 {
        0.0
    }
}

async fn is_there(file: &std::path::Path) {
    let waiting = async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.expect("an attempt begins while its wave is recorded");
}

#[async_trait]
impl StoreLayer for Watched {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let streams = request.streams().iter();
        let waves = streams.filter(|batch| batch.stream.aggregate_type() == "conversation").count();
        if let Some(index) = waves.checked_sub(1) {
            let before = self.appends[index].fetch_add(1, Ordering::SeqCst);
            match &self.fate {
                Fate::Waits(file) if waves == 2 => is_there(file).await,
                Fate::Fails(file) if waves == 2 => {
                    is_there(file).await;
                    return Err(StoreError::new(StoreErrorKind::Full, "the disk is full").into());
                }
                Fate::Held(file) if waves == 2 => {
                    is_there(file).await;
                    self.stop.send_replace(true);
                    return Err(StoreError::new(StoreErrorKind::Busy, "somebody writes").into());
                }
                Fate::After(calls) if waves == 2 && before < *calls => {
                    let text = "the server restarts";
                    return Err(StoreError::new(StoreErrorKind::Unavailable, text).into());
                }
                Fate::After(calls) if waves == 2 && before > *calls => {
                    return Err(StoreError::new(StoreErrorKind::Full, "the disk is full").into());
                }
                Fate::Never => {
                    return Err(StoreError::new(StoreErrorKind::Full, "the disk is full").into());
                }
                _ => {}
            }
        }
        self.inner.append(request).await
    }
}

/// Runs, or goes on; answers how that ended, and how many appends were made to conversations.
async fn run(
    workspace: &Workspace,
    memory: &Arc<MemoryStore>,
    fate: Fate,
) -> (Result<RunOutcome, RunError>, [usize; 2]) {
    run_telling(workspace, memory, fate, &mut Quiet).await
}

async fn run_telling(
    workspace: &Workspace,
    memory: &Arc<MemoryStore>,
    fate: Fate,
    observer: &mut dyn Observer,
) -> (Result<RunOutcome, RunError>, [usize; 2]) {
    let (stop, stopped) = watch::channel(false);
    let watched = Watched { inner: memory.clone(), fate, stop, appends: Default::default() };
    let watched = Arc::new(Layered(watched));
    let events: Arc<dyn EventStore> = watched.clone();
    let store = Store::new(events, Arc::new(MemoryRegistry::default()));
    let environment = Environment::default().with_jitter(AtOnce);
    let options = RunOptions { environment, timer: Jumping::new(), ..one_by_one() };
    let ran = workspace.run_within(&store, options, stopped, observer).await;
    let appends = watched.0.appends.each_ref().map(|count| count.load(Ordering::SeqCst));
    (ran, appends)
}

/// What was recorded of waves and of attempts.
async fn recorded(memory: &Arc<MemoryStore>) -> Vec<String> {
    let log = memory.log(ReadLog::from_start()).try_collect::<Vec<_>>().await.unwrap();
    let names = log.iter().map(|event| event.event_type.to_string());
    names.filter(|name| name.starts_with("conversation_") || name.starts_with("script_")).collect()
}

/// A posting through two conversations, whose script makes a file as soon as it begins in the second.
fn chain_that_begins() -> (Workspace, PathBuf) {
    let workspace = Workspace::with_chain(1, 2);
    workspace.script("step.sh", "if [ -e first ]; then : > begun; fi; : > first; echo ok");
    let begun = workspace.path().join("begun");
    (workspace, begun)
}

/// What is recorded of two waves with one attempt each.
const TWO_WAVES: [&str; 6] = [
    "conversation_started",
    "script_execution_completed",
    "conversation_completed",
    "conversation_started",
    "script_execution_completed",
    "conversation_completed",
];

#[tokio::test]
async fn attempts_begin_while_their_wave_is_recorded_and_results_stand_behind_it() {
    let (workspace, begun) = chain_that_begins();
    let memory = Arc::new(MemoryStore::new());
    let (ran, _) = run(&workspace, &memory, Fate::Waits(begun)).await;
    assert!(matches!(ran, Ok(RunOutcome::Finished(_))), "{ran:?}");
    assert_eq!(recorded(&memory).await, TWO_WAVES);
}

#[tokio::test]
async fn the_end_of_a_wave_and_the_beginning_of_the_next_are_one_append() {
    let workspace = Workspace::with_chain(2, 4);
    let (ran, appends) = run(&workspace, &Arc::new(MemoryStore::new()), Fate::Made).await;
    assert!(matches!(ran, Ok(RunOutcome::Finished(_))), "{ran:?}");
    // the first beginning and the last end, and what lies between four waves
    assert_eq!(appends, [2, 3]);
}

#[tokio::test]
async fn of_a_wave_that_cannot_be_recorded_no_result_is() {
    let (workspace, begun) = chain_that_begins();
    let memory = Arc::new(MemoryStore::new());
    let (ran, _) = run(&workspace, &memory, Fate::Fails(begun)).await;
    let error = ran.unwrap_err();
    assert!(error.is_of_store(), "{error}");
    // the wave before is over all the same
    assert_eq!(recorded(&memory).await, TWO_WAVES[..3]);
    // the same call makes the attempt again, as it does with one that was in progress at a kill
    let (ran, _) = run(&workspace, &memory, Fate::Made).await;
    assert!(matches!(ran, Ok(RunOutcome::Finished(_))), "{ran:?}");
    assert_eq!(recorded(&memory).await, TWO_WAVES);
}

#[tokio::test]
async fn nobody_is_called_where_the_first_wave_cannot_be_recorded() {
    let (workspace, _) = chain_that_begins();
    let memory = Arc::new(MemoryStore::new());
    for _ in 0..2 {
        let (ran, _) = run(&workspace, &memory, Fate::Never).await;
        let error = ran.unwrap_err();
        assert!(error.is_of_store(), "{error}");
        assert!(!workspace.path().join("first").exists());
    }
}

/// Counts the attempts that begin.
struct Begun(usize);

impl Observer for Begun {
    fn attempt_begins(&mut self, _: &Conversation, _: PostingId, _: Option<Duration>) {
        self.0 += 1;
    }
}

#[tokio::test]
async fn nobody_is_called_for_a_wave_that_cannot_be_recorded_after_the_store_was_away() {
    let workspace = Workspace::with_chain(1, 3);
    let memory = Arc::new(MemoryStore::new());
    let mut begun = Begun(0);
    // more often than any command is tried before it is given up
    let (ran, _) = run_telling(&workspace, &memory, Fate::After(40), &mut begun).await;
    let error = ran.unwrap_err();
    assert!(error.is_of_store(), "{error}");
    // one of the second wave: it was begun while that was recorded, before the store was away
    assert_eq!(begun.0, 2);
}

#[tokio::test]
async fn a_wave_that_is_held_up_while_the_run_stops_is_no_fault_of_a_posting() {
    let (workspace, begun) = chain_that_begins();
    let memory = Arc::new(MemoryStore::new());
    let (ran, _) = run(&workspace, &memory, Fate::Held(begun)).await;
    // the result of the attempt in progress is lost, and that is said
    let error = ran.unwrap_err();
    assert!(error.is_of_store(), "{error}");
    let (ran, _) = run(&workspace, &memory, Fate::Made).await;
    assert!(matches!(ran, Ok(RunOutcome::Finished(_))), "{ran:?}");
    assert_eq!(recorded(&memory).await, TWO_WAVES);
}
