//! From a store's address to an open store: the only place that chooses a backend.

mod lookup;
pub mod postgres;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use es_core::backend::{ProjectionSink, SnapshotStore};
use es_core::execution::{StoreError, StoreErrorKind};
use es_core::projection::SinkError;
use es_memory::MemoryStore;
use es_postgres::{ConfigError, PostgresConfig, PostgresStore};
use es_sqlite::{SqliteConfig, SqliteStore};
use turing_domain::WorkflowId;

use crate::lock::{Holder, LockError, RunLock};
use crate::proposal::{command_on, quoted};
use crate::read_models::{ConversationRow, RunRow};
use crate::registry::{MemoryRegistry, PostgresRegistry, PostingRegistry, SqliteRegistry};
use crate::store::postgres::PostgresUrl;
use crate::validate::{
    FORGED, StoreFinding, UNREADABLE, UNREADABLE_TIME_KIND, validate_file, validate_histories,
    validate_log, validate_postgres, validate_posting_states, validate_rows, validate_snapshots,
};

/// The address of a store, as `--store` takes it.
///
/// The text forms are `memory:`, which ends with the process, `sqlite:PATH`, and
/// `postgres://USER@HOST:PORT/DATABASE` with the parameters of
/// [`PostgresConfig`]. No form shows a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In memory; nothing is kept.
    Memory,
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres(PostgresUrl),
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            // two slashes behind the colon are none of the path
            Self::Sqlite(path) if path.as_os_str().as_encoded_bytes().starts_with(b"//") => {
                write!(f, "sqlite://{}", path.display())
            }
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => fmt::Display::fmt(url, f),
        }
    }
}

impl StoreUrl {
    /// The address as a word of the shell. The word `PASSWORD` stands for a password.
    pub fn in_shell(&self) -> String {
        match self {
            Self::Postgres(url) => quoted(url.shown(Some("PASSWORD"))),
            Self::Memory | Self::Sqlite(_) => quoted(self),
        }
    }
}

/// A text that is no address of a store. It shows the scheme only: the rest may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreUrlError {
    /// The text has no scheme, or an unknown one.
    #[error("unknown kind of store `{scheme}`; use sqlite:PATH, postgres://… or memory:")]
    Scheme {
        /// What stands before the first colon.
        scheme: String,
    },
    /// `postgres:` with something else than an address behind it.
    #[error(transparent)]
    Postgres(#[from] ConfigError),
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
            "postgres" | "postgresql" => Ok(Self::Postgres(text.parse()?)),
            _ => Err(StoreUrlError::Scheme { scheme: scheme.chars().take(20).collect() }),
        }
    }
}

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// For writing; the store is made if there is none.
    Write,
    /// For writing; there must be one.
    Existing,
    /// For looking only; there must be one.
    Read,
}

/// What an open store lets go of in the end.
#[derive(Clone)]
enum Opened {
    Elsewhere,
    Sqlite(SqliteStore),
    Postgres { store: PostgresStore, registry: PostgresRegistry },
}

/// An open store, with the postings beside its events.
#[derive(Clone)]
pub struct Store {
    /// Streams and the log, and what is kept beside them.
    pub events: es_core::Store,
    /// The postings that are known.
    pub postings: Arc<dyn PostingRegistry>,
    opened: Opened,
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
                let opened = SqliteStore::open(config).await;
                let sqlite = opened.map_err(|error| with_command(error, url))?;
                Ok(Self {
                    events: sqlite.clone().into(),
                    postings: Arc::new(SqliteRegistry::new(sqlite.clone(), access).await?),
                    opened: Opened::Sqlite(sqlite),
                })
            }
            StoreUrl::Postgres(url) => {
                postgres::check(url).await?;
                let config = url.config();
                let registry = PostgresRegistry::new(&config);
                let store = PostgresStore::open(config).await?;
                Ok(Self {
                    events: store.clone().into(),
                    postings: Arc::new(registry.clone()),
                    opened: Opened::Postgres { store, registry },
                })
            }
        }
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Self {
        Self::new(MemoryStore::new(), Arc::new(MemoryRegistry::default()))
    }

    /// A store of parts that were opened elsewhere; no other process can reach it.
    pub fn new(events: impl Into<es_core::Store>, postings: Arc<dyn PostingRegistry>) -> Self {
        Self { events: events.into(), postings, opened: Opened::Elsewhere }
    }

    /// Kept states.
    ///
    /// # Errors
    ///
    /// When the store keeps none.
    pub fn snapshots(&self) -> Result<&Arc<dyn SnapshotStore>, StoreError> {
        let snapshots = self.events.capabilities().snapshots.as_ref();
        snapshots.ok_or_else(|| StoreError::new(StoreErrorKind::Other, "the store keeps no states"))
    }

    /// What is derived from the events.
    ///
    /// # Errors
    ///
    /// When the store keeps nothing of it.
    pub fn models(&self) -> Result<&Arc<dyn ProjectionSink>, StoreError> {
        let models = self.events.capabilities().models.as_ref();
        models.ok_or_else(|| StoreError::new(StoreErrorKind::Other, "the store keeps no models"))
    }

    /// True if the database itself keeps the states of postings, in `posting_state_projection`.
    pub fn keeps_posting_states(&self) -> bool {
        self.database().is_some()
    }

    /// How the PostgreSQL database is reached, if it is one.
    pub fn database(&self) -> Option<&PostgresConfig> {
        self.postgres().map(PostgresStore::config)
    }

    /// The store itself, if it is a PostgreSQL database.
    pub(crate) fn postgres(&self) -> Option<&PostgresStore> {
        match &self.opened {
            Opened::Postgres { store, .. } => Some(store),
            Opened::Elsewhere | Opened::Sqlite(_) => None,
        }
    }

    /// Makes this process the one that runs the workflow in this store.
    ///
    /// # Errors
    ///
    /// When another process does.
    pub async fn lock_run(&self, workflow: WorkflowId) -> Result<RunLock, LockError> {
        match &self.opened {
            Opened::Elsewhere => Ok(RunLock::none(workflow)),
            Opened::Sqlite(store) => RunLock::beside(store.path(), workflow).await,
            Opened::Postgres { store, .. } => RunLock::within(store.config(), workflow).await,
        }
    }

    /// Whether whoever writes keeps everybody else from it, whatever it is that he writes.
    pub(crate) fn is_held_as_a_whole(&self) -> bool {
        matches!(self.opened, Opened::Sqlite(_))
    }

    /// Who runs the workflow in this store now. Nobody is kept from running it.
    pub async fn run_holder(&self, workflow: WorkflowId) -> Holder {
        match &self.opened {
            Opened::Elsewhere => Holder::Unknown,
            Opened::Sqlite(store) => Holder::beside(store.path(), workflow),
            Opened::Postgres { store, .. } => Holder::within(store.config(), workflow).await,
        }
    }

    /// Compares what is stored with its events: on PostgreSQL the projection and kept states, too; and
    /// reads the rows of the other read models, and whether all are of this history. A file that is
    /// damaged is told of alone: what it says of the rest is not to be trusted.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn validate(&self) -> Result<Vec<StoreFinding>, SinkError> {
        if let Opened::Sqlite(store) = &self.opened {
            let damage = validate_file(store).await?;
            if !damage.is_empty() {
                return Ok(damage);
            }
        }
        let mut findings = self.validate_events().await?;
        findings.extend(validate_rows::<ConversationRow>(self).await?);
        findings.extend(validate_rows::<RunRow>(self).await?);
        findings.extend(validate_histories(self).await?);
        Ok(findings)
    }

    async fn validate_events(&self) -> Result<Vec<StoreFinding>, SinkError> {
        match &self.opened {
            Opened::Elsewhere | Opened::Sqlite(_) => {
                let mut findings = validate_log(&*self.events).await?;
                findings.extend(validate_posting_states(self).await?);
                findings.extend(validate_snapshots(self).await?);
                Ok(findings)
            }
            Opened::Postgres { store, .. } => {
                let mut findings = validate_postgres(store.config()).await?;
                // the database reads JSON that programs do not
                let unreadable = |finding: &StoreFinding| finding.kind == UNREADABLE;
                let stream =
                    |one: &StoreFinding| (one.aggregate_type.clone(), one.aggregate_id.clone());
                let told: BTreeSet<_> =
                    findings.iter().filter(|finding| unreadable(finding)).map(stream).collect();
                let log = validate_log(&*self.events).await?.into_iter();
                findings.extend(log.filter(|one| {
                    [UNREADABLE_TIME_KIND, FORGED].contains(&one.kind.as_str())
                        || unreadable(one) && !told.contains(&stream(one))
                }));
                Ok(findings)
            }
        }
    }

    /// Closes the store: everything written is on the disk, and its files are released.
    pub async fn close(self) {
        match self.opened {
            Opened::Elsewhere => {}
            Opened::Sqlite(store) => store.close().await,
            Opened::Postgres { store, registry } => {
                store.close().await;
                registry.close().await;
            }
        }
    }
}

/// Adds the command that brings the store up to date, if that is what it wants.
fn with_command(error: StoreError, url: &StoreUrl) -> StoreError {
    if error.kind() != StoreErrorKind::OlderSchema {
        return error;
    }
    StoreError::new(error.kind(), format!("{error}: {}", command_on(url, "migrate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        let texts =
            ["memory:", "sqlite:turing.db", "sqlite:/tmp/a b.db", "postgres://u@h:5433/turing"];
        for text in texts {
            assert_eq!(text.parse::<StoreUrl>().unwrap().to_string(), text);
        }
        assert_eq!("sqlite:///tmp/a.db".parse(), Ok(StoreUrl::Sqlite("/tmp/a.db".into())));
    }

    #[test]
    fn a_bad_address_is_told_without_its_secrets() {
        for text in ["mysql://u:canary@h/d", "postgres://u:canary@h:x/d", "canary.db", ""] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary@"), "{error}");
        }
        assert_eq!("sqlite:".parse::<StoreUrl>(), Err(StoreUrlError::NoPath));
    }
}
