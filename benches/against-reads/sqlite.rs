//! Turing's store in an SQLite file.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::task::block_in_place;
use turing::store::{Access, Store, StoreUrl};

use crate::{Failure, models};

/// A file with events and nothing else, of which each measurement gets a copy.
pub(crate) struct Template {
    folder: TempDir,
}

/// A store in a copy of the template.
pub(crate) struct Copied {
    pub(crate) store: Store,
    path: PathBuf,
}

impl Template {
    pub(crate) async fn filled(
        postings: RangeInclusive<i64>,
        events: usize,
    ) -> Result<Self, Failure> {
        let template = Self { folder: tempfile::tempdir()? };
        let store = Store::open(&StoreUrl::Sqlite(template.path()), Access::Write).await?;
        models::fill(&store, postings, events).await?;
        store.close().await;
        Ok(template)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("template.db")
    }

    /// Opens a new copy, which is flushed, so that no measurement waits for that.
    pub(crate) async fn copied(&self) -> Result<Copied, Failure> {
        let path = self.folder.path().join("copy.db");
        block_in_place(|| {
            fs::copy(self.path(), &path)?;
            File::open(&path)?.sync_all()
        })?;
        let store = Store::open(&StoreUrl::Sqlite(path.clone()), Access::Existing).await?;
        Ok(Copied { store, path })
    }

    /// Reads every event in one statement; of each, the position and both documents' text are taken.
    pub(crate) fn read_log(&self, events: u64) -> Result<Duration, Failure> {
        block_in_place(|| read_log(&self.path(), events))
    }
}

impl Copied {
    /// Closes the store and removes its file.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        self.store.close().await;
        fs::remove_file(&self.path)?;
        Ok(())
    }
}

fn read_log(path: &Path, events: u64) -> Result<Duration, Failure> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let start = Instant::now();
    let mut statement = connection.prepare(include_str!("sql/read_log_of_sqlite.sql"))?;
    let mut rows = statement.query([])?;
    let (mut count, mut last, mut bytes) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        if position <= last {
            return Err("positions grow".into());
        }
        last = position;
        for column in [6, 7] {
            bytes += row.get_ref(column)?.as_str()?.len();
        }
        count += 1;
    }
    let took = start.elapsed();
    if count != events || bytes == 0 {
        return Err(format!("{count} events of {events} were read").into());
    }
    Ok(took)
}
