//! Reads that keep the write-ahead log from being cut back: what a store tells of them.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock, Mutex, Once};
use std::time::Duration;

use es_core::StoreError;
use es_sqlite::SqliteStore;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Recorder, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Folder, append_one, block_on, event};

const MIB: usize = 1 << 20;
const CUT_TO: u64 = 64 << 20;

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

/// A store that tells of each read that keeps its log.
fn listened_to(folder: &Folder) -> SqliteStore {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(|| {
        tracing::subscriber::set_global_default(Listener).unwrap();
        assert!(metrics::set_global_recorder(Listener).is_ok());
    });
    block_on(SqliteStore::open(folder.config().long_read(Duration::ZERO))).unwrap()
}

fn warnings(folder: &Folder) -> Vec<String> {
    let path = folder.path().display().to_string();
    let warnings = WARNINGS.lock().unwrap();
    warnings.iter().filter(|warning| warning.contains(&path)).cloned().collect()
}

fn append(store: &SqliteStore, mib: usize) {
    block_on(async {
        for _ in 0..mib {
            append_one(store, "posting/1", event(&"x".repeat(MIB))).await;
        }
    });
}

#[test]
fn a_read_that_keeps_the_log_is_named_once_and_the_log_cut_back_after_it() {
    let folder = Folder::new();
    let store = listened_to(&folder);
    assert_eq!(store.write_ahead_log().oldest_read, None);
    let ((begin, begun), (end, ended)) = (channel(), channel::<()>());
    std::thread::scope(|scope| {
        let report = store.read(move |connection| {
            let count = "SELECT count(*) FROM execution_events";
            connection.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap();
            begin.send(()).unwrap();
            ended.recv().unwrap();
            Ok::<_, StoreError>(())
        });
        scope.spawn(|| block_on(report).unwrap());
        begun.recv().unwrap();
        append(&store, 140);
        let log = store.write_ahead_log();
        assert!(log.bytes > 140 * MIB as u64, "{log:?}");
        assert_eq!(log.oldest_read.unwrap().call, "read");
        let warnings = warnings(&folder);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("`read` of this process"), "{warnings:?}");
        end.send(()).unwrap();
    });
    assert_eq!(store.write_ahead_log().oldest_read, None);
    append(&store, 64);
    let bytes = store.write_ahead_log().bytes;
    assert!(bytes <= CUT_TO + 32 * MIB as u64, "{bytes}");
    let name = format!("es.sqlite.write_ahead_log.bytes {}", folder.path().display());
    let gauge = GAUGES.lock().unwrap()[&name].load(Ordering::Relaxed);
    assert!(f64::from_bits(gauge) > 0.0);
    assert_eq!(warnings(&folder).len(), 1);
}

#[test]
fn a_read_of_another_program_that_keeps_the_log_is_told_of_once() {
    let folder = Folder::new();
    let store = listened_to(&folder);
    append(&store, 1);
    let other = folder.connection();
    other.execute_batch("BEGIN; SELECT count(*) FROM execution_events;").unwrap();
    append(&store, 140);
    assert_eq!(store.write_ahead_log().oldest_read, None);
    let warnings = warnings(&folder);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("another process has read"), "{warnings:?}");
}
