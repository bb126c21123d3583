//! The waves of a conversation, made of its events.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::conversation::event::ConversationEvent;
use crate::ids::{ConversationId, RunId};

/// The waves of a conversation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ConversationWaves {
    wave_count: u32,
    open: BTreeMap<RunId, Wave>,
    completed_last: Option<RunId>,
}

/// A wave that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// Its number, from 1 over all runs.
    pub number: u32,
    /// How many postings stood there when it began, if it was recorded.
    pub posting_count: Option<u32>,
}

impl ConversationWaves {
    /// How many waves have begun, over all runs.
    pub fn wave_count(&self) -> u32 {
        self.wave_count
    }

    /// The run's wave that is not finished.
    pub fn open_wave(&self, run_id: RunId) -> Option<Wave> {
        self.open.get(&run_id).copied()
    }

    /// The run whose wave completed last.
    pub fn completed_last(&self) -> Option<RunId> {
        self.completed_last
    }
}

impl Aggregate for ConversationWaves {
    const TYPE: &'static str = "conversation";
    type Id = ConversationId;
    type Event = ConversationEvent;

    fn evolve(&mut self, event: &ConversationEvent) {
        use ConversationEvent::*;
        match event {
            ConversationStarted { run_id, posting_count, .. } => {
                self.wave_count = self.wave_count.saturating_add(1);
                if let Some(run_id) = run_id.0 {
                    let wave = Wave { number: self.wave_count, posting_count: posting_count.0 };
                    self.open.insert(run_id, wave);
                }
            }
            ConversationCompleted { run_id, .. } => {
                if let Some(run_id) = run_id.0 {
                    self.open.remove(&run_id);
                    self.completed_last = Some(run_id);
                }
            }
        }
    }
}

impl Snapshotted for ConversationWaves {
    const REVISION: u32 = 1;
}
