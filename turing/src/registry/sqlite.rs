//! Postings registered in two tables beside the events, in the same file.

use async_trait::async_trait;
use es_core::execution::StoreError;
use es_sqlite::{SqliteStore, store_error};
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value};
use turing_domain::PostingId;

use super::{Known, PostingRegistry, Tables, register, stored};
use crate::postings::{PostingInput, RefusedPosting};
use crate::store::Access;

const CREATE: [&str; 2] = [
    include_str!("sql/sqlite/create_postings.sql"),
    include_str!("sql/sqlite/create_assigned_postings.sql"),
];
const POSTING_DATA: &str = include_str!("sql/sqlite/posting_data.sql");
const ASSIGNED_POSTING: &str = include_str!("sql/sqlite/assigned_posting.sql");
const HIGHEST_ASSIGNED_POSTING: &str = include_str!("sql/sqlite/highest_assigned_posting.sql");
const INSERT_POSTING: &str = include_str!("sql/sqlite/insert_posting.sql");
const INSERT_ASSIGNED_POSTING: &str = include_str!("sql/sqlite/insert_assigned_posting.sql");

/// A registry in the file of an [`SqliteStore`].
#[derive(Debug, Clone)]
pub struct SqliteRegistry {
    store: SqliteStore,
}

impl SqliteRegistry {
    /// The registry of `store`; for writing, its tables are made if they are missing.
    ///
    /// # Errors
    ///
    /// When the tables cannot be made.
    pub async fn new(store: SqliteStore, access: Access) -> Result<Self, StoreError> {
        let registry = Self { store };
        if access == Access::Write {
            let created = registry.store.write(|tx| {
                for statement in CREATE {
                    tx.execute(statement, [])?;
                }
                Ok::<_, Fault>(())
            });
            created
                .await
                .map_err(|fault| registry.told("preparing the tables of postings", fault))?;
        }
        Ok(registry)
    }

    fn told(&self, what: &str, fault: Fault) -> StoreError {
        match fault {
            Fault::Store(error) => error,
            Fault::Sqlite(error) => store_error(what, self.store.path(), error),
        }
    }
}

/// What can go wrong within a transaction.
enum Fault {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn known(connection: &Connection, posting: PostingId) -> Result<Known, Fault> {
    let mut statement = connection.prepare_cached(POSTING_DATA)?;
    // a blob, or text that is no UTF-8, is no JSON either
    let text = |row: &Row<'_>| Ok(row.get_ref(0)?.as_str().unwrap_or_default().to_owned());
    Ok(Known::of(statement.query_row([posting.0], text).optional()?))
}

/// The tables within one transaction.
struct Rows<'a>(&'a Connection);

impl Tables for Rows<'_> {
    type Error = Fault;

    fn data(&mut self, posting: PostingId) -> Result<Known, Fault> {
        known(self.0, posting)
    }

    fn assigned(&mut self, digest: &str) -> Result<Option<PostingId>, Fault> {
        let mut statement = self.0.prepare_cached(ASSIGNED_POSTING)?;
        let id = statement.query_row([digest], |row| row.get(0)).optional()?;
        Ok(id.map(PostingId))
    }

    fn highest_assigned(&mut self) -> Result<Option<PostingId>, Fault> {
        let mut statement = self.0.prepare_cached(HIGHEST_ASSIGNED_POSTING)?;
        let id: Option<i32> = statement.query_row([], |row| row.get(0))?;
        Ok(id.map(PostingId))
    }

    fn insert(&mut self, posting: PostingId, data: Map<String, Value>) -> Result<(), Fault> {
        self.0.prepare_cached(INSERT_POSTING)?.execute((posting.0, stored(&data)))?;
        Ok(())
    }

    fn remember(&mut self, digest: &str, posting: PostingId) -> Result<(), Fault> {
        self.0.prepare_cached(INSERT_ASSIGNED_POSTING)?.execute((digest, posting.0))?;
        Ok(())
    }
}

#[async_trait]
impl PostingRegistry for SqliteRegistry {
    async fn register(
        &self,
        postings: Vec<PostingInput>,
    ) -> Result<Vec<Result<PostingId, RefusedPosting>>, StoreError> {
        if postings.is_empty() {
            return Ok(Vec::new());
        }
        let registered = self.store.write(move |tx| {
            let mut rows = Rows(tx.connection());
            postings.into_iter().map(|posting| register(&mut rows, posting)).collect()
        });
        registered.await.map_err(|fault| self.told("registering postings", fault))
    }

    async fn data(&self, posting: PostingId) -> Result<Option<Map<String, Value>>, StoreError> {
        let found = self.store.read(move |connection| known(connection, posting)).await;
        let found = found.map_err(|fault| self.told("reading a posting", fault))?;
        found.into_data(posting, &self.store.path().display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_statement_prepares_on_a_new_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("turing.db")).await.unwrap();
        SqliteRegistry::new(store.clone(), Access::Write).await.unwrap();
        let prepared = store.read(|connection| {
            let statements = [
                POSTING_DATA,
                ASSIGNED_POSTING,
                HIGHEST_ASSIGNED_POSTING,
                INSERT_POSTING,
                INSERT_ASSIGNED_POSTING,
            ];
            for statement in CREATE.into_iter().chain(statements) {
                connection.prepare(statement).map_err(Fault::from)?;
            }
            Ok::<_, Fault>(())
        });
        assert!(prepared.await.is_ok());
    }
}
