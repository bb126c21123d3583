//! Who stops a server when nobody uses it any more.
//!
//! Every server's folder has a named pipe. A user of the server, that is a process, holds its
//! writing end open for life, so that the kernel lets it go however the process ends. The
//! guardian, a shell script in a process group of its own, holds the reading end: it reads the
//! end of the pipe when the last user is gone. A pipe without a reader has lost its guardian.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::fs::OFlags;

use crate::{error::Error, folder::Folder};

/// What the guardian does.
pub(crate) const SCRIPT: &str = include_str!("guardian.sh");

/// Being a user of a server, until this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    #[expect(dead_code, reason = "that it is open is what counts")]
    writing_end: File,
}

/// Makes the pipe of a folder and starts its guardian, which leaves the server alone as long as
/// it has users, and for some seconds more. The caller is the first user.
pub(crate) fn guard(folder: &Folder, grace_seconds: u32) -> Result<(Hold, Child), Error> {
    let users = folder.users();
    if !users.exists() {
        make_pipe(&users)?;
    }
    let reading_end = open_reading(&users).map_err(Error::file("open", &users))?;
    let hold = hold(folder).map_err(Error::file("open", &users))?;
    let child = spawn(folder, reading_end, grace_seconds)?;
    Ok((hold, child))
}

/// Becomes a user of a server. Fails if it has no guardian.
pub(crate) fn hold(folder: &Folder) -> io::Result<Hold> {
    let mut writing_end = open_writing(&folder.users())?;
    writing_end.write_all(b"x")?;
    Ok(Hold { writing_end })
}

/// Removes the folder of a server that lost its guardian, through a new one which waits for the
/// users that are left. Does nothing to a folder that has a guardian.
pub(crate) fn sweep(folder: &Folder) {
    let users = folder.users();
    if open_writing(&users).is_ok() {
        return;
    }
    let swept = open_reading(&users).is_ok_and(|end| spawn(folder, end, 0).is_ok());
    if !swept {
        // without a pipe it never had a server; what cannot be removed is not in the way
        let _ = fs::remove_dir_all(folder.path());
    }
}

fn make_pipe(path: &Path) -> Result<(), Error> {
    let run = Command::new("mkfifo").args(["-m", "600"]).arg(path).stdin(Stdio::null()).output();
    let output = run.map_err(|source| Error::Run { program: "mkfifo".into(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Failed { program: "mkfifo", said })
}

/// Opens the writing end of a pipe. Fails if it has no reader.
fn open_writing(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Opens the reading end of a pipe without waiting for a writer.
fn open_reading(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn spawn(folder: &Folder, reading_end: File, grace_seconds: u32) -> Result<Child, Error> {
    Command::new("sh")
        .args(["-c", SCRIPT, "es-pgtest-guardian"])
        .arg(folder.path())
        .arg(grace_seconds.to_string())
        .current_dir("/")
        .stdin(reading_end)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Run { program: "sh".into(), source })
}
