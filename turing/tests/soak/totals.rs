//! Whether all adds up: every event against the one before it, every posting against its end, every
//! attempt against what its actor wrote down.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use es_core::event::{EventId, EventStoreExt, Position, ReadLog, RecordedEvent, StreamId};
use futures_util::TryStreamExt;
use serde_json::Value;
use turing::store::{Access, Store, StoreUrl};
use turing_domain::fields::{CONVERSATION_ID, RETRY_COUNT, RUN_ID};

use crate::ledger::{Ledger, answered, asked_in};
use crate::runs::cut_offs_of;
use crate::scene::Scene;
use crate::workflow::{MODEL, MOODY, PARALLEL, ROUGH, STEADY, place_of, workflow_of};

/// How many executions a program that is cut off may leave without a record: those that are in
/// progress, and as many again whose record takes long.
const UNRECORDED: u64 = 2 * PARALLEL;

/// Where a posting is.
struct Travel {
    run: String,
    /// How often each conversation was executed to a good end.
    executions: BTreeMap<i32, u32>,
    /// How often the execution in progress has failed.
    failures: BTreeMap<i32, u32>,
    /// What the model is asked.
    question: String,
    is_over: bool,
}

/// What has been read so far.
struct Reading<'a> {
    scene: &'a Scene,
    ledgers: BTreeMap<i32, Ledger>,
    /// The numbers of the questions that the model was asked, by what they were.
    asked: HashMap<&'a str, Vec<usize>>,
    versions: HashMap<StreamId, u64>,
    ids: HashSet<EventId>,
    last: Option<Position>,
    travels: BTreeMap<i32, Travel>,
    /// Those that are open.
    waves: BTreeSet<(StreamId, String)>,
    /// Whether they have completed.
    runs: BTreeMap<String, bool>,
    /// How many attempts are recorded that were executed, by workflow.
    recorded: BTreeMap<i32, u64>,
    /// How often the model was asked, by workflow.
    questions: BTreeMap<i32, u64>,
    steps: u64,
    attempts: u64,
}

/// Checks the events of a store, and answers how many of what there are.
pub(crate) async fn add_up(scene: &Scene, questions: &[Value]) -> String {
    let mut reading = Reading {
        scene,
        ledgers: BTreeMap::new(),
        asked: HashMap::new(),
        versions: HashMap::new(),
        ids: HashSet::new(),
        last: None,
        travels: BTreeMap::new(),
        waves: BTreeSet::new(),
        runs: BTreeMap::new(),
        recorded: BTreeMap::new(),
        questions: BTreeMap::new(),
        steps: 0,
        attempts: 0,
    };
    for (number, question) in questions.iter().enumerate() {
        reading.asked.entry(asked_in(question)).or_default().push(number);
    }
    for workflow in ROUGH.into_iter().chain([STEADY]) {
        reading.ledgers.insert(workflow, Ledger::read(&scene.folder_of(workflow)));
    }
    let url: StoreUrl = scene.url.parse().unwrap();
    let store = Store::open(&url, Access::Read).await.unwrap();
    let mut log = store.events.log(ReadLog::from_start());
    while let Some(event) = log.try_next().await.unwrap() {
        reading.take(&event);
    }
    drop(log);
    store.close().await;
    reading.end()
}

impl Reading<'_> {
    fn take(&mut self, event: &RecordedEvent) {
        let version = self.versions.entry(event.stream.clone()).or_default();
        *version += 1;
        let is_next = event.version.as_u64() == *version;
        self.holds(is_next, event, "does not follow the one before in its stream");
        let is_later = self.last.is_none_or(|last| last < event.position);
        self.holds(is_later, event, "does not follow the one before in the log");
        let is_new = self.ids.insert(event.event_id);
        self.holds(is_new, event, "has the id of another");
        self.last = Some(event.position);
        match event.stream.aggregate_type() {
            "posting" => self.take_posting(event),
            "workflow" => self.take_run(event),
            "conversation" => self.take_wave(event),
            kind => self.holds(["actor", "definition"].contains(&kind), event, "is of nobody"),
        }
    }

    /// Fails with where to look, unless something is so of an event.
    fn holds(&self, is_so: bool, event: &RecordedEvent, why: &str) {
        if !is_so {
            let (name, kept) = (self.scene.name, self.scene.kept());
            let out = self.scene.folder.join("out");
            let shown = serde_json::to_string_pretty(event).unwrap();
            panic!(
                "an event in {name} {why}:\n{shown}\nAll output is in {}; {kept}",
                out.display()
            );
        }
    }

    fn take_run(&mut self, event: &RecordedEvent) {
        let run = run_of(event);
        let is_expected = match event.event_type.as_str() {
            "workflow_started" => self.runs.insert(run, false).is_none(),
            "workflow_completed" => self.runs.insert(run, true) == Some(false),
            _ => false,
        };
        self.holds(is_expected, event, "begins or ends a run that does so once");
    }

    fn take_wave(&mut self, event: &RecordedEvent) {
        let wave = (event.stream.clone(), run_of(event));
        let is_expected = match event.event_type.as_str() {
            "conversation_started" => self.waves.insert(wave),
            "conversation_completed" => self.waves.remove(&wave),
            _ => false,
        };
        self.holds(is_expected, event, "begins or ends a wave that does so once");
    }

    fn take_posting(&mut self, event: &RecordedEvent) {
        let posting: i32 = event.stream.aggregate_id().parse().unwrap();
        let payload: Value = event.payload.decode().unwrap();
        let name = event.event_type.as_str();
        if name == "posting_entered_run" {
            let travel = Travel {
                run: run_of(event),
                executions: BTreeMap::new(),
                failures: BTreeMap::new(),
                question: String::new(),
                is_over: false,
            };
            let is_first = self.travels.insert(posting, travel).is_none();
            return self.holds(is_first, event, "lets a posting enter a second run");
        }
        let travel = self.travels.get(&posting).filter(|travel| !travel.is_over);
        self.holds(travel.is_some(), event, "is of a posting that is in no run");
        match name {
            "posting_terminal" => {
                self.holds(payload["reason"] == "completed", event, "is no good end");
                self.travel(posting).is_over = true;
            }
            "script_execution_completed" | "llm_call_completed" => {
                self.take_attempt(event, posting, &payload);
                let conversation = event.metadata.get(CONVERSATION_ID).unwrap().0;
                let travel = self.travel(posting);
                *travel.executions.entry(conversation).or_default() += 1;
                travel.failures.remove(&conversation);
                if conversation % 100 == MOODY {
                    travel.question = payload["output"].as_str().unwrap().to_owned();
                }
                self.steps += 1;
            }
            "script_execution_failed" | "llm_call_failed" => {
                self.take_attempt(event, posting, &payload);
                let conversation = event.metadata.get(CONVERSATION_ID).unwrap().0;
                *self.travel(posting).failures.entry(conversation).or_default() += 1;
            }
            _ => {
                let is_known =
                    ["branch_taken", "retry_scheduled", "circuit_breaker_open"].contains(&name);
                self.holds(is_known, event, "is none that these workflows bring about");
            }
        }
    }

    fn travel(&mut self, posting: i32) -> &mut Travel {
        self.travels.get_mut(&posting).expect("it is in a run")
    }

    /// An attempt is the one that was next, and its actor knows of it.
    fn take_attempt(&mut self, event: &RecordedEvent, posting: i32, payload: &Value) {
        let conversation = event.metadata.get(CONVERSATION_ID).unwrap().0;
        let travel = &self.travels[&posting];
        let execution = travel.executions.get(&conversation).copied().unwrap_or(0) + 1;
        let failures = travel.failures.get(&conversation).copied().unwrap_or(0);
        let run = event.metadata.get(RUN_ID).map(|run| run.to_string());
        let retries = event.metadata.get(RETRY_COUNT);
        let is_next = retries == Some(failures) && run.as_ref() == Some(&travel.run);
        self.holds(is_next, event, "is of another attempt than the next");
        let place = place_of(conversation);
        if place == MODEL {
            self.take_answer(event, posting, failures, payload);
        } else {
            let attempt =
                format!("{} {posting} {conversation} {execution} {}", travel.run, failures + 1);
            self.take_execution(event, posting, &attempt, payload);
            let is_good = event.event_type == "script_execution_completed";
            self.holds(
                is_good || place == MOODY,
                event,
                "is a failure of a script that never does",
            );
        }
        self.attempts += 1;
    }

    /// A script was executed for an attempt, and was not executed for it again once that was recorded.
    fn take_execution(
        &mut self,
        event: &RecordedEvent,
        posting: i32,
        attempt: &str,
        payload: &Value,
    ) {
        let said = payload["output"].as_str().or(payload["stderr"].as_str()).unwrap_or_default();
        let before = format!("{attempt} ");
        let token = said.lines().find_map(|line| line.strip_prefix(&before)?.split(' ').next());
        let workflow = workflow_of(posting);
        let last = self.ledgers[&workflow].last(attempt);
        // a script that met its time limit may not have said who it is, or not even begun
        let is_known = match token {
            Some(token) => last == Some(token),
            None => payload["failure_type"] == "timeout",
        };
        let has_line = last.is_some();
        let why = format!("is not what the script noted last for `{attempt}`, which is {last:?}");
        self.holds(is_known, event, &why);
        *self.recorded.entry(workflow).or_default() += u64::from(has_line);
    }

    /// The model was asked so often at least, and the answer is the one that it gave last.
    fn take_answer(&mut self, event: &RecordedEvent, posting: i32, failures: u32, payload: &Value) {
        let question = &self.travels[&posting].question;
        let numbers = self.asked.get(question.as_str()).map_or(&[][..], Vec::as_slice);
        let is_good = event.event_type == "llm_call_completed";
        let is_known = match (is_good, numbers.last()) {
            (true, Some(number)) => payload["output"] == answered(question, *number),
            (false, Some(_)) => payload["failure_type"] == "connection",
            (_, None) => false,
        };
        let (asked, attempts) = (numbers.len() as u64, u64::from(failures) + 1);
        self.holds(is_known && asked >= attempts, event, "is not what the model answered");
        let workflow = workflow_of(posting);
        *self.recorded.entry(workflow).or_default() += 1;
        if is_good {
            *self.questions.entry(workflow).or_default() += asked;
        }
    }

    /// Everything that began has ended, and nothing more was executed than programs were cut off at.
    fn end(self) -> String {
        let Self { scene, runs, travels, waves, .. } = &self;
        let kept = scene.kept();
        let open = travels.iter().filter(|(_, travel)| !travel.is_over);
        let open: Vec<_> = open.map(|(posting, _)| posting).collect();
        assert!(open.is_empty(), "postings without an end: {open:?}; {kept}");
        let travelled: BTreeSet<_> = travels.keys().copied().collect();
        let difference: Vec<_> = scene.given().symmetric_difference(&travelled).copied().collect();
        assert!(difference.is_empty(), "given or travelled, and not both: {difference:?}; {kept}");
        assert!(waves.is_empty(), "waves without an end: {waves:?}; {kept}");
        let completed = runs.values().filter(|is_completed| **is_completed).count() as u64;
        let [given, begun] = [scene.counted("runs"), runs.len() as u64];
        let of_them = format!("{begun} begun and {completed} completed");
        assert!(completed == given && begun == given, "{given} runs, {of_them}; {kept}");

        let mut unrecorded = 0;
        for (workflow, ledger) in &self.ledgers {
            let of = |counts: &BTreeMap<i32, u64>| counts.get(workflow).copied().unwrap_or(0);
            let executed = ledger.executions + of(&self.questions);
            let cut_offs = scene.counted(&cut_offs_of(*workflow));
            let more = executed.checked_sub(of(&self.recorded));
            let is_explained = more.is_some_and(|more| more <= cut_offs * UNRECORDED);
            let what = format!("{executed} executions, {} recorded", of(&self.recorded));
            assert!(
                is_explained,
                "workflow {workflow} in {}: {what}, {cut_offs} programs cut off; {kept}",
                scene.name
            );
            unrecorded += more.unwrap_or(0);
        }
        format!(
            "{} events, {begun} runs, {} postings, {} steps, {} attempts, {unrecorded} executions \
             of programs that were cut off",
            self.ids.len(),
            travels.len(),
            self.steps,
            self.attempts
        )
    }
}

/// The run that an event says in its payload.
fn run_of(event: &RecordedEvent) -> String {
    let payload: Value = event.payload.decode().unwrap();
    payload["run_id"].as_str().unwrap().to_owned()
}
