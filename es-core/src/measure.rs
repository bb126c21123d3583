//! Metrics, by the `metrics` facade; without the feature of that name nobody is told.

use std::borrow::Cow;

/// The name of a label, and what it says.
pub(crate) type Label = (&'static str, Cow<'static, str>);

#[cfg(feature = "metrics")]
fn kept(labels: impl IntoIterator<Item = Label>) -> Vec<metrics::Label> {
    labels.into_iter().map(|(name, value)| metrics::Label::new(name, value)).collect()
}

/// A counter that is told often, whose name and labels are put together once. Whoever records is asked
/// for each time, since that may be another one by then.
#[cfg(feature = "metrics")]
#[derive(Debug)]
pub(crate) struct Counter(metrics::Key);

#[cfg(feature = "metrics")]
impl Counter {
    pub(crate) fn new(name: &'static str, labels: impl IntoIterator<Item = Label>) -> Self {
        Self(metrics::Key::from_parts(name, kept(labels)))
    }

    pub(crate) fn add(&self, more: u64) {
        static FROM: metrics::Metadata<'static> =
            metrics::Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));
        let counter = metrics::with_recorder(|recorder| recorder.register_counter(&self.0, &FROM));
        counter.increment(more);
    }
}

#[cfg(not(feature = "metrics"))]
#[derive(Debug)]
pub(crate) struct Counter;

#[cfg(not(feature = "metrics"))]
impl Counter {
    pub(crate) fn new(_: &'static str, _: impl IntoIterator<Item = Label>) -> Self {
        Self
    }

    pub(crate) fn add(&self, _: u64) {}
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
