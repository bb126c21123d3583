//! The lock of a run as a lock on a file beside its store.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
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
    store: PathBuf,
    path: PathBuf,
    file: File,
}

impl FileLock {
    /// Locks the file beside the store at `store`.
    pub(super) fn beside(store: &Path, workflow: WorkflowId) -> Result<Self, LockError> {
        // one store has one lock, by whatever name it is reached
        Self::of(fs::canonicalize(store).unwrap_or_else(|_| store.to_owned()), workflow)
    }

    fn of(store: PathBuf, workflow: WorkflowId) -> Result<Self, LockError> {
        let path = path_beside(&store, workflow);
        let failed = |source| unusable(&path, source);
        let until = Instant::now() + LOOKS;
        loop {
            let file = open(&path, &store).map_err(failed)?;
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
                Err(error) => return Err(failed(error.into())),
            }
            // whoever deleted it in between has opened the way to another one
            if is_at(&file, &path).map_err(failed)? {
                write_into(&file).map_err(failed)?;
                return Ok(Self { workflow, store, path, file });
            }
        }
    }

    /// Locks the file anew if another one is in its place, or none; answers what happened to it.
    pub(super) fn keep(&mut self) -> Result<Option<String>, LockError> {
        let Self { path, file, .. } = &*self;
        match is_at(file, path).map_err(|source| unusable(path, source))? {
            true => Ok(None),
            false => self.keep_elsewhere(),
        }
    }

    /// The same where the path does not lead to the file that this process has locked, as far as
    /// the numbers of files tell.
    fn keep_elsewhere(&mut self) -> Result<Option<String>, LockError> {
        let Self { workflow, store, path, .. } = &*self;
        let loss = match path.exists() {
            true => format!("{} was replaced", path.display()),
            false => format!("{} was deleted", path.display()),
        };
        match Self::of(store.clone(), *workflow) {
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
        let Self { workflow, store, path, file } = &*self;
        flock(file, FlockOperation::Unlock).map_err(|error| unusable(path, error.into()))?;
        *self = Self::of(store.clone(), *workflow)?;
        Ok(())
    }
}

/// The file whose lock is that of a run.
fn path_beside(store: &Path, workflow: WorkflowId) -> PathBuf {
    let mut name = OsString::from(store);
    name.push(format!("-run-{workflow}.lock"));
    name.into()
}

/// Who has locked the file beside the store at `store`.
pub(super) fn holder(store: &Path, workflow: WorkflowId) -> Holder {
    let path = path_beside(&fs::canonicalize(store).unwrap_or_else(|_| store.to_owned()), workflow);
    match File::open(&path) {
        Ok(file) => match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Holder::Nobody,
            Err(Errno::WOULDBLOCK) => Holder::Process(process_in(&path)),
            Err(_) => Holder::Unknown,
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Holder::Nobody,
        Err(_) => Holder::Unknown,
    }
}

/// True if nobody keeps the file locked but those who look, who share it. So does this process then,
/// until it closes the file.
fn is_shared(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockShared).is_ok()
}

/// Opens the file, and makes it if it is not there.
fn open(path: &Path, store: &Path) -> io::Result<File> {
    let existing = File::options().read(true).write(true).clone();
    match existing.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        opened => return opened,
    }
    match existing.clone().create_new(true).open(path) {
        Ok(file) => {
            be_as(&file, store);
            Ok(file)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => existing.open(path),
        Err(error) => Err(error),
    }
}

/// Gives a new file the rights of the store, and its owner if it is root who makes it, as SQLite
/// does with the files that it makes: so whoever may write to the store may lock it later.
fn be_as(file: &File, store: &Path) {
    // without it this run has its lock all the same
    let Ok(store) = fs::metadata(store) else { return };
    let _ = file.set_permissions(Permissions::from_mode(store.mode() & 0o666));
    if geteuid().is_root() {
        let _ = fchown(file, Some(store.uid()), Some(store.gid()));
    }
}

fn unusable(path: &Path, source: io::Error) -> LockError {
    LockError::Unusable { path: path.to_owned(), cure: cure(path, source.kind()), source }
}

/// What stands in the way, and what is to be done about it, behind a semicolon.
fn cure(path: &Path, kind: ErrorKind) -> String {
    match (kind, fs::symlink_metadata(path)) {
        (ErrorKind::PermissionDenied, Ok(file)) => format!(
            "; it belongs to {}, with the rights {:o}: once no `turing run` is going on there, \
             remove it, or give it to the user who runs this with `chown`",
            user(file.uid()),
            file.mode() & 0o777
        ),
        (ErrorKind::PermissionDenied, Err(_)) => {
            "; this user may make no file in its folder".to_owned()
        }
        (ErrorKind::StorageFull, _) => {
            "; there is no room left, or no inode: `df` and `df -i` tell which".to_owned()
        }
        (ErrorKind::QuotaExceeded, _) => "; this user's share of the disk is used up".to_owned(),
        (ErrorKind::ReadOnlyFilesystem, _) => "; its file system is read-only".to_owned(),
        _ => String::new(),
    }
}

/// The name of a user, as far as it is known here.
fn user(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name_in = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    };
    users.lines().find_map(name_in).unwrap_or_else(|| format!("user {id}"))
}

/// Whether the path leads to the open file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
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
            let taking = scope.spawn(|| FileLock::of(store.clone(), WorkflowId(1)));
            drop(looking);
            taking.join().unwrap().unwrap();
        });
        std::thread::scope(|scope| {
            let looks = scope.spawn(|| (0..2_000).for_each(|_| drop(look())));
            while !looks.is_finished() {
                drop(FileLock::of(store.clone(), WorkflowId(1)).unwrap());
            }
        });
    }

    #[test]
    fn a_file_says_what_it_is_and_one_of_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let path = folder.path().join("turing.db-run-1.lock");
        for before in ["", "4711\n", "4711\nnotice\nmore\n"] {
            fs::write(&path, before).unwrap();
            let first = before.lines().next().unwrap_or("?");
            assert_eq!(process_in(&path), first);
            drop(FileLock::of(store.clone(), WorkflowId(1)).unwrap());
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{}\n{NOTICE}\n", std::process::id()));
        }
    }

    #[test]
    fn a_file_that_is_deleted_or_replaced_is_locked_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let path = folder.path().join("turing.db-run-1.lock");
        let mut lock = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
        assert_eq!(lock.keep().unwrap(), None);

        fs::remove_file(&path).unwrap();
        let loss = lock.keep().unwrap().unwrap();
        assert!(loss.ends_with("was deleted"), "{loss}");
        FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);

        let other = folder.path().join("other");
        fs::write(&other, "12\n").unwrap();
        fs::rename(&other, &path).unwrap();
        let loss = lock.keep().unwrap().unwrap();
        assert!(loss.ends_with("was replaced"), "{loss}");
        FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);
    }

    #[test]
    fn a_file_whose_number_has_changed_stays_locked_by_who_locked_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let mut lock = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
        assert_eq!(lock.keep_elsewhere().unwrap(), None);
        FileLock::of(store.clone(), WorkflowId(1)).unwrap_err();
        assert_eq!(lock.keep().unwrap(), None);
        drop(lock);
        FileLock::of(store, WorkflowId(1)).unwrap();
    }

    #[test]
    fn a_file_that_somebody_else_made_and_locked_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let path = folder.path().join("turing.db-run-1.lock");
        let mut first = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
        fs::remove_file(&path).unwrap();
        let mut second = FileLock::of(store.clone(), WorkflowId(1)).unwrap();
        let lost = first.keep().unwrap_err();
        assert!(matches!(lost, LockError::Held { .. }), "{lost}");
        assert_eq!(second.keep().unwrap(), None);
    }

    #[test]
    fn who_may_write_to_the_store_may_lock_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        fs::write(&store, "").unwrap();
        fs::set_permissions(&store, Permissions::from_mode(0o660)).unwrap();
        // only root can make a store somebody else's
        if geteuid().is_root() {
            std::os::unix::fs::chown(&store, Some(4711), Some(4712)).unwrap();
        }
        let of_store = fs::metadata(&store).unwrap();
        let lock = FileLock::of(store, WorkflowId(1)).unwrap();
        let made = lock.file.metadata().unwrap();
        assert_eq!((made.uid(), made.gid()), (of_store.uid(), of_store.gid()));
        assert_eq!(made.mode() & 0o777, 0o660);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_with_its_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turing.db-run-1.lock");
        let told = |kind: ErrorKind| unusable(&path, kind.into()).to_string();
        assert!(told(ErrorKind::PermissionDenied).ends_with("may make no file in its folder"));
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let owner = user(fs::metadata(&path).unwrap().uid());
        let denied = told(ErrorKind::PermissionDenied);
        assert!(denied.contains(&format!("it belongs to {owner}, with the rights 600: once")));
        assert!(told(ErrorKind::StorageFull).contains("no room left, or no inode"));
        assert_eq!(user(0), "root");
        assert_eq!(user(u32::MAX - 7), format!("user {}", u32::MAX - 7));
    }
}
