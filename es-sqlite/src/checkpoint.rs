//! Keeps the write-ahead log short where somebody reads all the time, and says who keeps it long.

use std::cell::Cell;
use std::ffi::c_int;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use crate::error::is_failed_flush;
use crate::open_reads::{OpenRead, OpenReads};

/// How long the write-ahead log becomes before it is begun again by force; also what SQLite cuts
/// it to.
pub(crate) const WAL_BYTES: u64 = 64 * 1024 * 1024;
/// How much more it grows before the next try, if somebody still read, for each 64 MiB that it has.
const MORE_BYTES: u64 = 16 * 1024 * 1024;
/// How long a try waits for those who read, for each 64 MiB; appends wait as long.
const PATIENCE: Duration = Duration::from_millis(100);
/// At most so many times as much: the busy time-out of other processes is longer.
const MOST: f64 = 20.0;
/// How many transactions pass between two looks at its length.
const TRANSACTIONS: u32 = 16;
/// How many pages it has before each commit writes it back into the file, as far as it can.
const PAGES: c_int = 1_000;

/// How long the write-ahead log of a store is, and what may keep it so.
///
/// It is cut back to 64 MiB where nobody reads for longer than a moment. The gauge
/// `es.sqlite.write_ahead_log.bytes` of the `metrics` facade, with the label `store`, has its length,
/// as of some appends ago.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteAheadLog {
    /// Its length.
    pub bytes: u64,
    /// The oldest read of this store that is not over; those of other processes are not known.
    pub oldest_read: Option<OpenRead>,
}

/// Writes the log back into the file after a commit, as SQLite would by itself. But there a flush that
/// fails is nobody's: a commit that was not flushed may be lost by it, and the next flush says that all
/// is well, also of what was committed behind it. So it fails the commit.
pub(crate) fn write_back(log: &Wal, pages: c_int) -> rusqlite::Result<()> {
    if pages < PAGES {
        return Ok(());
    }
    match log.checkpoint() {
        Err(error) if is_failed_flush(&error) => Err(error),
        // whatever else was in its way, the next one does it
        _ => Ok(()),
    }
}

/// The log is written back into the file after commits, but begun again only at
/// a moment when nobody reads. Where reads overlap there is none, and the log would grow with
/// every append.
pub(crate) struct Checkpoints {
    log: PathBuf,
    busy_timeout: Duration,
    /// From which age on a read is told of.
    long_read: Duration,
    reads: Arc<OpenReads>,
    transactions: Cell<u32>,
    next: Cell<u64>,
    kept: Cell<Kept>,
}

/// What is known of those who keep the log, since it was begun again.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    /// When the first try failed.
    since: Option<Instant>,
    /// The last read of this store that was told of.
    told: Option<u64>,
    /// Whether it was told that others read, or one after the other.
    is_told: bool,
}

/// Who keeps the log from being begun again, for how long.
#[derive(Debug, PartialEq)]
enum Keeper {
    Read(OpenRead),
    /// Reads of which none is long, but there is no moment without one; the last of this store's.
    Overlapping(&'static str, Duration),
    AnotherProcess(Duration),
}

impl Kept {
    /// A try that waited for so long has failed while `oldest` was the oldest read of this store: whom
    /// to tell of, each once.
    fn failed(
        &mut self,
        now: Instant,
        waited: Duration,
        oldest: Option<(u64, OpenRead)>,
        long_read: Duration,
    ) -> Option<Keeper> {
        let lasts = now.duration_since(*self.since.get_or_insert(now));
        // shorter ones have begun meanwhile
        let oldest = oldest.filter(|(_, read)| read.lasts >= waited / 2);
        match oldest {
            Some((number, read)) if read.lasts >= long_read => {
                // it explains why the log was kept until now
                self.since = Some(now);
                (self.told.replace(number) != Some(number)).then_some(Keeper::Read(read))
            }
            _ if lasts < long_read || std::mem::replace(&mut self.is_told, true) => None,
            Some((_, read)) => Some(Keeper::Overlapping(read.call, lasts)),
            None => Some(Keeper::AnotherProcess(lasts)),
        }
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CURE: &str = "it is cut back when the read is over, so end it, or make it of several \
                            short ones";
        match self {
            Self::Read(OpenRead { call, lasts }) => {
                let lasts = lasts.as_secs();
                write!(f, "`{call}` of this process has read for {lasts} s; {CURE}")
            }
            Self::AnotherProcess(lasts) => {
                write!(f, "another process has read for {} s; {CURE}", lasts.as_secs())
            }
            Self::Overlapping(call, lasts) => write!(
                f,
                "reads have overlapped for {} s, of this process (`{call}`) or also of others; it is cut \
                 back when there is a moment between two, so make them shorter, or fewer at a time",
                lasts.as_secs()
            ),
        }
    }
}

impl Checkpoints {
    pub(crate) fn new(
        log: PathBuf,
        busy_timeout: Duration,
        long_read: Duration,
        reads: Arc<OpenReads>,
    ) -> Self {
        Self {
            log,
            busy_timeout,
            long_read,
            reads,
            transactions: Cell::new(0),
            next: Cell::new(WAL_BYTES),
            kept: Cell::default(),
        }
    }

    /// Called after each transaction; an error is a flush that failed.
    pub(crate) fn after_transaction(&self, connection: &Connection) -> rusqlite::Result<()> {
        self.transactions.set((self.transactions.get() + 1) % TRANSACTIONS);
        if self.transactions.get() != 0 {
            return Ok(());
        }
        let length = length(&self.log);
        let store = connection.path().unwrap_or_default().to_owned();
        metrics::gauge!("es.sqlite.write_ahead_log.bytes", "store" => store).set(length as f64);
        if length <= WAL_BYTES {
            self.next.set(WAL_BYTES);
        } else if length > self.next.get() {
            // who begins to read meanwhile reads the file and holds up nothing
            let patience = PATIENCE.mul_f64(times(length));
            match self.begin_log_again(connection, patience) {
                Ok(true) => self.kept.set(Kept::default()),
                Ok(false) => self.tell(length, patience),
                Err(error) if is_failed_flush(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(log = %self.log.display(), error = &error as &dyn std::error::Error,
                        "the write-ahead log cannot be begun again");
                }
            }
            self.next.set(length + (MORE_BYTES as f64 * times(length)) as u64);
        }
        Ok(())
    }

    /// False if somebody still reads what stands in it.
    fn begin_log_again(
        &self,
        connection: &Connection,
        patience: Duration,
    ) -> rusqlite::Result<bool> {
        let mut is_kept = false;
        connection.busy_timeout(patience)?;
        let done = connection.pragma(None, "wal_checkpoint", "RESTART", |row| {
            is_kept = row.get(0)?;
            Ok(())
        });
        connection.busy_timeout(self.busy_timeout)?;
        done.map(|()| !is_kept)
    }

    /// Says who keeps the log.
    fn tell(&self, length: u64, waited: Duration) {
        let mut kept = self.kept.get();
        let keeper = kept.failed(Instant::now(), waited, self.reads.oldest(), self.long_read);
        self.kept.set(kept);
        if let Some(keeper) = keeper {
            tracing::warn!(
                log = %self.log.display(),
                "the write-ahead log {} has {} MiB and grows with every append, because {keeper}",
                self.log.display(),
                length >> 20,
            );
        }
    }
}

/// How many times 64 MiB a log has. A try for a log that has become long waits longer, since who reads
/// does so for longer than the tries before, and comes later, so that appends lose no more of their
/// time.
fn times(length: u64) -> f64 {
    (length as f64 / WAL_BYTES as f64).clamp(1.0, MOST)
}

pub(crate) fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_secs(1);

    fn read(number: u64, lasts: Duration) -> Option<(u64, OpenRead)> {
        Some((number, OpenRead { call: "read", lasts }))
    }

    /// Tries that fail, one a second, and whom each tells of.
    fn tries(oldest: impl Fn(u64) -> Option<(u64, OpenRead)>) -> Vec<(u64, Keeper)> {
        let (start, mut kept) = (Instant::now(), Kept::default());
        let told = (0..60).filter_map(|second| {
            let now = start + Duration::from_secs(second);
            kept.failed(now, PATIENCE, oldest(second), LONG).map(|keeper| (second, keeper))
        });
        told.collect()
    }

    #[test]
    fn reads_that_overlap_are_told_of_once() {
        let told = tries(|second| read(second, SHORT));
        assert_eq!(told, [(10, Keeper::Overlapping("read", LONG))]);
    }

    #[test]
    fn a_short_read_hides_no_other_process() {
        let told = tries(|second| if second == 9 { read(1, SHORT) } else { None });
        assert_eq!(told, [(10, Keeper::AnotherProcess(LONG))]);
        // nor does one that began while it was tried
        let told = tries(|second| read(second, Duration::ZERO));
        assert_eq!(told, [(10, Keeper::AnotherProcess(LONG))]);
    }

    #[test]
    fn each_long_read_is_told_of_once() {
        let long = || OpenRead { call: "read", lasts: LONG };
        let told = tries(|second| Some((second / 30, long())));
        assert_eq!(told, [(0, Keeper::Read(long())), (30, Keeper::Read(long()))]);
    }

    #[test]
    fn who_keeps_the_log_after_a_long_read_is_told_of_later() {
        let told = tries(|second| if second < 30 { read(1, LONG) } else { None });
        assert_eq!(told[1..], [(39, Keeper::AnotherProcess(LONG))]);
    }

    #[test]
    fn a_try_for_a_longer_log_waits_longer_but_not_for_ever() {
        let waits = [0, 1, 2, 10, 1000].map(|length| PATIENCE.mul_f64(times(length * WAL_BYTES)));
        assert_eq!(waits.map(|wait| wait.as_millis()), [100, 100, 200, 1000, 2000]);
    }
}
