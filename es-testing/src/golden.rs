//! Golden files: every stored form of every event, frozen beside the code.
//!
//! What was stored once must be read forever. [`check`] compares what the examples are stored as
//! with files in the repository, one for each example:
//!
//! ```text
//! tests/golden/order/order_placed.v1.json      {"payload": {"cents": 100}, "metadata": {…}}
//! tests/golden/order/order_placed.v1.2.json    a second example of the same kind and version
//! tests/golden/order/order_placed.v1.old.json  any other ending: read, but no longer written
//! ```
//!
//! - An example without a file is a failure. `UPDATE_GOLDEN=1 cargo test` writes missing files, and
//!   never touches one that is there.
//! - An example whose file says something else is a failure: an older program stored the event like
//!   that. Either the kind needs a new version and an upcaster, or the old form still reads as
//!   intended; then rename its file to `….old.json`.
//! - Files of older versions and with other endings must be read.
//! - Each kind has at least one example.
//! - Each older version of a kind has at least one file, because only a file runs the upcaster. It
//!   is usually there already, from the time when that version was written; else take a stored
//!   event of that version out of a store. A version that no store ever held is marked by a file
//!   `order_placed.v1.never-stored`, whose text may say why.
//! - Each name that was split has at least one file, because only a file runs the function that splits
//!   it. Files of retired names stay, and must stand for nothing.
//! - In the name of a file, what some system does not take there is `%` and its number: events that
//!   another store calls `acme/order-closed` are in `acme%2Forder-closed.v1.json`.
//!
//! That a file can be read does not tell that the upcaster, or the function that splits, puts the right
//! values in place: compare what [`read`] and [`read_all`] answer for it with what you expect.
//!
//! ```
//! use es_core::Event;
//! use es_testing::golden;
//!
//! #[derive(Event, Debug)]
//! enum OrderEvent {
//!     OrderPlaced { cents: u64 },
//!     OrderPaid,
//! }
//!
//! let examples = || [OrderEvent::OrderPlaced { cents: 100 }, OrderEvent::OrderPaid];
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // in a test: golden::check::<OrderEvent>("tests/golden/order", examples())
//! let missing = golden::compare(folder, examples()).unwrap_err();
//! assert!(missing.to_string().contains("UPDATE_GOLDEN=1 cargo test"));
//!
//! golden::write_missing(folder, examples())?;
//! golden::compare(folder, examples())?;
//!
//! let placed = golden::read(folder, "order_placed.v1.json")?;
//! assert!(matches!(placed, OrderEvent::OrderPlaced { cents: 100 }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod folder;
mod form;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use es_core::event::Decoded;
use es_core::{Aggregate, Event};

use self::folder::{FileName, Files};
use self::form::Form;
use crate::laws::{chain, no_panic, one};

/// Compares the stored forms of `examples` with the files in `folder`, which is looked up from the
/// package's own folder; with `UPDATE_GOLDEN=1` it writes the files that are missing.
///
/// # Errors
///
/// Everything that differs, with what to do about it.
pub fn check<E: Event>(
    folder: impl AsRef<Path>,
    examples: impl IntoIterator<Item = E>,
) -> Result<(), Mismatch> {
    Golden::new(folder.as_ref(), updating()).check(examples, &|_| {})
}

/// [`check`] for the events of an aggregate, which are also folded: each form that was ever stored
/// must be taken by `evolve`.
///
/// # Errors
///
/// Everything that differs, with what to do about it.
pub fn check_aggregate<A: Aggregate>(
    folder: impl AsRef<Path>,
    examples: impl IntoIterator<Item = A::Event>,
) -> Result<(), Mismatch> {
    Golden::new(folder.as_ref(), updating()).check(examples, &|event| A::default().evolve(event))
}

/// [`check`] without `UPDATE_GOLDEN`: writes nothing.
///
/// # Errors
///
/// Everything that differs, with what to do about it.
pub fn compare<E: Event>(
    folder: impl AsRef<Path>,
    examples: impl IntoIterator<Item = E>,
) -> Result<(), Mismatch> {
    Golden::new(folder.as_ref(), false).check(examples, &|_| {})
}

/// [`check`] with `UPDATE_GOLDEN=1`: writes the files that are missing, and compares the others.
///
/// # Errors
///
/// Everything that differs from a file, or cannot be written.
pub fn write_missing<E: Event>(
    folder: impl AsRef<Path>,
    examples: impl IntoIterator<Item = E>,
) -> Result<(), Mismatch> {
    Golden::new(folder.as_ref(), true).check(examples, &|_| {})
}

/// The event that one golden file reads as, to compare it with what an upcaster should make of it.
///
/// # Errors
///
/// Why the file cannot be read, or that it stands for none or for several.
pub fn read<E: Event>(folder: impl AsRef<Path>, file: &str) -> Result<E, Mismatch> {
    read_as(folder.as_ref(), file, one)
}

/// All events that one golden file stands for, to compare them with what a function that splits should
/// make of it.
///
/// # Errors
///
/// Why the file cannot be read.
pub fn read_all<E: Event>(folder: impl AsRef<Path>, file: &str) -> Result<Vec<E>, Mismatch> {
    read_as(folder.as_ref(), file, |read| Ok(read.into_iter().collect()))
}

fn read_as<E: Event, T>(
    folder: &Path,
    file: &str,
    taken: impl FnOnce(Decoded<E>) -> Result<T, String>,
) -> Result<T, Mismatch> {
    let read = match file.parse() {
        Ok(file) => decoded(folder, &file)
            .and_then(taken)
            .map_err(|error| format!("{file} cannot be read: {error}")),
        Err(()) => Err(not_golden(file)),
    };
    read.map_err(|problem| Mismatch { folder: folder.to_owned(), problems: vec![problem] })
}

fn updating() -> bool {
    env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

/// Golden files and examples that do not agree.
///
/// `Debug` is the same text as `Display`, so that a test can return it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored forms in {} are not as frozen{}", folder.display(), listed(problems))]
pub struct Mismatch {
    folder: PathBuf,
    problems: Vec<String>,
}

fn listed(problems: &[String]) -> String {
    let problems = problems.iter().map(|problem| format!("\n- {problem}"));
    problems.collect()
}

impl Mismatch {
    /// Each difference, with what to do about it.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One run over a folder.
struct Golden<'a> {
    folder: &'a Path,
    update: bool,
    problems: Vec<String>,
}

impl<'a> Golden<'a> {
    fn new(folder: &'a Path, update: bool) -> Self {
        Self { folder, update, problems: Vec::new() }
    }

    fn check<E: Event>(
        mut self,
        examples: impl IntoIterator<Item = E>,
        evolve: &dyn Fn(&E),
    ) -> Result<(), Mismatch> {
        let mut unseen: BTreeSet<_> = E::TYPES.iter().map(|kind| kind.name).collect();
        let mut counts = BTreeMap::<_, usize>::new();
        for example in examples {
            let kind = example.event_type();
            unseen.remove(kind.name);
            let number = counts.entry(kind.name).or_default();
            *number += 1;
            let file = FileName::of(kind, *number);
            self.example(&file, &example);
        }
        for kind in unseen {
            self.problems.push(format!("`{kind}` has no example; add one to the examples"));
        }
        match Files::of(self.folder) {
            Ok(files) => {
                for name in &files.foreign {
                    self.problems.push(not_golden(name));
                }
                for file in &files.stored {
                    self.stored(file, evolve);
                }
                self.problems.extend(files.gaps(E::TYPES));
            }
            Err(error) => self.problems.push(format!("the folder cannot be read: {error}")),
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(Mismatch { folder: self.folder.to_owned(), problems: self.problems }),
        }
    }

    /// Compares one example with its file, or writes the file.
    fn example<E: Event>(&mut self, file: &FileName, example: &E) {
        let form = match Form::of(example) {
            Ok(form) => form,
            Err(error) => {
                let problem = format!("the example of {file} cannot be encoded: {}", chain(&error));
                return self.problems.push(problem);
            }
        };
        let path = self.folder.join(file.to_string());
        let problem = match fs::read_to_string(&path) {
            Ok(text) => match Form::parse(&text) {
                Ok(frozen) if frozen == form => return,
                Ok(frozen) => changed(file, &frozen, &form),
                Err(error) => format!("{file} is no stored form: {error}"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.update => {
                let written = fs::create_dir_all(self.folder)
                    .and_then(|()| fs::write(&path, form.to_string()));
                match written {
                    Ok(()) => return,
                    Err(error) => format!("{file} cannot be written: {error}"),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => format!(
                "{file} is missing; write it with `{}`, look at it, and commit it",
                update_command()
            ),
            Err(error) => format!("{file} cannot be read: {error}"),
        };
        self.problems.push(problem);
    }

    /// Reads one file and folds the events that it stands for.
    fn stored<E: Event>(&mut self, file: &FileName, evolve: &dyn Fn(&E)) {
        let is_retired = E::RETIRED.contains(&file.event_type.as_str());
        if !is_retired && !E::TYPES.iter().any(|kind| kind.is_named(&file.event_type)) {
            return self.problems.push(format!(
                "{file} is of no known kind, so that stored events of it can no longer be read; \
                 name it as an alias of another kind, retire or split it, or put the kind back"
            ));
        }
        let folded = |read: Decoded<E>| {
            let events: Vec<_> = read.into_iter().collect();
            events.iter().for_each(evolve);
            events.len()
        };
        let read = decoded(self.folder, file).and_then(|read| no_panic(|| folded(read)));
        match read {
            Ok(events) if is_retired && events > 0 => self.problems.push(format!(
                "{file} is of a retired name, and is read as an event; it must stand for none"
            )),
            Ok(_) => {}
            Err(error) => {
                self.problems.push(format!("{file} was stored once and cannot be read: {error}"));
            }
        }
    }
}

/// What one file stands for.
fn decoded<E: Event>(folder: &Path, file: &FileName) -> Result<Decoded<E>, String> {
    let text = fs::read_to_string(folder.join(file.to_string())).map_err(|error| error.to_string());
    let form = Form::parse(&text?).map_err(|error| error.to_string())?;
    no_panic(|| form.decode(file))?.map_err(|error| chain(&error))
}

fn not_golden(name: &str) -> String {
    format!("{name} is no golden file; they are named <event type>.v<version>.json")
}

fn changed(file: &FileName, frozen: &Form, form: &Form) -> String {
    let (kept, next) = (file.ending("old"), file.version.saturating_add(1));
    format!(
        "{file} differs from what its example is stored as now\nfrozen: {frozen}now: {form}\
         if the stored form changed: `#[event(version = {next}, upcast({} => ...))]`; \
         if old events still read as intended (a new field with a default): rename the file to \
         {kept} and run `{}`; if only the example changed: change it back",
        file.version,
        update_command()
    )
}

/// The command that writes missing files, for the package whose test is running.
fn update_command() -> String {
    let package = env::var("CARGO_PKG_NAME").map(|package| format!(" -p {package}"));
    format!("UPDATE_GOLDEN=1 cargo test{}", package.unwrap_or_default())
}
