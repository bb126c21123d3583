//! The posting as an aggregate of the framework.

use es_core::event::{EventId, Metadata};
use es_core::{Aggregate, Event};
use peers_harness::{Execution, Failure, Posting};

/// What happens to a posting.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum PostingEvent {
    /// An actor answered.
    ScriptExecutionCompleted {
        /// The actor's answer.
        output: String,
        /// How it went.
        status: String,
        /// The conversation in which it answered.
        #[event(metadata)]
        conversation_id: i64,
        /// The actor.
        #[event(metadata)]
        actor_id: i64,
        /// How long it took.
        #[event(metadata)]
        duration_ms: u64,
    },
}

/// The state; a type of its own, because neither the trait nor the posting is this crate's.
#[derive(Debug, Clone, Default)]
pub struct PostingAggregate(Posting);

impl Aggregate for PostingAggregate {
    const TYPE: &'static str = "posting";
    type Id = u64;
    type Event = PostingEvent;

    fn evolve(&mut self, event: &PostingEvent) {
        let PostingEvent::ScriptExecutionCompleted { output, conversation_id, .. } = event;
        self.0.evolve(*conversation_id, output);
    }
}

/// The refusal of an answer that comes too late.
#[derive(Debug, thiserror::Error)]
#[error("the posting is terminal")]
pub struct PostingClosed;

impl PostingAggregate {
    /// Decides that `events` happen, unless the posting is terminal.
    ///
    /// # Errors
    ///
    /// [`PostingClosed`] if it is.
    pub fn record(&self, events: &[PostingEvent]) -> Result<Vec<PostingEvent>, PostingClosed> {
        if self.0.is_terminal() { Err(PostingClosed) } else { Ok(events.to_vec()) }
    }

    /// How many events were folded.
    pub fn events(&self) -> u64 {
        self.0.events
    }
}

/// What caused an execution, as the metadata of its command.
///
/// # Errors
///
/// When the harness names no event.
pub fn metadata(execution: &Execution) -> Result<Metadata, Failure> {
    let mut metadata = Metadata::new();
    metadata.causation_id = Some(execution.causation_id.parse::<EventId>()?);
    metadata.correlation_id = Some(execution.correlation_id.clone());
    Ok(metadata)
}

/// The event of an execution.
pub fn event(execution: Execution) -> PostingEvent {
    let Execution { output, status, conversation_id, actor_id, duration_ms, .. } = execution;
    PostingEvent::ScriptExecutionCompleted {
        output,
        status,
        conversation_id,
        actor_id,
        duration_ms,
    }
}
