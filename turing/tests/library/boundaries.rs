//! A run that breaks off at any event boundary and is continued ends as if nothing had happened.

mod away;
mod starts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::Repository;
use es_core::backend::{AppendError, AppendRequest, EventStore, StreamPage};
use es_core::event::{EventStoreExt, ReadLog, ReadStream, RecordedEvent, StreamId};
use es_core::execution::{Appended, IdempotencyKey, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use turing::registry::MemoryRegistry;
use turing::run::{Observer, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::fields::{CONVERSATION_ID, RETRY_COUNT};
use turing_domain::{Posting, PostingId};

use crate::support::Workspace;
use crate::support::within::{Quiet, one_by_one};

/// How a store dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Death {
    /// Before the append is written.
    Before,
    /// After it is written, before it is answered.
    After,
}

/// A store that carries out a number of appends and is dead from then on.
struct Dying {
    inner: Arc<dyn EventStore>,
    appends: AtomicUsize,
    lives: usize,
    death: Death,
}

impl Dying {
    fn is_dead(&self) -> bool {
        self.appends.load(Ordering::SeqCst) > self.lives
    }

    fn alive(&self) -> Result<(), StoreError> {
        match self.is_dead() {
            true => Err(StoreError::new(StoreErrorKind::Closed, "the store is dead")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl StoreLayer for Dying {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        self.alive()?;
        let is_last = self.appends.fetch_add(1, Ordering::SeqCst) >= self.lives;
        if is_last {
            if self.death == Death::After {
                self.inner.append(request).await?;
            }
            return Err(StoreError::new(StoreErrorKind::Closed, "the store died").into());
        }
        self.inner.append(request).await
    }
    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.alive()?;
        self.inner.find_append(stream, key).await
    }
    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.alive()?;
        self.inner.read_stream(read).await
    }
}

/// A start, two members of a group with a failing one among them, a wait, and a loop of two.
const WORKFLOW: &str = r#"
[workflow]
id = 1
name = "boundaries"
entry = 10
[workflow.retry]
retries = 1
base_seconds = 0.001
[workflow.circuit_breaker]
failures = 2
cooldown_seconds = 0.001

[[actors]]
id = 1
name = "echo"
type = "script"
command = ["./echo.sh"]
env = { PATH = "/usr/bin:/bin" }
[[actors]]
id = 2
name = "fail"
type = "script"
command = ["./fail.sh"]
env = { PATH = "/usr/bin:/bin" }

[[conversations]]
id = 10
name = "start"
actor = 1
execution_order = 1
input = "{posting_id}"
[[conversations.branches]]
to = 20
[[conversations.branches]]
to = 30

[[conversations]]
id = 20
name = "left"
actor = 1
execution_order = 2
parallel_group = "g"
input = "left {conversation_10_output}"
[[conversations.branches]]
to = 40

[[conversations]]
id = 30
name = "right"
actor = 2
execution_order = 2
parallel_group = "g"
input = "x"
[[conversations.branches]]
to = 40
[[conversations.branches]]
on = "failure"
when = "*"
to = 40

[[conversations]]
id = 40
name = "join"
actor = 1
execution_order = 3
wait_for_group = "g"
input = "join {conversation_20_output}"
[[conversations.branches]]
priority = 1
max_iterations = 1
to = 50
[[conversations.branches]]

[[conversations]]
id = 50
name = "again"
actor = 1
execution_order = 4
input = "again"
[[conversations.branches]]
to = 40
"#;

struct Scene {
    workspace: Workspace,
}

impl Scene {
    fn new() -> Self {
        let workspace = Workspace::new();
        workspace.postings(2);
        workspace.script("echo.sh", r#"sed 's/.*"input":"\([^"]*\)".*/<\1>/'"#);
        workspace.script("fail.sh", "kill -9 $$");
        workspace.file("workflow.toml", WORKFLOW);
        Self { workspace }
    }

    /// Runs, or goes on, on `events`.
    async fn try_run(
        &self,
        events: Arc<dyn EventStore>,
        options: RunOptions,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, RunError> {
        let store = Store::new(events, Arc::new(MemoryRegistry::default()));
        let (_stop, stopped) = watch::channel(false);
        self.workspace.run_within(&store, options, stopped, observer).await
    }

    /// Answers whether the run came to its end.
    async fn run(&self, events: Arc<dyn EventStore>) -> bool {
        match self.try_run(events, one_by_one(), &mut Quiet).await {
            Ok(RunOutcome::Finished(report)) => {
                assert_eq!((report.open, report.postings), (0, 2));
                true
            }
            Ok(RunOutcome::AlreadyCompleted(_)) => true,
            Ok(RunOutcome::Stopped(report)) => panic!("{report:?}"),
            Err(_) => false,
        }
    }
}

/// What must be the same however often a run broke off: ids, times and jitter left out.
async fn ending(memory: &Arc<MemoryStore>) -> Vec<(BTreeMap<String, String>, Vec<i32>, String)> {
    let postings = Repository::<Posting>::new(memory.clone());
    let mut endings = Vec::new();
    for id in [1, 2] {
        let state = postings.load(&PostingId(id)).await.unwrap().state;
        let outputs = state
            .outputs()
            .iter()
            .map(|(id, output)| (id.to_string(), output.to_string()))
            .collect();
        let sequence = state.execution_sequence().iter().map(|id| id.0).collect();
        endings.push((outputs, sequence, format!("{:?}", state.terminal())));
    }
    endings
}

async fn log(memory: &Arc<MemoryStore>) -> Vec<RecordedEvent> {
    memory.log(ReadLog::from_start()).try_collect().await.unwrap()
}

/// What happened to each posting; when a breaker opened depends on the time between attempts.
fn names_of(log: &[RecordedEvent]) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::<_, Vec<_>>::new();
    for event in log {
        if event.stream.aggregate_type() == "posting" && event.event_type != "circuit_breaker_open"
        {
            let stream = names.entry(event.stream.to_string()).or_default();
            stream.push(event.event_type.to_string());
        }
    }
    names
}

/// No execution is recorded twice, and a wave holds nothing but its own conversation.
fn check_log(log: &[RecordedEvent]) {
    let mut open_wave = None;
    let mut completed = Vec::new();
    for event in log {
        match event.event_type.as_str() {
            "conversation_started" => {
                assert_eq!(open_wave, None, "waves overlap");
                open_wave = Some(event.stream.aggregate_id().to_owned());
            }
            "conversation_completed" => open_wave = None,
            "script_execution_completed" | "script_execution_failed" => {
                let conversation = event.metadata.get(CONVERSATION_ID).map(|id| id.to_string());
                assert_eq!(conversation, open_wave, "a wave mixes conversations");
                let retries = event.metadata.get(RETRY_COUNT);
                completed.push((event.stream.clone(), conversation, retries));
            }
            _ => {}
        }
    }
    for execution in &completed {
        let times = completed.iter().filter(|other| *other == execution).count();
        // conversation 40 is executed twice on purpose
        let wanted = if execution.1.as_deref() == Some("40") { 2 } else { 1 };
        assert_eq!(times, wanted, "{execution:?}");
    }
}

#[tokio::test]
async fn a_run_that_breaks_off_at_any_boundary_ends_as_if_it_had_not() {
    let scene = Scene::new();
    let undisturbed = Arc::new(MemoryStore::new());
    assert!(scene.run(undisturbed.clone()).await);
    let expected = ending(&undisturbed).await;
    let events = log(&undisturbed).await;
    check_log(&events);
    let names = names_of(&events);

    let mut boundaries = 0;
    for death in [Death::Before, Death::After] {
        for lives in 0.. {
            let memory = Arc::new(MemoryStore::new());
            let appends = AtomicUsize::new(0);
            let dying = Dying { inner: memory.clone(), appends, lives, death };
            let dying = Arc::new(Layered(dying));
            let came_through = scene.run(dying.clone()).await;
            if came_through {
                assert!(!dying.0.is_dead());
                break;
            }
            boundaries += 1;
            assert!(scene.run(memory.clone()).await, "{death:?} after {lives} appends");
            assert_eq!(ending(&memory).await, expected, "{death:?} after {lives} appends");
            let log = log(&memory).await;
            check_log(&log);
            assert_eq!(names_of(&log), names, "{death:?} after {lives} appends");
        }
    }
    println!("{boundaries} boundaries over {} events", events.len());
    assert!(boundaries > 40, "only {boundaries} boundaries were tried");
}
