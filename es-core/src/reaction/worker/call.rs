//! One call of a reaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tracing::Instrument;

use super::super::window::Attempt;
use super::Of;
use super::parked::waits;
use crate::envelope::EventReference;
use crate::environment::within;
use crate::projection::{Means, ProjectionSink, chain, panic_text, telemetry};

/// A call that ended.
pub(super) struct Ended {
    pub(super) event: EventReference,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Done,
    Failed(String),
    /// It was not made: the event does not wait any more, or nobody could say.
    NotGiven,
}

impl Of {
    /// One call: an error, a panic and a time-out are the same failure. What was parked is asked for
    /// once more, just before it is given: somebody may have discarded it.
    pub(super) fn call(
        &self,
        means: &Means,
        sink: &Arc<dyn ProjectionSink>,
        attempt: Attempt,
    ) -> BoxFuture<'static, Ended> {
        let Attempt { event, number, entry } = attempt;
        let reference = EventReference::from(&event);
        let (reaction, runtime) = (self.reaction.clone(), means.environment.runtime.clone());
        let (timeout, patience) = (self.policy.timeout, means.settings.patience());
        let (sink, name) = (sink.clone(), self.definition.name().to_owned());
        let span = telemetry::batch_span(&name, 1);
        let ended = async move {
            if let Some(entry) = &entry {
                let asked = within(&*runtime, patience, waits(&*sink, &name, entry)).await;
                if !matches!(asked, Some(Ok(true))) {
                    return Ended { event: reference, outcome: Outcome::NotGiven };
                }
            }
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
}
