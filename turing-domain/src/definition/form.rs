//! The written form of a definition: what stands under which heading.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Actor, ActorKind, BreakerPolicy, Conversation, Human, JsonSchema, Llm, LlmProtocol, Reasoning,
    RetryPolicy, Script, Seconds, Workflow,
};
use crate::ids::{ActorId, ConversationId, WorkflowId};

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    workflow: Header,
    #[serde(default)]
    actors: Vec<ActorForm>,
    #[serde(default)]
    conversations: Vec<Conversation>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    id: WorkflowId,
    name: String,
    entry: ConversationId,
    #[serde(default = "default_max_total_session_runs")]
    max_total_session_runs: u32,
    #[serde(default)]
    retry: RetryPolicy,
    #[serde(default)]
    circuit_breaker: BreakerPolicy,
}

fn default_max_total_session_runs() -> u32 {
    100
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ActorForm {
    Script {
        id: ActorId,
        name: String,
        command: Vec<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
    },
    Llm {
        id: ActorId,
        name: String,
        model: String,
        endpoint: String,
        #[serde(default)]
        protocol: LlmProtocol,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        system: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        temperature: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_tokens: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_completion_tokens: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        api_key_env: Option<String>,
        #[serde(default = "yes")]
        stream: bool,
        #[serde(default)]
        structured: bool,
        #[serde(default)]
        reasoning: Reasoning,
        #[serde(rename = "connect_seconds", default, skip_serializing_if = "Option::is_none")]
        connect_limit: Option<Seconds>,
        #[serde(rename = "first_token_seconds", default, skip_serializing_if = "Option::is_none")]
        first_token_limit: Option<Seconds>,
        #[serde(
            rename = "between_tokens_seconds",
            default,
            skip_serializing_if = "Option::is_none"
        )]
        between_tokens_limit: Option<Seconds>,
    },
    Human {
        id: ActorId,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        form: Option<JsonSchema>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_seconds: Option<Seconds>,
    },
}

fn yes() -> bool {
    true
}

impl From<Form> for Workflow {
    fn from(form: Form) -> Self {
        let header = form.workflow;
        Self {
            id: header.id,
            name: header.name,
            entry: header.entry,
            max_total_session_runs: header.max_total_session_runs,
            retry: header.retry,
            circuit_breaker: header.circuit_breaker,
            actors: form.actors.into_iter().map(Actor::from).collect(),
            conversations: form.conversations,
        }
    }
}

impl From<Workflow> for Form {
    fn from(workflow: Workflow) -> Self {
        Self {
            workflow: Header {
                id: workflow.id,
                name: workflow.name,
                entry: workflow.entry,
                max_total_session_runs: workflow.max_total_session_runs,
                retry: workflow.retry,
                circuit_breaker: workflow.circuit_breaker,
            },
            actors: workflow.actors.into_iter().map(ActorForm::from).collect(),
            conversations: workflow.conversations,
        }
    }
}

impl From<ActorForm> for Actor {
    fn from(form: ActorForm) -> Self {
        let (id, name, kind) = match form {
            ActorForm::Script { id, name, command, env } => {
                (id, name, ActorKind::Script(Script { command, env }))
            }
            ActorForm::Llm {
                id,
                name,
                model,
                endpoint,
                protocol,
                system,
                temperature,
                seed,
                max_tokens,
                max_completion_tokens,
                api_key_env,
                stream,
                structured,
                reasoning,
                connect_limit,
                first_token_limit,
                between_tokens_limit,
            } => {
                let llm = Llm {
                    model,
                    endpoint,
                    protocol,
                    system,
                    temperature,
                    seed,
                    max_tokens,
                    max_completion_tokens,
                    api_key_env,
                    stream,
                    structured,
                    reasoning,
                    connect_limit,
                    first_token_limit,
                    between_tokens_limit,
                };
                (id, name, ActorKind::Llm(llm))
            }
            ActorForm::Human { id, name, form, due_seconds } => {
                (id, name, ActorKind::Human(Human { form, due: due_seconds }))
            }
        };
        Self { id, name, kind }
    }
}

impl From<Actor> for ActorForm {
    fn from(actor: Actor) -> Self {
        let Actor { id, name, kind } = actor;
        match kind {
            ActorKind::Script(Script { command, env }) => Self::Script { id, name, command, env },
            ActorKind::Llm(llm) => Self::Llm {
                id,
                name,
                model: llm.model,
                endpoint: llm.endpoint,
                protocol: llm.protocol,
                system: llm.system,
                temperature: llm.temperature,
                seed: llm.seed,
                max_tokens: llm.max_tokens,
                max_completion_tokens: llm.max_completion_tokens,
                api_key_env: llm.api_key_env,
                stream: llm.stream,
                structured: llm.structured,
                reasoning: llm.reasoning,
                connect_limit: llm.connect_limit,
                first_token_limit: llm.first_token_limit,
                between_tokens_limit: llm.between_tokens_limit,
            },
            ActorKind::Human(Human { form, due }) => {
                Self::Human { id, name, form, due_seconds: due }
            }
        }
    }
}
