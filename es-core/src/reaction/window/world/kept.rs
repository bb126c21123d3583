//! A log, and what a store keeps of a reaction to it.

use std::collections::BTreeMap;

use crate::envelope::{EventId, RecordedEvent};
use crate::metadata::Metadata;
use crate::payload::Payload;
use crate::position::Position;
use crate::projection::{Checkpoint, Parked, ParkedId, ParkedState};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

use super::super::Commit;

pub(in super::super) fn place(event: &RecordedEvent) -> u64 {
    event.position.to_sequence()
}

/// The place of the event of an entry.
pub(super) fn at(entry: &Parked) -> u64 {
    entry.event.position.to_sequence()
}

/// An event for each of these streams, in this order, at the positions 10, 20, 30 ...
pub(in super::super) fn log_of(streams: &[usize]) -> Vec<RecordedEvent> {
    let mut log = Vec::new();
    extend(&mut log, streams);
    log
}

pub(super) fn extend(log: &mut Vec<RecordedEvent>, streams: &[usize]) {
    for number in streams {
        let stream: StreamId = format!("thing/{number}").parse().unwrap();
        let sequence = 10 * (log.len() as u64 + 1);
        let earlier = log.iter().filter(|event| event.stream == stream).count() as u64;
        log.push(RecordedEvent {
            event_id: EventId::from_uuid(uuid::Uuid::from_u128(sequence.into())),
            stream,
            version: StreamVersion::new(earlier + 1),
            position: Position::from_sequence(sequence),
            event_type: "thing_happened".into(),
            payload: Payload::of(&sequence).unwrap(),
            metadata: Metadata::new(),
            recorded_at: Timestamp::EPOCH,
        });
    }
}

/// What the store keeps.
pub(super) struct Kept {
    pub(super) checkpoint: Checkpoint,
    pub(super) parked: BTreeMap<u64, Parked>,
}

impl Kept {
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values().filter(|entry| entry.is_waiting())
    }

    pub(super) fn is_discarded(&self, place: u64) -> bool {
        self.parked.get(&place).is_some_and(|entry| !entry.is_waiting())
    }

    pub(super) fn discard(&mut self, place: u64) {
        let state = ParkedState::Discarded { reason: "sold".to_owned(), at: Timestamp::EPOCH };
        self.parked.get_mut(&place).unwrap().state = state;
    }

    /// The first waiting entry of each stream.
    pub(super) fn first(&self) -> BTreeMap<StreamId, Parked> {
        let mut first = BTreeMap::new();
        for entry in self.waiting() {
            first.entry(entry.key.parse().unwrap()).or_insert_with(|| entry.clone());
        }
        first
    }

    /// What the commit is to take out and does not wait any more: then it is refused.
    pub(super) fn gone(&self, commit: &Commit) -> Vec<ParkedId> {
        let is_gone = |id: &&ParkedId| self.is_discarded(id.position.to_sequence());
        commit.batch.unpark.iter().filter(is_gone).cloned().collect()
    }

    pub(super) fn commit(&mut self, commit: &Commit) {
        let batch = &commit.batch;
        assert_eq!(batch.from, self.checkpoint);
        for id in &batch.unpark {
            let waited = self.parked.remove(&id.position.to_sequence());
            assert!(waited.is_some_and(|entry| entry.is_waiting()), "{id:?}");
        }
        for entry in &batch.park {
            let place = at(entry);
            // else what somebody decided meanwhile would be undone
            assert_eq!(self.parked.insert(place, entry.clone()), None, "{place} is replaced");
        }
        self.checkpoint = batch.to.clone();
    }
}
