//! Sentences by example: these events, this definition, this lock and these breakers.

mod at_rest;
mod paused;
mod people;

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::Aggregate;
use serde_json::json;
use turing_domain::{
    ActorBreaker, ActorEvent, ActorId, Noted, PostingEvent, Workflow, WorkflowId, WorkflowRun,
};

use super::*;
use crate::lock::Holder;

/// 2025-11-24T16:00:00Z
const ENTERED: i64 = 1_764_000_000_000_000;
const POSTING: PostingId = PostingId(7);

fn run() -> RunId {
    "0193a1d4-0000-7000-8000-000000000001".parse().unwrap()
}

fn other_run() -> RunId {
    "0193a1d4-0000-7000-8000-000000000002".parse().unwrap()
}

/// So many seconds after the posting entered its run.
fn after(seconds: u64) -> Timestamp {
    Timestamp::from_micros(ENTERED).plus(Duration::from_secs(seconds))
}

/// A start, two members of a group, what waits for them, and a person.
const WORKFLOW: &str = r#"
        [workflow]
        id = 3001
        name = "w"
        entry = 10
        [[actors]]
        id = 1
        name = "shell"
        type = "script"
        command = ["work"]
        [[actors]]
        id = 2
        name = "model"
        type = "llm"
        model = "llama3"
        endpoint = "http://localhost:11434"
        [[actors]]
        id = 3
        name = "Ana"
        type = "human"
        [[conversations]]
        id = 10
        name = "start"
        actor = 1
        [[conversations]]
        id = 20
        name = "left"
        actor = 1
        parallel_group = "graders"
        [[conversations]]
        id = 30
        name = "right"
        actor = 2
        parallel_group = "graders"
        [[conversations]]
        id = 40
        name = "decide"
        actor = 1
        wait_for_group = "graders"
        [[conversations]]
        id = 50
        name = "approve"
        actor = 3
    "#;

fn workflow() -> Workflow {
    toml::from_str(WORKFLOW).unwrap()
}

fn at(id: i32) -> Noted<ConversationId> {
    ConversationId(id).into()
}

fn entered_at(id: i32) -> PostingEvent {
    PostingEvent::PostingEnteredRun {
        run_id: run(),
        workflow_id: WorkflowId(3001),
        entry_conversation_id: ConversationId(id),
    }
}

fn done(id: i32) -> PostingEvent {
    PostingEvent::ScriptExecutionCompleted {
        output: None,
        status: Noted::ABSENT,
        conversation_id: at(id),
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id: run().into(),
    }
}

fn failed(id: i32, failure_type: FailureType) -> PostingEvent {
    PostingEvent::ScriptExecutionFailed {
        error: Noted::ABSENT,
        failure_type: failure_type.into(),
        stderr: Noted::ABSENT,
        conversation_id: at(id),
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id: run().into(),
    }
}

fn repeated(id: i32, due_at: Timestamp) -> PostingEvent {
    PostingEvent::RetryScheduled {
        attempt: 1,
        due_at,
        failure_type: FailureType::Timeout,
        conversation_id: at(id),
        run_id: run().into(),
    }
}

fn taken(from: i32, to: Option<i32>) -> PostingEvent {
    PostingEvent::BranchTaken {
        rule: 2,
        priority: 0,
        condition: "*".to_owned(),
        to: to.map(ConversationId),
        conversation_id: at(from),
        run_id: run().into(),
    }
}

fn path_ended(id: i32, reason: EndReason, rule: Option<u32>, to: Option<i32>) -> PostingEvent {
    PostingEvent::PathEnded {
        reason,
        rule,
        to: to.map(ConversationId),
        conversation_id: at(id),
        run_id: run().into(),
    }
}

fn terminal(id: i32, reason: EndReason) -> PostingEvent {
    PostingEvent::PostingTerminal {
        reason: reason.into(),
        final_conversation_id: at(id),
        run_id: run().into(),
    }
}

fn imported(is_terminal: bool) -> PostingEvent {
    PostingEvent::PostingStateImported {
        source: "public.posting_state_checkpoints".to_owned(),
        row_digest: String::new(),
        recorded_at: None,
        current_conversation_id: None,
        is_terminal,
        replaces: false,
        execution_sequence: Vec::new(),
        outputs: BTreeMap::new(),
    }
}

/// The story of these events, a second apart.
fn story(events: &[PostingEvent]) -> Story {
    let mut story = Story::default();
    for (seconds, event) in (0..).zip(events) {
        story.take(after(seconds), event);
    }
    story
}

/// Who asks, and what is known beside the events.
struct Scene {
    definition: Result<Workflow, String>,
    worked: Worked,
    breakers: BTreeMap<ActorId, ActorBreaker>,
    record: Option<WorkflowRun>,
    now: Timestamp,
}

impl Scene {
    /// Ten seconds after the posting entered, a process works on the run.
    fn new() -> Self {
        let worked = Worked::Process { process: "4711".to_owned() };
        let (definition, breakers) = (Ok(workflow()), BTreeMap::new());
        Self { definition, worked, breakers, record: None, now: after(10) }
    }

    fn held_by(holder: &Holder) -> Self {
        let worked = Worked::of(holder, run(), after(0), after(10));
        Self { worked, ..Self::new() }
    }

    fn broken(mut self, actor: i32, events: &[ActorEvent]) -> Self {
        let mut breaker = ActorBreaker::default();
        events.iter().for_each(|event| breaker.evolve(event));
        self.breakers.insert(ActorId(actor), breaker);
        self
    }

    fn ask(&self, events: &[PostingEvent]) -> PostingWhy {
        let story = story(events);
        let definition = self.definition.as_ref().map_err(String::as_str);
        let Self { worked, breakers, now, .. } = self;
        let record = self.record.as_ref();
        let seen = Seen { definition, worked, breakers, record, now: *now };
        match story.open_run(None) {
            Ok(run) => story.why_in(POSTING, run, &seen),
            Err(why) => PostingWhy::alone(POSTING, *why),
        }
    }

    #[track_caller]
    fn says(&self, events: &[PostingEvent], sentence: &str) {
        assert_eq!(self.ask(events).sentence, sentence);
    }
}

const RESUME: &str = "`turing run resume 0193a1d4-0000-7000-8000-000000000001` goes on";

#[test]
fn what_is_ready_says_who_works_on_its_run() {
    let entered = [entered_at(10)];
    let ready = "ready at conversation 10 (start) since 2025-11-24T16:00:00Z";
    Scene::new().says(
        &entered,
        &format!(
            "{ready}: process 4711 works on this run, and makes the attempt now, or as soon as a slot \
             is free"
        ),
    );
    let nobody = format!("{ready}, and nobody works on this run: {RESUME}");
    Scene::held_by(&Holder::Nobody).says(&entered, &nobody);
    // a server that began before the last event has taken no lock away
    Scene::held_by(&Holder::NobodySince(after(0))).says(&entered, &nobody);
    let told = Scene::held_by(&Holder::NobodySince(after(5))).ask(&entered).sentence;
    let perhaps = "the server began at 2025-11-24T16:00:05Z";
    assert!(told.contains(perhaps) && told.ends_with(RESUME), "{told}");
    let unseen = format!("{ready}; whether anybody works on this run cannot be seen here");
    Scene::held_by(&Holder::Unknown).says(&entered, &unseen);
}

#[test]
fn what_a_model_is_asked_may_wait_for_a_pause_that_only_the_process_knows() {
    let told = Scene::new().ask(&[entered_at(30)]);
    let pause =
        "or waits for a pause that its endpoint asked for; standard error of that process tells";
    assert!(told.sentence.ends_with(pause), "{}", told.sentence);
    assert!(matches!(told.why, Why::Ready { may_be_paused: true, .. }));
    let nobody = Scene::held_by(&Holder::Nobody).ask(&[entered_at(30)]).sentence;
    assert!(!nobody.contains("pause"), "{nobody}");
}

#[test]
fn what_is_repeated_says_when_and_after_what() {
    let events = |due| [entered_at(10), failed(10, FailureType::Timeout), repeated(10, after(due))];
    Scene::new().says(
        &events(60),
        "waits at conversation 10 (start) for attempt 2, due at 2025-11-24T16:01:00Z, as the one before \
         failed: timeout; process 4711 works on this run",
    );
    let due = "ready at conversation 10 (start) for attempt 2, due since 2025-11-24T16:00:10Z, as the \
               one before failed: timeout; ";
    let scene = Scene::held_by(&Holder::Nobody);
    scene.says(&events(10), &format!("{due}nobody works on this run: {RESUME}"));
}

#[test]
fn an_open_breaker_says_whose_it_is_until_when_and_how_it_is_closed() {
    let failed = || ActorEvent::ActorCallFailed {
        failure_type: FailureType::Timeout,
        conversation_id: Noted::ABSENT,
        run_id: Noted::ABSENT,
    };
    let opened =
        |until| ActorEvent::CircuitBreakerOpened { failure_count: 2, retry_at: after(until) };
    let held = "held at conversation 10 (start) by the circuit breaker of actor 1 (shell)";
    let cure =
        "after 2 failures in a row; once the cause is mended, `turing actor reset 1` closes it";
    let entered = [entered_at(10)];
    let broken = |until| Scene::new().broken(1, &[failed(), failed(), opened(until)]);
    broken(60).says(&entered, &format!("{held} until 2025-11-24T16:01:00Z, {cure}"));
    broken(5).says(
        &entered,
        &format!("{held}, whose time was over at 2025-11-24T16:00:05Z: one call is let through first, {cure}"),
    );
    let half_open = ActorEvent::CircuitBreakerHalfOpened { until: after(60) };
    let events = [failed(), failed(), opened(5), half_open];
    Scene::new().broken(1, &events).says(
        &entered,
        &format!(
            "{held} until one call, which is under way, has ended, or until 2025-11-24T16:01:00Z, {cure}"
        ),
    );
    // that of another actor, and one that was closed
    let ready = |scene: Scene| matches!(scene.ask(&entered).why, Why::Ready { .. });
    assert!(ready(Scene::new().broken(2, &[failed(), opened(60)])));
    let closed = [failed(), opened(60), ActorEvent::CircuitBreakerClosed];
    assert!(ready(Scene::new().broken(1, &closed)));
    let interrupted = Scene { breakers: broken(60).breakers, ..Scene::held_by(&Holder::Nobody) };
    let told = interrupted.ask(&entered).sentence;
    assert!(told.ends_with(&format!("; nobody works on this run: {RESUME}")), "{told}");
}

#[test]
fn a_repeat_that_is_not_due_waits_for_its_time_and_then_for_the_breaker() {
    let opened = ActorEvent::CircuitBreakerOpened { failure_count: 1, retry_at: after(90) };
    let events = [entered_at(10), failed(10, FailureType::Timeout), repeated(10, after(60))];
    let scene = Scene::new().broken(1, &[opened]);
    assert!(matches!(scene.ask(&events).why, Why::Retry { is_due: false, .. }));
    let scene = Scene { now: after(60), ..scene };
    assert!(matches!(scene.ask(&events).why, Why::Breaker { .. }));
}

#[test]
fn each_open_position_has_its_reason_and_the_next_to_go_on_is_that_of_the_posting() {
    let events = [
        entered_at(10),
        done(10),
        taken(10, Some(20)),
        taken(10, Some(30)),
        done(20),
        taken(20, Some(40)),
    ];
    let told = Scene::new().ask(&events);
    let at: Vec<_> = told.positions.iter().map(|position| position.conversation_id.0).collect();
    assert_eq!(at, [30, 40]);
    assert_eq!(told.sentence, told.positions[0].sentence);
    assert_eq!(
        told.positions[1].sentence,
        "waits at conversation 40 (decide) for group graders, 1 of which is open: conversation 30 (right)"
    );
    let Why::Ready { since, .. } = told.why else { panic!("{told:?}") };
    assert_eq!(since, Some(after(3)));
}

#[test]
fn a_person_is_waited_for_by_name() {
    Scene::new().says(
        &[entered_at(50)],
        "waits at conversation 50 (approve) for a person, actor 3 (Ana) since 2025-11-24T16:00:00Z",
    );
}

#[test]
fn what_the_definition_lacks_cannot_go_on() {
    let told = Scene::new().ask(&[entered_at(60)]).sentence;
    assert!(
        told.starts_with("held at conversation 60, which the definition of its run lacks"),
        "{told}"
    );
}

#[test]
fn without_a_definition_it_is_said_what_is_known() {
    let scene = Scene { definition: Err("it is not in this store".to_owned()), ..Scene::new() };
    scene.says(
        &[entered_at(10)],
        "open at conversation 10, and whether it is ready there is not known, because it is not in this \
         store; process 4711 works on this run",
    );
    let events = [entered_at(10), failed(10, FailureType::Timeout), repeated(10, after(60))];
    let told = scene.ask(&events).sentence;
    assert!(told.starts_with("waits at conversation 10 for attempt 2, due at "), "{told}");
}

#[test]
fn a_result_of_another_program_waits_to_be_routed() {
    let told = Scene::new().ask(&[entered_at(10), done(10)]).sentence;
    assert!(told.starts_with("done at conversation 10 (start), and what follows is not"), "{told}");
}

#[test]
fn programs_read_the_same_as_people() {
    let told = serde_json::to_value(Scene::new().ask(&[entered_at(10)])).unwrap();
    assert_eq!((&told["posting_id"], &told["why"]["kind"]), (&json!(7), &json!("ready")));
    assert_eq!(told["why"]["worked"]["by"], "process");
    assert_eq!(told["why"]["place"]["conversation_id"], 10);
    assert_eq!(told["sentence"], told["positions"][0]["sentence"]);
}
