//! Events for a handler within the sink.

use super::super::{Batch, Checkpoint, Content, SinkError, StopCause};
use super::group::Group;
use super::{Poison, Worker};

impl Worker {
    /// Gives the events, each with the key that it is parked under, to the sink's handler.
    ///
    /// Only the transaction as a whole fails, so a part that fails is halved until the event that
    /// cannot be taken stands alone.
    pub(super) async fn hand_over(
        &mut self,
        group: Group<'_>,
        to: &Checkpoint,
    ) -> Result<(), StopCause> {
        // the last part is dealt with first
        let mut parts = vec![group];
        while let Some(part) = parts.pop() {
            let end = match part.last() {
                Some(last) if !parts.is_empty() => Checkpoint::at(last),
                _ => to.clone(),
            };
            let batch = self.handing(&part, end);
            match self.commit(batch.clone()).await {
                Err(SinkError::Handler { .. }) if part.len() > 1 => {
                    let (first, second) = part.halves();
                    parts.push(second);
                    parts.push(first);
                }
                Err(SinkError::Handler { source, .. }) => {
                    let Some((event, keys)) = part.iter().next() else { continue };
                    let Some(key) = keys.first() else { continue };
                    let poison = Poison::new(event, key, &*source);
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
        Ok(())
    }

    fn handing(&self, part: &Group<'_>, to: Checkpoint) -> Batch {
        let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), to);
        batch.events = part.len() as u64;
        let mut handed = Vec::with_capacity(part.len());
        for (event, keys) in part.iter() {
            // one that was given up has none
            let Some(key) = keys.first().filter(|key| !self.is_discarded(event, key)) else {
                continue;
            };
            if self.parked.contains(key) {
                batch.park.push(self.waiting(event, key));
            } else {
                handed.push((*event).clone());
            }
        }
        batch.content(Content::Events(handed))
    }
}
