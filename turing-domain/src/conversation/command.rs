//! What a conversation is told: how a wave ended.

use std::time::Duration;

use crate::ids::{ConversationId, RunId};

/// A wave that is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveCompletion {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The run.
    pub run_id: RunId,
    /// How many attempts were recorded in it, failed ones included.
    pub processed_count: u32,
    /// How many of them failed.
    pub failed_count: u32,
    /// How long it took.
    pub duration: Option<Duration>,
}
