//! What is parked, as the store has it.

use super::super::window::Due;
use super::held::Held;
use crate::projection::{
    ListParked, Means, Parked, ParkedId, ProjectionSink, SinkError, Slot, StopCause,
};
use crate::stream::StreamId;

/// The first that waits under a key.
async fn first_waiting(
    sink: &dyn ProjectionSink,
    reaction: &str,
    key: &str,
) -> Result<Option<Parked>, SinkError> {
    let mut list = ListParked::waiting(key);
    list.limit = 1;
    Ok(sink.parked(reaction, Slot::Active, &list).await?.into_iter().next())
}

/// Whether this is the first that waits under its key: else somebody has dealt with it.
pub(super) async fn waits(
    sink: &dyn ProjectionSink,
    reaction: &str,
    entry: &ParkedId,
) -> Result<bool, SinkError> {
    let first = first_waiting(sink, reaction, &entry.key).await?;
    Ok(first.is_some_and(|first| first.id() == *entry))
}

impl Held {
    /// Those of the entries that do not wait any more.
    pub(super) async fn gone(
        &mut self,
        means: &Means,
        entries: &[ParkedId],
    ) -> Result<Vec<ParkedId>, StopCause> {
        let (of, sink) = (self.of.clone(), self.sink.clone());
        let mut gone = Vec::new();
        for entry in entries {
            // there may be many
            self.keep_lease(means).await?;
            let asked = waits(&*sink, of.definition.name(), entry);
            if !self.asked(means, asked).await? {
                gone.push(entry.clone());
            }
        }
        Ok(gone)
    }

    /// Has what waits first under a parked stream given again, if it is due.
    pub(super) async fn list(&mut self, means: &Means, due: Due) -> Result<(), StopCause> {
        let (of, sink) = (self.of.clone(), self.sink.clone());
        let key = due.stream.to_string();
        let asked = first_waiting(&*sink, of.definition.name(), &key);
        let first = self.asked(means, asked).await?;
        self.window.take_back(&due, first);
        Ok(())
    }

    /// The streams that something is parked under. What is no stream's name is somebody's who changed
    /// the entry: no event of this reaction waits behind it, and it waits until it is discarded.
    pub(super) fn streams<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k String>,
    ) -> impl Iterator<Item = StreamId> {
        let reaction = self.name();
        keys.into_iter().filter_map(move |key| {
            let stream: Result<StreamId, _> = key.parse();
            if stream.is_err() {
                tracing::warn!(reaction, %key, "what is parked under no stream is not given");
            }
            stream.ok()
        })
    }
}
