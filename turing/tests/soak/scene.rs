//! One store, the programs that use it, and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use es_pgtest::TestDatabase;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, interval};

use crate::plan::Size;
use crate::support::Answer;
use crate::support::preload::Preload;
use crate::workflow::{self, PARALLEL, ROUGH, STEADY};

/// Nothing takes longer, on the busiest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks at something that says nothing when it changes.
const LOOK: Duration = Duration::from_millis(10);

/// A store in a folder of its own with all that uses it.
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) size: Size,
    pub(crate) seed: u64,
    /// The database, if it is one; else the store is a file.
    pub(crate) database: Option<TestDatabase>,
    pub(crate) clock: Preload,
    disk: Option<Preload>,
    /// Odd while the store cannot be used; grows whenever that changes.
    outages: watch::Sender<u64>,
    counts: Mutex<BTreeMap<String, u64>>,
    /// The postings that were given to a run.
    given: Mutex<BTreeSet<i32>>,
}

/// What a process tells from its start on.
pub(crate) struct Told {
    /// The file in which all of its kind is kept.
    pub(crate) path: PathBuf,
    from: u64,
}

impl Told {
    pub(crate) fn text(&self) -> String {
        let mut file = File::open(&self.path).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Scene {
    /// A store in a file. No link leads to the folder of all.
    pub(crate) fn of_a_file(all: &Path, size: Size, seed: u64, endpoint: &str) -> Self {
        let mut scene = Self::new(all, "sqlite", size, seed, endpoint);
        let store = scene.folder.join("store");
        fs::create_dir(&store).unwrap();
        scene.disk = Some(Preload::disk(&scene.folder, &store));
        Self { url: format!("sqlite:{}", store.join("turing.db").display()), ..scene }
    }

    /// A store in a database.
    pub(crate) fn of_a_server(
        all: &Path,
        size: Size,
        seed: u64,
        endpoint: &str,
        database: TestDatabase,
    ) -> Self {
        let scene = Self::new(all, "postgres", size, seed, endpoint);
        Self { url: database.url(), database: Some(database), ..scene }
    }

    fn new(all: &Path, name: &'static str, size: Size, seed: u64, endpoint: &str) -> Self {
        let folder = all.join(name);
        for folder in [folder.clone(), folder.join("out"), folder.join("backups")] {
            fs::create_dir(folder).unwrap();
        }
        for workflow in ROUGH.into_iter().chain([STEADY]) {
            workflow::make(&folder.join(workflow.to_string()), workflow, endpoint);
        }
        Self {
            name,
            clock: Preload::clock(&folder),
            folder,
            url: String::new(),
            size,
            seed,
            database: None,
            disk: None,
            outages: watch::Sender::new(0),
            counts: Mutex::default(),
            given: Mutex::default(),
        }
    }

    /// Where everything is kept that is needed to look into a fault.
    pub(crate) fn kept(&self) -> String {
        format!("seed {}, and everything is kept in {}", self.seed, self.folder.display())
    }

    /// The folder of a workflow.
    pub(crate) fn folder_of(&self, workflow: i32) -> PathBuf {
        self.folder.join(workflow.to_string())
    }

    pub(crate) fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// Everything that was counted.
    pub(crate) fn all_counted(&self) -> String {
        let counts = self.counts.lock().unwrap();
        let told: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        told.join(", ")
    }

    pub(crate) fn given(&self) -> BTreeSet<i32> {
        self.given.lock().unwrap().clone()
    }

    /// The postings of a workflow's round, which are written into its folder.
    pub(crate) fn give(&self, workflow: i32, round: i32) {
        let count = if workflow == STEADY { self.size.steady } else { self.size.round };
        let lines = workflow::lines(workflow::postings(workflow, round, count));
        fs::write(self.folder_of(workflow).join(postings_file(round)), lines).unwrap();
        self.given.lock().unwrap().extend(workflow::postings(workflow, round, count));
        self.count("runs");
    }

    /// The program on this store.
    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turing"));
        command.args(arguments).current_dir(folder).env("TURING_STORE", &self.url);
        command.stdin(Stdio::null());
        command
    }

    /// The same by the clock that is set.
    pub(crate) fn by_the_clock(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.folder, arguments);
        self.clock.load_into(&mut command);
        command
    }

    /// The program that runs a round of a workflow.
    pub(crate) fn run(&self, workflow: i32, round: i32) -> Command {
        let arguments = ["run", "--workflow", "workflow.toml", "--postings"];
        let mut command = self.command(&self.folder_of(workflow), &arguments);
        command.arg(postings_file(round)).arg("--parallel").arg(PARALLEL.to_string());
        self.clock.load_into(&mut command);
        if let (Some(disk), true) = (&self.disk, workflow != STEADY) {
            disk.load_into(&mut command);
        }
        command
    }

    /// Starts a program whose output is kept under this name.
    pub(crate) fn start(&self, name: &str, mut command: Command) -> (Child, Told) {
        let path = self.folder.join("out").join(format!("{name}.txt"));
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        writeln!(file, "== {:?}", command.get_args().collect::<Vec<_>>()).unwrap();
        let from = file.metadata().unwrap().len();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut command = tokio::process::Command::from(command);
        (command.kill_on_drop(true).spawn().unwrap(), Told { path, from })
    }

    /// Asks for something and waits for the answer.
    pub(crate) async fn ask(&self, arguments: &[&str]) -> Answer {
        let mut command = tokio::process::Command::from(self.command(&self.folder, arguments));
        command.kill_on_drop(true).output().await.unwrap().into()
    }

    /// The same of a copy of the store.
    pub(crate) async fn ask_of(&self, url: &str, arguments: &[&str]) -> Answer {
        self.ask(&[arguments, &["--store", url]].concat()).await
    }

    /// Asks again and again until all is well.
    pub(crate) async fn until_well(&self, arguments: &[&str]) -> Answer {
        let (began, mut look) = (Instant::now(), interval(LOOK));
        loop {
            let answer = self.ask(arguments).await;
            if answer.code == Some(0) {
                return answer;
            }
            let is_late = began.elapsed() > PATIENCE;
            assert!(!is_late, "{arguments:?} of {}: {answer:#?}; {}", self.name, self.kept());
            look.tick().await;
        }
    }

    /// Waits until nothing is in the way of what is to come true.
    pub(crate) async fn eventually(&self, what: &str, in_the_way: impl Fn() -> Vec<String>) {
        let (began, mut look) = (Instant::now(), interval(LOOK));
        loop {
            let left = in_the_way();
            if left.is_empty() {
                return;
            }
            let is_late = began.elapsed() > PATIENCE;
            assert!(!is_late, "never came true: {what}, but for {left:#?}; {}", self.kept());
            look.tick().await;
        }
    }

    /// A number that tells later whether the store could be used all the time.
    pub(crate) fn outages(&self) -> u64 {
        *self.outages.borrow()
    }

    /// Whether the store could not be used at some time since then.
    pub(crate) fn was_out_since(&self, outages: u64) -> bool {
        !outages.is_multiple_of(2) || self.outages() != outages
    }

    /// From now on the store may be out of use.
    pub(crate) fn goes_out(&self) {
        self.outages.send_modify(|outages| *outages += 1);
    }

    /// The store can be used again.
    pub(crate) fn is_back(&self) {
        self.outages.send_modify(|outages| *outages += 1);
    }

    /// Waits until the store can be used.
    pub(crate) async fn until_back(&self) {
        let mut outages = self.outages.subscribe();
        let is_back = outages.wait_for(|outages| outages.is_multiple_of(2)).await;
        assert!(is_back.is_ok(), "the scene has the sender");
    }

    /// Fills the disk of the rough programs, or makes room.
    pub(crate) fn fill_disk(&self, is_full: bool) {
        let disk = self.disk.as_ref().expect("only the day of a file has full disks");
        disk.set(i64::from(is_full));
    }

    /// How long the write-ahead log of a file is.
    pub(crate) fn log_bytes(&self) -> u64 {
        let log = self.folder.join("store/turing.db-wal");
        fs::metadata(log).map_or(0, |log| log.len())
    }

    /// The processes that work in the folder of a workflow: the program that runs it, those that watch
    /// over its scripts, and whatever these started.
    pub(crate) fn left_by(&self, workflow: i32) -> Vec<String> {
        let folder = self.folder_of(workflow);
        let left = |process: PathBuf| {
            // who is gone meanwhile works nowhere
            let place = fs::read_link(process.join("cwd")).ok()?;
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (place == folder).then(|| format!("{} {command}", process.display()))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        processes.filter_map(left).collect()
    }
}

fn postings_file(round: i32) -> String {
    format!("round-{round}.jsonl")
}
