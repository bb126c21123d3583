//! What is known of a posting after something was recorded for it.

use std::time::Duration;

use es_core::event::EventId;
use turing_domain::{ConversationId, FailureType, LlmUsage, Posting};

/// How an attempt ended.
pub(super) type AttemptResult = Result<(), FailureType>;

/// What is known of a posting after something was recorded for it.
#[derive(Debug)]
pub(super) struct Moved {
    /// Which events opened the conversations that were opened now.
    pub(super) causes: Vec<(ConversationId, EventId)>,
    pub(super) state: Posting,
    /// How the attempt ended; `None` if it was not made, because the posting had moved on.
    pub(super) result: Option<AttemptResult>,
    /// How long the actor worked.
    pub(super) duration: Duration,
    /// What a language model told of its answer.
    pub(super) usage: LlmUsage,
}

impl Moved {
    /// Where a posting stands for which somebody else made the attempt, or nobody.
    pub(super) fn elsewhere(state: Posting) -> Self {
        let (causes, duration) = (Vec::new(), Duration::ZERO);
        Self { causes, state, result: None, duration, usage: LlmUsage::default() }
    }
}
