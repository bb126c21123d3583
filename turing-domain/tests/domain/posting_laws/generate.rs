//! Definitions, acts and events out of thin air.

use std::collections::BTreeMap;

use es_core::event::{Payload, Timestamp};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use turing_domain::{
    Actor, ActorId, ActorKind, Branch, BreakerPolicy, Condition, Conversation, ConversationId,
    EndReason, FailureType, Human, Llm, LlmProtocol, Noted, On, PostingEvent, ProblemKind,
    Reasoning, RetryPolicy, RunId, Script, Template, Workflow, WorkflowId, check,
};

use super::play::run_id;

/// What an actor answers: an output, or the type of its failure.
pub(crate) type Answer = Result<String, FailureType>;

/// One thing that somebody does with a posting.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Enters the current run.
    EnterRun,
    /// Abandons the current run and enters the next one.
    NextRun,
    /// Reports the end of one of the attempts that can be made.
    Report(Index, Answer),
    /// Reports an attempt that was made before, or will be made later.
    ReportStale(Index, Answer),
    /// Records an answer without what follows from it.
    RecordOnly(Index, String),
    /// Goes on from answers that were only recorded.
    Settle,
    /// Claims one of the tasks of people, and gives it back or not.
    Claim(Index, bool),
    /// Takes another system's state over: whether that has ended, whether it replaces all, and an output.
    Import([bool; 2], String),
    /// Moves the posting to another definition, which says the same.
    Move,
}

pub(crate) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => Just(Act::EnterRun),
        1 => Just(Act::NextRun),
        20 => (any::<Index>(), result()).prop_map(|(pick, result)| Act::Report(pick, result)),
        2 => (any::<Index>(), result()).prop_map(|(pick, result)| Act::ReportStale(pick, result)),
        1 => (any::<Index>(), output()).prop_map(|(pick, output)| Act::RecordOnly(pick, output)),
        1 => Just(Act::Settle),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(pick, keeps)| Act::Claim(pick, keeps)),
        1 => (any::<[bool; 2]>(), output()).prop_map(|(how, output)| Act::Import(how, output)),
        1 => Just(Act::Move),
    ]
}

pub(crate) fn result() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => output().prop_map(Ok),
        1 => failure_type().prop_map(Err),
    ]
}

fn output() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "ab", "{\"key\": \"a\"}"]).prop_map(str::to_owned)
}

fn failure_type() -> impl Strategy<Value = FailureType> {
    prop::sample::select(vec![
        FailureType::Timeout,
        FailureType::Connection,
        FailureType::BrokenOff,
        FailureType::Refused,
        FailureType::ScriptError,
        FailureType::Unknown,
        FailureType::Other("cosmic_ray".to_owned()),
    ])
}

/// A definition without errors, but for cycles without a limit: the guards must end those.
pub(crate) fn workflow() -> impl Strategy<Value = Workflow> {
    (1..=6_i32).prop_flat_map(|count| {
        let conversations: Vec<_> = (1..=count).map(|id| conversation(id, count)).collect();
        (conversations, 1..=12_u32, 0..=2_u32).prop_map(|(conversations, budget, retries)| {
            let mut workflow = Workflow {
                id: WorkflowId(3001),
                name: "generated".to_owned(),
                entry: ConversationId(1),
                max_total_session_runs: budget,
                retry: RetryPolicy { retries, ..RetryPolicy::default() },
                circuit_breaker: BreakerPolicy::default(),
                actors: actors(),
                conversations,
            };
            let groups: Vec<_> = workflow.groups().into_iter().map(str::to_owned).collect();
            let waits_in_a_ring =
                check(&workflow).iter().any(|problem| problem.kind == ProblemKind::WaitCycle);
            for conversation in &mut workflow.conversations {
                let awaited = conversation.wait_for_group.as_ref();
                if waits_in_a_ring || awaited.is_some_and(|group| !groups.contains(group)) {
                    conversation.wait_for_group = None;
                }
            }
            workflow
        })
    })
}

fn actors() -> Vec<Actor> {
    let script = Script { command: vec!["work".to_owned()], env: BTreeMap::new() };
    let llm = Llm {
        model: "m".to_owned(),
        endpoint: "http://localhost".to_owned(),
        protocol: LlmProtocol::default(),
        system: None,
        temperature: Some(0.5),
        seed: Some(1),
        max_tokens: None,
        max_completion_tokens: None,
        api_key_env: None,
        stream: true,
        structured: false,
        reasoning: Reasoning::default(),
        connect_limit: None,
        first_token_limit: None,
        between_tokens_limit: None,
    };
    let kinds =
        [ActorKind::Script(script), ActorKind::Llm(llm), ActorKind::Human(Human::default())];
    (1..)
        .zip(kinds)
        .map(|(id, kind)| Actor { id: ActorId(id), name: format!("a{id}"), kind })
        .collect()
}

fn conversation(id: i32, count: i32) -> impl Strategy<Value = Conversation> {
    let group =
        || option::weighted(0.3, prop::sample::select(vec!["g".to_owned(), "h".to_owned()]));
    (1..=3_i32, 0..=2_i32, group(), group(), 1..=4_u32, prop::collection::vec(branch(count), 0..6))
        .prop_map(
            move |(actor, execution_order, parallel_group, wait_for_group, runs, branches)| {
                let inputs: String =
                    (1..=count).map(|other| format!("{{conversation_{other}_output}}")).collect();
                Conversation {
                    id: ConversationId(id),
                    name: format!("c{id}"),
                    actor: ActorId(actor),
                    input: Template::new(&inputs),
                    schema: None,
                    repair: 0,
                    time_limit: None,
                    execution_order,
                    parallel_group,
                    wait_for_group,
                    max_instruction_runs: runs,
                    branches,
                }
            },
        )
}

fn branch(count: i32) -> impl Strategy<Value = Branch> {
    (
        0..=1_i32,
        prop_oneof![3 => Just(On::Success), 1 => Just(On::Failure)],
        prop::sample::select(vec!["*", "default", "a", "contains:b", "timeout", "error"]),
        option::weighted(0.85, 1..=count),
        option::weighted(0.4, 1..=3_u32),
    )
        .prop_map(|(priority, on, condition, target, max_iterations)| Branch {
            priority,
            on,
            condition: Condition::from(condition),
            target: target.map(ConversationId),
            max_iterations,
        })
}

/// Any event, whether or not a posting could have it.
pub(crate) fn any_event() -> impl Strategy<Value = PostingEvent> {
    let ids = || option::weighted(0.9, (1..=4_i32).prop_map(ConversationId)).prop_map(Noted);
    let runs = || option::of((1..=2_u32).prop_map(|number| run_id(number.into()))).prop_map(Noted);
    prop_oneof![
        3 => (ids(), runs(), any_json()).prop_map(|(id, run, json)| completed(id, run, json)),
        1 => (ids(), runs(), option::of(failure_type()))
            .prop_map(|(id, run, failure)| failed(id, run, Noted(failure))),
        1 => (runs(), ids()).prop_map(|(run_id, final_conversation_id)| {
            let reason = Noted(Some(EndReason::Completed));
            PostingEvent::PostingTerminal { reason, final_conversation_id, run_id }
        }),
        3 => (1..=2_u32, 1..=4_i32).prop_map(|(run, entry)| PostingEvent::PostingEnteredRun {
            run_id: run_id(run.into()),
            workflow_id: WorkflowId(3001),
            entry_conversation_id: ConversationId(entry),
        }),
        4 => (ids(), runs(), 0..=3_u32, option::of(1..=4_i32)).prop_map(|(id, run, rule, to)| {
            PostingEvent::BranchTaken {
                rule,
                priority: 0,
                condition: "*".to_owned(),
                to: to.map(ConversationId),
                conversation_id: id,
                run_id: run,
            }
        }),
        1 => (ids(), runs()).prop_map(|(conversation_id, run_id)| PostingEvent::PathEnded {
            reason: EndReason::RunBudget,
            rule: None,
            to: None,
            conversation_id,
            run_id,
        }),
        1 => (ids(), runs(), 0..=3_u32).prop_map(|(conversation_id, run_id, attempt)| {
            PostingEvent::RetryScheduled {
                attempt,
                due_at: Timestamp::EPOCH,
                failure_type: FailureType::Timeout,
                conversation_id,
                run_id,
            }
        }),
        1 => (1..=4_i32, any::<[bool; 2]>(), any_json())
            .prop_map(|(id, how, json)| imported(id, how, json)),
    ]
}

pub(crate) fn completed(
    conversation_id: Noted<ConversationId>,
    run_id: Noted<RunId>,
    output: impl Into<Payload>,
) -> PostingEvent {
    PostingEvent::ScriptExecutionCompleted {
        output: Some(output.into()).filter(|output: &Payload| output.as_str() != "null"),
        status: Noted::ABSENT,
        conversation_id,
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id,
    }
}

/// Another system's state, in which this conversation has completed.
pub(crate) fn imported(
    conversation: i32,
    [is_terminal, replaces]: [bool; 2],
    output: impl Into<Payload>,
) -> PostingEvent {
    let conversation_id = ConversationId(conversation);
    PostingEvent::PostingStateImported {
        source: "theirs".to_owned(),
        row_digest: String::new(),
        recorded_at: None,
        current_conversation_id: Some(conversation_id),
        is_terminal,
        replaces,
        execution_sequence: vec![conversation_id],
        outputs: BTreeMap::from([(conversation_id, output.into())]),
    }
}

fn failed(
    conversation_id: Noted<ConversationId>,
    run_id: Noted<RunId>,
    failure_type: Noted<FailureType>,
) -> PostingEvent {
    PostingEvent::LlmCallFailed {
        error: Noted::ABSENT,
        failure_type,
        model: Noted::ABSENT,
        finish_reason: Noted::ABSENT,
        cached_tokens: Noted::ABSENT,
        reasoning_tokens: Noted::ABSENT,
        first_token_ms: Noted::ABSENT,
        request_id: Noted::ABSENT,
        conversation_id,
        actor_id: Noted::ABSENT,
        execution_order: Noted::ABSENT,
        duration_ms: Noted::ABSENT,
        retry_count: Noted::ABSENT,
        run_id,
    }
}

/// JSON of any shape that occurs where people write it by hand.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (1..=4_i32).prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        "[0-9a-z -]{0,12}".prop_map(Value::from),
        Just(json!("0193a1d4-0000-7000-8000-000000000001")),
        Just(json!({"key": [1, {"a": null}]})),
        Just(json!([[], "a"])),
    ]
}
