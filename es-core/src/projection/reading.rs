//! Reading models, and waiting for them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_core::stream::BoxStream;
use futures_util::future::{Either, select};
use futures_util::stream::try_unfold;

use crate::envelope::RecordedEvent;
use crate::environment::{Runtime, SystemRuntime, within};
use crate::error::{BoxError, StoreError, StoreErrorKind};
use crate::position::Position;
use crate::read::ReadLog;
use crate::store::Store;

use super::error::OddRow;
use super::fold::{Fold, guarded, unkeyed};
use super::typed::Asked;
use super::worker::chain;
use super::{Definition, ModelRow, Projection, ProjectionSink, SinkError, Slot, Trouble, models};

/// The row of the active model under this key, if there is one.
///
/// # Errors
///
/// [`SinkError::NoModel`] if the projection never ran, or a failure of the store; a row that is not
/// one of `P` is such a failure, of the kind [`Corrupt`](StoreErrorKind::Corrupt).
pub async fn read_row<P: Projection>(
    store: impl Into<Store>,
    key: &str,
) -> Result<Option<P>, SinkError> {
    let store = store.into();
    let rows = models(&store, P::NAME)?.load(P::NAME, Slot::Active, &[key.to_owned()]).await?;
    let row = rows.into_iter().find(|row| row.key == key);
    row.map(|row| decoded::<P>(&row)).transpose()
}

fn decoded<P: Projection>(row: &ModelRow) -> Result<P, SinkError> {
    guarded(|| Ok(row.value.decode()?)).map_err(|error| {
        let odd = OddRow::new(&row.key, &error);
        let message = format!("reading the model of projection `{}`", P::NAME);
        StoreError::new(StoreErrorKind::Corrupt, message).caused_by(odd).into()
    })
}

/// All rows of a model in the order of their keys, byte by byte, with the memory of one page.
///
/// Rows that are committed meanwhile are included if the reader has not passed them.
pub fn all_rows<'a>(
    store: impl Into<Store>,
    projection: &'a str,
    slot: Slot,
) -> BoxStream<'a, Result<ModelRow, SinkError>> {
    const PAGE: usize = 500;
    type Rest = (Store, Option<String>, std::vec::IntoIter<ModelRow>);
    let start: Rest = (store.into(), None, Vec::new().into_iter());
    Box::pin(try_unfold(start, move |(store, after, mut page): Rest| async move {
        if let Some(row) = page.next() {
            return Ok(Some((row, (store, after, page))));
        }
        let sink = models(&store, projection)?;
        let mut page = sink.rows(projection, slot, after.as_deref(), PAGE).await?.into_iter();
        let after = page.as_slice().last().map(|row| row.key.clone());
        Ok(page.next().map(|row| (row, (store, after, page))))
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
        } + &trouble.as_ref().map_or_else(String::new, |trouble| format!("; {}", trouble.message))
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
        /// What keeps it from going on, if that was reported.
        trouble: Option<Trouble>,
        /// How long was waited.
        limit: Duration,
    },
    /// The projection has stopped before it got there, and nobody runs it.
    #[error("projection `{projection}` has stopped at {at}, before {wanted}: {}", trouble.message)]
    Stopped {
        /// The projection.
        projection: String,
        /// What was waited for.
        wanted: Position,
        /// Where it is.
        at: Position,
        /// Why.
        trouble: Trouble,
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
/// [`WaitError::TimedOut`] tells how far the projection is. At once: [`WaitError::Stopped`], that
/// somebody must do something before it gets further, and [`SinkError::Changed`] or
/// [`SinkError::Unusable`], that nobody runs it and this code never will.
///
/// # Cancellation
///
/// Dropping the future is harmless.
pub async fn wait_for(
    store: impl Into<Store>,
    projection: &Definition,
    position: Position,
    limit: Duration,
) -> Result<(), WaitError> {
    projection.check()?;
    let (store, definition, projection) = (store.into(), projection, projection.name());
    let sink = models(&store, projection)?;
    let reached = std::pin::pin!(sink.wait_reached(projection, position));
    let runtime = &SystemRuntime;
    let stopped = std::pin::pin!(stopped(runtime, &**sink, definition, position));
    let ended = select(reached, stopped);
    match within(runtime, limit, ended).await {
        Some(Either::Left((reached, _))) => return Ok(reached?),
        Some(Either::Right((stopped, _))) => return Err(stopped),
        None => {}
    }
    let status = sink.status(Some(projection)).await?.into_iter().next();
    let active = status.and_then(|status| status.active);
    Err(WaitError::TimedOut {
        projection: projection.to_owned(),
        wanted: position,
        at: active.as_ref().map_or(Position::START, |active| active.checkpoint().position),
        trouble: active.as_ref().and_then(|active| active.trouble.clone()),
        holder: active.and_then(|active| active.holder).map(|holder| holder.name),
        limit,
    })
}

/// Ends when the projection has stopped before the position.
async fn stopped(
    runtime: &dyn Runtime,
    sink: &dyn ProjectionSink,
    definition: &Definition,
    wanted: Position,
) -> WaitError {
    let projection = definition.name();
    let mut pause = Duration::from_millis(20);
    loop {
        // what is reached at once, or soon, is not asked for
        runtime.sleep(pause).await;
        pause = Duration::from_secs(1).min(pause * 4);
        // a failure of the store is the wait's to tell
        let Ok(status) = sink.status(Some(projection)).await else { continue };
        let active = status.into_iter().next().and_then(|status| status.active);
        let Some(active) = active.filter(|active| active.holder.is_none()) else { continue };
        let at = active.checkpoint().position;
        if at < wanted && active.fingerprint != definition.fingerprint() {
            return definition.changed(active.fingerprint).into();
        }
        match active.trouble {
            Some(trouble) if trouble.kind().is_final() && at < wanted => {
                return WaitError::Stopped {
                    projection: projection.to_owned(),
                    wanted,
                    at,
                    trouble,
                };
            }
            _ => {}
        }
    }
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
    store: impl Into<Store>,
) -> Result<BTreeMap<String, P>, LiveError> {
    let store = store.into();
    let mut rows: BTreeMap<String, P> = BTreeMap::new();
    let asked = Asked::<P>::ask().map_err(|error| {
        let (projection, reason) = (P::NAME.to_owned(), chain(&*error));
        LiveError::Unusable { projection, reason }
    })?;
    let selection = asked.selection.clone();
    let fold = asked.fold();
    let failed = |event: &RecordedEvent, key: &str, source| LiveError::Apply {
        projection: P::NAME,
        position: event.position,
        key: key.to_owned(),
        source,
    };
    let mut read = ReadLog::from_start().filter(selection);
    loop {
        let page = store.read_log(&read).await?;
        for event in &page.events {
            let keys = fold.keys(event).map_err(|error| failed(event, &unkeyed(event), error))?;
            for key in keys {
                let after = fold.applied(&key, rows.remove(&key), event);
                if let (_, Some(row)) = after.map_err(|error| failed(event, &key, error))? {
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
        source: BoxError,
    },
    /// The projection cannot be run as it is.
    #[error("projection `{projection}` cannot be run: {reason}")]
    Unusable {
        /// The projection.
        projection: String,
        /// Why not.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
