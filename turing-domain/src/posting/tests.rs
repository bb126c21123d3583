//! Decisions by example: given these events, when this is told, then these events or this refusal.

mod completing;
mod failing;
mod folding;
mod inputs;
mod people;
mod running;

use std::time::Duration;

use es_core::event::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::definition::Workflow;
use crate::ids::{ActorId, ConversationId, RunId, WorkflowId};
use crate::names::{EndReason, FailureType};
use crate::noted::Noted;

const FIRST: ConversationId = ConversationId(1);
const NOW: Timestamp = Timestamp::EPOCH;

/// An actor that is a model.
const LLM: &str = "type = \"llm\"\nmodel = \"llama3\"\nendpoint = \"http://localhost:11434\"";

fn run(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

/// A workflow of these conversations, whose actor is the script 74.
fn workflow(conversations: &[String]) -> Workflow {
    with_actor("type = \"script\"\ncommand = [\"work\"]", conversations)
}

/// A conversation after which two are open at once.
fn fan_out() -> Workflow {
    workflow(&[
        conversation(1, "", &["to = 2", "to = 3"]),
        conversation(2, "", &[""]),
        conversation(3, "", &[""]),
    ])
}

fn with_actor(actor: &str, conversations: &[String]) -> Workflow {
    let conversations = conversations.concat();
    let header = "[workflow]\nid = 3001\nname = \"w\"\nentry = 1\nmax_total_session_runs = 5";
    let text = format!("{header}\n[[actors]]\nid = 74\nname = \"a\"\n{actor}\n{conversations}");
    toml::from_str(&text).unwrap()
}

/// A conversation with more settings, and its rules, each a line such as `when = "x", to = 2`.
fn conversation(id: i32, settings: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("{{ {rule} }},")).collect();
    format!(
        "[[conversations]]\nid = {id}\nname = \"c{id}\"\nactor = 74\nexecution_order = {id}\n\
         {settings}\nbranches = [{rules}]\n"
    )
}

fn entered() -> PostingEvent {
    PostingEvent::PostingEnteredRun {
        run_id: run(1),
        workflow_id: WorkflowId(3001),
        entry_conversation_id: FIRST,
    }
}

fn attempt(conversation: i32, execution: u32, retries: u32) -> Attempt {
    Attempt { run_id: run(1), conversation_id: ConversationId(conversation), execution, retries }
}

/// The answer to the first attempt at a conversation.
fn answer(conversation: i32, output: &str) -> Completion {
    answer_to(attempt(conversation, 1, 0), output)
}

fn answer_to(attempt: Attempt, output: &str) -> Completion {
    Completion { attempt, output: output.to_owned(), duration: None, llm: LlmUsage::default() }
}

fn failure(attempt: Attempt, failure_type: FailureType) -> Failure {
    Failure {
        attempt,
        failure_type,
        error: "broken".to_owned(),
        stderr: None,
        llm: LlmUsage::default(),
        is_final: false,
        duration: None,
        retry_after: None,
        now: NOW,
        jitter: 1.0,
        breaker_opened: None,
    }
}

fn completed(conversation: i32, output: &str) -> PostingEvent {
    completed_after(conversation, output, 0)
}

fn completed_after(conversation: i32, output: &str, retries: u32) -> PostingEvent {
    PostingEvent::ScriptExecutionCompleted {
        output: Some(Value::from(output).into()),
        status: SUCCESS.to_owned().into(),
        conversation_id: ConversationId(conversation).into(),
        actor_id: ActorId(74).into(),
        execution_order: conversation.into(),
        duration_ms: Noted::ABSENT,
        retry_count: retries.into(),
        run_id: run(1).into(),
    }
}

fn failed(conversation: i32, failure_type: FailureType, retries: u32) -> PostingEvent {
    PostingEvent::ScriptExecutionFailed {
        error: "broken".to_owned().into(),
        failure_type: failure_type.into(),
        stderr: Noted::ABSENT,
        conversation_id: ConversationId(conversation).into(),
        actor_id: ActorId(74).into(),
        execution_order: conversation.into(),
        duration_ms: Noted::ABSENT,
        retry_count: retries.into(),
        run_id: run(1).into(),
    }
}

/// Rule `number` of `from`, of priority 0 and with `*` as its condition, was taken.
fn taken(from: i32, number: u32, to: Option<i32>) -> PostingEvent {
    taken_when(from, number, 0, "*", to)
}

fn taken_when(
    from: i32,
    rule: u32,
    priority: i32,
    condition: &str,
    to: Option<i32>,
) -> PostingEvent {
    PostingEvent::BranchTaken {
        rule,
        priority,
        condition: condition.to_owned(),
        to: to.map(ConversationId),
        conversation_id: ConversationId(from).into(),
        run_id: run(1).into(),
    }
}

fn path_ended(at: i32, reason: EndReason, refused: Option<(u32, i32)>) -> PostingEvent {
    PostingEvent::PathEnded {
        reason,
        rule: refused.map(|(rule, _)| rule),
        to: refused.map(|(_, to)| ConversationId(to)),
        conversation_id: ConversationId(at).into(),
        run_id: run(1).into(),
    }
}

fn terminal(reason: EndReason, last: i32) -> PostingEvent {
    PostingEvent::PostingTerminal {
        reason: reason.into(),
        final_conversation_id: ConversationId(last).into(),
        run_id: run(1).into(),
    }
}

fn retry(conversation: i32, attempt: u32, failure_type: FailureType, seconds: u64) -> PostingEvent {
    PostingEvent::RetryScheduled {
        attempt,
        due_at: NOW.plus(Duration::from_secs(seconds)),
        failure_type,
        conversation_id: ConversationId(conversation).into(),
        run_id: run(1).into(),
    }
}

/// Another system's state: where the posting is, whether it has ended, and what completed there.
fn imported(current: Option<i32>, is_terminal: bool, outputs: &[(i32, &str)]) -> PostingEvent {
    let output = |(id, text): &(i32, &str)| (ConversationId(*id), Value::from(*text).into());
    PostingEvent::PostingStateImported {
        source: "public.posting_state_checkpoints".to_owned(),
        row_digest: String::new(),
        recorded_at: None,
        current_conversation_id: current.map(ConversationId),
        is_terminal,
        replaces: false,
        execution_sequence: outputs.iter().map(|(id, _)| ConversationId(*id)).collect(),
        outputs: outputs.iter().map(output).collect(),
    }
}

fn ready(posting: &Posting, workflow: &Workflow) -> Vec<i32> {
    posting.ready(workflow).iter().map(|step| step.conversation.id.0).collect()
}
