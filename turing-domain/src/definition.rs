//! What a workflow is: its conversations, actors and branch rules, as its author wrote them.

mod condition;
mod form;
mod schema;
mod seconds;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use condition::Condition;
pub use schema::JsonSchema;
pub use seconds::{Seconds, SecondsError};

use crate::ids::{ActorId, ConversationId, WorkflowId};
use crate::names::FailureType;
use crate::template::Template;

/// A directed graph of conversations.
///
/// It is read from TOML with any serde reader; [`check`](fn@crate::check) says whether it makes sense.
///
/// ```
/// # use turing_domain::{ConversationId, Workflow};
/// let workflow: Workflow = toml::from_str(r#"
///     [workflow]
///     id = 3001
///     name = "postings"
///     entry = 9101
///
///     [[actors]]
///     id = 74
///     name = "validate"
///     type = "script"
///     command = ["actors/validate.sh"]
///
///     [[conversations]]
///     id = 9101
///     name = "validate"
///     actor = 74
///     input = "{job_description}"
///     [[conversations.branches]]
///     when = "contains:[PASS]"
/// "#)?;
/// assert_eq!(workflow.entry, ConversationId(9101));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "form::Form", into = "form::Form")]
pub struct Workflow {
    /// The workflow's id, such as 3001.
    pub id: WorkflowId,
    /// What people call it.
    pub name: String,
    /// Where every posting begins.
    pub entry: ConversationId,
    /// How many conversations one posting may run in one run of the workflow.
    pub max_total_session_runs: u32,
    /// When a failed attempt is repeated.
    pub retry: RetryPolicy,
    /// When an actor that keeps failing gets no more calls.
    pub circuit_breaker: BreakerPolicy,
    /// Who executes.
    pub actors: Vec<Actor>,
    /// The nodes of the graph.
    pub conversations: Vec<Conversation>,
}

impl Workflow {
    /// The conversation of this id.
    pub fn conversation(&self, id: ConversationId) -> Option<&Conversation> {
        self.conversations.iter().find(|one| one.id == id)
    }

    /// The actor of this id.
    pub fn actor(&self, id: ActorId) -> Option<&Actor> {
        self.actors.iter().find(|one| one.id == id)
    }

    /// How the person is asked whose conversation it is, if it is a person's.
    pub fn person_at(&self, conversation: &Conversation) -> Option<&Human> {
        match &self.actor(conversation.actor)?.kind {
            ActorKind::Human(human) => Some(human),
            ActorKind::Script(_) | ActorKind::Llm(_) => None,
        }
    }

    /// How long one attempt at the conversation may take: its own limit, or that of its actor's
    /// kind; for a human, how long the task may stay open. `None`: any time.
    pub fn time_limit(&self, conversation: &Conversation) -> Option<Duration> {
        match conversation.time_limit {
            Some(limit) => Some(limit.into()),
            None => match &self.actor(conversation.actor)?.kind {
                ActorKind::Script(_) => Some(Duration::from_secs(300)),
                ActorKind::Llm(_) => Some(Duration::from_secs(600)),
                ActorKind::Human(human) => human.due.map(Duration::from),
            },
        }
    }

    /// The conversations of a parallel group.
    pub fn members_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = ConversationId> + 'a {
        self.conversations
            .iter()
            .filter(move |one| one.parallel_group.as_deref() == Some(group))
            .map(|one| one.id)
    }

    /// The names of all parallel groups.
    pub fn groups(&self) -> BTreeSet<&str> {
        let groups = self.conversations.iter();
        groups.filter_map(|one| one.parallel_group.as_deref()).collect()
    }
}

/// When a failed attempt is repeated, and how long after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// How often one execution is repeated at most.
    pub retries: u32,
    /// The longest delay before the first repeat; it doubles with each further one.
    pub base_seconds: Seconds,
    /// The longest delay before any repeat.
    pub max_seconds: Seconds,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 3,
            base_seconds: Seconds::from_whole(2),
            max_seconds: Seconds::from_whole(300),
        }
    }
}

impl RetryPolicy {
    /// The delay before the next attempt when `retries` have been made: exponential, with full
    /// jitter, which `fraction` (0 to 1) stands for.
    pub fn delay(&self, retries: u32, fraction: f64) -> Duration {
        let doublings = i32::try_from(retries.min(60)).unwrap_or(60);
        let longest = self.base_seconds.get() * 2f64.powi(doublings);
        let seconds = longest.min(self.max_seconds.get()) * fraction.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// How long an actor gets no call after a failure: not at all, unless it is `rate_limited`.
    /// Then as long as it asked for, at most as long as any delay; if it named no time, as long as
    /// the longest delay before the next attempt when `retries` have been made.
    pub fn pause(
        &self,
        failure_type: &FailureType,
        retries: u32,
        asked: Option<Duration>,
    ) -> Duration {
        match failure_type {
            FailureType::RateLimited => self.least_delay(asked).unwrap_or(self.delay(retries, 1.0)),
            _ => Duration::ZERO,
        }
    }

    /// The delay that an actor asked for, if it did: at most as long as any.
    pub(crate) fn least_delay(&self, asked: Option<Duration>) -> Option<Duration> {
        asked.map(|asked| asked.min(self.max_seconds.into()))
    }
}

/// When an actor that keeps failing gets no more calls, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerPolicy {
    /// The consecutive failures that open the breaker.
    pub failures: u32,
    /// How long it stays open before one call is let through.
    pub cooldown_seconds: Seconds,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 5, cooldown_seconds: Seconds::from_whole(300) }
    }
}

/// Who executes conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct Actor {
    /// The actor's id, such as 74.
    pub id: ActorId,
    /// What people call it.
    pub name: String,
    /// How it executes.
    pub kind: ActorKind,
}

/// How an actor executes.
#[derive(Debug, Clone, PartialEq)]
pub enum ActorKind {
    /// A process: JSON on its standard input, its answer on standard output.
    Script(Script),
    /// A language model behind HTTP.
    Llm(Llm),
    /// A person; the posting waits.
    Human(Human),
}

/// How a script is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The program, relative to the definition file, and its arguments.
    pub command: Vec<String>,
    /// The script's whole environment.
    pub env: BTreeMap<String, String>,
}

/// How a language model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Llm {
    /// The model's name at the endpoint.
    pub model: String,
    /// The base address, such as `http://localhost:11434`.
    pub endpoint: String,
    /// What the endpoint speaks.
    pub protocol: LlmProtocol,
    /// A text that precedes every input.
    pub system: Option<String>,
    /// How freely the model chooses.
    pub temperature: Option<f64>,
    /// Makes answers repeatable where the model can do that.
    pub seed: Option<i64>,
    /// The longest answer in tokens.
    pub max_tokens: Option<u32>,
    /// The same under the name that newer models of OpenAI ask for, thoughts included.
    pub max_completion_tokens: Option<u32>,
    /// The environment variable that holds the key of the endpoint.
    pub api_key_env: Option<String>,
    /// Whether the answer is asked for piece by piece, as the model writes it.
    pub stream: bool,
    /// Whether the endpoint is sent the schema of a conversation, to hold the model to it.
    pub structured: bool,
    /// What becomes of what the model thought before it answered.
    pub reasoning: Reasoning,
    /// How long the endpoint may take to accept a connection, if not the default.
    pub connect_limit: Option<Seconds>,
    /// How long it may take from the beginning of a call to the first piece of a text, if it has a
    /// limit of its own.
    pub first_token_limit: Option<Seconds>,
    /// How long it may take from one piece of its answer to the next, if not the default.
    pub between_tokens_limit: Option<Seconds>,
}

/// What becomes of what a model thought before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reasoning {
    /// It is left out of the output.
    #[default]
    Drop,
    /// It stands before the answer, between `<think>` and `</think>`.
    Keep,
}

/// How a person is asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Human {
    /// What an answer must look like; without it any text is one.
    pub form: Option<JsonSchema>,
    /// How long a task may stay open, unless the conversation has a limit of its own.
    pub due: Option<Seconds>,
}

/// What an LLM endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmProtocol {
    /// Ollama's `/api/generate`.
    #[default]
    OllamaGenerate,
    /// Ollama's `/api/chat`.
    OllamaChat,
    /// The chat completions that OpenAI-compatible servers speak.
    OpenaiChat,
}

/// A node of the graph: one actor, its input, and what follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// The conversation's id, such as 9101.
    pub id: ConversationId,
    /// What people call it.
    pub name: String,
    /// Who executes it.
    pub actor: ActorId,
    /// What the actor is given.
    #[serde(default)]
    pub input: Template,
    /// What the answer of a language model must look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<JsonSchema>,
    /// How often the model is told within one attempt what does not fit the schema.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repair: u32,
    /// How long one attempt may take, if not the default of the actor's kind.
    #[serde(rename = "timeout_seconds", default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Seconds>,
    /// Its place among the conversations where something is ready: lowest first.
    #[serde(default)]
    pub execution_order: i32,
    /// The group whose members run side by side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_group: Option<String>,
    /// The group whose members must have finished before this starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for_group: Option<String>,
    /// How often one posting may run it in one run of the workflow.
    #[serde(default = "default_max_instruction_runs")]
    pub max_instruction_runs: u32,
    /// What follows.
    #[serde(default)]
    pub branches: Vec<Branch>,
}

fn default_max_instruction_runs() -> u32 {
    50
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A branch rule: what follows a conversation when its condition matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    /// The higher, the earlier: only the rules of the highest matching priority are taken.
    #[serde(default)]
    pub priority: i32,
    /// Which end of the conversation it is about.
    #[serde(default)]
    pub on: On,
    /// What the output must look like; for a failure, the name of the failure type.
    #[serde(rename = "when", default)]
    pub condition: Condition,
    /// The next conversation; `None` ends the path.
    #[serde(rename = "to", default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ConversationId>,
    /// How often one posting may take this rule in one run of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_iterations: Option<u32>,
}

/// Which end of a conversation a rule is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The actor answered.
    #[default]
    Success,
    /// The actor failed for good.
    Failure,
}

#[cfg(test)]
mod tests;
