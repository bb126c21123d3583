//! What is known of a posting after something was recorded for it.

use std::time::Duration;

use es_core::event::EventId;
use es_core::execution::Appended;
use turing_domain::{ConversationId, FailureType, LlmUsage, Posting, PostingEvent};

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

/// Which of a posting's recorded events opened which conversation; they stand first in the append.
pub(super) fn opened_by(
    events: &[PostingEvent],
    appended: &Appended,
) -> Vec<(ConversationId, EventId)> {
    let receipts = appended.streams.first().map_or(&[][..], |stream| &stream.events);
    let ids = receipts.iter().map(|receipt| receipt.event_id);
    let opened = |event: &PostingEvent, event_id| Some((opened(event)?, event_id));
    events.iter().zip(ids).filter_map(|(event, event_id)| opened(event, event_id)).collect()
}

/// The conversation that an event opens, or opens again.
pub(super) fn opened(event: &PostingEvent) -> Option<ConversationId> {
    match event {
        PostingEvent::PostingEnteredRun { entry_conversation_id, .. } => {
            Some(*entry_conversation_id)
        }
        PostingEvent::BranchTaken { to, .. } => *to,
        PostingEvent::RetryScheduled { conversation_id, .. } => conversation_id.0,
        _ => None,
    }
}
