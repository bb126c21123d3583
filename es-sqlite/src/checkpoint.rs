//! Keeps the write-ahead log short where somebody reads all the time, and says who keeps it long.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::open_reads::{OpenRead, OpenReads};

/// How long the write-ahead log becomes before it is begun again by force; also what SQLite cuts
/// it to.
pub(crate) const WAL_BYTES: u64 = 64 * 1024 * 1024;
/// How much more it grows before the next try, if somebody still read.
const MORE_BYTES: u64 = 16 * 1024 * 1024;
/// How long a try waits for those who read; appends wait as long.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many transactions pass between two looks at its length.
const TRANSACTIONS: u32 = 16;

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

/// SQLite writes the log back into the file by itself, after commits, but begins it again only at
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
    /// Of whom was told; each once.
    told: Cell<Option<Keeper>>,
    /// Since when no try has succeeded, though no read of this store lasts.
    kept_since: Cell<Option<Instant>>,
}

/// Who keeps the log from being begun again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeper {
    Read(u64),
    AnotherProcess,
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
            told: Cell::new(None),
            kept_since: Cell::new(None),
        }
    }

    /// Called after each transaction.
    pub(crate) fn after_transaction(&self, connection: &Connection) {
        self.transactions.set((self.transactions.get() + 1) % TRANSACTIONS);
        if self.transactions.get() != 0 {
            return;
        }
        let length = length(&self.log);
        let store = connection.path().unwrap_or_default().to_owned();
        metrics::gauge!("es.sqlite.write_ahead_log.bytes", "store" => store).set(length as f64);
        if length <= WAL_BYTES {
            self.next.set(WAL_BYTES);
        } else if length > self.next.get() {
            // who begins to read meanwhile reads the file and holds up nothing
            match self.begin_log_again(connection) {
                Ok(true) => {
                    self.told.set(None);
                    self.kept_since.set(None);
                }
                Ok(false) => self.tell(length),
                Err(error) => {
                    tracing::warn!(log = %self.log.display(), error = &error as &dyn std::error::Error,
                        "the write-ahead log cannot be begun again");
                }
            }
            self.next.set(length + MORE_BYTES);
        }
    }

    /// False if somebody still reads what stands in it.
    fn begin_log_again(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut is_kept = false;
        connection.busy_timeout(PATIENCE)?;
        let done = connection.pragma(None, "wal_checkpoint", "RESTART", |row| {
            is_kept = row.get(0)?;
            Ok(())
        });
        connection.busy_timeout(self.busy_timeout)?;
        done.map(|()| !is_kept)
    }

    /// Says who keeps the log, once of each.
    fn tell(&self, length: u64) {
        // shorter ones were waited for
        let read = self.reads.oldest().filter(|(_, read)| read.lasts >= PATIENCE / 2);
        let (keeper, who, lasts) = match read {
            Some((number, OpenRead { call, lasts })) => {
                self.kept_since.set(None);
                (Keeper::Read(number), format!("`{call}` of this process"), lasts)
            }
            None => {
                let since = self.kept_since.get().unwrap_or_else(Instant::now);
                self.kept_since.set(Some(since));
                (Keeper::AnotherProcess, "another process".to_owned(), since.elapsed())
            }
        };
        if lasts < self.long_read || self.told.replace(Some(keeper)) == Some(keeper) {
            return;
        }
        tracing::warn!(
            log = %self.log.display(),
            "the write-ahead log {} has {} MiB and grows with every append, because {who} has read for \
             {} s; it is cut back when the read is over, so end it, or make it of several short ones",
            self.log.display(),
            length >> 20,
            lasts.as_secs(),
        );
    }
}

pub(crate) fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}
