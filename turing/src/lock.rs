//! One process at a time runs a workflow in a store.
//!
//! For a file that is a lock on a file beside it. In PostgreSQL it is an advisory lock of a
//! transaction that stays open as long as the run, on a connection of its own: a proxy that lends
//! connections keeps one for it, and the server lets it go when the connection ends. The
//! transaction has read and written nothing, so it holds nobody back. What rests on the lock is that
//! work is not done twice in vain; what is recorded is judged by the versions of the streams.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use es_core::{StoreError, StoreErrorKind};
use es_postgres::sqlx::{self, Connection, PgConnection, Row};
use es_postgres::{PostgresConfig, store_error};

use rustix::fs::{FlockOperation, flock};
use tokio::time::timeout;
use turing_domain::WorkflowId;

/// Held for as long as this process runs the workflow; the system releases it when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    workflow: WorkflowId,
    _held: Held,
}

/// What is let go of with the lock.
#[derive(Debug)]
enum Held {
    Nothing,
    File { _file: File },
    Transaction { _connection: Box<PgConnection> },
}

/// How long the server has to answer: for the lock, and then for another connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// With the schema's name the first half of the advisory locks' key; the workflow is the other. The
/// letters `turi`.
const LOCK_CLASS: i32 = 0x7475_7269;

/// Why the workflow cannot be run now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process runs it.
    #[error(
        "workflow {workflow} is being run in this store by process {process}; wait for it, or stop it"
    )]
    Held {
        /// The workflow.
        workflow: WorkflowId,
        /// The process, as it wrote into the lock file.
        process: String,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(StoreError),
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl RunLock {
    /// The lock of a store that no other process can reach.
    pub(crate) fn none(workflow: WorkflowId) -> Self {
        Self { workflow, _held: Held::Nothing }
    }

    /// The workflow that is locked.
    pub fn workflow(&self) -> WorkflowId {
        self.workflow
    }

    /// Locks the workflow in a PostgreSQL database.
    pub(crate) async fn within(
        config: &PostgresConfig,
        workflow: WorkflowId,
    ) -> Result<Self, LockError> {
        let what = format!("locking the run of workflow {workflow}");
        let locked = timeout(PATIENCE, Self::taken(config, workflow)).await;
        let lock = locked.map_err(|_| unanswered(config, &what, ""))??;
        // the rest of the run needs another connection than the one that is kept
        let more = timeout(PATIENCE, is_answered(config)).await.map_err(|_| {
            let pool = "; the lock keeps a connection to the server as long as the run: behind a \
                        pooler, its pool must have two at least";
            unanswered(config, "running beside the lock of the run", pool)
        })?;
        more.map(|()| lock)
    }

    async fn taken(config: &PostgresConfig, workflow: WorkflowId) -> Result<Self, LockError> {
        let failed = |error| LockError::Store(store_error("locking a run", &config.place(), error));
        let mut connection = config.connect().await.map_err(LockError::Store)?;
        let begin = sqlx::raw_sql(config.begin_pinned());
        begin.execute(&mut connection).await.map_err(failed)?;
        // a holder that has just ended is waited for: the server takes a moment to notice
        let begin = sqlx::raw_sql(include_str!("lock/waits.sql"));
        begin.execute(&mut connection).await.map_err(failed)?;
        let lock = sqlx::query(include_str!("lock/lock.sql")).persistent(false);
        let schema = config.names().schema.as_str();
        let lock = lock.bind(LOCK_CLASS).bind(workflow.0).bind(schema);
        let locked = lock.execute(&mut connection).await;
        match locked {
            Ok(_) => {
                let held = Held::Transaction { _connection: Box::new(connection) };
                Ok(Self { workflow, _held: held })
            }
            Err(error) if is_held(&error) => {
                let end = sqlx::raw_sql("ROLLBACK");
                end.execute(&mut connection).await.map_err(failed)?;
                let again = sqlx::raw_sql(config.begin_pinned());
                again.execute(&mut connection).await.map_err(failed)?;
                let holder = sqlx::query(include_str!("lock/holder.sql")).persistent(false);
                let holder = holder.bind(LOCK_CLASS).bind(workflow.0).bind(schema);
                let found = holder.fetch_optional(&mut connection).await.map_err(failed)?;
                let process = found.map(|row| row.try_get(0)).transpose().map_err(failed)?;
                let process = process.unwrap_or_else(|| "?".to_owned());
                Err(LockError::Held { workflow, process })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Locks the workflow for the store in the file at `store`, by a file beside it.
    pub(crate) fn beside(store: &Path, workflow: WorkflowId) -> Result<Self, LockError> {
        // one store has one lock, by whatever name it is reached
        let store = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let mut name = store.into_os_string();
        name.push(format!("-run-{workflow}.lock"));
        let path = PathBuf::from(name);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(unusable)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(unusable(error.into()));
            }
            let process = fs::read_to_string(&path).unwrap_or_default();
            let process = process.trim();
            let process = if process.is_empty() { "?" } else { process }.to_owned();
            return Err(LockError::Held { workflow, process });
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { workflow, _held: Held::File { _file: file } })
    }
}

/// Asks the server for something on a connection of its own.
async fn is_answered(config: &PostgresConfig) -> Result<(), LockError> {
    let what = "connecting beside the lock of the run";
    let failed = |error| LockError::Store(store_error(what, &config.place(), error));
    let mut connection = config.connect().await.map_err(LockError::Store)?;
    sqlx::raw_sql("SELECT").execute(&mut connection).await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    Ok(())
}

/// The failure of what did not end in time.
fn unanswered(config: &PostgresConfig, what: &str, advice: &str) -> LockError {
    let place = config.place();
    let text = format!("{what} in {place}: no answer within {PATIENCE:?}{advice}");
    LockError::Store(StoreError::new(StoreErrorKind::Unavailable, text))
}

/// True if the server gave up waiting for a lock.
fn is_held(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that is gone lets the lock go as soon as the log.
    #[test]
    fn the_lock_of_a_host_that_is_gone_is_free_soon() {
        let config: PostgresConfig = "postgres://u@localhost/d".parse().unwrap();
        let begin =
            format!("{};{}", config.begin_pinned().as_str(), include_str!("lock/waits.sql"));
        let number = |name: &str| {
            let (_, rest) = begin.rsplit_once(&format!("SET LOCAL {name} = ")).unwrap();
            rest.split(';').next().unwrap().trim_matches('\'').parse::<u64>().unwrap()
        };
        let probes = number("tcp_keepalives_interval") * number("tcp_keepalives_count");
        assert!(number("tcp_keepalives_idle") + probes <= 30);
        assert!(number("tcp_user_timeout") <= 30_000);
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let lock = |id| RunLock::beside(&store, WorkflowId(id));
        let first = lock(1).unwrap();
        let error = lock(1).unwrap_err().to_string();
        assert!(error.contains(&format!("by process {}", std::process::id())), "{error}");
        lock(2).unwrap();
        fs::write(&store, "").unwrap();
        drop(first);
        let first = lock(1).unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&store, &link).unwrap();
        RunLock::beside(&link, WorkflowId(1)).unwrap_err();
        drop(first);
        lock(1).unwrap();
    }
}
