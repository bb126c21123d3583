//! Finding the program of a script actor, and saying why it cannot be started.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};
use rustix::io::Errno;
use turing_domain::FailureType;

/// How much of a first line Linux reads, its line break left out.
const FIRST_LINE_BYTES: usize = 255;

/// Byte order marks of UTF-8 and UTF-16.
const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];

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
    /// The right to run it is there, and its file system lets nothing be run.
    #[error(
        "script `{path}` lies on a file system that is mounted noexec: name its interpreter first, such as `command = [\"{interpreter}\", \"{path}\"]`",
        path = path.display()
    )]
    NoExec {
        /// The script.
        path: PathBuf,
        /// What could run it.
        interpreter: String,
    },
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
    /// Its first line would name an interpreter if the file did not begin with a byte order mark.
    #[error(
        "script `{}` has a byte order mark before its first line: save it as UTF-8 without one",
        .0.display()
    )]
    ByteOrderMark(PathBuf),
    /// Its first line names an interpreter beyond what the system reads of it.
    #[error(
        "script `{}` has a first line of {bytes} bytes, of which the system reads {FIRST_LINE_BYTES}: name the interpreter by a shorter path, such as `#!/usr/bin/env NAME`",
        path.display()
    )]
    FirstLineTooLong {
        /// The script.
        path: PathBuf,
        /// How long the line is, at least.
        bytes: usize,
    },
    /// A binary of another system or processor.
    #[error("script `{}` is a program for another system or processor", .0.display())]
    OtherSystem(PathBuf),
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
            Self::NotAFile(_)
            | Self::NotExecutable(_)
            | Self::NoExec { .. }
            | Self::NoInterpreter(_)
            | Self::ByteOrderMark(_)
            | Self::FirstLineTooLong { .. }
            | Self::OtherSystem(_) => FailureType::ScriptError,
            Self::Refused { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::NOENT) => FailureType::NotFound,
                Some(Errno::TXTBSY) => FailureType::Interrupted,
                Some(Errno::TOOBIG) => FailureType::InvalidInput,
                // Without a number it is std's refusal of a U+0000 in the command line.
                None if source.kind() == io::ErrorKind::InvalidInput => FailureType::InvalidInput,
                _ => FailureType::Unknown,
            },
        }
    }

    /// Reads more out of a refused start than the system's answer, which does not say what is missing.
    pub(super) fn diagnose(path: &Path, source: io::Error) -> Self {
        let owned = path.to_owned();
        let error = Errno::from_io_error(&source);
        let is_missing = matches!(error, Some(Errno::NOENT | Errno::NOTDIR));
        if !is_missing && error != Some(Errno::NOEXEC) {
            return Self::Refused { path: owned, source };
        }
        let head = head(path);
        match interpreter(&head) {
            // an old system looks for what it has read of the name
            Some(_) if is_cut(first_line(&head)) => {
                Self::FirstLineTooLong { path: owned, bytes: first_line(&head).len() }
            }
            Some(interpreter) if is_missing && !Path::new(&interpreter).exists() => {
                Self::InterpreterMissing { path: owned, interpreter }
            }
            _ if is_missing => Self::Refused { path: owned, source },
            _ if MARKS.iter().any(|mark| head.starts_with(mark)) => Self::ByteOrderMark(owned),
            _ if head.starts_with(b"\x7fELF") => Self::OtherSystem(owned),
            _ => Self::NoInterpreter(owned),
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
    if rustix::fs::access(path, Access::EXEC_OK).is_ok() {
        return Ok(());
    }
    let path = path.to_owned();
    let has_right = metadata.permissions().mode() & 0o111 != 0;
    let is_noexec = rustix::fs::statvfs(&path)
        .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC));
    Err(if has_right && is_noexec {
        let interpreter = interpreter(&head(&path)).unwrap_or_else(|| "/bin/sh".to_owned());
        // it will stand in a definition, whose folder is another
        StartError::NoExec { path: std::path::absolute(&path).unwrap_or(path), interpreter }
    } else {
        StartError::NotExecutable(path)
    })
}

/// The beginning of a file, or nothing of one that cannot be read.
fn head(path: &Path) -> Vec<u8> {
    let mut head = Vec::new();
    if let Ok(file) = File::open(path) {
        // what was read before a failure is as good
        let _ = file.take(4096).read_to_end(&mut head);
    }
    head
}

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b'\n').next().unwrap_or_default()
}

/// True if the system does not read the whole name of the interpreter.
fn is_cut(line: &[u8]) -> bool {
    let is_blank = |byte: &u8| [b' ', b'\t'].contains(byte);
    let mut read = line.iter().take(FIRST_LINE_BYTES).skip(2).skip_while(|byte| is_blank(byte));
    line.len() > FIRST_LINE_BYTES && !read.any(is_blank)
}

/// The interpreter of a script's `#!` line.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(first_line(head).strip_prefix(b"#!")?);
    // Only blanks separate: a carriage return belongs to the name that the kernel looks for.
    line.trim_matches([' ', '\t']).split([' ', '\t']).next().map(str::to_owned)
}
