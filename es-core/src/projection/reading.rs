//! Reading models, and waiting for them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::stream::try_unfold;

use crate::error::{StoreError, StoreErrorKind};
use crate::position::Position;
use crate::read::ReadLog;
use crate::store::EventStore;

use super::{ModelRow, Projection, ProjectionSink, SinkError, Slot};

/// The row of the active model under this key, if there is one.
///
/// # Errors
///
/// [`SinkError::NoModel`] if the projection never ran, or a failure of the store; a row that is not
/// one of `P` is such a failure, of the kind [`Corrupt`](StoreErrorKind::Corrupt).
pub async fn read_row<P: Projection>(
    sink: &dyn ProjectionSink,
    key: &str,
) -> Result<Option<P::Row>, SinkError> {
    let rows = sink.load(P::NAME, Slot::Active, &[key.to_owned()]).await?;
    let row = rows.into_iter().find(|row| row.key == key);
    row.map(|row| decoded::<P>(&row)).transpose()
}

fn decoded<P: Projection>(row: &ModelRow) -> Result<P::Row, SinkError> {
    row.value.decode().map_err(|error| {
        let message = format!("row `{}` of projection `{}` does not fit", row.key, P::NAME);
        StoreError::new(StoreErrorKind::Corrupt, message).caused_by(error).into()
    })
}

/// All rows of a model in the order of their keys, byte by byte, with the memory of one page.
///
/// Rows that are committed meanwhile are included if the reader has not passed them.
pub fn all_rows<'a>(
    sink: &'a dyn ProjectionSink,
    projection: &'a str,
    slot: Slot,
) -> BoxStream<'a, Result<ModelRow, SinkError>> {
    const PAGE: usize = 500;
    type Rest = (Option<String>, std::vec::IntoIter<ModelRow>);
    let start: Rest = (None, Vec::new().into_iter());
    Box::pin(try_unfold(start, move |(after, mut page): Rest| async move {
        if let Some(row) = page.next() {
            return Ok(Some((row, (after, page))));
        }
        let mut page = sink.rows(projection, slot, after.as_deref(), PAGE).await?.into_iter();
        let after = page.as_slice().last().map(|row| row.key.clone());
        Ok(page.next().map(|row| (row, (after, page))))
    }))
}

/// Why a [`wait_for`] ended without the projection being there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up.
    #[error(
        "projection `{projection}` has not come to {wanted} within {limit:?}; it is at {at}, and \
         {}", match holder {
            Some(holder) => format!("`{holder}` runs it"),
            None => "nobody runs it".to_owned(),
        }
    )]
    TimedOut {
        /// The projection.
        projection: String,
        /// What was waited for.
        wanted: Position,
        /// Where it is.
        at: Position,
        /// Who runs it.
        holder: Option<String>,
        /// How long was waited.
        limit: Duration,
    },
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// Waits until what was appended up to `position` is in the model, parked, or not selected: with the
/// position of one's own append, one reads one's own writes.
///
/// # Errors
///
/// [`WaitError::TimedOut`] tells how far the projection is.
///
/// # Cancellation
///
/// Dropping the future is harmless.
pub async fn wait_for(
    sink: &dyn ProjectionSink,
    projection: &str,
    position: Position,
    limit: Duration,
) -> Result<(), WaitError> {
    if let Ok(reached) = tokio::time::timeout(limit, sink.wait_reached(projection, position)).await
    {
        return Ok(reached?);
    }
    let status = sink.status(Some(projection)).await?.into_iter().next();
    let active = status.and_then(|status| status.active);
    Err(WaitError::TimedOut {
        projection: projection.to_owned(),
        wanted: position,
        at: active.as_ref().map_or(Position::START, |active| active.checkpoint().position),
        holder: active.and_then(|active| active.holder).map(|holder| holder.name),
        limit,
    })
}

/// Folds the log up to now, without a stored model: the rows by key.
///
/// The whole model is held in memory. Events that were discarded from a stored model are taken here.
///
/// # Errors
///
/// When reading fails, or, with [`LiveError::Apply`], at the first event that the projection cannot
/// take.
pub async fn live<P: Projection>(
    store: &dyn EventStore,
    projection: P,
) -> Result<BTreeMap<String, P::Row>, LiveError> {
    let mut rows: BTreeMap<String, P::Row> = BTreeMap::new();
    let mut read = ReadLog::from_start().filter(projection.selection());
    loop {
        let page = store.read_log(&read).await?;
        for event in &page.events {
            let mut keys = projection.keys(event);
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let row = rows.remove(&key);
                let row =
                    projection.apply(&key, row, event).map_err(|source| LiveError::Apply {
                        projection: P::NAME,
                        position: event.position,
                        key: key.clone(),
                        source,
                    })?;
                if let Some(row) = row {
                    rows.insert(key, row);
                }
            }
        }
        if page.at_end {
            return Ok(rows);
        }
        read.after = page.next;
    }
}

/// Why a live model could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The projection cannot take an event.
    #[error("projection `{projection}` cannot take the event at {position} under key `{key}`")]
    Apply {
        /// The projection.
        projection: &'static str,
        /// The place of the event.
        position: Position,
        /// The key.
        key: String,
        /// Why not.
        #[source]
        source: super::ApplyError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
