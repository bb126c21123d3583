//! What tests see of processes: named pipes, locks that processes hold, and conditions that come true.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long nobody looks.
const LOOK: Duration = Duration::from_millis(5);

/// Makes a named pipe.
pub(crate) fn fifo(path: PathBuf) -> PathBuf {
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// A lock that processes hold together: it is free when all of them are gone.
pub(crate) struct Held {
    path: PathBuf,
}

impl Held {
    pub(crate) fn new(path: PathBuf) -> Self {
        fs::write(&path, "").unwrap();
        let held = Self { path };
        let _ = fs::remove_file(held.counted());
        held
    }

    /// The shell's words that make a process and all that it starts hold on, and say that it does.
    pub(crate) fn hold(&self) -> String {
        format!("exec 9<>{0}\n/usr/bin/flock -s 9\necho >> {0}.counted", self.path.display())
    }

    /// A file that is not empty when somebody holds on.
    pub(crate) fn counted(&self) -> String {
        format!("{}.counted", self.path.display())
    }

    /// The processes that have it open.
    pub(crate) fn holders(&self) -> Vec<u32> {
        let numbers = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
        let pids = numbers.filter_map(|name| name.into_string().ok()?.parse().ok());
        pids.filter(|pid: &u32| {
            // who is gone meanwhile has nothing open
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path == self.path)
        })
        .collect()
    }

    /// True if nobody holds on.
    pub(crate) fn is_free(&self) -> bool {
        let file = fs::File::open(&self.path).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
    }
}

/// Leaves the processor to others before the next look at something that nobody tells of.
pub(crate) fn pause() {
    // nobody sends anything
    let (_sender, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(LOOK);
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let (start, mut look) = (Instant::now(), tokio::time::interval(LOOK));
    while !condition() {
        assert!(start.elapsed() < 3 * PATIENCE, "never came true: {what}");
        look.tick().await;
    }
}

/// The same for a test without a runtime.
pub(crate) fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(eventually(what, condition));
}

/// Reads to its end what a program tells; one that does not end in time is killed.
#[track_caller]
pub(crate) fn rest_of(mut told: impl Read + Send + 'static, program: Pid) -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut rest = String::new();
        send.send(told.read_to_string(&mut rest).map(|_| rest))
    });
    match receive.recv_timeout(3 * PATIENCE) {
        Ok(rest) => rest.unwrap(),
        Err(_) => {
            kill_process(program, Signal::KILL).unwrap();
            panic!("the program never ended");
        }
    }
}
