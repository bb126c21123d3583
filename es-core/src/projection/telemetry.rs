//! Metrics and spans, under the names of OpenTelemetry's conventions for messaging.

use std::time::Duration;

use tracing::Span;

use crate::measure::{self, Label};

fn of(projection: &str) -> [Label; 1] {
    [("projection", projection.to_owned().into())]
}

/// The span of one batch.
pub(crate) fn batch_span(projection: &str, events: usize) -> Span {
    tracing::info_span!(
        "process",
        otel.kind = "consumer",
        messaging.operation.name = "process",
        messaging.operation.r#type = "process",
        messaging.destination.name = "log",
        messaging.consumer.group.name = projection,
        messaging.batch.message_count = events,
    )
}

/// Counts what one batch did.
pub(crate) fn batch(projection: &str, events: u64, took: Duration) {
    measure::count("es.projection.events", of(projection), events);
    measure::record("es.projection.batch.duration", of(projection), took.as_secs_f64());
}

/// Counts what a reaction has passed.
pub(crate) fn reacted(reaction: &str, events: u64) {
    measure::count("es.projection.events", of(reaction), events);
}

/// Tells how long one call of a reaction took.
pub(crate) fn call(reaction: &str, took: Duration) {
    measure::record("es.reaction.call.duration", of(reaction), took.as_secs_f64());
}

/// Counts what did not succeed.
pub(crate) fn failure(projection: &str) {
    measure::count("es.projection.failures", of(projection), 1);
}

/// Shows how far behind a projection is, and how many parked events wait.
pub(crate) fn lag(projection: &str, events: u64, seconds: f64, waiting: u64) {
    measure::gauge("es.projection.lag.events", of(projection), events as f64);
    measure::gauge("es.projection.lag.seconds", of(projection), seconds);
    measure::gauge("es.projection.parked", of(projection), waiting as f64);
}
