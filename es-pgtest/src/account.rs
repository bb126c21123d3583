//! Which user the server runs as.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use crate::error::Error;

/// The user that the server runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// The user of the tests.
    Own,
    /// Another one, because PostgreSQL refuses to run as root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// The own user, or for root `postgres`, or `nobody`.
    pub(crate) fn find() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| passwd.lines().find_map(|line| entry(line, name)))
            .map(|(uid, gid)| Self::Other { uid, gid })
            .ok_or(Error::NoAccount)
    }

    /// Gives a file or folder to the server's user.
    pub(crate) fn own(self, path: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(Error::file("chown", path))
    }

    /// Lets the server's group have a file or folder, which stays ours.
    pub(crate) fn share(self, path: &Path) -> Result<(), Error> {
        let Self::Other { gid, .. } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, None, Some(gid)).map_err(Error::file("chown", path))
    }

    /// A command that runs as the server's user, in a process group of its own, with null stdio
    /// and without the variables that change what PostgreSQL's programs do.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// The user id and group id of a line of `/etc/passwd`, if it is the named user's.
fn entry(line: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    if fields.next() != Some(name) {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((uid, gid))
}
