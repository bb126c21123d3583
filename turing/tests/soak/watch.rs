//! What long-lived programs hold: memory, descriptors, threads and children, which do not grow.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio::time::interval;

use crate::day::Phase;
use crate::scene::Scene;

const MIB: u64 = 1024 * 1024;

/// The longest that the write-ahead log of a file may become: 64 MiB, and what is written until it
/// can be begun again.
const LOG_BYTES: u64 = 128 * MIB;

/// By how many the median of the last fifth of the time may exceed that of the second.
const MORE_DESCRIPTORS: u64 = 8;
const MORE_THREADS: u64 = 8;
const MORE_CHILDREN: u64 = 2;

/// A look at one process.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory: u64,
    descriptors: u64,
    threads: u64,
    children: u64,
}

/// One process from its first look to its last.
struct Life {
    name: &'static str,
    process: u32,
    looks: Vec<Held>,
}

/// What was seen of one store's programs, and of its file.
#[derive(Default)]
pub(crate) struct Watched {
    lives: Vec<Life>,
    log_bytes: u64,
}

/// Looks at these programs again and again until the night.
pub(crate) async fn look_on(
    scene: Arc<Scene>,
    long_lived: Vec<(&'static str, Arc<AtomicU32>)>,
    watched: Arc<Mutex<Watched>>,
    phase: watch::Receiver<Phase>,
) {
    let mut look = interval(scene.size.look);
    while *phase.borrow() < Phase::Night {
        look.tick().await;
        let mut watched = watched.lock().unwrap();
        watched.log_bytes = watched.log_bytes.max(scene.log_bytes());
        for &(name, ref process) in &long_lived {
            watched.look(name, process.load(Ordering::Relaxed));
        }
    }
}

impl Watched {
    fn look(&mut self, name: &'static str, process: u32) {
        // who is gone meanwhile holds nothing
        let Some(held) = Held::by(process) else { return };
        let last = self.lives.iter_mut().rfind(|life| life.name == name);
        match last.filter(|life| life.process == process) {
            Some(life) => life.looks.push(held),
            None => self.lives.push(Life { name, process, looks: vec![held] }),
        }
    }

    /// Nothing has grown.
    pub(crate) fn check(&self, scene: &Scene) {
        for life in &self.lives {
            life.check(scene);
        }
        assert!(self.log_bytes <= LOG_BYTES, "{self}; {}", scene.kept());
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for life in &self.lives {
            writeln!(f, "  {life}")?;
        }
        write!(f, "  write-ahead log: {:.1} MiB at most", in_mib(self.log_bytes))
    }
}

impl Held {
    fn by(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        Some(Self {
            memory: number("VmRSS:")? * 1024,
            descriptors: descriptors as u64,
            threads: number("Threads:")?,
            children: children_of(process),
        })
    }
}

fn children_of(parent: u32) -> u64 {
    let is_child = |status: &String| {
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.is_some_and(|line| line.trim() == parent.to_string())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let statuses = processes.filter_map(|it| fs::read_to_string(it.path().join("status")).ok());
    statuses.filter(is_child).count() as u64
}

impl Life {
    /// The medians of the second and of the last fifth of the time.
    fn medians(&self, of: impl Fn(&Held) -> u64) -> [u64; 2] {
        let count = self.looks.len();
        [1, 4].map(|fifth| {
            let from = count * fifth / 5;
            let to = (count * (fifth + 1) / 5).max(from + 1);
            let mut held: Vec<_> = self.looks[from..to].iter().map(&of).collect();
            held.sort_unstable();
            held[held.len() / 2]
        })
    }

    fn check(&self, scene: &Scene) {
        if self.looks.len() < scene.size.judged {
            return;
        }
        let does_not_grow = |what: &str, [before, after]: [u64; 2], most: u64| {
            let seen = format!("{before} {what} before, {after} at last, of at most {most}");
            assert!(after <= most, "{} {self} has {seen}; {}", scene.name, scene.kept());
        };
        let memory = self.medians(|held| held.memory);
        does_not_grow("bytes", memory, memory[0] + memory[0] / 5 + 8 * MIB);
        let descriptors = self.medians(|held| held.descriptors);
        does_not_grow("descriptors", descriptors, descriptors[0] + MORE_DESCRIPTORS);
        let threads = self.medians(|held| held.threads);
        does_not_grow("threads", threads, threads[0] + MORE_THREADS);
        let children = self.medians(|held| held.children);
        does_not_grow("children", children, children[0] + MORE_CHILDREN);
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [memory, later] = self.medians(|held| held.memory).map(in_mib);
        let [descriptors, more_descriptors] = self.medians(|held| held.descriptors);
        let [threads, more_threads] = self.medians(|held| held.threads);
        let [children, more_children] = self.medians(|held| held.children);
        write!(
            f,
            "{} ({}), {} looks: {memory:.1} then {later:.1} MiB, {descriptors} then \
             {more_descriptors} descriptors, {threads} then {more_threads} threads, {children} \
             then {more_children} children",
            self.name,
            self.process,
            self.looks.len()
        )
    }
}

fn in_mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
