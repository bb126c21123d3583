//! A posting as the specification shows it: outputs by conversation.

use std::collections::BTreeMap;

use es_core::execution::Snapshotted;
use es_core::{Aggregate, Event};
use serde::{Deserialize, Serialize};

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
    /// No actor will answer any more.
    #[event(name = "posting_terminal")]
    ReachedTerminal,
}

/// The state of a posting: the last output of each conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Posting {
    outputs: BTreeMap<i64, String>,
    is_terminal: bool,
}

impl Aggregate for Posting {
    const TYPE: &'static str = "posting";
    type Id = i64;
    type Event = PostingEvent;

    fn evolve(&mut self, event: &PostingEvent) {
        match event {
            PostingEvent::ScriptExecutionCompleted { output, conversation_id, .. } => {
                let kept = self.outputs.entry(*conversation_id).or_default();
                kept.clone_from(output);
            }
            PostingEvent::ReachedTerminal => self.is_terminal = true,
        }
    }
}

impl Snapshotted for Posting {
    const REVISION: u32 = 1;
}

/// The refusal of an answer that comes too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the posting is terminal")]
pub struct PostingClosed;

impl Posting {
    /// Decides that `execution` happens, unless the posting is terminal.
    ///
    /// # Errors
    ///
    /// [`PostingClosed`] if it is.
    pub fn record(&self, execution: &PostingEvent) -> Result<PostingEvent, PostingClosed> {
        if self.is_terminal { Err(PostingClosed) } else { Ok(execution.clone()) }
    }

    /// Decides that all of `executions` happen, unless the posting is terminal.
    ///
    /// # Errors
    ///
    /// [`PostingClosed`] if it is.
    pub fn record_all(
        &self,
        executions: &[PostingEvent],
    ) -> Result<Vec<PostingEvent>, PostingClosed> {
        if self.is_terminal { Err(PostingClosed) } else { Ok(executions.to_vec()) }
    }

    /// How many conversations have an output.
    pub fn conversations(&self) -> usize {
        self.outputs.len()
    }
}
