//! Metrics and spans, kept so that a test can look at them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the sum of each counter, the last value of each gauge, and how often a histogram was fed.
#[derive(Default)]
pub(super) struct Kept {
    values: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

struct Fed(Arc<AtomicU64>);

impl HistogramFn for Fed {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Kept {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(","));
        self.values.lock().unwrap().entry(name).or_default().clone()
    }

    /// The value of a metric with these labels, such as `a=1,b=2`.
    pub(super) fn read(&self, name: &str, labels: &str) -> Option<u64> {
        let values = self.values.lock().unwrap();
        let value = values.get(&format!("{name} {labels}"))?;
        Some(value.load(Ordering::SeqCst))
    }

    /// The names of all metrics, with their labels.
    pub(super) fn names(&self) -> Vec<String> {
        self.values.lock().unwrap().keys().cloned().collect()
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Fed(self.value(key))))
    }
}

/// The fields of a span, by name, and its own name under `name`.
pub(super) type Fields = BTreeMap<String, String>;

/// Keeps the fields of the spans of one module.
#[derive(Clone)]
pub(super) struct Spans {
    module: &'static str,
    kept: Arc<Mutex<Vec<Fields>>>,
}

impl Spans {
    pub(super) fn of(module: &'static str) -> Self {
        Self { module, kept: Arc::default() }
    }

    /// Those that were begun since the last call.
    pub(super) fn take(&self) -> Vec<Fields> {
        std::mem::take(&mut *self.kept.lock().unwrap())
    }
}

struct Filling<'a>(&'a mut Fields);

impl Visit for Filling<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with(self.module)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields::from([("name".to_owned(), span.metadata().name().to_owned())]);
        span.record(&mut Filling(&mut fields));
        let mut kept = self.kept.lock().unwrap();
        kept.push(fields);
        Id::from_u64(kept.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut kept = self.kept.lock().unwrap();
        // one that was begun and taken is of no interest any more
        if let Some(fields) = kept.get_mut(span.into_u64() as usize - 1) {
            values.record(&mut Filling(fields));
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Keeps the warnings of es-core, each with its fields in one line.
#[derive(Clone, Default)]
pub(super) struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Those since the last call.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("es_core")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Filling(&mut fields));
        let told = fields.iter().map(|(name, value)| format!("{name}={value}"));
        self.0.lock().unwrap().push(told.collect::<Vec<_>>().join(" "));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
