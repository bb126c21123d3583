//! What a loss of power and a disk that fails leave of a store, judged by every event of it: the
//! calls of a program are written down ([`trace`](disk/trace.c)), and disks are made of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails its test")]
#![allow(clippy::print_stdout, reason = "a campaign prints what it did")]

#[path = "disk/image.rs"]
mod image;
#[path = "disk/program.rs"]
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use es_core::{EventStore, ReadLog};
use es_sqlite::rusqlite::Connection;
use es_sqlite::{SqliteConfig, SqliteStore, Synchronous};
use tempfile::TempDir;

use crate::image::Call;
use crate::program::{APPENDS, Told, WRITERS};

/// A folder with a store, and what a program did to it.
struct Run {
    folder: TempDir,
    trace: PathBuf,
}

impl Run {
    /// Runs the program once; `fail` is what [`trace`](disk/trace.c) reads.
    fn of(seed: u64, synchronous: Synchronous, fail: Option<&str>) -> Self {
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
        let (files, trace) = (folder.path().join("files"), folder.path().join("trace"));
        std::fs::create_dir(&files).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["program::program_on_the_disk", "--exact", "--nocapture"]);
        command.env("LD_PRELOAD", &library).env("DISK_FOLDER", &files).env("DISK_TRACE", &trace);
        command.env(program::SEED, seed.to_string());
        command.env(program::SYNCHRONOUS, format!("{synchronous:?}"));
        if let Some(fail) = fail {
            command.env("DISK_FAIL", fail);
        }
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let is_well = output.status.success() && printed.contains("1 passed");
        assert!(is_well, "seed {seed}, {fail:?}: {printed}{errors}");
        Self { folder, trace }
    }

    fn calls(&self) -> Vec<Call> {
        image::calls(&std::fs::read(&self.trace).unwrap())
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }
}

/// What is left in a store: how far each writer has come; that each append is there whole, once
/// and after the one before it is asserted.
async fn left(folder: &Path, what: &str) -> BTreeMap<u64, u64> {
    let path = folder.join(program::STORE);
    let store = SqliteStore::open(SqliteConfig::new(&path).synchronous(Synchronous::Off))
        .await
        .unwrap_or_else(|error| panic!("{what}: {error:?}"));
    let mut read = ReadLog::from_start();
    let mut events = Vec::new();
    loop {
        let page = store.read_log(&read).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        events.extend(page.events);
        read = ReadLog::after(page.next);
        if page.at_end {
            break;
        }
    }
    let mut left = BTreeMap::new();
    let mut parts = BTreeSet::new();
    for (event, place) in events.iter().zip(1..) {
        assert_eq!(event.position.to_sequence(), place, "{what}: a hole in the log");
        let (writer, number, part, of) = program::read(event);
        parts.insert((writer, number, part));
        if part == of {
            let come: &mut u64 = left.entry(writer).or_default();
            assert_eq!(number, *come + 1, "{what}: append of writer {writer}");
            *come = number;
            let is_whole = (1..=of).all(|part| parts.remove(&(writer, number, part)));
            assert!(is_whole, "{what}: a part of append {number} of writer {writer}");
        }
    }
    assert!(parts.is_empty(), "{what}: parts without their end: {parts:?}");
    // it goes on
    program::append(&store, WRITERS + 1, 1, 10).await.unwrap();
    store.close().await;
    let connection = Connection::open(&path).unwrap();
    let check: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{what}");
    left
}

/// That each writer has come as far as was acknowledged, and no farther than was sent.
fn judge(left: &BTreeMap<u64, u64>, told: &Told, what: &str) {
    for writer in 1..=WRITERS {
        let come = left.get(&writer).copied().unwrap_or_default();
        let acknowledged = told.acknowledged.get(&writer).copied().unwrap_or_default();
        assert!(
            come >= acknowledged,
            "{what}: {acknowledged} of {writer} were acknowledged, {come} are left"
        );
        assert!(come <= told.sent.get(&writer).copied().unwrap_or_default(), "{what}");
    }
}

fn rounds(quick: u64, full: u64) -> u64 {
    if std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full") { full } else { quick }
}

fn seed() -> u64 {
    std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap())
}

/// Cuts a run off at many places.
async fn lose_power(synchronous: Synchronous, cuts: u64) {
    let seed = seed();
    let mut chance = fastrand::Rng::with_seed(seed);
    let run = Run::of(seed, synchronous, None);
    let calls = run.calls();
    let (mut lost, mut broken) = (0, 0);
    for _ in 0..cuts {
        let cut = chance.usize(..=calls.len());
        let what = format!("seed {seed}, power lost after call {cut} of {}", calls.len());
        let folder = tempfile::tempdir().unwrap();
        image::disk_after(&calls[..cut], &mut chance, folder.path());
        let mut told = program::told(&calls[..cut]);
        let left = left(folder.path(), &what).await;
        let sum = |counts: &BTreeMap<u64, u64>| counts.values().sum::<u64>();
        lost += sum(&told.sent) - sum(&left);
        broken += sum(&told.acknowledged).saturating_sub(sum(&left));
        if synchronous != Synchronous::Full {
            told.acknowledged.clear();
        }
        judge(&left, &told, &what);
    }
    // a disk that kept what nobody has flushed would judge nothing
    assert_eq!(broken > 0, synchronous != Synchronous::Full, "{broken}");
    println!(
        "power lost {cuts} times within {} calls, {synchronous:?}: {lost} appends were lost, of which \
         {broken} were acknowledged",
        calls.len()
    );
}

/// Nothing acknowledged is lost with the default; the log is never torn.
#[tokio::test]
async fn power_loss_campaign() {
    lose_power(Synchronous::Full, rounds(40, 3_000)).await;
}

/// Whole appends from the end are lost, and nothing else.
#[tokio::test]
async fn power_loss_campaign_of_late_flushes() {
    lose_power(Synchronous::Normal, rounds(20, 1_500)).await;
}

/// Whatever call fails, what was acknowledged is there, what was refused is not, and no answer is
/// a panic.
#[tokio::test]
async fn failing_disk_campaign() {
    const NO_ROOM: i32 = 28;
    const BROKEN: i32 = 5;
    let seed = seed();
    let mut chance = fastrand::Rng::with_seed(seed);
    let all = Run::of(seed, Synchronous::Full, None).calls().len();
    let mut answers = BTreeMap::<String, u64>::new();
    for _ in 0..rounds(12, 400) {
        let (call, error) =
            (chance.usize(1..=all), *chance.choice([NO_ROOM, BROKEN]).as_ref().unwrap());
        let fail = format!("{call} {error}{}", if chance.bool() { " once" } else { "" });
        let run = Run::of(seed, Synchronous::Full, Some(&fail));
        let what = format!("seed {seed}, call `{fail}` of {all} fails");
        let told = program::told(&run.calls());
        for answer in &told.answers {
            *answers.entry(answer.clone()).or_default() += 1;
        }
        // refused appends were sent again, so that one that was written all the same stands twice
        judge(&left(&run.files(), &what).await, &told, &what);
    }
    println!(
        "a call of {all} failed, again and again; the answers: {answers:?}; appends: {APPENDS} a writer"
    );
}
