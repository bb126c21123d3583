//! Turing's store in an SQLite file.

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use rusqlite::{Connection, OpenFlags};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
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

    /// Reads every event in one statement through sqlx; of each, the position and both documents' text
    /// are taken.
    pub(crate) async fn read_log(&self, events: u64) -> Result<Duration, Failure> {
        let options = SqliteConnectOptions::new().filename(self.path()).read_only(true);
        let mut connection = options.disable_statement_logging().connect().await?;
        let start = Instant::now();
        let mut rows =
            sqlx::query(include_str!("sql/read_log_of_sqlite.sql")).fetch(&mut connection);
        let mut read = Tally::default();
        while let Some(row) = rows.try_next().await? {
            let documents = [row.try_get::<&str, _>(6)?, row.try_get::<&str, _>(7)?];
            read.count(row.try_get(0)?, documents)?;
        }
        let took = start.elapsed();
        read.check(events)?;
        Ok(took)
    }

    /// The same through rusqlite, without threads and copies.
    pub(crate) fn read_log_bare(&self, events: u64) -> Result<Duration, Failure> {
        block_in_place(|| read_log_bare(&self.path(), events))
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

fn read_log_bare(path: &Path, events: u64) -> Result<Duration, Failure> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let start = Instant::now();
    let mut statement = connection.prepare(include_str!("sql/read_log_of_sqlite.sql"))?;
    let mut rows = statement.query([])?;
    let mut read = Tally::default();
    while let Some(row) = rows.next()? {
        let documents = [row.get_ref(6)?.as_str()?, row.get_ref(7)?.as_str()?];
        read.count(row.get(0)?, documents)?;
    }
    let took = start.elapsed();
    read.check(events)?;
    Ok(took)
}

/// What was read, to be sure that it was all.
#[derive(Default)]
struct Tally {
    events: u64,
    last: i64,
    bytes: usize,
}

impl Tally {
    fn count(&mut self, position: i64, documents: [&str; 2]) -> Result<(), Failure> {
        if position <= self.last {
            return Err("positions grow".into());
        }
        self.last = position;
        self.events += 1;
        self.bytes += documents.iter().map(|text| text.len()).sum::<usize>();
        Ok(())
    }

    fn check(&self, events: u64) -> Result<(), Failure> {
        if self.events != events || self.bytes == 0 {
            return Err(format!("{} events of {events} were read", self.events).into());
        }
        Ok(())
    }
}
