//! What the program notes of what it is told.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::backend::StoreErrorKind;

use crate::image::{Call, Did};
use crate::program;

/// What the notes say.
#[derive(Default, Debug)]
pub(crate) struct Told {
    /// The last append of each writer that may be there: it was sent and not refused.
    pub(crate) sent: BTreeMap<u64, u64>,
    /// The last one that was acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
    /// What was acknowledged when the store was closed last.
    pub(crate) closed: BTreeMap<u64, u64>,
    /// Where the logs of the backups end that were acknowledged, by their names.
    pub(crate) backups: BTreeMap<String, u64>,
    /// How far the model had come when it was kept last.
    pub(crate) model: u64,
    /// What failed.
    pub(crate) answers: Vec<String>,
}

impl Told {
    /// Reads the notes.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut told = Self::default();
        for line in std::str::from_utf8(text).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |place: usize| words[place].parse::<u64>().unwrap();
            match words[0] {
                "sent" => drop(told.sent.insert(number(1), number(2))),
                "refused" => drop(told.sent.insert(number(1), number(2) - 1)),
                "acknowledged" => drop(told.acknowledged.insert(number(1), number(2))),
                "closed" => told.closed.clone_from(&told.acknowledged),
                "kept" => told.model = number(1),
                "backup" => drop(told.backups.insert(words[1].to_owned(), number(2))),
                _ => told.answers.push(words[1..].join(" ")),
            }
        }
        told
    }

    /// Reads the notes out of the calls that wrote them.
    pub(crate) fn of_calls(calls: &[Call]) -> Self {
        let mut text = Vec::new();
        for call in calls.iter().filter(|call| call.file == program::NOTES) {
            if let Did::Write { data, .. } = &call.did {
                text.extend_from_slice(data);
            }
        }
        Self::of(&text)
    }
}

/// Whether the call notes that a backup was acknowledged, or that the model was kept: of what was done
/// before a disk may keep the least that it must.
pub(crate) fn is_of_the_least(call: &Call) -> bool {
    let is_noted = |data: &[u8]| data.starts_with(b"backup ") || data.starts_with(b"kept ");
    call.file == program::NOTES && matches!(&call.did, Did::Write { data, .. } if is_noted(data))
}

/// Where the program notes what it is told.
#[derive(Clone)]
pub(crate) struct Notes(Arc<Inner>);

struct Inner {
    file: File,
    /// Whether calls may fail.
    may_fail: AtomicBool,
    has_failed: AtomicBool,
}

impl Notes {
    pub(crate) fn new(path: &Path, may_fail: bool) -> Self {
        let file = File::create(path).unwrap();
        let may_fail = AtomicBool::new(may_fail);
        Self(Arc::new(Inner { file, may_fail, has_failed: AtomicBool::new(false) }))
    }

    /// One call of `write` for a line.
    pub(crate) fn note(&self, line: &str) {
        (&self.0.file).write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn may_fail(&self) -> bool {
        self.0.may_fail.load(Ordering::Relaxed)
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.0.has_failed.load(Ordering::Relaxed)
    }

    /// From now on the disk works, and nothing may fail.
    pub(crate) fn works(&self) {
        self.0.may_fail.store(false, Ordering::Relaxed);
    }

    /// Notes a failure, which must be one that a failing disk explains, name the file and say what to
    /// do.
    pub(crate) fn failed(&self, what: &str, kind: StoreErrorKind, error: &dyn Error) {
        use StoreErrorKind::{NewerSchema, NotAStore, OlderSchema, Unavailable};
        let text = chain(error);
        assert!(self.may_fail(), "{what}, though the disk works: {text}");
        let is_odd = matches!(kind, NewerSchema | NotAStore | OlderSchema | Unavailable);
        assert!(!is_odd, "{what}: {kind:?}: {text}");
        let names_file = text.contains(program::STORE) || text.contains("backup-");
        assert!(names_file, "{what}: no file is named: {text}");
        const CURES: [&str; 6] =
            ["again", "permissions", "restore", "free some", "use a local", "see that"];
        let has_cure = CURES.iter().any(|cure| text.contains(cure));
        assert!(has_cure, "{what}: nothing is said to be done: {text}");
        self.0.has_failed.store(true, Ordering::Relaxed);
        self.note(&format!("failed {what}: {kind:?}"));
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
