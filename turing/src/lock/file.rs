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

/// A lock that is held, or was lost and is asked for again.
#[derive(Debug)]
pub(super) struct FileLock {
    workflow: WorkflowId,
    store: PathBuf,
    path: PathBuf,
    /// The locked file; `None` once it was let go of, until one is locked again.
    file: Option<File>,
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
                return Ok(Self { workflow, store, path, file: Some(file) });
            }
        }
    }

    /// Locks the file anew if another one is in its place, or none; answers what happened to it.
    pub(super) fn keep(&mut self) -> Result<Option<String>, LockError> {
        let is_there = match &self.file {
            Some(file) => is_at(file, &self.path).map_err(|source| unusable(&self.path, source))?,
            None => false,
        };
        if is_there { Ok(None) } else { self.keep_elsewhere() }
    }

    /// The same where the path does not lead to a file that this process has locked, as far as the
    /// numbers of files tell.
    fn keep_elsewhere(&mut self) -> Result<Option<String>, LockError> {
        let path = self.path.display();
        let loss = match (&self.file, self.path.exists()) {
            (None, _) => format!("{path} was let go of, to be locked again"),
            (Some(_), true) => format!("{path} was replaced"),
            (Some(_), false) => format!("{path} was deleted"),
        };
        match Self::of(self.store.clone(), self.workflow) {
            Ok(again) => {
                *self = again;
                Ok(Some(loss))
            }
            Err(LockError::Held { .. }) if self.file.is_some() && is_own(&self.path) => {
                self.replace_own()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Locks the file anew that is locked by a process with the number of this one: this process,
    /// where a file system gives one file one number after the other, or one of another container.
    ///
    /// Where that fails nothing is held any more, whatever the path leads to later.
    fn replace_own(&mut self) -> Result<(), LockError> {
        if let Some(file) = self.file.take() {
            // a child that is being started may have the file, too, and closing would not be enough
            let unlocked = flock(&file, FlockOperation::Unlock);
            unlocked.map_err(|error| unusable(&self.path, error.into()))?;
        }
        *self = Self::of(self.store.clone(), self.workflow)?;
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
    let place = Place::here().map_or_else(String::new, |here| format!("{}\n", here.line()));
    file.write_all(format!("{}\n{NOTICE}\n{place}", std::process::id()).as_bytes())
}

/// The process that is named in the file, and where it is if not here.
fn process_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let process = lines.next().unwrap_or_default().trim();
    let process = if process.is_empty() { "?" } else { process };
    // behind the notice, unless an older program wrote it
    let place = lines.nth(1).and_then(Place::in_line).zip(Place::here());
    let place = place.map_or_else(String::new, |(there, here)| there.seen_from(&here));
    format!("{process}{place}")
}

/// True if the file names a process with the number of this one, in the same PID namespace as far as
/// that is known. The name of the host may have changed since it was written.
fn is_own(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines();
    let is_same = lines.next().map(str::trim) == Some(&*std::process::id().to_string());
    let place = lines.nth(1).and_then(Place::in_line).zip(Place::here());
    is_same && place.is_none_or(|(there, here)| there.namespace == here.namespace)
}

/// Where the number of a process means something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// As the kernel names it.
    namespace: String,
    host: String,
}

impl Place {
    /// Where this process is, if the system tells it.
    fn here() -> Option<Self> {
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        let namespace = namespace.to_str()?.to_owned();
        Some(Self { namespace, host: host.trim().to_owned() })
    }

    fn line(&self) -> String {
        let Self { namespace, host } = self;
        format!("It has its number in PID namespace {namespace} on host {host}")
    }

    fn in_line(line: &str) -> Option<Self> {
        let place = line.strip_prefix("It has its number in PID namespace ")?;
        let (namespace, host) = place.split_once(" on host ")?;
        Some(Self { namespace: namespace.to_owned(), host: host.to_owned() })
    }

    /// What tells a process there from one with its number here, to be put behind the number.
    fn seen_from(&self, here: &Self) -> String {
        let Self { namespace, host } = self;
        match (*namespace == here.namespace, *host == here.host) {
            (true, true) => String::new(),
            (false, true) => " of another PID namespace, such as a container's".to_owned(),
            (true, false) => format!(" on host {host}"),
            (false, false) => format!(" of another PID namespace, on host {host}"),
        }
    }
}

#[cfg(test)]
mod tests;
