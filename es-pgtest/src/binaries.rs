//! Where PostgreSQL's programs are.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{error::Error, wanted};

/// Where Debian keeps the programs, in a folder per version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder with `initdb` and `postgres`.
#[derive(Clone, Debug)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    /// Takes what `ES_PGTEST_BINDIR` names, or else looks in `PATH`, where `pg_config` points, and where Debian has them, newest first.
    pub(crate) fn find() -> Result<Self, Error> {
        if let Some(folder) = wanted::bindir() {
            return if complete(&folder) {
                Ok(Self(folder))
            } else {
                Err(Error::NotThere { folder })
            };
        }
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .find(|folder| complete(folder))
            .or_else(|| configured().filter(|folder| complete(folder)))
            .or_else(|| versions(Path::new(DEBIAN)).into_iter().find(|folder| complete(folder)))
            .map(Self)
            .ok_or_else(|| Error::NoBinaries {
                looked: format!(
                    "PATH, the folder that pg_config --bindir names ({}) and {DEBIAN}/*/bin",
                    configured().map_or("there is no pg_config".into(), |folder| folder
                        .display()
                        .to_string())
                ),
            })
    }

    /// The path of a program; a folder of links may lack one, which then lies where they point.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        let linked = || {
            let server = fs::canonicalize(self.0.join("postgres")).ok()?;
            Some(server.parent()?.join(name)).filter(|path| path.is_file())
        };
        if path.is_file() { path } else { linked().unwrap_or(path) }
    }
}

/// Whether a folder has what a cluster needs. Links are followed: a distribution may link one
/// program into `PATH` and not the others.
fn complete(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file())
}

/// What `pg_config --bindir` says.
fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

/// The program folders of all versions below a folder, newest first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<u32> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found
        .into_iter()
        .map(|version| folder.join(version.to_string()).join(OsStr::new("bin")))
        .collect()
}
