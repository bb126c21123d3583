//! Waiting until a model has come to a place.

use std::time::Duration;

use futures_util::future::{Either, select};

use crate::environment::{Runtime, within};
use crate::position::Position;

use super::{Definition, ProjectionSink, SinkError, Trouble};

/// Why a wait ended without the projection being there.
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

/// Waits for [`Subscription::wait_for`](super::Subscription::wait_for).
pub(crate) async fn waited_for(
    runtime: &dyn Runtime,
    sink: &dyn ProjectionSink,
    definition: &Definition,
    position: Position,
    limit: Duration,
) -> Result<(), WaitError> {
    let projection = definition.name();
    let reached = std::pin::pin!(sink.wait_reached(projection, position));
    let stopped = std::pin::pin!(stopped(runtime, sink, definition, position));
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
