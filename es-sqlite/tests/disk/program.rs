//! The program that has a store on the disk: it opens it several times, where writers append while a
//! model is kept, the log is brought into the file and a backup is made, and notes what it is told.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use es_core::backend::{
    AppendError, AppendRequest, Definition, EventStore, NewEvent, PageLimit, ProjectionSink,
    RawKeying, ReadStream, SinkError, StoreError, StoreErrorKind,
};
use es_core::event::{EventFilter, EventId, Payload, RecordedEvent};
use es_core::projection::StopCause;
use es_core::{ExpectedVersion, Runner};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{BackupError, SqliteConfig, SqliteStore, Synchronous};

use crate::faults::Disk;
use crate::run::FOLDER;
use crate::told::Notes;

/// The file of the store within the folder.
pub(crate) const STORE: &str = "store.db";
/// Where the program notes what it is told.
pub(crate) const NOTES: &str = "acknowledged";
/// What it is started with.
pub(crate) const SEED: &str = "DISK_SEED";
pub(crate) const SYNCHRONOUS: &str = "DISK_SYNCHRONOUS";
/// How much each writer appends in each of the times that the store is opened.
pub(crate) const APPENDS: &str = "DISK_APPENDS";
/// Which calls fail, if any do.
pub(crate) const FAULTS: &str = "DISK_FAULTS";
const WRITERS: u64 = 4;
/// Who appends to a store that is looked at afterwards.
pub(crate) const LATER: u64 = WRITERS + 1;
/// Who appends to a store that is open while its disk begins to work again; the last of all.
pub(crate) const PROBE: u64 = WRITERS + 2;
/// How often the store is opened.
pub(crate) const OPENED: u64 = 3;
/// The type of the events that it writes.
pub(crate) const WRITTEN: &str = "written";

/// How many events there are of each stream, and the sum of their positions.
fn counted() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    Definition::rows("counted", 1, all, keying, |_, row: Option<(u64, u64)>, event| {
        let (count, sum) = row.unwrap_or_default();
        Ok(Some((count + 1, sum + event.position.to_sequence())))
    })
}

/// Who keeps the model; one after the other, under one name.
pub(crate) fn runner(store: &SqliteStore) -> Runner {
    Runner::new(store.clone()).holder("the one").definition(counted())
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

/// The last append of a writer that is there.
async fn last_of(store: &SqliteStore, writer: u64) -> Result<u64, StoreError> {
    let stream = format!("writer/{writer}").parse().unwrap();
    let last = ReadStream::new(stream).backwards().limit(PageLimit::events(1));
    let page = store.read_stream(&last).await?;
    Ok(page.events.first().map_or(0, |event| {
        let (_, number, part, of) = read(event);
        assert_eq!(part, of, "append {number} of {writer} is torn");
        number
    }))
}

/// A writer: sends what was refused again, and ends at an answer that leaves open what happened.
async fn write(
    store: SqliteStore,
    notes: Notes,
    writer: u64,
    numbers: RangeInclusive<u64>,
    mut chance: fastrand::Rng,
) {
    for number in numbers {
        let mut tries = 0;
        loop {
            notes.note(&format!("sent {writer} {number}"));
            // most are small, some take several pages
            match append(&store, writer, number, chance.usize(..23).pow(3)).await {
                Ok(()) => break notes.note(&format!("acknowledged {writer} {number}")),
                Err(AppendError::Store(error)) => {
                    notes.failed("to append", error.kind(), &error);
                    if error.is_outcome_unknown() {
                        return;
                    }
                    notes.note(&format!("refused {writer} {number}"));
                    tries += 1;
                    if tries == 3 {
                        return;
                    }
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// How far the model has come.
pub(crate) async fn model_at(store: &SqliteStore) -> Result<u64, SinkError> {
    let status = store.status(Some("counted")).await?;
    let model = status.into_iter().find_map(|counted| counted.active);
    Ok(model.map_or(0, |model| model.checkpoints[0].position.to_sequence()))
}

/// Brings the model up to the end of the log, and notes where that was.
async fn keep(store: &SqliteStore, runner: &mut Runner, notes: &Notes) {
    let Err(error) = runner.catch_up().await else {
        return match model_at(store).await {
            Ok(position) => notes.note(&format!("kept {position}")),
            Err(SinkError::Store(failure)) => {
                notes.failed("to look at the model", failure.kind(), &failure);
            }
            Err(error) => panic!("{error:?}"),
        };
    };
    for stopped in &error.stopped {
        let kind = match &stopped.cause {
            StopCause::Sink(SinkError::Store(failure)) => failure.kind(),
            StopCause::Sink(SinkError::Diverged { .. }) => StoreErrorKind::Diverged,
            _ => panic!("{error:?}"),
        };
        notes.failed("to keep the model", kind, stopped);
    }
}

async fn back_up(store: &SqliteStore, folder: &Path, opened: u64, notes: &Notes) {
    let name = format!("backup-{opened}.db");
    match store.backup_to(folder.join(&name)).await {
        Ok(backup) => notes.note(&format!("backup {name} {}", backup.end.to_sequence())),
        Err(error) => {
            let kind = match &error {
                BackupError::Store(error) => error.kind(),
                BackupError::Target { .. } => StoreErrorKind::Other,
                _ => panic!("{error:?}"),
            };
            notes.failed("to back up", kind, &error);
        }
    }
}

/// A store whose disk works again goes on, or says that it must be opened again.
async fn goes_on(store: &SqliteStore, notes: &Notes) {
    let says_so = |error: &StoreError| {
        let text = error.to_string();
        let says_so = text.contains("open it again") || text.contains("open the store again");
        assert!(says_so, "it does not go on, and does not say why: {error:?}");
    };
    notes.note(&format!("sent {PROBE} 1"));
    match append(store, PROBE, 1, 10).await {
        Ok(()) => notes.note(&format!("acknowledged {PROBE} 1")),
        Err(AppendError::Store(error)) => {
            assert!(!error.is_outcome_unknown(), "{error:?}");
            says_so(&error);
            notes.note(&format!("refused {PROBE} 1"));
        }
        Err(error) => panic!("{error:?}"),
    }
    if let Err(error) = store.end_of_log().await {
        says_so(&error);
    }
}

/// How the program goes.
pub(crate) struct Life<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) notes: Notes,
    pub(crate) chance: fastrand::Rng,
    pub(crate) synchronous: Synchronous,
    /// How much each writer appends in each of the times that the store is opened.
    pub(crate) appends: u64,
    /// Whose calls fail, if any do.
    pub(crate) disk: Option<&'a Disk>,
}

impl Life<'_> {
    /// Opens the store several times. After the first time in which something has failed the disk works
    /// again, and nothing may fail any more.
    pub(crate) async fn live(mut self) {
        for opened in 0..OPENED {
            self.open(opened).await;
            if self.notes.has_failed() {
                self.mend();
            }
        }
    }

    /// The same, up to the end of the first time in which something has failed.
    async fn live_until_it_fails(mut self) {
        for opened in 0..OPENED {
            if !self.notes.has_failed() {
                self.open(opened).await;
            }
        }
    }

    fn mend(&self) {
        if let Some(disk) = self.disk {
            disk.let_fail("none");
        }
        self.notes.works();
    }

    async fn open(&mut self, opened: u64) {
        // where locks fail nobody else holds the file
        let patience = Duration::from_millis(if self.notes.may_fail() { 100 } else { 5000 });
        let path = self.folder.join(STORE);
        let config = SqliteConfig::new(&path).synchronous(self.synchronous).busy_timeout(patience);
        let store = match SqliteStore::open(config).await {
            Ok(store) => store,
            Err(error) => return self.notes.failed("to open", error.kind(), &error),
        };
        let mut writers = Vec::new();
        for writer in 1..=WRITERS {
            match last_of(&store, writer).await {
                Ok(last) => writers.push(tokio::spawn(write(
                    store.clone(),
                    self.notes.clone(),
                    writer,
                    last + 1..=last + self.appends,
                    self.chance.fork(),
                ))),
                Err(error) => self.notes.failed("to read", error.kind(), &error),
            }
        }
        let mut runner = runner(&store);
        keep(&store, &mut runner, &self.notes).await;
        back_up(&store, self.folder, opened, &self.notes).await;
        // another program's; where it fails nothing is lost by it
        if let Ok(other) = Connection::open(&path) {
            let mode = ["PASSIVE", "RESTART", "TRUNCATE"][usize::try_from(opened).unwrap() % 3];
            let _ = other.busy_timeout(patience);
            let _ = other.pragma(None, "wal_checkpoint", mode, |_| Ok(()));
        }
        keep(&store, &mut runner, &self.notes).await;
        for writer in writers {
            writer.await.unwrap();
        }
        // nothing flushes what the model takes of this one until the store is closed
        match last_of(&store, 1).await {
            Ok(last) => {
                let (store, notes, next) = (store.clone(), self.notes.clone(), last + 1);
                write(store, notes, 1, next..=next, self.chance.fork()).await;
            }
            Err(error) => self.notes.failed("to read", error.kind(), &error),
        }
        keep(&store, &mut runner, &self.notes).await;
        // in the other half the disk still fails while the store is closed
        if self.notes.may_fail() && self.notes.has_failed() && fastrand::bool() {
            self.mend();
            goes_on(&store, &self.notes).await;
        }
        store.close().await;
        self.notes.note("closed");
    }
}

/// Does nothing unless it was started by a campaign.
#[tokio::test]
async fn program_on_the_disk() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let synchronous = match std::env::var(SYNCHRONOUS).unwrap().as_str() {
        "Full" => Synchronous::Full,
        "Normal" => Synchronous::Normal,
        other => panic!("{other}"),
    };
    let disk = std::env::var(FAULTS).ok().map(|faults| {
        let disk = Disk::of(folder.clone());
        disk.let_fail(&faults);
        disk
    });
    let life = Life {
        folder: &folder,
        notes: Notes::new(&folder.join(NOTES), disk.is_some()),
        chance: fastrand::Rng::with_seed(number(SEED)),
        synchronous,
        appends: number(APPENDS),
        disk: disk.as_ref(),
    };
    life.live_until_it_fails().await;
}
