//! From a store's address to an open store: the only place that chooses a backend.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use es_core::{EventStore, SnapshotStore, StoreError};
use es_memory::MemoryStore;
use es_sqlite::{SqliteConfig, SqliteStore};
use turing_domain::WorkflowId;

use crate::lock::{LockError, RunLock};
use crate::registry::{MemoryRegistry, PostingRegistry, SqliteRegistry};

/// The address of a store, as `--store` takes it.
///
/// The text forms are `memory:`, which ends with the process, and `sqlite:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory; nothing is kept.
    Memory,
    /// An SQLite file.
    Sqlite(PathBuf),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// A text that is no address of a store. It shows the scheme only: the rest may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// The text has no scheme, or an unknown one.
    #[error("unknown kind of store `{scheme}`; use sqlite:PATH or memory:")]
    Scheme {
        /// What stands before the first colon.
        scheme: String,
    },
    /// PostgreSQL is not among this version's backends.
    #[error("this version has no PostgreSQL backend yet; use sqlite:PATH")]
    Postgres,
    /// `sqlite:` without a path.
    #[error("sqlite: needs the path of a file, such as sqlite:turing.db")]
    NoPath,
    /// `memory:` with something behind it.
    #[error("memory: takes nothing behind the colon")]
    NotEmpty,
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => Err(StoreUrlError::NotEmpty),
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(StoreUrlError::NoPath),
                path => Ok(Self::Sqlite(path.into())),
            },
            "postgres" | "postgresql" => Err(StoreUrlError::Postgres),
            _ => Err(StoreUrlError::Scheme { scheme: scheme.chars().take(20).collect() }),
        }
    }
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For writing; the store is made if there is none.
    Write,
    /// For looking only; there must be one.
    Read,
}

/// An open store, by its abilities.
#[derive(Clone)]
pub struct Store {
    /// Streams and the log.
    pub events: Arc<dyn EventStore>,
    /// Kept states.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// The postings that are known.
    pub postings: Arc<dyn PostingRegistry>,
    sqlite: Option<SqliteStore>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store at `url`.
    ///
    /// # Errors
    ///
    /// When there is none (for reading), it is not a store, or it cannot be opened.
    pub async fn open(url: &StoreUrl, access: Access) -> Result<Self, StoreError> {
        match url {
            StoreUrl::Memory => Ok(Self::in_memory()),
            StoreUrl::Sqlite(path) => {
                let config = SqliteConfig::new(path)
                    .create(access == Access::Write)
                    .read_only(access == Access::Read);
                let sqlite = SqliteStore::open(config).await?;
                let events = Arc::new(sqlite.clone());
                Ok(Self {
                    snapshots: events.clone(),
                    postings: Arc::new(SqliteRegistry::new(sqlite.clone(), access).await?),
                    events,
                    sqlite: Some(sqlite),
                })
            }
        }
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Self {
        let events = Arc::new(MemoryStore::new());
        Self::new(events.clone(), events, Arc::new(MemoryRegistry::default()))
    }

    /// A store of parts that were opened elsewhere; no other process can reach it.
    pub fn new(
        events: Arc<dyn EventStore>,
        snapshots: Arc<dyn SnapshotStore>,
        postings: Arc<dyn PostingRegistry>,
    ) -> Self {
        Self { events, snapshots, postings, sqlite: None }
    }

    /// Makes this process the one that runs the workflow in this store.
    ///
    /// # Errors
    ///
    /// When another process does.
    pub fn lock_run(&self, workflow: WorkflowId) -> Result<RunLock, LockError> {
        match &self.sqlite {
            Some(sqlite) => RunLock::beside(sqlite.path(), workflow),
            None => Ok(RunLock::none(workflow)),
        }
    }

    /// Closes the store: everything written is on the disk, and its files are released.
    pub async fn close(self) {
        if let Some(sqlite) = self.sqlite {
            sqlite.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for text in ["memory:", "sqlite:turing.db", "sqlite:/tmp/a b.db"] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
        assert_eq!("sqlite:///tmp/a.db".parse(), Ok(StoreUrl::Sqlite("/tmp/a.db".into())));
    }

    #[test]
    fn a_bad_address_is_told_without_its_secrets() {
        for text in ["mysql://u:canary@h/d", "postgres://u:canary@h/d", "canary.db", ""] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary@"), "{error}");
        }
        assert_eq!("sqlite:".parse::<StoreUrl>(), Err(StoreUrlError::NoPath));
    }
}
