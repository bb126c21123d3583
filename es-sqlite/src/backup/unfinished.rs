//! The file of a backup until it is whole: its other name, its rights, and how it gets its own name.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::BackupError;

/// The path with something behind its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// A backup that is not whole yet, under another name; removed unless it is finished.
pub(super) struct Unfinished {
    to: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    pub(super) fn new(to: &Path) -> Result<Self, BackupError> {
        check_free(to)?;
        let path = beside(to, ".unfinished");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // nobody may read it who may not read the store
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let to = to.to_owned();
        match options.open(&path) {
            Ok(_) => Ok(Self { to, path }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(BackupError::Occupied { to, there: path })
            }
            Err(source) => Err(BackupError::Target { to, what: "no file can be made", source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes it, gives it the rights of the store and its name; answers how long it is.
    pub(super) fn finish(self, from: &Path) -> Result<u64, BackupError> {
        let failed = |what: &'static str| {
            let to = self.to.clone();
            move |source: io::Error| BackupError::Target { to, what, source }
        };
        let flush = || -> io::Result<u64> {
            let file = File::open(&self.path)?;
            let rights = fs::metadata(from)?.permissions();
            // a file system without them refuses; then nobody else may read it
            let _ = file.set_permissions(rights);
            file.sync_all()?;
            Ok(file.metadata()?.len())
        };
        let bytes = flush().map_err(failed("it cannot be flushed to the disk"))?;
        // after the last look, too, nothing is overwritten
        check_free(&self.to)?;
        rename_to_new(&self.path, &self.to).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                BackupError::Occupied { to: self.to.clone(), there: self.to.clone() }
            }
            _ => failed("it cannot be renamed")(error),
        })?;
        sync_folder(&self.to).map_err(failed(
            "it is whole, but its folder cannot be flushed, so that its name may be lost with the power",
        ))?;
        Ok(bytes)
    }
}

/// Refuses a path if something has the name of the backup, or of a log that SQLite would take for the
/// backup's.
fn check_free(to: &Path) -> Result<(), BackupError> {
    let names = ["", "-wal", "-journal"].map(|suffix| beside(to, suffix));
    for there in names {
        // a link that leads nowhere is there, too
        match fs::symlink_metadata(&there) {
            Ok(_) => return Err(BackupError::Occupied { to: to.to_owned(), there }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => {
                let what = "it cannot be told whether something is there";
                return Err(BackupError::Target { to: to.to_owned(), what, source });
            }
        }
    }
    Ok(())
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            // what was renamed, or never made, is not there
            let _ = fs::remove_file(beside(&self.path, suffix));
        }
    }
}

/// Gives a file a name that nobody has.
#[cfg(target_os = "linux")]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // the kernel or the file system cannot do that
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// Elsewhere it is not told what the name was of.
#[cfg(not(target_os = "linux"))]
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// Flushes the names in the folder of a file, where the file system can do that.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        flushed => flushed,
    }
}

/// Elsewhere a folder cannot be opened.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_the_last_look_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["backup.db.unfinished", "backup.db"].map(|name| folder.path().join(name));
        fs::write(&from, "the backup").unwrap();
        fs::write(&to, "mine").unwrap();
        let error = rename_to_new(&from, &to).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"mine");
        fs::remove_file(&to).unwrap();
        rename_to_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"the backup");
    }
}
