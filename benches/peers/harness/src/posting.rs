//! The event and the aggregate of the specification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The length of an output, so that a payload has about 190 bytes.
const OUTPUT_BYTES: usize = 148;
/// Conversations of one posting.
const CONVERSATIONS: i64 = 16;

/// An actor answered. Peers with metadata of their own put all but the first two fields there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// The actor's answer, 148 letters.
    pub output: String,
    /// How it went.
    pub status: String,
    /// The conversation in which it answered.
    pub conversation_id: i64,
    /// The aggregate's number, so that a follower knows it.
    pub actor_id: i64,
    /// The event's number in its aggregate, so that a follower knows it.
    pub duration_ms: u64,
    /// The event that caused it, as a UUID.
    pub causation_id: String,
    /// What it belongs to.
    pub correlation_id: String,
}

impl Execution {
    /// The `number`th event of an aggregate.
    pub fn new(chance: &mut fastrand::Rng, aggregate: u64, number: u64) -> Self {
        Self {
            output: (0..OUTPUT_BYTES).map(|_| chance.alphabetic()).collect(),
            status: "SUCCESS".to_owned(),
            conversation_id: 9184 + chance.i64(0..CONVERSATIONS),
            actor_id: i64::try_from(aggregate).expect("aggregates are counted from 0"),
            duration_ms: number,
            causation_id: format!(
                "019a{:04x}-{:04x}-7{:03x}-8{:03x}-{:012x}",
                chance.u16(..),
                chance.u16(..),
                chance.u16(..0x1000),
                chance.u16(..0x1000),
                chance.u64(..1 << 48)
            ),
            correlation_id: "workflow_3001_posting_12345".to_owned(),
        }
    }
}

/// The state of a posting: the last output of each conversation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Posting {
    outputs: BTreeMap<i64, String>,
    /// How many events were folded.
    pub events: u64,
    is_terminal: bool,
}

impl Posting {
    /// Folds one event.
    pub fn evolve(&mut self, conversation: i64, output: &str) {
        let kept = self.outputs.entry(conversation).or_default();
        kept.clear();
        kept.push_str(output);
        self.events += 1;
    }

    /// The rule over which every command decides: nobody answers a posting that is terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}
