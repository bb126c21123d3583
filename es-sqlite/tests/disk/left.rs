//! What is left in a store, and whether it is what must be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use es_core::backend::{EventStore, ProjectionSink, ReadLog, Slot, StoreErrorKind};
use es_core::event::{EventId, RecordedEvent};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};

use crate::program;
use crate::told::Told;

/// How far each writer has come.
pub(crate) type Come = BTreeMap<u64, u64>;

/// A store that a run has left.
pub(crate) struct Left {
    pub(crate) log: Vec<(u64, EventId)>,
    pub(crate) come: Come,
    /// How far the model had come.
    pub(crate) model: u64,
}

async fn open(path: &Path, what: &str) -> SqliteStore {
    let config = SqliteConfig::new(path).create(false).synchronous(Synchronous::Off);
    SqliteStore::open(config).await.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

async fn log(store: &SqliteStore, what: &str) -> Vec<RecordedEvent> {
    let mut read = ReadLog::from_start();
    let mut events = Vec::new();
    loop {
        let page = store.read_log(&read).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        events.extend(page.events);
        if page.at_end {
            return events;
        }
        read = ReadLog::after(page.next);
    }
}

fn ids(events: &[RecordedEvent]) -> Vec<(u64, EventId)> {
    events.iter().map(|event| (event.position.to_sequence(), event.event_id)).collect()
}

fn is_whole(path: &Path, what: &str) {
    let connection = Connection::open(path).unwrap();
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{what}");
}

/// Whether what is there was never a whole store: then whoever opens it is told so, and what it may be.
pub(crate) async fn is_none(folder: &Path, what: &str) -> bool {
    let path = folder.join(program::STORE);
    if !path.exists() {
        return false;
    }
    match SqliteStore::open(SqliteConfig::new(path).create(false)).await {
        Err(error) if error.kind() == StoreErrorKind::NotAStore => {
            let told = error.to_string();
            let is_told = ["name another", "has nothing in it"].iter().any(|it| told.contains(it));
            assert!(is_told, "{what}: {told}");
            true
        }
        Ok(store) => {
            store.close().await;
            false
        }
        // judged by whoever looks at all of it
        Err(_) => false,
    }
}

/// Reads the store, and sees that the file is whole, that each append is there whole, once and after
/// the one before it, that the store goes on, and that the model becomes the fold of the log.
pub(crate) async fn left(folder: &Path, what: &str) -> Left {
    let path = folder.join(program::STORE);
    if !path.exists() {
        // it was not made
        return Left { log: Vec::new(), come: Come::new(), model: 0 };
    }
    let store = SqliteStore::open(SqliteConfig::new(&path).synchronous(Synchronous::Off))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let events = log(&store, what).await;
    let come = come(&events, what);
    let model = program::model_at(&store).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let end = events.last().map_or(0, |last| last.position.to_sequence());
    assert!(model <= end, "{what}: the model is at {model}, and the log ends at {end}");
    program::append(&store, program::LATER, 1, 10)
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let mut runner = program::runner(&store);
    runner.catch_up().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let mut folded = BTreeMap::<String, (u64, u64)>::new();
    for event in log(&store, what).await {
        let (count, sum) = folded.entry(event.stream.to_string()).or_default();
        *count += 1;
        *sum += event.position.to_sequence();
    }
    let rows = store.rows("counted", Slot::Active, None, 500).await.unwrap();
    let rows: BTreeMap<_, (u64, u64)> =
        rows.into_iter().map(|row| (row.key, row.value.decode().unwrap())).collect();
    assert_eq!(rows, folded, "{what}");
    store.close().await;
    is_whole(&path, what);
    Left { log: ids(&events), come, model }
}

fn come(events: &[RecordedEvent], what: &str) -> Come {
    let mut left = Come::new();
    let mut parts = BTreeSet::new();
    for event in events.iter().filter(|event| event.event_type == *program::WRITTEN) {
        let (writer, number, part, of) = program::read(event);
        parts.insert((writer, number, part));
        if part == of {
            let come: &mut u64 = left.entry(writer).or_default();
            assert_eq!(number, *come + 1, "{what}: append of writer {writer}");
            *come = number;
            let is_whole = (1..=of).all(|part| parts.remove(&(writer, number, part)));
            assert!(is_whole, "{what}: a part of append {number} of writer {writer}");
        }
    }
    assert!(parts.is_empty(), "{what}: parts without their end: {parts:?}");
    left
}

/// That each writer has come as far as this, and no farther than what was sent and not refused.
pub(crate) fn judge(left: &Left, at_least: &Come, told: &Told, what: &str) {
    for writer in 1..=program::PROBE {
        let [come, least, sent] = [&left.come, at_least, &told.sent]
            .map(|counts| counts.get(&writer).copied().unwrap_or_default());
        assert!(come >= least, "{what}: {least} of {writer} must be there, {come} are left");
        assert!(come <= sent, "{what}: {come} of {writer} are left, {sent} may be");
    }
}

/// Backups that were judged, by their names: what is in the file, and where its log ends.
pub(crate) type Judged = BTreeMap<String, (Vec<u8>, u64)>;

/// That each file with the name of a backup is a whole store, which the log begins with, and that
/// those are there that were acknowledged; answers how many there are. One that was judged before is
/// not judged again.
pub(crate) async fn judge_backups(
    folder: &Path,
    whole: &[(u64, EventId)],
    told: &Told,
    judged: &mut Judged,
    what: &str,
) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    let is_backup = |name: &String| name.starts_with("backup-") && name.ends_with(".db");
    let names: BTreeSet<_> = names.filter(is_backup).collect();
    for name in told.backups.keys() {
        assert!(names.contains(name), "{what}: {name} was acknowledged and is not there");
    }
    for name in &names {
        let path = folder.join(name);
        let content = std::fs::read(&path).unwrap();
        if judged.get(name).is_none_or(|(before, _)| *before != content) {
            let store = open(&path, what).await;
            let log = ids(&log(&store, what).await);
            store.close().await;
            assert!(whole.starts_with(&log), "{what}: {name} is no beginning of the log");
            is_whole(&path, what);
            judged.insert(name.clone(), (content, log.last().map_or(0, |last| last.0)));
        }
        if let Some(end) = told.backups.get(name) {
            assert_eq!(judged[name].1, *end, "{what}: {name}");
        }
    }
    names.len()
}
