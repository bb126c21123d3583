//! Hears what the stores of this process tell: warnings and gauges.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Once};
use std::time::Duration;

use es_sqlite::SqliteStore;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Folder, block_on};

/// What all stores of this process have told.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static GAUGES: LazyLock<Mutex<BTreeMap<String, Arc<AtomicU64>>>> = LazyLock::new(Mutex::default);

struct Listener;

struct Words<'a>(&'a mut String);

impl Visit for Words<'_> {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        writeln!(self.0, "{value:?}").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target().starts_with("es_sqlite")
    }

    fn event(&self, event: &Event<'_>) {
        let mut words = String::new();
        event.record(&mut Words(&mut words));
        WARNINGS.lock().unwrap().push(words);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Recorder for Listener {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        let store = key.labels().find(|label| label.key() == "store");
        let store = store.map_or("", |label| label.value());
        let mut gauges = GAUGES.lock().unwrap();
        let value = gauges.entry(format!("{} {store}", key.name())).or_default();
        Gauge::from_arc(value.clone())
    }

    fn register_histogram(&self, _: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// A store that tells of each read that keeps its log, and has one thread that reads.
pub(crate) fn listened_to(folder: &Folder) -> SqliteStore {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
        assert!(metrics::set_global_recorder(Listener).is_ok());
    });
    block_on(SqliteStore::open(folder.config().long_read(Duration::ZERO).readers(1))).unwrap()
}

pub(crate) fn warnings(folder: &Folder) -> Vec<String> {
    let path = folder.path().display().to_string();
    let warnings = WARNINGS.lock().unwrap();
    warnings.iter().filter(|warning| warning.contains(&path)).cloned().collect()
}

/// The last value of a gauge of the store.
pub(crate) fn gauge(name: &str, folder: &Folder) -> f64 {
    let name = format!("{name} {}", folder.path().display());
    f64::from_bits(GAUGES.lock().unwrap()[&name].load(Ordering::Relaxed))
}
