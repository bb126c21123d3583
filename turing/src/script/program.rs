//! Finding the program of a script actor, and saying why it cannot be started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;
use turing_domain::FailureType;

/// Why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing is at the path.
    #[error("script `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// A bare name that the search path does not lead to.
    #[error(
        "program `{name}` is in no folder of the actor's PATH ({path}): write its path, or name PATH in the actor's env"
    )]
    NotInPath {
        /// The name as the definition has it.
        name: String,
        /// The folders that were searched.
        path: String,
    },
    /// A folder or a device.
    #[error("script `{}` is not a file", .0.display())]
    NotAFile(PathBuf),
    /// The right to run it is missing.
    #[error("script `{path}` is not executable: run `chmod +x '{path}'`", path = .0.display())]
    NotExecutable(PathBuf),
    /// The file is there, but what its first line names is not.
    #[error(
        "script `{}` cannot be started, because the interpreter {interpreter:?} that its first line names does not exist",
        path.display()
    )]
    InterpreterMissing {
        /// The script.
        path: PathBuf,
        /// As the first line has it.
        interpreter: String,
    },
    /// Neither a binary of this system nor a script with a first line that says how to run it.
    #[error(
        "script `{}` is not a program: its first line must name an interpreter, such as `#!/bin/sh`",
        .0.display()
    )]
    NoInterpreter(PathBuf),
    /// The working directory is not there.
    #[error("working directory `{}` does not exist or is not a folder", .0.display())]
    FolderMissing(PathBuf),
    /// Anything else that the operating system says.
    #[error("script `{}` could not be started", path.display())]
    Refused {
        /// The script.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl StartError {
    /// What the failure means for the next attempt.
    pub fn failure_type(&self) -> FailureType {
        match self {
            Self::Missing(_)
            | Self::NotInPath { .. }
            | Self::InterpreterMissing { .. }
            | Self::FolderMissing(_) => FailureType::NotFound,
            Self::NotAFile(_) | Self::NotExecutable(_) | Self::NoInterpreter(_) => {
                FailureType::ScriptError
            }
            Self::Refused { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::NOENT) => FailureType::NotFound,
                Some(Errno::NOMEM) => FailureType::OutOfMemory,
                Some(Errno::NOSPC | Errno::DQUOT) => FailureType::DiskFull,
                Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::TXTBSY) => {
                    FailureType::Interrupted
                }
                Some(Errno::TOOBIG) => FailureType::InvalidInput,
                // Without a number it is std's refusal of a U+0000 in the command line.
                None if source.kind() == io::ErrorKind::InvalidInput => FailureType::InvalidInput,
                _ => FailureType::Unknown,
            },
        }
    }

    /// Reads more out of a refused start than the system's answer, which does not say what is missing.
    pub(super) fn diagnose(path: &Path, source: io::Error) -> Self {
        let named = || interpreter(path).filter(|name| !Path::new(name).exists());
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::NOTDIR) => match named() {
                Some(interpreter) => {
                    Self::InterpreterMissing { path: path.to_owned(), interpreter }
                }
                None => Self::Refused { path: path.to_owned(), source },
            },
            Some(Errno::NOEXEC) => Self::NoInterpreter(path.to_owned()),
            _ => Self::Refused { path: path.to_owned(), source },
        }
    }
}

/// Finds what a definition's command names.
///
/// A name with a slash is relative to `folder`, the definition's own; a bare name is looked up in
/// the `PATH` of the actor's environment and nowhere else.
///
/// # Errors
///
/// When there is no file, or it may not be executed.
pub fn resolve_program(
    command: &str,
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<PathBuf, StartError> {
    if command.contains('/') {
        let path = folder.join(command.strip_prefix("./").unwrap_or(command));
        check_file(&path)?;
        return Ok(path);
    }
    let path = environment.get("PATH").map_or("", String::as_str);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(command))
        .find(|candidate| check_file(candidate).is_ok())
        .ok_or_else(|| StartError::NotInPath { name: command.to_owned(), path: path.to_owned() })
}

/// What can be said before a start; the start itself has the last word.
pub(super) fn check(program: &Path, folder: &Path) -> Result<(), StartError> {
    if !folder.is_dir() {
        return Err(StartError::FolderMissing(folder.to_owned()));
    }
    check_file(program)
}

fn check_file(path: &Path) -> Result<(), StartError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StartError::Missing(path.to_owned()));
        }
        Err(source) => {
            return Err(StartError::Refused { path: path.to_owned(), source });
        }
    };
    if !metadata.is_file() {
        return Err(StartError::NotAFile(path.to_owned()));
    }
    rustix::fs::access(path, Access::EXEC_OK)
        .map_err(|_| StartError::NotExecutable(path.to_owned()))
}

/// The interpreter of a script's `#!` line.
fn interpreter(path: &Path) -> Option<String> {
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?.take(512)).read_until(b'\n', &mut line).ok()?;
    let line = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    // Only blanks separate: a carriage return belongs to the name that the kernel looks for.
    line.trim_matches([' ', '\t', '\n']).split([' ', '\t']).next().map(str::to_owned)
}
