//! One run of the program, whose calls were written down.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use es_sqlite::Synchronous;
use es_sqlite::rusqlite::Connection;
use tempfile::TempDir;

use crate::image::{self, Call, Did, Files};
use crate::program;

/// What a run begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing: the store is made.
    Nothing,
    /// A store of an older program, which is migrated.
    OldStore,
}

/// How a run goes.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) start: Start,
    pub(crate) synchronous: Synchronous,
    /// How much each writer appends in each of the times that the store is opened.
    pub(crate) appends: u64,
    /// What [`trace`](trace.c) reads of calls that fail.
    pub(crate) fail: Option<String>,
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
        std::fs::create_dir(&files).unwrap();
        if plan.start == Start::OldStore {
            let old = Connection::open(files.join(program::STORE)).unwrap();
            old.execute_batch(include_str!("../fixtures/old_store.sql")).unwrap();
            old.pragma_update(None, "journal_mode", "wal").unwrap();
        }
        let before = content(&files);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["program::program_on_the_disk", "--exact", "--nocapture"]);
        command.env("LD_PRELOAD", tracer()).env("DISK_FOLDER", &files).env("DISK_TRACE", &trace);
        command.env(program::SEED, plan.seed.to_string());
        command.env(program::SYNCHRONOUS, format!("{:?}", plan.synchronous));
        command.env(program::APPENDS, plan.appends.to_string());
        if let Some(fail) = &plan.fail {
            command.env("DISK_FAIL", fail);
        }
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_well = output.status.success() && printed.contains("1 passed");
        assert!(is_well, "{plan:?}: {printed}{errors}");
        let calls = image::calls(&std::fs::read(&trace).unwrap());
        Self { folder, before, calls }
    }

    /// How many of its calls can be made to fail.
    pub(crate) fn can_fail(&self) -> usize {
        let calls = self.calls.iter();
        calls.filter(|call| call.file != program::NOTES && call.did != Did::Unlink).count()
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

/// The library that writes down calls, which is compiled once.
fn tracer() -> &'static Path {
    static TRACER: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = TRACER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("trace.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/trace.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([library.as_os_str(), source.as_os_str()])
            .args(["-ldl", "-lpthread"])
            .output()
            .expect("a C compiler, which the tests need");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        (folder, library)
    });
    library
}
