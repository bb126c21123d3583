//! Events for a handler within the sink.

use crate::envelope::RecordedEvent;

use super::super::fold::is_storable;
use super::super::{Batch, BatchLimit, Checkpoint, Content, SinkError};
use super::{Halt, Poison, Worker, chain};

/// Tells the key that an event is parked under.
type KeyOf<'a> = &'a (dyn Fn(&RecordedEvent) -> String + Send + Sync);

impl Worker {
    /// Gives the events to the sink's handler.
    ///
    /// Only the transaction as a whole fails, so a part that fails is halved until the event that
    /// cannot be taken stands alone.
    pub(super) async fn hand_over(
        &mut self,
        key_of: KeyOf<'_>,
        events: &[RecordedEvent],
        to: &Checkpoint,
    ) -> Result<(), Halt> {
        // the last part is dealt with first
        let mut parts = Vec::new();
        let mut rest = events;
        while !rest.is_empty() {
            let (part, later) = rest.split_at(fitting(rest, &self.limit));
            parts.push(part);
            rest = later;
        }
        parts.reverse();
        while let Some(part) = parts.pop() {
            let end = match part.last() {
                Some(last) if !parts.is_empty() => Checkpoint::at(last),
                _ => to.clone(),
            };
            let batch = self.handing(key_of, part, end);
            match self.commit(batch.clone()).await {
                Err(SinkError::Handler { .. }) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
                Err(SinkError::Handler { source, .. }) => {
                    let Some(event) = part.first() else { continue };
                    let key = parking_key(key_of, event);
                    let poison = Poison::new(event, &key, chain(&*source));
                    let Some(attempts) = self.parking.attempts(event) else {
                        return Err(poison.into());
                    };
                    let mut batch = batch.content(Content::Events(Vec::new()));
                    batch.park.push(self.parked(&poison, attempts));
                    self.commit(batch).await?;
                }
                answer => answer?,
            }
        }
        self.move_to(to).await
    }

    fn handing(&self, key_of: KeyOf<'_>, part: &[RecordedEvent], to: Checkpoint) -> Batch {
        let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), to);
        batch.events = part.len() as u64;
        let mut handed = Vec::with_capacity(part.len());
        for event in part {
            let key = parking_key(key_of, event);
            if self.is_discarded(event, &key) {
                continue;
            }
            if self.parked.contains(&key) {
                batch.park.push(self.waiting(event, &key));
            } else {
                handed.push(event.clone());
            }
        }
        batch.content(Content::Events(handed))
    }
}

/// The key under which an event of a handler is parked: its stream if the given one is no key.
pub(super) fn parking_key(key_of: KeyOf<'_>, event: &RecordedEvent) -> String {
    let key = key_of(event);
    if is_storable(&key) { key } else { event.stream.to_string() }
}

/// How many of the events fit into one commit.
fn fitting(events: &[RecordedEvent], limit: &BatchLimit) -> usize {
    let mut bytes = 0;
    let fits = events.iter().enumerate().take_while(|(index, event)| {
        bytes += event.payload.as_str().len();
        *index == 0 || (*index < limit.events && bytes <= limit.bytes)
    });
    fits.count()
}
