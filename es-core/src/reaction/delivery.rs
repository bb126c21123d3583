//! What a reaction is given.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::append::{IdempotencyKey, InvalidRequest};
use crate::envelope::{Cause, RecordedEvent};
use crate::stream::StreamId;

/// An event on its way to a reaction, with all that was recorded beside it, by `Deref`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery<E> {
    /// The event.
    pub data: E,
    /// Which part of a split event this is, from 0.
    pub part: u32,
    occasion: Arc<Occasion>,
}

impl<E> Delivery<E> {
    /// The first delivery of an event to the reaction of this name, for tests.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::Key`] if no key can be made of the name.
    pub fn of(reaction: &str, recorded: RecordedEvent, data: E) -> Result<Self, InvalidRequest> {
        Self::new(reaction, recorded, data, 0, 1)
    }

    pub(crate) fn new(
        reaction: &str,
        recorded: RecordedEvent,
        data: E,
        part: u32,
        attempt: u32,
    ) -> Result<Self, InvalidRequest> {
        let own = IdempotencyKey::OF_REACTIONS;
        let mut key = format!("{own}{reaction}/{}", recorded.event_id);
        if part > 0 {
            key.push_str(&format!("#{part}"));
        }
        let key = IdempotencyKey::of_any(&key)?;
        let occasion = Occasion { recorded, key, attempt, decided: Mutex::default() };
        Ok(Self { data, part, occasion: Arc::new(occasion) })
    }

    /// The name of what is done about this event: `reaction/<name>/<event id>`, with `#<part>` behind
    /// it from part 1 on. It is the same for every attempt, process and restart, so that whoever is
    /// handed it can tell a repeat.
    pub fn key(&self) -> &IdempotencyKey {
        &self.occasion.key
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.occasion.attempt
    }

    pub(crate) fn occasion(&self) -> &Arc<Occasion> {
        &self.occasion
    }
}

impl<E> Deref for Delivery<E> {
    type Target = RecordedEvent;

    fn deref(&self) -> &RecordedEvent {
        &self.occasion.recorded
    }
}

impl<E> From<&Delivery<E>> for Cause {
    fn from(delivery: &Delivery<E>) -> Self {
        Self::from(&delivery.occasion.recorded)
    }
}

/// What a reaction is called for, as those need it who record what it does.
#[derive(Debug)]
pub(crate) struct Occasion {
    recorded: RecordedEvent,
    key: IdempotencyKey,
    attempt: u32,
    /// Which streams this attempt has decided on, and under which keys, whatever came of it.
    decided: Mutex<HashMap<(StreamId, IdempotencyKey), Stage>>,
}

/// How far a decision has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It is prepared, and may be prepared again.
    Prepared,
    /// It is carried out, or appended.
    Final,
}

impl Occasion {
    /// The key of a further step.
    pub(crate) fn step(&self, name: &str) -> Result<IdempotencyKey, InvalidRequest> {
        IdempotencyKey::of_any(&format!("{}/{name}", self.key))
    }

    /// Notes that a decision under this key is about to be prepared or carried out over these streams.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::KeyTwice`] if the attempt has decided on one of them under the key before, but
    /// for what is prepared and prepared again. Of the two one at most is recorded there, and at the next
    /// attempt it is the answer to both; so this holds also where the first wrote nothing, and is the
    /// same whatever the states are.
    pub(crate) fn begin(
        &self,
        key: &IdempotencyKey,
        streams: &[&StreamId],
        stage: Stage,
    ) -> Result<(), InvalidRequest> {
        self.note(key, streams, stage, stage == Stage::Prepared)
    }

    /// Notes that what was prepared over these streams is appended, or is to be prepared no more.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest::KeyTwice`] if another one was.
    pub(crate) fn finish(
        &self,
        key: &IdempotencyKey,
        streams: &[&StreamId],
    ) -> Result<(), InvalidRequest> {
        self.note(key, streams, Stage::Final, true)
    }

    fn note(
        &self,
        key: &IdempotencyKey,
        streams: &[&StreamId],
        stage: Stage,
        may_be_prepared: bool,
    ) -> Result<(), InvalidRequest> {
        let mut decided = self.decided();
        let pairs: Vec<_> = streams.iter().map(|stream| ((*stream).clone(), key.clone())).collect();
        let is_twice = |pair: &&(StreamId, IdempotencyKey)| match decided.get(*pair) {
            None => false,
            Some(Stage::Prepared) => !may_be_prepared,
            Some(Stage::Final) => true,
        };
        if let Some((stream, _)) = pairs.iter().find(is_twice) {
            return Err(InvalidRequest::KeyTwice { stream: stream.clone() });
        }
        decided.extend(pairs.into_iter().map(|pair| (pair, stage)));
        Ok(())
    }

    /// Notes that the decision over these streams was not carried out, and may be sent again.
    pub(crate) fn untouched<'a>(
        &self,
        key: &IdempotencyKey,
        streams: impl IntoIterator<Item = &'a StreamId>,
    ) {
        let mut decided = self.decided();
        for stream in streams {
            decided.remove(&(stream.clone(), key.clone()));
        }
    }

    fn decided(&self) -> MutexGuard<'_, HashMap<(StreamId, IdempotencyKey), Stage>> {
        self.decided.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::EventId;
    use crate::metadata::Metadata;
    use crate::payload::Payload;
    use crate::position::Position;
    use crate::timestamp::Timestamp;
    use crate::version::StreamVersion;

    fn recorded() -> RecordedEvent {
        let mut metadata = Metadata::new();
        metadata.correlation_id = Some("the first".to_owned());
        RecordedEvent {
            event_id: EventId::from_uuid(uuid::Uuid::from_u128(7)),
            stream: "order/1".parse().unwrap(),
            version: StreamVersion::FIRST,
            position: Position::from_sequence(3),
            event_type: "order_paid".into(),
            payload: Payload::of(&()).unwrap(),
            metadata,
            recorded_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn the_key_names_reaction_event_and_part_and_no_attempt() {
        let key = |part, attempt| {
            let delivery = Delivery::new("send_receipts", recorded(), (), part, attempt).unwrap();
            assert_eq!((delivery.part, delivery.attempt()), (part, attempt));
            delivery.key().to_string()
        };
        let first = "reaction/send_receipts/00000000-0000-0000-0000-000000000007";
        assert_eq!(key(0, 1), first);
        assert_eq!(key(0, 9), first);
        assert_eq!(key(1, 1), format!("{first}#1"));
        assert_eq!(key(12, 3), format!("{first}#12"));
    }

    #[test]
    fn every_name_of_a_reaction_makes_a_key() {
        let key = |name: &str| Delivery::new(name, recorded(), (), u32::MAX, 1).map(|it| it.part);
        assert_eq!(key(&"n".repeat(100)), Ok(u32::MAX));
        for name in ["n".repeat(300), "a\nb".to_owned()] {
            assert!(matches!(key(&name), Err(InvalidRequest::Key { .. })), "{name}");
        }
    }

    #[test]
    fn a_delivery_is_what_was_recorded_and_causes_what_follows() {
        let delivery = Delivery::of("fulfilment", recorded(), 5).unwrap();
        assert_eq!((delivery.data, delivery.part, delivery.attempt()), (5, 0, 1));
        assert_eq!(*delivery, recorded());
        assert_eq!(Cause::from(&delivery), Cause::from(&recorded()));
    }

    #[test]
    fn a_stream_is_decided_on_once_under_a_key() {
        let delivery = Delivery::of("fulfilment", recorded(), ()).unwrap();
        let occasion = delivery.occasion();
        let order: StreamId = "order/1".parse().unwrap();
        let stock: StreamId = "stock/1".parse().unwrap();
        let refusal = InvalidRequest::KeyTwice { stream: order.clone() };
        let carry_out = |key, streams: &[&StreamId]| occasion.begin(key, streams, Stage::Final);
        carry_out(delivery.key(), &[&order]).unwrap();
        assert_eq!(carry_out(delivery.key(), &[&stock, &order]), Err(refusal));
        carry_out(delivery.key(), &[&stock]).expect("a refusal notes nothing");
        let step = occasion.step("refund").unwrap();
        assert_eq!(step.to_string(), format!("{}/refund", delivery.key()));
        carry_out(&step, &[&order]).expect("it is another key");
        occasion.untouched(delivery.key(), [&order]);
        carry_out(delivery.key(), &[&order]).expect("it was not carried out");
    }

    #[test]
    fn what_is_prepared_may_be_prepared_again_until_it_is_appended() {
        let delivery = Delivery::of("fulfilment", recorded(), ()).unwrap();
        let (occasion, key) = (delivery.occasion(), delivery.key());
        let order: StreamId = "order/1".parse().unwrap();
        let refused = Err(InvalidRequest::KeyTwice { stream: order.clone() });
        for _ in 0..2 {
            occasion.begin(key, &[&order], Stage::Prepared).unwrap();
            assert_eq!(occasion.begin(key, &[&order], Stage::Final), refused, "it is another one");
        }
        occasion.finish(key, &[&order]).unwrap();
        for stage in [Stage::Prepared, Stage::Final] {
            assert_eq!(occasion.begin(key, &[&order], stage), refused);
        }
        assert_eq!(occasion.finish(key, &[&order]), refused);
    }
}
