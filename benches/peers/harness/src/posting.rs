//! The event and the aggregate of the specification.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The length of an output, so that a payload has about 190 bytes.
const OUTPUT_BYTES: usize = 148;
/// Different texts of one source.
const TEXTS: usize = 64;
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

/// A source of events that costs little beside what is measured: its texts are made before.
#[derive(Debug)]
pub(crate) struct Source {
    chance: fastrand::Rng,
    outputs: Vec<String>,
    causes: Vec<String>,
}

impl Source {
    /// The same seed gives the same events.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let outputs = (0..TEXTS).map(|_| letters(&mut chance)).collect();
        let causes = (0..TEXTS).map(|_| event_id(&mut chance)).collect();
        Self { chance, outputs, causes }
    }

    /// The `number`th event of an aggregate, from 0.
    pub(crate) fn execution(&mut self, aggregate: u64, number: u64) -> Execution {
        let text = self.chance.usize(0..TEXTS);
        Execution {
            output: self.outputs[text].clone(),
            status: "SUCCESS".to_owned(),
            conversation_id: 9184 + self.chance.i64(0..CONVERSATIONS),
            actor_id: i64::try_from(aggregate).expect("aggregates are counted from 0"),
            duration_ms: number,
            causation_id: self.causes[text].clone(),
            correlation_id: "workflow_3001_posting_12345".to_owned(),
        }
    }

    /// The events of an aggregate from `first` on.
    pub(crate) fn executions(&mut self, aggregate: u64, first: u64, count: u64) -> Vec<Execution> {
        (first..first + count).map(|number| self.execution(aggregate, number)).collect()
    }
}

fn letters(chance: &mut fastrand::Rng) -> String {
    (0..OUTPUT_BYTES).map(|_| chance.alphabetic()).collect()
}

/// A UUID of version 7 and of late 2025.
fn event_id(chance: &mut fastrand::Rng) -> String {
    let (time, random, node) = (chance.u32(..), chance.u16(..0x1000), chance.u64(..1 << 48));
    format!("019a{:04x}-{:04x}-7{random:03x}-8{random:03x}-{node:012x}", time >> 16, time & 0xffff)
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
