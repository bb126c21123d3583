//! Metrics and spans, under the names of OpenTelemetry's conventions for messaging.

use std::time::Duration;

use tracing::Span;

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
    let projection = projection.to_owned();
    metrics::counter!("es.projection.events", "projection" => projection.clone()).increment(events);
    metrics::histogram!("es.projection.batch.duration", "projection" => projection)
        .record(took.as_secs_f64());
}

/// Counts what a reaction has passed.
pub(crate) fn reacted(reaction: &str, events: u64) {
    metrics::counter!("es.projection.events", "projection" => reaction.to_owned())
        .increment(events);
}

/// Tells how long one call of a reaction took.
pub(crate) fn call(reaction: &str, took: Duration) {
    metrics::histogram!("es.reaction.call.duration", "projection" => reaction.to_owned())
        .record(took.as_secs_f64());
}

/// Counts what did not succeed.
pub(crate) fn failure(projection: &str) {
    metrics::counter!("es.projection.failures", "projection" => projection.to_owned()).increment(1);
}

/// Shows how far behind a projection is, and how many parked events wait.
pub(crate) fn lag(projection: &str, events: u64, seconds: f64, waiting: u64) {
    let projection = projection.to_owned();
    metrics::gauge!("es.projection.lag.events", "projection" => projection.clone())
        .set(events as f64);
    metrics::gauge!("es.projection.lag.seconds", "projection" => projection.clone()).set(seconds);
    metrics::gauge!("es.projection.parked", "projection" => projection).set(waiting as f64);
}
