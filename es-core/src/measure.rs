//! Metrics, by the `metrics` facade; without the feature of that name nobody is told.

use std::borrow::Cow;

/// The name of a label, and what it says.
pub(crate) type Label = (&'static str, Cow<'static, str>);

#[cfg(feature = "metrics")]
fn kept(labels: impl IntoIterator<Item = Label>) -> Vec<metrics::Label> {
    labels.into_iter().map(|(name, value)| metrics::Label::new(name, value)).collect()
}

/// Adds to a counter.
#[cfg(feature = "metrics")]
pub(crate) fn count(name: &'static str, labels: impl IntoIterator<Item = Label>, more: u64) {
    metrics::counter!(name, kept(labels)).increment(more);
}

/// Sets a gauge.
#[cfg(feature = "metrics")]
pub(crate) fn gauge(name: &'static str, labels: impl IntoIterator<Item = Label>, value: f64) {
    metrics::gauge!(name, kept(labels)).set(value);
}

/// Adds a value to a histogram.
#[cfg(feature = "metrics")]
pub(crate) fn record(name: &'static str, labels: impl IntoIterator<Item = Label>, value: f64) {
    metrics::histogram!(name, kept(labels)).record(value);
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn count(_: &'static str, _: impl IntoIterator<Item = Label>, _: u64) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn gauge(_: &'static str, _: impl IntoIterator<Item = Label>, _: f64) {}

#[cfg(not(feature = "metrics"))]
pub(crate) fn record(_: &'static str, _: impl IntoIterator<Item = Label>, _: f64) {}
