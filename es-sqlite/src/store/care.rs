//! What those want who run a store: how its log is.

use super::SqliteStore;
use crate::checkpoint::{WriteAheadLog, length};
use crate::write_ahead_log::write_ahead_log;

impl SqliteStore {
    /// How long the write-ahead log is, and which read of this store may keep it so.
    pub fn write_ahead_log(&self) -> WriteAheadLog {
        let oldest_read = self.shared.open_reads.oldest().map(|(_, read)| read);
        WriteAheadLog { bytes: length(&write_ahead_log(self.path())), oldest_read }
    }
}
