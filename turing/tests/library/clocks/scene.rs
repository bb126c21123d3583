//! Postings whose actor fails as often as they say, run with clocks in the hand of the test.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use es_core::environment::{Clock, Environment, Jitter};
use es_core::event::{EventStoreExt, ReadLog, RecordedEvent, Timestamp};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use futures_util::TryStreamExt;
use tokio::sync::watch;
use turing::registry::MemoryRegistry;
use turing::run::{Observer, Report, RunOptions, RunOutcome, Wait};
use turing::store::Store;
use turing_domain::{Conversation, PostingEvent, PostingId, WorkflowEvent};

use super::hands::{Hands, ManualTimer};
use crate::support::Workspace;
use crate::support::within::options;

/// The longest delay before a repeat: `max_seconds`.
pub(crate) const LONGEST: Duration = Duration::from_secs(4);

/// How long a breaker stays open: `cooldown_seconds`.
pub(crate) const COOLDOWN: Duration = Duration::from_secs(5);

/// The delays before the three repeats: half of 2, 4 and 4 seconds.
const DELAYS: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(2)];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The failures that open the breaker.
    pub(crate) failures: u32,
    pub(crate) parallel: usize,
}

/// Chance that is none: every delay is half of what it can be.
#[derive(Debug)]
struct Half;

impl Jitter for Half {
    fn fraction(&self) -> f64 {
        0.5
    }
}

/// Says how long waits may be, and keeps the clocks from going on while an attempt is made.
struct Strict(Arc<Hands>);

impl Observer for Strict {
    fn attempt_begins(&mut self, _: &Conversation, _: PostingId, _: Option<Duration>) {
        self.0.attempt_begins();
    }
    fn attempt_ends(&mut self, _: PostingId, _: bool) {
        self.0.attempt_ends();
    }
    fn waits(&mut self, wait: &Wait) {
        assert!(wait.due + wait.held.len() > 0, "it waits for nothing");
        let policy = if wait.held.is_empty() { LONGEST } else { COOLDOWN };
        let longest = wait.longest.expect("nobody pauses anything");
        assert!(longest <= policy, "{wait}, for {longest:?}");
    }
}

/// When a process began: after how many events, and by which clocks.
#[derive(Debug, Clone, Copy)]
struct Start {
    events: usize,
    wall: Timestamp,
    passed: Timestamp,
}

pub(crate) struct Scene {
    workspace: Workspace,
    parallelism: NonZeroUsize,
    postings: Arc<MemoryRegistry>,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) hands: Arc<Hands>,
    starts: Mutex<Vec<Start>>,
}

impl Scene {
    /// One posting for each number of attempts that fail.
    pub(crate) fn new(fails: &[u32], policy: Policy) -> Self {
        let workspace = Workspace::new();
        let body = "document=$(cat)\n\
            attempt=${document#*\\\"attempt\\\":}; attempt=${attempt%%,*}\n\
            fails=${document#*\\\"input\\\":\\\"}; fails=${fails%%\\\"*}\n\
            [ \"$attempt\" -gt \"$fails\" ] || kill -TERM $$\n\
            echo ok";
        workspace.script("flaky.sh", body);
        let definition = format!(
            "[workflow]\nid = 1\nname = \"clocks\"\nentry = 10\n\
             [workflow.retry]\nretries = 3\nbase_seconds = 2\nmax_seconds = {}\n\
             [workflow.circuit_breaker]\nfailures = {}\ncooldown_seconds = {}\n\
             [[actors]]\nid = 1\nname = \"flaky\"\ntype = \"script\"\ncommand = [\"./flaky.sh\"]\n\
             env = {{ PATH = \"/usr/bin:/bin\" }}\n\
             [[conversations]]\nid = 10\nname = \"only\"\nactor = 1\ninput = \"{{fails}}\"\n\
             [[conversations.branches]]\n",
            LONGEST.as_secs(),
            policy.failures,
            COOLDOWN.as_secs(),
        );
        workspace.file("workflow.toml", definition);
        let line = |(id, fails)| format!("{{\"posting_id\":{id},\"fails\":\"{fails}\"}}\n");
        let postings: String = (1..).zip(fails).map(line).collect();
        workspace.file("postings/all.jsonl", postings);
        let hands = Hands::new();
        Self {
            workspace,
            parallelism: NonZeroUsize::new(policy.parallel).unwrap(),
            postings: Arc::default(),
            memory: Arc::new(MemoryStore::with_clock(Arc::new(hands.passed.clone()))),
            hands,
            starts: Mutex::default(),
        }
    }

    /// One process that runs, or goes on; its report if the run came to its end.
    pub(crate) async fn go_on(&self) -> Option<Report> {
        let (wall, passed) = (self.hands.now(), self.hands.passed.now());
        let events = self.log().await.len();
        self.starts.lock().unwrap().push(Start { events, wall, passed });
        let stopped = self.hands.process();
        tokio::select! {
            outcome = self.run(stopped) => match outcome {
                RunOutcome::Finished(report) => Some(report),
                RunOutcome::Stopped(_) => None,
                RunOutcome::AlreadyCompleted(_) => panic!("it was over before"),
            },
            () = self.hands.died.notified() => None,
        }
    }

    async fn run(&self, stopped: watch::Receiver<bool>) -> RunOutcome {
        let store = Store::new(self.memory.clone(), self.postings.clone());
        let mut environment = Environment::default().with_jitter(Half);
        environment.clock = self.hands.clone();
        let options = RunOptions {
            parallelism: self.parallelism,
            environment,
            timer: Arc::new(ManualTimer(self.hands.clone())),
            ..options()
        };
        let mut strict = Strict(self.hands.clone());
        self.workspace.run_within(&store, options, stopped, &mut strict).await.unwrap()
    }

    /// One process, to the end of the run.
    pub(crate) async fn finish(&self) -> Report {
        self.go_on().await.expect("the run ends")
    }

    /// One process that does not come to the end.
    pub(crate) async fn break_off(&self) {
        assert_eq!(self.go_on().await, None);
    }

    pub(crate) fn restarts(&self) -> usize {
        self.starts.lock().unwrap().len() - 1
    }

    async fn log(&self) -> Vec<RecordedEvent> {
        self.memory.log(ReadLog::from_start()).try_collect().await.unwrap()
    }

    /// After how many seconds each attempt was made.
    pub(crate) async fn attempts(&self) -> Vec<f64> {
        let beginning = ManualClock::new().now();
        let log = self.log().await;
        let attempts = log.iter().filter(|event| is_attempt(event));
        attempts.map(|event| event.recorded_at.since(beginning).as_secs_f64()).collect()
    }

    /// How long the run took, as it is recorded, in milliseconds.
    pub(crate) async fn recorded_duration(&self) -> Option<u64> {
        let log = self.log().await;
        let end = log.iter().find(|event| event.event_type == "workflow_completed").unwrap();
        match end.decode_one::<WorkflowEvent>().unwrap() {
            WorkflowEvent::WorkflowCompleted { duration_ms, .. } => duration_ms.0,
            other => panic!("{other:?}"),
        }
    }

    /// Each repeat was made when its wait was over, or not before if a breaker may hold it; each
    /// call of an open breaker after its time; and no wait came to nothing.
    pub(crate) async fn check_waits(&self, is_exact: bool, told: &str) {
        let (log, starts) = (self.log().await, self.starts.lock().unwrap().clone());
        let (mut repeats, mut calls) = (0, 0);
        for (index, event) in log.iter().enumerate() {
            let later = log.iter().enumerate().skip(index + 1);
            let mut later = later.filter(|(_, other)| other.stream == event.stream);
            let (due, own, longest, next) = match event.event_type.as_str() {
                "retry_scheduled" => {
                    let retry = event.decode_one::<PostingEvent>().unwrap();
                    let PostingEvent::RetryScheduled { attempt, due_at, .. } = retry else {
                        panic!("{retry:?}");
                    };
                    repeats += 1;
                    let own = DELAYS[attempt as usize - 1];
                    (due_at, own, LONGEST, later.find(|(_, other)| is_attempt(other)))
                }
                name @ ("circuit_breaker_opened" | "circuit_breaker_half_opened") => {
                    calls += usize::from(name == "circuit_breaker_half_opened");
                    let until = until(event);
                    let next = later.find(|(_, other)| other.event_type != "actor_call_failed");
                    let half = |(_, other): &(usize, &RecordedEvent)| {
                        other.event_type == "circuit_breaker_half_opened"
                    };
                    (until, COOLDOWN, COOLDOWN, next.filter(half))
                }
                _ => continue,
            };
            let Some((next, made)) = next else { continue };
            // what the latest process before it saw when it began
            let between = |start: &&Start| index < start.events && start.events <= next;
            let seen = starts.iter().rfind(between);
            let earliest = match seen {
                None => event.recorded_at.plus(own),
                Some(start) => start.passed.plus(due.since(start.wall).min(longest)),
            };
            let (made, name) = (made.recorded_at, &event.event_type);
            assert!(made >= earliest, "{told}: {name} over at {made}, before {earliest}");
            assert!(!is_exact || made == earliest, "{told}: {name} over at {made}, {earliest}");
        }
        let slept = self.hands.slept();
        // one may come due anew after each restart; one that breaks off makes way for that
        let postings =
            fs::read_to_string(self.workspace.path().join("postings/all.jsonl")).unwrap();
        let anew = self.restarts() * (postings.lines().count() + 1);
        let (waits, reasons) = (slept.len(), repeats + calls + anew);
        assert!(waits <= reasons, "{told}: {waits} waits for {reasons} reasons: {slept:?}");
    }
}

fn is_attempt(event: &RecordedEvent) -> bool {
    ["script_execution_completed", "script_execution_failed"].contains(&event.event_type.as_str())
}

/// Until when a breaker refuses calls, as it is recorded.
fn until(event: &RecordedEvent) -> Timestamp {
    use turing_domain::ActorEvent::{CircuitBreakerHalfOpened, CircuitBreakerOpened};
    match event.decode_one().unwrap() {
        CircuitBreakerOpened { retry_at: until, .. } | CircuitBreakerHalfOpened { until } => until,
        other => panic!("{other:?}"),
    }
}
