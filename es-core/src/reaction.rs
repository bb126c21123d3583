//! What is done when something happened: where it begins, how often it is tried, and what it is given.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::append::{IdempotencyKey, InvalidRequest};
use crate::envelope::{Cause, RecordedEvent};
use crate::projection::FailurePolicy;
use crate::retry::Retry;

mod window;

/// Where a reaction begins when it runs for the first time. Afterwards it goes on from where it was,
/// whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is recorded from then on.
    Now,
    /// With the first event of the log.
    Beginning,
}

/// How many events a reaction is given at once, how long a call may take, and what is done when it
/// fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionPolicy {
    /// Of how many streams a call may be under way; 0 counts as 1. Of one stream it is one.
    pub concurrency: usize,
    /// How long one attempt may take before it is dropped, and has failed.
    pub timeout: Duration,
    /// What is done after a failure.
    pub failure: FailurePolicy,
}

impl Default for ReactionPolicy {
    /// 16 streams at once, 30 s an attempt, 5 retries from 200 ms to 30 s, then the stream is parked.
    fn default() -> Self {
        let retry = Retry {
            retries: 5,
            base: Duration::from_millis(200),
            longest: Duration::from_secs(30),
        };
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(30),
            failure: FailurePolicy::park_key().after(retry),
        }
    }
}

impl ReactionPolicy {
    /// Replaces of how many streams a call may be under way; 0 counts as 1.
    #[must_use]
    pub const fn concurrency(mut self, streams: usize) -> Self {
        self.concurrency = if streams == 0 { 1 } else { streams };
        self
    }

    /// Replaces how long one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, attempt: Duration) -> Self {
        self.timeout = attempt;
        self
    }

    /// Replaces what is done after a failure.
    #[must_use]
    pub const fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.failure = policy;
        self
    }
}

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
        let mut key = format!("reaction/{reaction}/{}", recorded.event_id);
        if part > 0 {
            key.push_str(&format!("#{part}"));
        }
        let occasion = Occasion { key: IdempotencyKey::new(&key)?, recorded, attempt };
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
    pub(crate) recorded: RecordedEvent,
    pub(crate) key: IdempotencyKey,
    pub(crate) attempt: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::EventId;
    use crate::metadata::Metadata;
    use crate::payload::Payload;
    use crate::position::Position;
    use crate::projection::LastResort;
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
    fn a_policy_is_patient_unless_it_is_told_otherwise() {
        let policy = ReactionPolicy::default();
        assert_eq!((policy.concurrency, policy.timeout), (16, Duration::from_secs(30)));
        assert_eq!((policy.failure.retry.retries, policy.failure.then), (5, LastResort::ParkKey));
        let delays = [1, 2, 9].map(|retry| policy.failure.retry.delay(retry, 1.0).as_millis());
        assert_eq!(delays, [200, 400, 30_000]);

        let policy = policy.concurrency(0).timeout(Duration::from_secs(1));
        let policy = policy.on_failure(FailurePolicy::stop());
        assert_eq!((policy.concurrency, policy.timeout), (1, Duration::from_secs(1)));
        assert_eq!(policy.failure, FailurePolicy::stop());
    }
}
