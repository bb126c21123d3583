//! Whose processor time it was: what an operation cost, and whether others worked beside it.
//!
//! It is read from Linux's `/proc`, in ticks of ten milliseconds.

use std::fs;
use std::io;
use std::time::Duration;

/// What a tick is worth: 1/100 s on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The time of all processors since the machine started, or that of processes since they did.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    all: u64,
    client: u64,
    server: u64,
}

/// Who had how much time of all processors.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// This program, and the programs that it has run to their end.
    pub client: Duration,
    /// PostgreSQL's server, all of its processes.
    pub server: Duration,
    /// How many cores others had on average.
    pub foreign: f64,
}

impl Busy {
    /// Until now; `postmaster` is the server's first process.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read, or the server has ended.
    pub fn now(postmaster: u32) -> io::Result<Self> {
        let client = with_children(&fs::read_to_string("/proc/self/stat")?)?;
        Ok(Self { all: machine()?, client, server: cluster(postmaster)? })
    }

    /// What was spent since `before`, which is so long ago.
    pub fn since(&self, before: &Self, time: Duration) -> Spent {
        let ticks = |count: u64| TICK * u32::try_from(count).unwrap_or(u32::MAX);
        // a process that ends within a tick may be counted late
        let client = ticks(self.client.saturating_sub(before.client));
        let server = ticks(self.server.saturating_sub(before.server));
        let all = ticks(self.all.saturating_sub(before.all));
        let foreign = all.saturating_sub(client + server);
        Spent { client, server, foreign: foreign.as_secs_f64() / time.as_secs_f64() }
    }

    /// How many cores others had on average since `before`.
    pub fn foreign_since(&self, before: &Self, time: Duration) -> f64 {
        self.since(before, time).foreign
    }
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn number(field: &str) -> io::Result<u64> {
    field.parse().map_err(|_| unreadable("a time in /proc is no number"))
}

/// What all processors did but idle and wait.
fn machine() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or_else(|| unreadable("/proc/stat is empty"))?;
    let mut ticks = 0;
    for (index, field) in line.split_whitespace().skip(1).take(8).enumerate() {
        // the fourth is idle and the fifth waits for the disk
        if index != 3 && index != 4 {
            ticks += number(field)?;
        }
    }
    Ok(ticks)
}

fn fields(stat: &str) -> Vec<&str> {
    // the program's name, in parentheses, may hold spaces; its state comes next
    stat.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect())
}

fn ticks(stat: &str, which: std::ops::Range<usize>) -> io::Result<u64> {
    let fields = fields(stat);
    let times = fields.get(which).ok_or_else(|| unreadable("a process tells no times"))?;
    times.iter().map(|field| number(field)).sum()
}

/// Own ticks, and those of children that have ended.
fn with_children(stat: &str) -> io::Result<u64> {
    ticks(stat, 11..15)
}

/// The first process with those of its children that have ended, and those that live.
fn cluster(postmaster: u32) -> io::Result<u64> {
    let mut sum = with_children(&fs::read_to_string(format!("/proc/{postmaster}/stat"))?)?;
    let parent = postmaster.to_string();
    for entry in fs::read_dir("/proc")? {
        // whatever ends meanwhile is the first process's next time
        let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
        if fields(&stat).get(1) == Some(&parent.as_str()) {
            sum += ticks(&stat, 11..13)?;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a ) name) S 3 7 7 0 -1 0 0 0 0 0 10 20 300 4000 20 0";

    #[test]
    fn times_stand_behind_the_name() {
        assert_eq!(fields(STAT)[1], "3");
        assert_eq!(with_children(STAT).unwrap(), 4_330);
        assert_eq!(ticks(STAT, 11..13).unwrap(), 30);
        assert!(with_children("7 (name) S 3").is_err());
    }

    #[test]
    fn what_neither_side_had_is_foreign() {
        let before = Busy { all: 1_000, client: 100, server: 50 };
        let after = Busy { all: 1_300, client: 180, server: 70 };
        let spent = after.since(&before, Duration::from_secs(2));
        assert_eq!(spent.client, Duration::from_millis(800));
        assert_eq!(spent.server, Duration::from_millis(200));
        assert_eq!(spent.foreign, 1.0);
    }
}
