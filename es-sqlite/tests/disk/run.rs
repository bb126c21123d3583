//! Programs whose calls are watched: one run, whose calls were written down.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use es_sqlite::Synchronous;
use es_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use crate::image::{self, Call, Files};
use crate::library::compile;
use crate::program;

/// Names the folder whose files are watched, to a program and to [`trace`](trace.c).
pub(crate) const FOLDER: &str = "DISK_FOLDER";

/// What a run begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing: the store is made.
    Nothing,
    /// A store of an older program, which is migrated.
    OldStore,
}

impl Start {
    /// Makes the folder and what it begins with.
    pub(crate) fn make(self, files: &Path) {
        std::fs::create_dir_all(files).unwrap();
        if self == Self::OldStore {
            let old = Connection::open(files.join(program::STORE)).unwrap();
            old.execute_batch(include_str!("../fixtures/old_store.sql")).unwrap();
            old.pragma_update(None, "journal_mode", "wal").unwrap();
        }
    }
}

/// How a run goes.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) start: Start,
    pub(crate) synchronous: Synchronous,
    /// How much each writer appends in each of the times that the store is opened.
    pub(crate) appends: u64,
    /// Which calls fail, as `trace.c` reads it; the run ends soon after the first of which it is told.
    pub(crate) faults: Option<String>,
}

/// A folder with a store, and what a program did to it.
pub(crate) struct Run {
    folder: TempDir,
    /// What was in the folder before.
    pub(crate) before: Files,
    pub(crate) calls: Vec<Call>,
}

impl Run {
    /// Runs the program once.
    pub(crate) fn of(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (files, trace) = (folder.path().join("files"), folder.path().join("trace"));
        plan.start.make(&files);
        let before = content(&files);
        let mut command = watched("program::program_on_the_disk", &files);
        command.env("DISK_TRACE", &trace);
        command.env(program::SEED, plan.seed.to_string());
        command.env(program::SYNCHRONOUS, format!("{:?}", plan.synchronous));
        command.env(program::APPENDS, plan.appends.to_string());
        command.envs(plan.faults.as_ref().map(|faults| (program::FAULTS, faults)));
        succeeds(command, &format!("{plan:?}"));
        let calls = image::calls(&std::fs::read(&trace).unwrap());
        Self { folder, before, calls }
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }
}

fn content(folder: &Path) -> Files {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (named(&path), std::fs::read(&path).unwrap())).collect()
}

/// A test of this program, to be run in a process whose calls on the files of a folder are watched.
pub(crate) fn watched(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]);
    command.env("LD_PRELOAD", tracer()).env(FOLDER, folder);
    command
}

/// Runs it to its end and answers what it printed.
pub(crate) fn succeeds(mut command: Command, what: &str) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_well = output.status.success() && printed.contains("1 passed");
    assert!(is_well, "{what}: {printed}{errors}");
    printed
}

/// The library that watches calls, which is compiled once.
fn tracer() -> &'static Path {
    static TRACER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = TRACER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("trace.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/trace.c");
        compile(&source, &library);
        (folder, library)
    });
    library
}
