#![doc = include_str!("../README.md")]
//!
//! A [`Workflow`] definition says which conversations there are and what follows them. A
//! [`Posting`] travels through it: [`Posting::ready`] says what can be executed, the application
//! executes it, and [`Posting::complete`] or [`Posting::fail`] answers with the events that record
//! the result and everything that follows from it.

// numbers of events are anybody's: arithmetic on them must not end the program
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

// what the author of a workflow writes
pub mod check;
pub mod definition;
pub mod fields;
mod ids;
mod names;
mod noted;
mod placeholder;
mod template;

// what an output leads to
mod routing;

// the aggregates
pub mod actor;
pub mod conversation;
pub mod cutover;
pub mod definition_record;
mod duration;
mod pause;
pub mod posting;
pub mod workflow;

es_core::event::assert_distinct_event_types!(
    PostingEvent,
    WorkflowEvent,
    ConversationEvent,
    ActorEvent,
    CutoverEvent,
    DefinitionEvent
);

pub use actor::{ActorBreaker, ActorEvent, BreakerRejection, BreakerStatus};
pub use check::{Place, Problem, ProblemKind, Severity, check, check_with_data};
pub use conversation::{
    ConversationEvent, ConversationRejection, ConversationWaves, Wave, WaveCompletion,
};
pub use cutover::{
    BackfillCounts, BackfillStatus, Cutover, CutoverArchive, CutoverCreation, CutoverEvent,
    CutoverPhase, CutoverRejection, CutoverStep, PhaseError, ReadTimes, Resolved, Who,
};
pub use definition::{
    Actor, ActorKind, Branch, BreakerPolicy, Condition, Conversation, Human, JsonSchema, Llm,
    LlmProtocol, On, Reasoning, RetryPolicy, Script, Seconds, Workflow,
};
pub use definition_record::{
    DefinitionEvent, DefinitionRecording, DefinitionRejection, RecordedDefinition,
    RecordedDefinitions, definition_digest,
};
pub use ids::{
    ActorId, ConversationId, CutoverId, DefinitionId, PostingId, RunId, WorkflowId, correlation_id,
};
pub use names::{EndReason, FailureType, Resolution};
pub use noted::{Noted, ReadNote};
pub use pause::Pause;
pub use placeholder::Placeholder;
pub use posting::{
    Attempt, Completion, Failure, HumanAnswer, HumanTaskRejection, HumanTasks, InputValues,
    LlmUsage, OpenTask, OpenTasks, Posting, PostingEvent, PostingRejection, Speaker, Step,
    TaskClaim,
};
pub use routing::{Fired, firing_rules};
pub use template::{Template, Unresolved};
pub use workflow::{
    Cancellation, RunCompletion, RunStart, RunStatus, WorkflowEvent, WorkflowRejection,
    WorkflowRun, WorkflowRuns,
};
