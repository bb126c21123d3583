//! No posting waits for another one, and what is recorded of waves adds up all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{AppendError, AppendRequest, EventStore};
use es_core::event::{EventStoreExt, ReadLog, RecordedEvent};
use es_core::execution::{Appended, StoreError, StoreErrorKind};
use es_core::layer::{Layered, StoreLayer};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use tokio::sync::watch;
use turing::postings::{PostingInput, RefusedPosting};
use turing::registry::{MemoryRegistry, PostingRegistry};
use turing::run::{Observer, Report, RunError, RunOptions, RunOutcome};
use turing::store::Store;
use turing_domain::fields::CONVERSATION_ID;
use turing_domain::{Conversation, ConversationEvent, PostingId};

use crate::support::Workspace;
use crate::support::within::options;

/// The posting whose first attempt lasts until all others have ended.
const SLEEPER: PostingId = PostingId(1);

/// How many attempts are made side by side.
const PARALLEL: usize = 4;

/// The postings of a store, of which one has to be waited for.
struct Slow(MemoryRegistry, watch::Receiver<bool>);

#[async_trait]
impl PostingRegistry for Slow {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        self.0.register(postings).await
    }
    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        if posting == SLEEPER {
            self.1.clone().wait_for(|is_awake| *is_awake).await.unwrap();
        }
        self.0.data(posting).await
    }
}

/// Wakes the sleeper when all others have ended, and sees that every place is taken until then.
struct Watching {
    postings: usize,
    wake: watch::Sender<bool>,
    /// A file that wakes it, too.
    file: Option<PathBuf>,
    in_progress: usize,
    ended: usize,
    /// How many attempts of others began while it slept.
    meanwhile: usize,
}

impl Watching {
    fn new(postings: usize) -> Self {
        let wake = watch::Sender::new(false);
        Self { postings, wake, file: None, in_progress: 0, ended: 0, meanwhile: 0 }
    }
}

impl Observer for Watching {
    fn attempt_begins(&mut self, _: &Conversation, posting: PostingId, _: Option<Duration>) {
        self.in_progress += 1;
        self.meanwhile += usize::from(posting != SLEEPER && !*self.wake.borrow());
    }
    fn attempt_ends(&mut self, _: PostingId, _: bool) {
        // whoever has not ended makes an attempt, or could
        if self.postings - self.ended >= PARALLEL {
            assert_eq!(self.in_progress, PARALLEL, "a place is free while something is ready");
        }
        self.in_progress -= 1;
    }
    fn posting_ended(&mut self, ended: usize) {
        self.ended = ended;
        if ended == self.postings - 1 {
            self.wake.send_replace(true);
            if let Some(file) = &self.file {
                std::fs::write(file, "").unwrap();
            }
        }
    }
}

fn side_by_side(calls_nobody: bool) -> RunOptions {
    let parallelism = NonZeroUsize::new(PARALLEL).unwrap();
    RunOptions { parallelism, calls_nobody, ..options() }
}

/// Runs, or goes on.
async fn run(
    workspace: &Workspace,
    store: Store,
    options: RunOptions,
    observer: &mut dyn Observer,
) -> Result<RunOutcome, RunError> {
    let (_stop, stopped) = watch::channel(false);
    let running = workspace.run_within(&store, options, stopped, observer);
    let done = tokio::time::timeout(Duration::from_secs(60), running).await;
    done.expect("the others wait for the posting that lasts")
}

#[track_caller]
fn finished(done: Result<RunOutcome, RunError>) -> Report {
    match done {
        Ok(RunOutcome::Finished(report)) => report,
        other => panic!("{other:?}"),
    }
}

async fn log(memory: &Arc<MemoryStore>) -> Vec<RecordedEvent> {
    memory.log(ReadLog::from_start()).try_collect().await.unwrap()
}

/// The conversations in which each posting was executed, in order, and the names of all its events.
fn travels(log: &[RecordedEvent]) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let mut travels = BTreeMap::<_, (Vec<_>, Vec<_>)>::new();
    for event in log.iter().filter(|event| event.stream.aggregate_type() == "posting") {
        let (conversations, names) = travels.entry(event.stream.to_string()).or_default();
        names.push(event.event_type.to_string());
        if event.event_type == "script_execution_completed" {
            conversations.extend(event.metadata.get(CONVERSATION_ID).map(|id| id.to_string()));
        }
    }
    travels
}

/// Waves of a conversation follow one another, every result stands in one, and what is recorded at
/// their ends is what was done; answers how many results there are.
#[track_caller]
fn check_waves(log: &[RecordedEvent], is_undisturbed: bool) -> usize {
    let (mut open, mut results) = (BTreeMap::<String, u32>::new(), 0);
    for event in log {
        let id = event.stream.aggregate_id().to_owned();
        match event.event_type.as_str() {
            "conversation_started" => {
                assert_eq!(open.insert(id, 0), None, "a wave begins in a wave");
            }
            "conversation_completed" => {
                let done = open.remove(&id).expect("a wave ends that has begun");
                let ConversationEvent::ConversationCompleted { processed_count, .. } =
                    event.decode_one::<ConversationEvent>().unwrap()
                else {
                    panic!("{event:?}");
                };
                if is_undisturbed {
                    assert_eq!(processed_count.0, Some(done), "conversation {id}");
                }
            }
            "script_execution_completed" => {
                let conversation = event.metadata.get(CONVERSATION_ID).unwrap().to_string();
                *open.get_mut(&conversation).expect("a result stands in its wave") += 1;
                results += 1;
            }
            _ => {}
        }
    }
    assert_eq!(open, BTreeMap::new(), "waves without an end");
    results
}

#[tokio::test]
async fn an_attempt_that_lasts_holds_up_no_other_posting() {
    const POSTINGS: usize = 200;
    const STEPS: usize = 5;
    let workspace = Workspace::with_chain(POSTINGS, 5);
    let memory = Arc::new(MemoryStore::new());
    let mut watching = Watching::new(POSTINGS);
    let registry = Slow(MemoryRegistry::default(), watching.wake.subscribe());
    let store = Store::new(memory.clone(), Arc::new(registry));
    let report = finished(run(&workspace, store, side_by_side(true), &mut watching).await);
    assert_eq!((report.open, report.completed()), (0, POSTINGS));
    assert_eq!(watching.meanwhile, (POSTINGS - 1) * STEPS, "all of what the others had to do");
    let disturbed = log(&memory).await;
    assert_eq!(check_waves(&disturbed, true), POSTINGS * STEPS);

    // what is recorded of a posting does not depend on what is attempted beside it
    let memory = Arc::new(MemoryStore::new());
    let store = Store::new(memory.clone(), Arc::new(MemoryRegistry::default()));
    let alone = RunOptions { parallelism: NonZeroUsize::MIN, ..side_by_side(true) };
    finished(run(&workspace, store, alone, &mut crate::support::within::Quiet).await);
    let undisturbed = log(&memory).await;
    assert_eq!(check_waves(&undisturbed, true), POSTINGS * STEPS);
    assert_eq!(travels(&disturbed), travels(&undisturbed));
    let waves = |log: &[RecordedEvent]| {
        log.iter().filter(|event| event.event_type == "conversation_started").count()
    };
    assert_eq!(waves(&undisturbed), STEPS, "one after the other they go in waves");
    // the sleeper's first step is in the first wave, and each later one in a wave of its own
    assert!(waves(&disturbed) >= 2 * STEPS - 1, "{}", waves(&disturbed));
}

#[tokio::test]
async fn a_script_that_lasts_holds_up_no_other_posting() {
    const POSTINGS: usize = 8;
    let workspace = Workspace::with_chain(POSTINGS, 3);
    let body = "document=$(cat)\n\
        case $document in\n\
        *'\"posting_id\":1,\"run_id\"'*) while [ ! -e go ]; do sleep 0.01; done ;;\n\
        esac\n\
        echo ok";
    workspace.script("step.sh", body);
    let memory = Arc::new(MemoryStore::new());
    let file = Some(workspace.path().join("go"));
    let mut watching = Watching { file, ..Watching::new(POSTINGS) };
    let store = Store::new(memory.clone(), Arc::new(MemoryRegistry::default()));
    let report = finished(run(&workspace, store, side_by_side(false), &mut watching).await);
    assert_eq!((report.open, report.completed()), (0, POSTINGS));
    assert_eq!(watching.meanwhile, (POSTINGS - 1) * 3);
    assert_eq!(check_waves(&log(&memory).await, true), POSTINGS * 3);
}

/// Two members of a group, and one that waits for them, which comes first by its order.
fn with_group(postings: usize) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(postings);
    workspace.script("a.sh", "echo ok");
    let end = "input = \"{posting_id}\"\n";
    let to = |to: i32| format!("[[conversations.branches]]\nto = {to}\n");
    let entry = format!("{end}{}{}", to(20), to(30));
    let member = format!("{end}parallel_group = \"g\"\n{}", to(40));
    let join = format!("{end}wait_for_group = \"g\"\n[[conversations.branches]]\n");
    let conversations =
        [(10, "a", &entry), (20, "a", &member), (30, "a", &member), (40, "a", &join)];
    let mut text = "[workflow]\nid = 3001\nname = \"group\"\nentry = 10\n\
                    [[actors]]\nid = 1\nname = \"a\"\ntype = \"script\"\ncommand = [\"./a.sh\"]\n\
                    env = { PATH = \"/usr/bin:/bin\" }\n"
        .to_owned();
    for (id, name, rest) in conversations {
        let order = if id == 40 { -1 } else { id };
        text += &format!(
            "[[conversations]]\nid = {id}\nname = \"{name}{id}\"\nactor = 1\n\
             execution_order = {order}\n{rest}\n"
        );
    }
    workspace.file("workflow.toml", text);
    workspace
}

#[tokio::test]
async fn who_waits_for_a_group_waits_whatever_else_may_be_attempted() {
    const POSTINGS: usize = 20;
    let workspace = with_group(POSTINGS);
    let memory = Arc::new(MemoryStore::new());
    let mut watching = Watching::new(POSTINGS);
    let registry = Slow(MemoryRegistry::default(), watching.wake.subscribe());
    let store = Store::new(memory.clone(), Arc::new(registry));
    let report = finished(run(&workspace, store, side_by_side(true), &mut watching).await);
    assert_eq!((report.open, report.completed()), (0, POSTINGS));
    let log = log(&memory).await;
    assert_eq!(check_waves(&log, true), POSTINGS * 4);
    let travels = travels(&log);
    assert_eq!(travels.len(), POSTINGS);
    for (posting, (conversations, _)) in travels {
        // members one after the other, in their order
        assert_eq!(conversations, ["10", "20", "30", "40"], "{posting}");
    }
}

/// A store that carries out so many appends, and is dead from then on.
struct Dying(Arc<dyn EventStore>, AtomicUsize, usize);

#[async_trait]
impl StoreLayer for Dying {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        if self.1.fetch_add(1, Ordering::SeqCst) >= self.2 {
            return Err(StoreError::new(StoreErrorKind::Closed, "the store died").into());
        }
        self.0.append(request).await
    }
}

#[tokio::test]
async fn waves_that_were_open_at_a_kill_are_ended_and_no_result_stands_beside_one() {
    const POSTINGS: usize = 10;
    let workspace = Workspace::with_chain(POSTINGS, 3);
    let (mut kills, mut overlaps) = (0, 0);
    for lives in 0.. {
        let (memory, postings) =
            (Arc::new(MemoryStore::new()), Arc::new(MemoryRegistry::default()));
        let dying = Layered(Dying(memory.clone(), AtomicUsize::new(0), lives));
        let store = Store::new(dying, postings.clone());
        let mut quiet = crate::support::within::Quiet;
        let killed = run(&workspace, store, side_by_side(true), &mut quiet).await;
        if let Ok(done) = killed {
            finished(Ok(done));
            break;
        }
        kills += 1;
        let mut open = BTreeSet::new();
        for event in log(&memory).await {
            match event.event_type.as_str() {
                "conversation_started" => open.insert(event.stream.clone()),
                "conversation_completed" => open.remove(&event.stream),
                _ => false,
            };
        }
        overlaps += usize::from(open.len() > 1);
        let store = Store::new(memory.clone(), postings);
        let report = match run(&workspace, store, side_by_side(true), &mut quiet).await {
            Ok(RunOutcome::Finished(report)) => report,
            // all that was missing was the answer
            Ok(RunOutcome::AlreadyCompleted(_)) => continue,
            other => panic!("after {lives} appends: {other:?}"),
        };
        assert_eq!((report.open, report.completed()), (0, POSTINGS), "after {lives} appends");
        let log = log(&memory).await;
        assert_eq!(check_waves(&log, false), POSTINGS * 3, "each step once, after {lives} appends");
    }
    println!("{kills} kills, {overlaps} of them with several open waves");
    assert!(kills > 30 && overlaps > 0, "{kills} kills, {overlaps} of several open waves");
}
