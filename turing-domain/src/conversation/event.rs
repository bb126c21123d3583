//! What happens to a conversation, under the names that are stored.

use es_core::Event;

use crate::ids::{ConversationId, RunId};
use crate::noted::Noted;

/// What happens to a conversation.
///
/// Other programs write these too, so every field may be absent.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum ConversationEvent {
    /// A wave began: attempts are made at the conversation. Postings that become ready there before it
    /// ends belong to it, too.
    ConversationStarted {
        /// The run.
        run_id: Noted<RunId>,
        /// The wave's number, from 1 over all runs.
        wave: Noted<u32>,
        /// How many postings stood there ready when it began.
        posting_count: Noted<u32>,
        /// The conversation.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
    },
    /// A wave ended: none of its attempts is in progress.
    ConversationCompleted {
        /// The run.
        run_id: Noted<RunId>,
        /// The wave's number.
        wave: Noted<u32>,
        /// How many attempts were recorded in it, failed ones included; it may be more than stood there
        /// when it began.
        processed_count: Noted<u32>,
        /// How many of them failed.
        failed_count: Noted<u32>,
        /// The conversation.
        #[event(metadata)]
        conversation_id: Noted<ConversationId>,
        /// How long it took, in milliseconds.
        #[event(metadata)]
        duration_ms: Noted<u64>,
    },
}
