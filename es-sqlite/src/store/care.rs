//! What those want who run a store: how its log is, and whether the file is whole.

use es_core::{StoreError, StoreErrorKind};

use super::SqliteStore;
use crate::checkpoint::{WriteAheadLog, length};
use crate::damage::{Look, find_damage};
use crate::error::Doing;
use crate::write_ahead_log::write_ahead_log;

impl SqliteStore {
    /// How long the write-ahead log is, and which read of this store may keep it so.
    pub fn write_ahead_log(&self) -> WriteAheadLog {
        let oldest_read = self.shared.open_reads.oldest().map(|(_, read)| read);
        WriteAheadLog { bytes: length(&write_ahead_log(self.path())), oldest_read }
    }

    /// Reads the whole file and says what of it is damaged, in SQLite's words, a hundred lines at
    /// most. Values that somebody wrote by hand are no damage; a want of indexes is.
    ///
    /// It is one read, on a reading thread, and takes as long as reading and comparing everything.
    ///
    /// # Errors
    ///
    /// When the file cannot be read at all.
    pub async fn find_damage(&self) -> Result<Vec<String>, StoreError> {
        self.read_as("find_damage", |connection| {
            match find_damage(connection, Look::Whole).doing(connection, "checking") {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                    Ok(vec![error.to_string()])
                }
                found => found,
            }
        })
        .await
    }
}
