//! One call of a reaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tracing::Instrument;

use super::Of;
use super::held::silent;
use super::parked::waits;
use crate::envelope::{EventReference, RecordedEvent};
use crate::environment::within;
use crate::error::StoreErrorKind;
use crate::projection::{Means, Parked, ProjectionSink, StopCause, chain, panic_text, telemetry};
use crate::store::Store;

/// A call, or what is asked before it, that ended.
pub(super) struct Ended {
    pub(super) event: EventReference,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Done,
    Failed(String),
    /// The event waits still, and this is it; which attempt is to be made.
    Found(Box<RecordedEvent>, u32),
    /// The event does not wait any more.
    Gone,
    /// The event waits, and the log does not hold it.
    Lost,
    /// Nobody could say.
    Unsaid(StopCause),
}

impl Of {
    /// One call: an error, a panic and a time-out are the same failure.
    pub(super) fn call(
        &self,
        means: &Means,
        event: RecordedEvent,
        number: u32,
    ) -> BoxFuture<'static, Ended> {
        let reference = EventReference::from(&event);
        let (reaction, runtime) = (self.reaction.clone(), means.environment.runtime.clone());
        let (timeout, name) = (self.policy.timeout, self.definition.name().to_owned());
        let span = telemetry::batch_span(&name, 1);
        let ended = async move {
            let began = runtime.now();
            let call = async { within(&*runtime, timeout, reaction.react(event, number)).await };
            let outcome = match AssertUnwindSafe(call).catch_unwind().await {
                Ok(Some(Ok(()))) => Outcome::Done,
                Ok(Some(Err(error))) => Outcome::Failed(chain(&*error)),
                Ok(None) => Outcome::Failed(format!("the call took longer than {timeout:?}")),
                Err(panic) => {
                    Outcome::Failed(format!("the reaction panicked: {}", panic_text(&*panic)))
                }
            };
            telemetry::call(&name, runtime.since(began));
            Ended { event: reference, outcome }
        };
        ended.instrument(span).boxed()
    }

    /// What is asked just before a call for what is parked: whether it waits still, for somebody may have
    /// discarded it, and for the event, which may be large and is not kept meanwhile. What the reaction
    /// does not select any more is done.
    pub(super) fn look(
        &self,
        means: &Means,
        sink: &Arc<dyn ProjectionSink>,
        entry: Parked,
        number: u32,
    ) -> BoxFuture<'static, Ended> {
        let (definition, store, sink) =
            (self.definition.clone(), means.store.clone(), sink.clone());
        let (runtime, patience) = (means.environment.runtime.clone(), means.settings.patience());
        let late = silent(means);
        let ended = async move {
            let found = found(&store, &*sink, definition.name(), &entry, number);
            let outcome = match within(&*runtime, patience, found).await {
                Some(Ok(Outcome::Found(event, _))) if !definition.selection().accepts(&event) => {
                    Outcome::Done
                }
                Some(Ok(outcome)) => outcome,
                Some(Err(cause)) => Outcome::Unsaid(cause),
                None => Outcome::Unsaid(late),
            };
            Ended { event: entry.event, outcome }
        };
        ended.boxed()
    }
}

/// The event of an entry, if that waits.
async fn found(
    store: &Store,
    sink: &dyn ProjectionSink,
    reaction: &str,
    entry: &Parked,
    number: u32,
) -> Result<Outcome, StopCause> {
    if !waits(sink, reaction, &entry.id()).await? {
        return Ok(Outcome::Gone);
    }
    Ok(match entry.event.find(&**store).await {
        Ok(Some(event)) => Outcome::Found(Box::new(event), number),
        Ok(None) => Outcome::Lost,
        // that is so of this event, and of no other one
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Outcome::Failed(chain(&error)),
        Err(error) => return Err(error.into()),
    })
}
