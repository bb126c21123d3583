//! The lock of a run as a lock on a file beside its store.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use turing_domain::WorkflowId;

use super::{Holder, LockError};

/// What stands in the file below the process.
const NOTICE: &str = "This file keeps a second `turing run` out. Do not delete or replace it while \
                      one is going on; afterwards it may go.";

/// For how long a lock is tried that only others who look keep from being taken; they let go at once.
const LOOKS: Duration = Duration::from_secs(1);

/// A locked file.
#[derive(Debug)]
pub(super) struct FileLock {
    workflow: WorkflowId,
    path: PathBuf,
    file: File,
}

impl FileLock {
    /// Locks the file beside the store at `store`.
    pub(super) fn beside(store: &Path, workflow: WorkflowId) -> Result<Self, LockError> {
        Self::at(path_beside(store, workflow), workflow)
    }

    fn at(path: PathBuf, workflow: WorkflowId) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let until = Instant::now() + LOOKS;
        loop {
            let options =
                File::options().read(true).write(true).create(true).truncate(false).clone();
            let file = options.open(&path).map_err(unusable)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if is_shared(&file) && Instant::now() < until => {
                    drop(file);
                    yield_now();
                    continue;
                }
                Err(Errno::WOULDBLOCK) => {
                    let process = process_in(&path);
                    return Err(LockError::Held { workflow, process });
                }
                Err(error) => return Err(unusable(error.into())),
            }
            // whoever deleted it in between has opened the way to another one
            if is_at(&file, &path).map_err(unusable)? {
                write_into(&file).map_err(unusable)?;
                return Ok(Self { workflow, path, file });
            }
        }
    }

    /// Locks the file anew if another one is in its place, or none; answers what happened to it.
    pub(super) fn keep(&mut self) -> Result<Option<String>, LockError> {
        let Self { path, file, .. } = &*self;
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        match is_at(file, path).map_err(unusable)? {
            true => Ok(None),
            false => self.keep_elsewhere(),
        }
    }

    /// The same where the path does not lead to the file that this process has locked, as far as
    /// the numbers of files tell.
    fn keep_elsewhere(&mut self) -> Result<Option<String>, LockError> {
        let Self { workflow, path, .. } = &*self;
        let loss = match path.exists() {
            true => format!("{} was replaced", path.display()),
            false => format!("{} was deleted", path.display()),
        };
        match Self::at(path.clone(), *workflow) {
            Ok(again) => {
                *self = again;
                Ok(Some(loss))
            }
            Err(LockError::Held { process, .. }) if process == std::process::id().to_string() => {
                self.replace_own()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Locks the file anew that is locked by a process with the number of this one: this process,
    /// where a file system gives one file one number after the other, or one of another container.
    fn replace_own(&mut self) -> Result<(), LockError> {
        let Self { workflow, path, file } = &*self;
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        flock(file, FlockOperation::Unlock).map_err(|error| unusable(error.into()))?;
        *self = Self::at(path.clone(), *workflow)?;
        Ok(())
    }
}

/// The file whose lock is that of a run.
fn path_beside(store: &Path, workflow: WorkflowId) -> PathBuf {
    // one store has one lock, by whatever name it is reached
    let store = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
    let mut name = store.into_os_string();
    name.push(format!("-run-{workflow}.lock"));
    name.into()
}

/// Who has locked the file beside the store at `store`.
pub(super) fn holder(store: &Path, workflow: WorkflowId) -> Holder {
    let path = path_beside(store, workflow);
    match File::open(&path) {
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Holder::Nobody,
            Err(Errno::WOULDBLOCK) => Holder::Process(process_in(&path)),
            Err(_) => Holder::Unknown,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Holder::Nobody,
        Err(_) => Holder::Unknown,
    }
}

/// True if nobody keeps the file locked but those who look, who share it. So does this process then,
/// until it closes the file.
fn is_shared(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockShared).is_ok()
}

/// Whether the path leads to the open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_into(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n{NOTICE}\n", std::process::id()).as_bytes())
}

/// The process that is named in the file.
fn process_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let process = text.lines().next().unwrap_or_default().trim();
    if process.is_empty() { "?" } else { process }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let lock = |id| FileLock::beside(&store, WorkflowId(id));
        let first = lock(1).unwrap();
        let error = lock(1).unwrap_err().to_string();
        assert!(error.contains(&format!("by process {};", std::process::id())), "{error}");
        lock(2).unwrap();
        fs::write(&store, "").unwrap();
        drop(first);
        let first = lock(1).unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&store, &link).unwrap();
        FileLock::beside(&link, WorkflowId(1)).unwrap_err();
        drop(first);
        lock(1).unwrap();
    }

    #[test]
    fn who_looks_is_told_the_holder_and_keeps_nobody_from_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let look = || holder(&store, WorkflowId(1));
        assert_eq!(look(), Holder::Nobody);
        let held = FileLock::beside(&store, WorkflowId(1)).unwrap();
        assert_eq!(look(), Holder::Process(std::process::id().to_string()));
        drop(held);
        assert_eq!(look(), Holder::Nobody);

        let path = path_beside(&store, WorkflowId(1));
        let looking = File::open(&path).unwrap();
        flock(&looking, FlockOperation::NonBlockingLockShared).unwrap();
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| FileLock::at(path.clone(), WorkflowId(1)));
            drop(looking);
            taking.join().unwrap().unwrap();
        });
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| (0..2_000).for_each(|_| drop(look())));
            while !looks.is_finished() {
                drop(FileLock::at(path.clone(), WorkflowId(1)).unwrap());
            }
        });
    }

    #[test]
    fn a_file_says_what_it_is_and_one_of_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        for before in ["", "4711\n", "4711\nnotice\nmore\n"] {
            fs::write(&path, before).unwrap();
            let first = before.lines().next().unwrap_or("?");
            assert_eq!(process_in(&path), first);
            drop(FileLock::at(path.clone(), WorkflowId(1)).unwrap());
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{}\n{NOTICE}\n", std::process::id()));
        }
    }

    #[test]
    fn a_file_that_is_deleted_or_replaced_is_locked_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        let mut lock = FileLock::at(path.clone(), WorkflowId(1)).unwrap();
        assert_eq!(lock.keep().unwrap(), None);

        fs::remove_file(&path).unwrap();
        let loss = lock.keep().unwrap().unwrap();
        assert!(loss.ends_with("was deleted"), "{loss}");
        FileLock::at(path.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);

        let other = folder.path().join("other");
        fs::write(&other, "12\n").unwrap();
        fs::rename(&other, &path).unwrap();
        let loss = lock.keep().unwrap().unwrap();
        assert!(loss.ends_with("was replaced"), "{loss}");
        FileLock::at(path.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);
    }

    #[test]
    fn a_file_whose_number_has_changed_stays_locked_by_who_locked_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        let mut lock = FileLock::at(path.clone(), WorkflowId(1)).unwrap();
        assert_eq!(lock.keep_elsewhere().unwrap(), None);
        FileLock::at(path.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);
        drop(lock);
        FileLock::at(path, WorkflowId(1)).unwrap();
    }

    #[test]
    fn a_file_that_somebody_else_made_and_locked_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        let mut first = FileLock::at(path.clone(), WorkflowId(1)).unwrap();
        fs::remove_file(&path).unwrap();
        let mut second = FileLock::at(path.clone(), WorkflowId(1)).unwrap();
        let lost = first.keep().unwrap_err();
        assert!(matches!(lost, LockError::Held { .. }), "{lost}");
        assert_eq!(second.keep().unwrap(), None);
    }
}
