//! Whose processor time it was: a sample beside which others worked says little.

use std::fs;
use std::time::Instant;

use crate::Failure;

/// What a tick is worth: 1/100 s on every Linux.
const SECONDS_PER_TICK: f64 = 0.01;

/// Ticks since the start of the machine, or of processes.
pub(crate) struct Busy {
    at: Instant,
    all: u64,
    /// Those of this program, the programs that it has run to their end, and the server.
    own: u64,
}

impl Busy {
    pub(crate) fn now(postmaster: u32) -> Result<Self, Failure> {
        let own = with_children(&fs::read_to_string("/proc/self/stat")?)?;
        Ok(Self { at: Instant::now(), all: machine()?, own: own + cluster(postmaster)? })
    }

    /// How many cores others had on average since `before`.
    pub(crate) fn foreign_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all);
        // a backend that ended within a tick may be counted late
        let own = self.own.saturating_sub(before.own);
        all.saturating_sub(own) as f64 * SECONDS_PER_TICK / (self.at - before.at).as_secs_f64()
    }
}

/// What all processors did but idle and wait.
fn machine() -> Result<u64, Failure> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("/proc/stat is empty")?;
    let mut ticks = 0;
    for (index, field) in line.split_whitespace().skip(1).take(8).enumerate() {
        // the fourth is idle and the fifth waits for the disk
        if index != 3 && index != 4 {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(ticks)
}

fn fields(stat: &str) -> Vec<&str> {
    // the program's name, in parentheses, may hold spaces; its state comes next
    stat.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect())
}

fn ticks(stat: &str, which: impl Iterator<Item = usize>) -> Result<u64, Failure> {
    let fields = fields(stat);
    let mut sum = 0;
    for index in which {
        sum += fields.get(index).ok_or("a process tells no times")?.parse::<u64>()?;
    }
    Ok(sum)
}

/// Own ticks, and those of children that have ended.
fn with_children(stat: &str) -> Result<u64, Failure> {
    ticks(stat, 11..15)
}

/// The postmaster with its ended backends, and those that live.
fn cluster(postmaster: u32) -> Result<u64, Failure> {
    let mut sum = with_children(&fs::read_to_string(format!("/proc/{postmaster}/stat"))?)?;
    let parent = postmaster.to_string();
    for entry in fs::read_dir("/proc")? {
        // whatever ends meanwhile is the postmaster's next time
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        if fields(&stat).get(1) == Some(&parent.as_str()) {
            sum += ticks(&stat, 11..13)?;
        }
    }
    Ok(sum)
}
