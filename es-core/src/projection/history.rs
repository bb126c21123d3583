//! Whether a model is of the history that the log holds.

use crate::envelope::{EventReference, RecordedEvent};
use crate::error::StoreError;
use crate::position::Position;
use crate::read::{PageLimit, ReadLog, ReadStream};
use crate::store::EventStore;

use super::{Checkpoint, ProjectionSink, SinkError};

impl EventReference {
    /// The event, if the log holds it in its place.
    pub(crate) async fn find(
        &self,
        store: &dyn EventStore,
    ) -> Result<Option<RecordedEvent>, StoreError> {
        let read = ReadStream::new(self.stream.clone());
        let read = read.from_version(self.version).to_version(self.version);
        let found = store.read_stream(&read).await?.events.into_iter().next();
        Ok(found.filter(|event| self.is_of(event)))
    }
}

/// Refuses a place of a model of `projection` that is of another history than the log: the log does
/// not hold its event, or ends before it.
///
/// # Errors
///
/// [`SinkError::Diverged`], and when the store fails.
pub async fn check_history(
    store: &dyn EventStore,
    projection: &str,
    checkpoint: &Checkpoint,
) -> Result<(), SinkError> {
    let of_projection = |error: StoreError| SinkError::from(error).of(projection);
    let Some(event) = &checkpoint.event else {
        if checkpoint.position > Position::START {
            // whose reading is refused beyond the end
            let read = ReadLog::after(checkpoint.position).limit(PageLimit::events(1));
            store.read_log(&read).await.map_err(of_projection)?;
        }
        return Ok(());
    };
    match event.find(store).await.map_err(of_projection)? {
        Some(_) => Ok(()),
        None => Err(SinkError::Diverged {
            projection: projection.to_owned(),
            found: format!(
                "event {} is not at {} (version {} of {})",
                event.event_id, event.position, event.version, event.stream
            ),
        }),
    }
}

/// [`check_history`] for the active model, if there is one: what a backend asks before it keeps a
/// projection within its appends, as a [`Runner`](super::Runner) does before it goes on with it.
///
/// # Errors
///
/// [`SinkError::Diverged`], and when the store or the sink fails.
pub async fn check_active_model(
    store: &dyn EventStore,
    sink: &dyn ProjectionSink,
    projection: &str,
) -> Result<(), SinkError> {
    let status = sink.status(Some(projection)).await?.into_iter().next();
    match status.and_then(|status| status.active) {
        Some(active) => check_history(store, projection, active.checkpoint()).await,
        None => Ok(()),
    }
}
