//! The program whose calls are written down: it opens a store several times, where writers append
//! while a model is kept, the log is brought into the file and a backup is made, and notes what it is
//! told.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use es_core::projection::{ApplyError, Projection, Runner, SinkError, StopCause};
use es_core::{
    AppendError, AppendRequest, EventFilter, EventId, EventStore, ExpectedVersion, NewEvent,
    Payload,
};
use es_core::{RecordedEvent, StoreErrorKind};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{BackupError, SqliteConfig, SqliteStore, Synchronous};

use crate::image::{Call, Did};

/// The file of the store within the folder.
pub(crate) const STORE: &str = "store.db";
/// Where the program notes what it is told.
pub(crate) const NOTES: &str = "acknowledged";
/// What it is started with.
pub(crate) const SEED: &str = "DISK_SEED";
pub(crate) const SYNCHRONOUS: &str = "DISK_SYNCHRONOUS";
/// How much each writer appends in each of the times that the store is opened.
pub(crate) const APPENDS: &str = "DISK_APPENDS";
pub(crate) const WRITERS: u64 = 4;
const OPENED: u64 = 3;
/// The type of the events that it writes.
pub(crate) const WRITTEN: &str = "written";

/// How many events there are of each stream, and the sum of their positions.
pub(crate) struct Counted;

impl Projection for Counted {
    const NAME: &'static str = "counted";
    const VERSION: u32 = 1;
    type Row = (u64, u64);

    fn selection(&self) -> EventFilter {
        EventFilter::all()
    }

    fn apply(
        &self,
        _: &str,
        row: Option<(u64, u64)>,
        event: &RecordedEvent,
    ) -> Result<Option<(u64, u64)>, ApplyError> {
        let (count, sum) = row.unwrap_or_default();
        Ok(Some((count + 1, sum + event.position.to_sequence())))
    }
}

/// Who keeps the model; one after the other, under one name.
pub(crate) fn runner(store: &SqliteStore) -> Runner {
    let store = Arc::new(store.clone());
    Runner::new(store.clone(), store).holder("the one").projection(Counted)
}

/// One append of a writer: one to three events of some size.
pub(crate) async fn append(
    store: &SqliteStore,
    writer: u64,
    number: u64,
    bytes: usize,
) -> Result<(), AppendError> {
    let of = number % 3 + 1;
    let event = |part: u64| {
        let id = uuid(writer, number, part);
        let payload =
            serde_json::json!({ "is": [writer, number, part, of], "filler": "x".repeat(bytes) });
        NewEvent::new(id, WRITTEN, Payload::of(&payload).unwrap())
    };
    let events = (1..=of).map(event).collect();
    let stream = format!("writer/{writer}").parse().unwrap();
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, events)).await.map(drop)
}

/// Unlike at every attempt, because an id stands once in a store.
fn uuid(writer: u64, number: u64, part: u64) -> EventId {
    let chance = fastrand::u32(..);
    EventId::from_str(&format!("{chance:08x}-{writer:04x}-4000-8000-{number:08x}{part:04x}"))
        .unwrap()
}

/// What an event says: the writer, its append, the part of it, and how many there are.
pub(crate) fn read(event: &RecordedEvent) -> (u64, u64, u64, u64) {
    #[derive(serde::Deserialize)]
    struct Written {
        is: (u64, u64, u64, u64),
    }
    let written: Written = serde_json::from_str(event.payload.as_raw().get()).unwrap();
    written.is
}

/// What the notes say.
#[derive(Default, Debug)]
pub(crate) struct Told {
    /// The last append of each writer that was sent.
    pub(crate) sent: BTreeMap<u64, u64>,
    /// The last one that was acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// What was acknowledged when the store was closed last.
    pub(crate) closed: BTreeMap<u64, u64>,
    /// Where the logs of the backups end that were acknowledged, by their names.
    pub(crate) backups: BTreeMap<String, u64>,
    /// The kinds of failure.
    pub(crate) answers: Vec<String>,
}

/// Reads the notes out of the calls.
pub(crate) fn told(calls: &[Call]) -> Told {
    let mut text = Vec::new();
    for call in calls.iter().filter(|call| call.file == NOTES) {
        if let Did::Write { data, .. } = &call.did {
            text.extend_from_slice(data);
        }
    }
    let mut told = Told::default();
    for line in std::str::from_utf8(&text).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |place: usize| words[place].parse::<u64>().unwrap();
        match words[0] {
            "sent" => drop(told.sent.insert(number(1), number(2))),
            "acknowledged" => drop(told.acknowledged.insert(number(1), number(2))),
            "closed" => told.closed.clone_from(&told.acknowledged),
            "backup" => drop(told.backups.insert(words[1].to_owned(), number(2))),
            _ => told.answers.push(words[1..].join(" ")),
        }
    }
    told
}

#[derive(Clone)]
struct Notes(Arc<File>);

impl Notes {
    /// One call of `write` for a line.
    fn note(&self, line: &str) {
        (&*self.0).write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// What a failure may be called: what is certainly not written, and the one answer that leaves it
/// open.
fn is_expected(kind: StoreErrorKind) -> bool {
    matches!(
        kind,
        StoreErrorKind::Full
            | StoreErrorKind::Other
            | StoreErrorKind::OutcomeUnknown
            | StoreErrorKind::Closed
    )
}

/// A writer: sends what was refused again, and ends at an answer that leaves open what happened.
async fn write(
    store: SqliteStore,
    notes: Notes,
    writer: u64,
    numbers: std::ops::Range<u64>,
    mut chance: fastrand::Rng,
) -> bool {
    for number in numbers {
        let mut tries = 0;
        loop {
            notes.note(&format!("sent {writer} {number}"));
            // most are small, some take several pages
            match append(&store, writer, number, chance.usize(..23).pow(3)).await {
                Ok(()) => break notes.note(&format!("acknowledged {writer} {number}")),
                Err(AppendError::Store(error)) => {
                    let kind = error.kind();
                    assert!(is_expected(kind), "{error:?}");
                    notes.note(&format!("failed {kind:?}"));
                    tries += 1;
                    if tries == 3 || kind != StoreErrorKind::Full {
                        return false;
                    }
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    true
}

/// Notes a failure of the store, which must be one that a failing disk explains.
fn note_failure(notes: &Notes, what: &str, kind: StoreErrorKind, error: &dyn std::fmt::Debug) {
    assert!(is_expected(kind), "{what}: {error:?}");
    notes.note(&format!("failed {what}: {kind:?}"));
}

/// Brings the model up to the end of the log.
async fn keep(runner: &mut Runner, notes: &Notes) {
    let Err(error) = runner.catch_up().await else { return };
    for stopped in &error.stopped {
        let StopCause::Sink(SinkError::Store(failure)) = &stopped.cause else {
            panic!("{error:?}");
        };
        note_failure(notes, "to keep the model", failure.kind(), &error);
    }
}

async fn back_up(store: &SqliteStore, folder: &std::path::Path, opened: u64, notes: &Notes) {
    let name = format!("backup-{opened}.db");
    match store.backup_to(folder.join(&name)).await {
        Ok(backup) => notes.note(&format!("backup {name} {}", backup.end.to_sequence())),
        Err(BackupError::Store(error)) => {
            note_failure(notes, "to back up", error.kind(), &error);
        }
        Err(BackupError::Target { what, .. }) => notes.note(&format!("failed to back up: {what}")),
        Err(error) => panic!("{error:?}"),
    }
}

/// What happens beside the writers.
async fn look_after(store: &SqliteStore, folder: &std::path::Path, opened: u64, notes: &Notes) {
    let mut runner = runner(store);
    keep(&mut runner, notes).await;
    back_up(store, folder, opened, notes).await;
    // another program's; where it fails nothing is lost by it
    let other = Connection::open(folder.join(STORE)).unwrap();
    let mode = ["PASSIVE", "RESTART", "TRUNCATE"][usize::try_from(opened).unwrap() % 3];
    let _ = other.pragma(None, "wal_checkpoint", mode, |_| Ok(()));
    keep(&mut runner, notes).await;
}

/// Does nothing unless it was started by a campaign.
#[tokio::test]
async fn program_on_the_disk() {
    let Some(folder) = std::env::var_os("DISK_FOLDER").map(PathBuf::from) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (mut chance, appends) = (fastrand::Rng::with_seed(number(SEED)), number(APPENDS));
    let synchronous = match std::env::var(SYNCHRONOUS).unwrap().as_str() {
        "Full" => Synchronous::Full,
        "Normal" => Synchronous::Normal,
        other => panic!("{other}"),
    };
    let notes = Notes(Arc::new(File::create(folder.join(NOTES)).unwrap()));
    for opened in 0..OPENED {
        let config = SqliteConfig::new(folder.join(STORE)).synchronous(synchronous);
        let store = match SqliteStore::open(config).await {
            Ok(store) => store,
            Err(error) => return note_failure(&notes, "to open", error.kind(), &error),
        };
        let numbers = opened * appends + 1..(opened + 1) * appends + 1;
        let writers: Vec<_> = (1..=WRITERS)
            .map(|writer| {
                tokio::spawn(write(
                    store.clone(),
                    notes.clone(),
                    writer,
                    numbers.clone(),
                    chance.fork(),
                ))
            })
            .collect();
        look_after(&store, &folder, opened, &notes).await;
        let mut is_well = true;
        for writer in writers {
            is_well &= writer.await.unwrap();
        }
        store.close().await;
        if !is_well {
            return;
        }
        notes.note("closed");
    }
}
