//! What tests put between a program and its system: a wall clock that they set, a disk that they fill.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "../../../es-sqlite/tests/disk/library.rs"]
mod library;

use library::compile;

/// A library that is loaded before a program's own, and the number that it goes by, which programs
/// have in their memory.
#[derive(Debug)]
pub(crate) struct Preload {
    library: PathBuf,
    variables: Vec<(&'static str, PathBuf)>,
    number: File,
}

impl Preload {
    /// A wall clock so many seconds beside the machine's; what it needs is kept in this folder.
    pub(crate) fn clock(folder: &Path) -> Self {
        Self::new(folder, "clock", "tests/support/clock.c", "CLOCK_OFFSET")
    }

    /// A disk for the files of `store`, which is full while the number is not 0.
    pub(crate) fn disk(folder: &Path, store: &Path) -> Self {
        let mut disk = Self::new(folder, "disk", "../es-sqlite/tests/disk/trace.c", "DISK_FULL");
        // as programs' descriptors show it
        disk.variables.push(("DISK_FOLDER", store.canonicalize().unwrap()));
        disk
    }

    fn new(folder: &Path, name: &str, source: &str, variable: &'static str) -> Self {
        let (library, path) = (folder.join(format!("{name}.so")), folder.join(name));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
        compile(&source, &library);
        let number = File::create(&path).unwrap();
        let preload = Self { library, variables: vec![(variable, path)], number };
        preload.set(0);
        preload
    }

    /// Changes the number, for programs that run as well.
    pub(crate) fn set(&self, number: i64) {
        // in place: programs have it in their memory
        self.number.write_all_at(&number.to_ne_bytes(), 0).unwrap();
    }

    /// Lets a program be loaded with it.
    pub(crate) fn load_into(&self, command: &mut Command) {
        let loaded = command.get_envs().find(|(name, _)| *name == "LD_PRELOAD");
        let mut libraries =
            loaded.and_then(|(_, libraries)| libraries).map_or_else(OsString::new, OsString::from);
        if !libraries.is_empty() {
            libraries.push(":");
        }
        libraries.push(&self.library);
        command.env("LD_PRELOAD", libraries).envs(self.variables.iter().cloned());
    }
}
