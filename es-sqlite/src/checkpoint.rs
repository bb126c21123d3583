//! Keeps the write-ahead log short where somebody reads all the time.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

/// How long the write-ahead log becomes before it is begun again by force; also what SQLite cuts
/// it to.
pub(crate) const WAL_BYTES: u64 = 64 * 1024 * 1024;
/// How much more it grows before the next try, if somebody still read.
const MORE_BYTES: u64 = 16 * 1024 * 1024;
/// How long a try waits for those who read; appends wait as long.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many transactions pass between two looks at its length.
const TRANSACTIONS: u32 = 16;

/// SQLite writes the log back into the file by itself, after commits, but begins it again only at
/// a moment when nobody reads. Where reads overlap there is none, and the log would grow with
/// every append.
pub(crate) struct Checkpoints {
    log: PathBuf,
    busy_timeout: Duration,
    transactions: Cell<u32>,
    next: Cell<u64>,
}

impl Checkpoints {
    pub(crate) fn new(log: PathBuf, busy_timeout: Duration) -> Self {
        Self { log, busy_timeout, transactions: Cell::new(0), next: Cell::new(WAL_BYTES) }
    }

    /// Called after each transaction.
    pub(crate) fn after_transaction(&self, connection: &Connection) {
        self.transactions.set((self.transactions.get() + 1) % TRANSACTIONS);
        if self.transactions.get() != 0 {
            return;
        }
        let length = length(&self.log);
        if length <= WAL_BYTES {
            self.next.set(WAL_BYTES);
        } else if length > self.next.get() {
            // who begins to read meanwhile reads the file and holds up nothing
            if let Err(error) = self.begin_log_again(connection) {
                tracing::warn!(log = %self.log.display(), error = &error as &dyn std::error::Error,
                    "the write-ahead log cannot be begun again");
            }
            self.next.set(length + MORE_BYTES);
        }
    }

    fn begin_log_again(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.busy_timeout(PATIENCE)?;
        let done = connection.pragma(None, "wal_checkpoint", "RESTART", |_| Ok(()));
        connection.busy_timeout(self.busy_timeout)?;
        done
    }
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}
