//! Asking an actor: render its input, start it, and take its answer.

use std::collections::BTreeMap;
use std::time::Duration;

use es_core::event::Payload;
use serde::Serialize;
use serde_json::{Map, Value};
use turing_domain::{
    ActorKind, Attempt, Conversation, ConversationId, FailureType, InputValues, Llm, LlmUsage,
    Posting, PostingId, RunId, Script, WorkflowId,
};

use super::{RunError, Shared, StepError};
use crate::llm::{LlmCall, LlmLimits, LlmOutcome, api_key, call_llm};
use crate::script::{ScriptCall, ScriptLimits, ScriptOutcome};

/// How an attempt ended, before it is recorded.
pub(super) struct Attempted {
    pub(super) result: Result<Answer, Problem>,
    /// How long the actor worked.
    pub(super) duration: Duration,
}

/// What came of an attempt.
pub(super) enum Executed {
    /// It was made.
    Attempted(Box<Attempted>),
    /// It was not: the system could not start the script now, for this reason.
    NotStarted(String),
}

/// What an actor answered.
pub(super) struct Answer {
    pub(super) output: String,
    pub(super) llm: LlmUsage,
}

/// What went wrong.
pub(super) struct Problem {
    pub(super) failure_type: FailureType,
    pub(super) error: String,
    pub(super) stderr: Option<String>,
    /// What a language model reported all the same.
    pub(super) llm: LlmUsage,
    /// Whether the actor did as it was asked, so that it would do the same again.
    pub(super) is_final: bool,
    /// The pause that the actor asked for.
    pub(super) retry_after: Option<Duration>,
}

impl Problem {
    /// One of an actor that is no language model.
    fn plain(failure_type: FailureType, error: String, stderr: Option<String>) -> Self {
        let llm = LlmUsage::default();
        Self { failure_type, error, stderr, llm, is_final: false, retry_after: None }
    }
}

impl Attempted {
    /// An attempt that ended before any actor was called.
    fn refused(failure_type: FailureType, error: String) -> Self {
        let problem = Problem::plain(failure_type, error, None);
        Self { result: Err(problem), duration: Duration::ZERO }
    }
}

impl From<Attempted> for Executed {
    fn from(attempted: Attempted) -> Self {
        Self::Attempted(Box::new(attempted))
    }
}

/// Makes an attempt, without recording anything.
pub(super) async fn execute(
    shared: &Shared,
    posting: PostingId,
    state: &Posting,
    data: &Map<String, Value>,
    attempt: Attempt,
) -> Result<Executed, RunError> {
    let workflow = &shared.definition.workflow;
    let parts = workflow
        .conversation(attempt.conversation_id)
        .and_then(|conversation| Some((conversation, workflow.actor(conversation.actor)?)));
    let Some((conversation, actor)) = parts else {
        let error = format!("conversation {} has no actor", attempt.conversation_id);
        return Ok(Attempted::refused(FailureType::NotFound, error).into());
    };
    let values =
        InputValues { posting_id: posting, workflow_id: workflow.id, data, posting: state };
    let input = match values.render(conversation) {
        Ok(input) => input,
        Err(unresolved) => {
            let error = unresolved.to_string();
            return Ok(Attempted::refused(FailureType::InvalidInput, error).into());
        }
    };
    if shared.calls_nobody {
        let answer = Answer { output: input, llm: LlmUsage::default() };
        return Ok(Attempted { result: Ok(answer), duration: Duration::ZERO }.into());
    }
    let limit = workflow.time_limit(conversation);
    Ok(match &actor.kind {
        ActorKind::Script(script) => {
            let document = script_document(&values, attempt, &input, data);
            ask_script(shared, script, limit, document).await?
        }
        ActorKind::Llm(llm) => ask_llm(shared, conversation, llm, limit, input).await.into(),
        ActorKind::Human(_) => {
            let error = "a person is not called; the posting waits for their answer".to_owned();
            Attempted::refused(FailureType::NotFound, error).into()
        }
    })
}

async fn ask_llm(
    shared: &Shared,
    conversation: &Conversation,
    llm: &Llm,
    limit: Option<Duration>,
    input: String,
) -> Attempted {
    let api_key = match api_key(llm) {
        Ok(api_key) => api_key,
        Err(error) => return Attempted::refused(FailureType::InvalidInput, error.to_string()),
    };
    let defaults = LlmLimits::default();
    let limits = LlmLimits {
        time: limit.unwrap_or(defaults.time),
        connect: llm.connect_limit.map_or(defaults.connect, Duration::from),
        first_token: llm.first_token_limit.map(Duration::from),
        between_tokens: llm.between_tokens_limit.map_or(defaults.between_tokens, Duration::from),
        ..defaults
    };
    let call = LlmCall {
        actor: llm.clone(),
        input,
        api_key,
        limits,
        schema: conversation.schema.clone(),
        repairs: conversation.repair,
    };
    match call_llm(&shared.llm, &call).await {
        LlmOutcome::Completed { output, usage, duration } => {
            Attempted { result: Ok(Answer { output, llm: usage }), duration }
        }
        LlmOutcome::Failed { failure_type, error, retry_after, is_final, usage, duration } => {
            let problem =
                Problem { failure_type, error, stderr: None, llm: usage, is_final, retry_after };
            Attempted { result: Err(problem), duration }
        }
    }
}

async fn ask_script(
    shared: &Shared,
    script: &Script,
    limit: Option<Duration>,
    document: Vec<u8>,
) -> Result<Executed, RunError> {
    let program = match shared.definition.program(script) {
        Ok(program) => program,
        Err(error) => {
            return Ok(Attempted::refused(error.failure_type(), error.to_string()).into());
        }
    };
    let defaults = ScriptLimits::default();
    let call = ScriptCall {
        program,
        arguments: script.command.iter().skip(1).map(Into::into).collect(),
        folder: shared.definition.folder.clone(),
        environment: script.env.clone(),
        input: document,
        limits: ScriptLimits { time: limit.unwrap_or(defaults.time), ..defaults },
    };
    Ok(match shared.supervisors.run(&call).await {
        ScriptOutcome::Completed { output, duration } => {
            let answer = Answer { output, llm: LlmUsage::default() };
            Attempted { result: Ok(answer), duration }.into()
        }
        ScriptOutcome::Failed { failure_type, error, stderr, duration } => {
            let stderr = (!stderr.is_empty()).then_some(stderr);
            let problem = Problem::plain(failure_type, error, stderr);
            Attempted { result: Err(problem), duration }.into()
        }
        ScriptOutcome::NotStarted { passes: true, error } => Executed::NotStarted(error),
        ScriptOutcome::NotStarted { passes: false, error } => {
            return Err(StepError::Unsupervised { reason: error }.into());
        }
    })
}

/// What a script reads on its standard input.
#[derive(Serialize)]
struct Document<'a> {
    attempt: u64,
    conversation_id: ConversationId,
    execution: u32,
    input: &'a str,
    /// To the last digit, and in one form whatever the store.
    outputs: BTreeMap<String, Payload>,
    posting: &'a Map<String, Value>,
    posting_id: PostingId,
    run_id: RunId,
    workflow_id: WorkflowId,
}

/// What a script reads on its standard input for an attempt, to the last byte.
pub(crate) fn script_document(
    values: &InputValues<'_>,
    attempt: Attempt,
    input: &str,
    data: &Map<String, Value>,
) -> Vec<u8> {
    serde_json::to_vec(&document(values, attempt, input, data))
        .expect("the document has texts for keys")
}

fn document<'a>(
    values: &InputValues<'a>,
    attempt: Attempt,
    input: &'a str,
    data: &'a Map<String, Value>,
) -> Document<'a> {
    let canonical = |output: &Payload| output.canonical().unwrap_or_else(|_| output.clone());
    let outputs = values.outputs().map(|(id, output)| (id.to_string(), canonical(output)));
    Document {
        attempt: u64::from(attempt.retries) + 1,
        conversation_id: attempt.conversation_id,
        execution: attempt.execution,
        input,
        outputs: outputs.collect(),
        posting: data,
        posting_id: values.posting_id,
        run_id: attempt.run_id,
        workflow_id: values.workflow_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_told_of_any_attempt_that_an_event_names() {
        let run_id: RunId = "0193a1d4-0000-7000-8000-000000000001".parse().unwrap();
        let (data, posting) = (Map::new(), Posting::default());
        let (posting_id, workflow_id) = (PostingId(1), WorkflowId(1));
        let values = InputValues { posting_id, workflow_id, data: &data, posting: &posting };
        for retries in [0, 1, u32::MAX - 1, u32::MAX] {
            let conversation_id = ConversationId(1);
            let attempt = Attempt { run_id, conversation_id, execution: u32::MAX, retries };
            let told = document(&values, attempt, "", &data);
            assert_eq!(told.attempt, u64::from(retries) + 1);
        }
    }
}
