//! A disk whose calls fail: many runs of the program in one process, each judged when the disk works
//! again.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use es_sqlite::Synchronous;
use tempfile::TempDir;

use crate::left::{Judged, judge, judge_backups, left};
use crate::program::{Life, OPENED};
use crate::run::{FOLDER, Start, succeeds, watched};
use crate::told::{Notes, Told};
use crate::{rounds, seed};

/// No run lasts for so long.
const DEADLINE: Duration = Duration::from_secs(120);

/// The kinds of calls, as `trace.c` names them, but for the freeing of locks, which no local file system
/// refuses: SQLite would look for ten seconds for a lock that it holds itself.
pub(crate) const KINDS: [&str; 12] = ["o", "c", "r", "w", "t", "s", "u", "n", "l", "m", "i", "p"];
/// What a disk that has gone away refuses: everything but locks, which are the system's.
pub(crate) const DISK: &str = "ocrwtsunmip";

/// Calls that fail: those of some kinds, from one of them on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) kinds: &'static str,
    /// How many fail, one after the other; 0 for all.
    pub(crate) count: u64,
    pub(crate) error: i32,
    /// The first reads or writes half instead.
    pub(crate) is_short: bool,
    /// From how many different calls on, in a quick campaign and at most.
    pub(crate) rounds: (u64, u64),
}

impl Way {
    pub(crate) fn new(kinds: &'static str, count: u64, error: i32, quick: u64) -> Self {
        Self { kinds, count, error, is_short: false, rounds: (quick, u64::MAX) }
    }

    pub(crate) fn short(self) -> Self {
        Self { is_short: true, ..self }
    }

    pub(crate) fn at_most(self, most: u64) -> Self {
        Self { rounds: (self.rounds.0, most), ..self }
    }

    /// What `trace.c` reads.
    fn at_call(&self, call: u64) -> String {
        let Self { kinds, count, error, is_short, .. } = self;
        format!("{kinds} {call} {count} {error}{}", if *is_short { " short" } else { "" })
    }
}

/// The disk that is watched, from within the process.
pub(crate) struct Disk {
    folder: PathBuf,
    /// How many calls have failed.
    failed: Cell<u64>,
}

impl Disk {
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self { folder, failed: Cell::new(0) }
    }

    /// Says what is to fail from now on, and answers how many calls there were since the last time, by
    /// their kinds.
    pub(crate) fn let_fail(&self, faults: &str) -> BTreeMap<char, u64> {
        let path = self.folder.join("faults");
        std::fs::write(&path, faults).unwrap();
        let calls = std::fs::read_to_string(&path).unwrap();
        let calls: BTreeMap<char, u64> = calls
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(kind, number)| (kind.parse().unwrap(), number.parse().unwrap()))
            .collect();
        self.failed.set(self.failed.get() + calls.get(&'!').copied().unwrap_or_default());
        calls
    }
}

/// What one run came to.
struct Came {
    calls: BTreeMap<char, u64>,
    has_failed: bool,
    told: Told,
    backups: usize,
}

/// Many runs, in a process whose calls are watched.
struct Campaign {
    start: Start,
    seed: u64,
    disk: Disk,
    /// For the notes of the runs, which never fail.
    notes: TempDir,
    /// Told of each run that begins.
    watch: Sender<()>,
}

impl Campaign {
    /// `None` unless this process is watched.
    fn of(start: Start) -> Option<Self> {
        let disk = Disk::of(PathBuf::from(std::env::var_os(FOLDER)?));
        let notes = tempfile::tempdir().unwrap();
        Some(Self { start, seed: seed(), disk, notes, watch: watch() })
    }

    /// One run in a folder, and what is left there.
    async fn run(&self, files: &Path, faults: &str) -> Came {
        let what = format!("seed {}, {:?}, {faults}", self.seed, self.start);
        *under_way() = what.clone();
        self.watch.send(()).unwrap();
        self.start.make(files);
        let path = self.notes.path().join("notes");
        let life = Life {
            folder: files,
            notes: Notes::new(&path, faults.contains(' ')),
            chance: fastrand::Rng::with_seed(self.seed),
            synchronous: Synchronous::Full,
            appends: 2,
            disk: Some(&self.disk),
        };
        self.disk.let_fail(faults);
        life.live().await;
        let calls = self.disk.let_fail("none");
        let has_failed = self.disk.failed.take() > 0;
        let told = Told::of(&std::fs::read(&path).unwrap());
        let kinds = faults.split(' ').next().unwrap();
        let unfinished = std::fs::read_dir(files).unwrap().find(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().contains(".unfinished")
        });
        // what cannot be removed stays
        assert!(kinds.contains('u') || unfinished.is_none(), "{what}: {unfinished:?}");
        // refused appends were sent again, so that one that was written all the same stands twice
        let left = left(files, &what).await;
        judge(&left, &told.acknowledged, &told, &what);
        let backups = judge_backups(files, &left.log, &told, &mut Judged::new(), &what).await;
        Came { calls, has_failed, told, backups }
    }

    /// Lets calls fail in these ways, from some of them on or from each: whatever call it is, what was
    /// acknowledged is there, what was refused is not, and the store goes on or says what to do.
    async fn fail(&self, ways: &[Way]) {
        let mut chance = fastrand::Rng::with_seed(self.seed);
        let folder = self.disk.folder.join("run");
        let all = self.run(&folder, "none").await;
        assert_eq!((all.backups as u64, all.has_failed), (OPENED, false));
        let (mut runs, mut failed) = (0, 0);
        for way in ways {
            std::fs::remove_dir_all(&folder).unwrap();
            let number = |kind: char| all.calls.get(&kind).copied().unwrap_or_default();
            let calls: u64 = way.kinds.chars().map(number).sum();
            assert!(calls > 0, "{way:?}: no such call in {:?}", all.calls);
            let (quick, most) = way.rounds;
            let rounds = rounds(quick, most).min(calls);
            let mut answers = BTreeMap::<String, u64>::new();
            for round in 0..rounds {
                let call = chance.u64(round * calls / rounds..(round + 1) * calls / rounds) + 1;
                let came = self.run(&folder, &way.at_call(call)).await;
                (runs, failed) = (runs + 1, failed + u64::from(came.has_failed));
                for answer in came.told.answers {
                    *answers.entry(answer).or_default() += 1;
                }
                if round + 1 < rounds {
                    std::fs::remove_dir_all(&folder).unwrap();
                }
            }
            let start = self.start;
            println!(
                "{start:?}, {way:?}: {rounds} runs of {calls} calls; the answers: {answers:?}"
            );
        }
        // no run has quite as many calls as the one before
        assert!(failed * 10 >= runs * 8, "in {failed} of {runs} runs a call has failed");
    }
}

/// Runs the test of this name in a process that is watched; there, a campaign.
pub(crate) async fn campaign(test: &str, start: Start, ways: &[Way]) {
    match Campaign::of(start) {
        Some(campaign) => campaign.fail(ways).await,
        None => in_a_process_that_is_watched(test),
    }
}

/// The same on a file system that knows little, where nothing fails.
pub(crate) async fn knows_little(test: &str) {
    match Campaign::of(Start::Nothing) {
        Some(campaign) => {
            let came = campaign.run(&campaign.disk.folder, "foreign").await;
            assert_eq!(came.told.backups.len() as u64, OPENED);
        }
        None => in_a_process_that_is_watched(test),
    }
}

/// Runs the test of this name once more, in a process that is watched.
pub(crate) fn in_a_process_that_is_watched(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    println!("{}", succeeds(watched(test, folder.path()), test));
}

/// The run that is under way, for whoever ends the process.
fn under_way() -> MutexGuard<'static, String> {
    static RUN: Mutex<String> = Mutex::new(String::new());
    RUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process at a panic on any thread, the store's own included, and when no run has begun for
/// too long.
fn watch() -> Sender<()> {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        println!("this was {}", under_way());
        std::process::abort();
    }));
    let (begun, runs) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            match runs.recv_timeout(DEADLINE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => panic!("a run has not ended after {DEADLINE:?}"),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    begun
}
