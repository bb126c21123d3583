//! The lock of a run as a transaction that stays open in PostgreSQL.
//!
//! It has a connection of its own: a proxy that lends connections keeps one for it, and the server
//! lets the lock go when the connection ends. The transaction has read and written nothing, so it
//! holds nobody back.

use std::time::Duration;

use es_core::event::Timestamp;
use es_core::execution::{StoreError, StoreErrorKind};
use es_postgres::sqlx::postgres::PgRow;
use es_postgres::sqlx::{self, Connection, PgConnection, Row};
use es_postgres::{PostgresConfig, store_error};
use tokio::time::timeout;
use turing_domain::WorkflowId;

use super::{Holder, LockError};

/// How long the server has to answer: for the lock, for another connection, and whether the lock is
/// still held.
const PATIENCE: Duration = Duration::from_secs(10);

/// With the schema's name the first half of the advisory locks' key; the workflow is the other. The
/// letters `turi`.
const LOCK_CLASS: i32 = 0x7475_7269;

/// A lock that is held, or was lost and is asked for again.
#[derive(Debug)]
pub(super) struct SessionLock {
    config: PostgresConfig,
    workflow: WorkflowId,
    held: Option<Held>,
    /// How it was lost, until it is taken again.
    loss: Option<String>,
    /// The sessions of this process that asked for it: the server may not have noticed their end.
    known: Vec<i32>,
}

/// What keeps the lock.
#[derive(Debug)]
struct Held {
    connection: PgConnection,
    transaction: Transaction,
}

/// What tells a transaction from every other one.
#[derive(Debug, PartialEq)]
struct Transaction {
    session: i32,
    began: String,
}

/// Why the lock is not taken.
enum Refusal {
    /// It is held, by this process and session if they can be seen.
    Held(Option<(String, i32)>),
    Failed(StoreError),
}

impl SessionLock {
    /// Takes the lock when a run begins.
    pub(super) async fn take(
        config: &PostgresConfig,
        workflow: WorkflowId,
    ) -> Result<Self, LockError> {
        let (held, loss, known) = (None, None, Vec::new());
        let mut lock = Self { config: config.clone(), workflow, held, loss, known };
        let taken = lock.taken_in_time().await;
        let held = taken.map_err(|refusal| lock.error(refusal))?;
        // the rest of the run needs another connection than the one that is kept
        match timeout(PATIENCE, is_answered(config)).await {
            Ok(Ok(())) => Ok(Self { held: Some(held), ..lock }),
            Ok(Err(error)) => Err(LockError::Store(error)),
            Err(_) => {
                let pool = "; the lock keeps a connection to the server as long as the run: behind \
                            a pooler, its pool must have two at least";
                let error = unanswered(config, "running beside the lock of the run", pool);
                Err(LockError::Store(error))
            }
        }
    }

    /// Tries to take the lock again if it was lost; answers how it was.
    pub(super) async fn keep(&mut self) -> Result<Option<String>, LockError> {
        if let Some(held) = &mut self.held {
            let Some(loss) = held.loss(&self.config).await else { return Ok(None) };
            // the server must see its end
            self.held = None;
            self.loss = Some(loss);
        }
        match self.taken_in_time().await {
            Ok(held) => {
                self.held = Some(held);
                Ok(self.loss.take())
            }
            Err(refusal) => Err(self.not_again(refusal)),
        }
    }

    /// Why a lost lock cannot be taken again now.
    fn not_again(&self, refusal: Refusal) -> LockError {
        let passes = match &refusal {
            Refusal::Failed(_) => false,
            Refusal::Held(Some((_, session))) => self.known.contains(session),
            // whoever had it is gone
            Refusal::Held(None) => true,
        };
        if !passes {
            return self.error(refusal);
        }
        let text = format!(
            "locking the run of workflow {} in {}: the server has not noticed yet that the session \
             has ended that had the lock",
            self.workflow,
            self.config.place()
        );
        LockError::Store(StoreError::new(StoreErrorKind::Unavailable, text))
    }

    fn error(&self, refusal: Refusal) -> LockError {
        match refusal {
            Refusal::Failed(error) => LockError::Store(error),
            Refusal::Held(holder) => {
                let process = holder.map_or_else(|| "?".to_owned(), |(process, _)| process);
                LockError::Held { workflow: self.workflow, process }
            }
        }
    }

    async fn taken_in_time(&mut self) -> Result<Held, Refusal> {
        let what = format!("locking the run of workflow {}", self.workflow);
        let late = Refusal::Failed(unanswered(&self.config, &what, ""));
        timeout(PATIENCE, self.taken()).await.unwrap_or(Err(late))
    }

    async fn taken(&mut self) -> Result<Held, Refusal> {
        let config = &self.config;
        let failed = |error| Refusal::Failed(store_error("locking a run", &config.place(), error));
        let mut connection = config.connect().await.map_err(Refusal::Failed)?;
        let begin = sqlx::raw_sql(config.begin_pinned());
        begin.execute(&mut connection).await.map_err(failed)?;
        // a holder that has just ended is waited for: the server takes a moment to notice
        let begin = sqlx::raw_sql(include_str!("waits.sql"));
        begin.execute(&mut connection).await.map_err(failed)?;
        let transaction = Transaction::on(&mut connection).await.map_err(failed)?;
        self.known.push(transaction.session);
        let lock = sqlx::query(include_str!("lock.sql")).persistent(false);
        let schema = config.names().schema.as_str();
        let lock = lock.bind(LOCK_CLASS).bind(self.workflow.0).bind(schema);
        match lock.execute(&mut connection).await {
            Ok(_) => Ok(Held { connection, transaction }),
            Err(error) if is_held(&error) => {
                let end = sqlx::raw_sql("ROLLBACK");
                end.execute(&mut connection).await.map_err(failed)?;
                let found = find_holder(&mut connection, config, self.workflow).await;
                Err(Refusal::Held(found.map_err(failed)?))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Who holds the lock, if somebody does; this does not ask for it.
pub(super) async fn holder(
    config: &PostgresConfig,
    workflow: WorkflowId,
) -> Result<Holder, StoreError> {
    let what = format!("asking who runs workflow {workflow}");
    let asked = async {
        let mut connection = config.connect().await?;
        let failed = |error| store_error(&what, &config.place(), error);
        let found = find_holder(&mut connection, config, workflow).await.map_err(failed)?;
        let holder = match found {
            Some((process, _)) => Holder::Process(process),
            None => {
                let began = sqlx::query_scalar(include_str!("server_began.sql")).persistent(false);
                let began: i64 = began.fetch_one(&mut connection).await.map_err(failed)?;
                Holder::NobodySince(Timestamp::from_micros(began))
            }
        };
        // the server notices in any case
        let _ = connection.close().await;
        Ok(holder)
    };
    let asked = timeout(PATIENCE, asked).await;
    asked.unwrap_or_else(|_| Err(unanswered(config, &what, "")))
}

/// The same on a connection, in a transaction that stays open there.
async fn find_holder(
    connection: &mut PgConnection,
    config: &PostgresConfig,
    workflow: WorkflowId,
) -> Result<Option<(String, i32)>, sqlx::Error> {
    let begin = sqlx::raw_sql(config.begin_pinned());
    begin.execute(&mut *connection).await?;
    let holder = sqlx::query(include_str!("holder.sql")).persistent(false);
    let holder = holder.bind(LOCK_CLASS).bind(workflow.0).bind(config.names().schema.as_str());
    let found = holder.fetch_optional(&mut *connection).await?;
    found.map(holder_in).transpose()
}

/// The process and the session that a row names.
fn holder_in(row: PgRow) -> Result<(String, i32), sqlx::Error> {
    Ok((row.try_get(0)?, row.try_get(1)?))
}

impl Held {
    /// How the lock was lost, if it was: it is held as long as its transaction lasts.
    async fn loss(&mut self, config: &PostgresConfig) -> Option<String> {
        let what = "asking whether the run is locked";
        match timeout(PATIENCE, Transaction::on(&mut self.connection)).await {
            Ok(Ok(transaction)) if transaction == self.transaction => None,
            Ok(Ok(_)) => Some("its transaction was ended".to_owned()),
            Ok(Err(error)) => Some(store_error(what, &config.place(), error).to_string()),
            Err(_) => Some(unanswered(config, what, "").to_string()),
        }
    }
}

impl Transaction {
    /// The one that is open on the connection.
    async fn on(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let asked = sqlx::raw_sql(include_str!("transaction.sql"));
        // all of the answer, so that the connection is ready for the next question
        let rows = asked.fetch_all(connection).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self { session: row.try_get(0)?, began: row.try_get(1)? })
    }
}

/// Asks the server for something on a connection of its own.
async fn is_answered(config: &PostgresConfig) -> Result<(), StoreError> {
    let what = "connecting beside the lock of the run";
    let failed = |error| store_error(what, &config.place(), error);
    let mut connection = config.connect().await?;
    sqlx::raw_sql("SELECT").execute(&mut connection).await.map_err(failed)?;
    // the server notices in any case
    let _ = connection.close().await;
    Ok(())
}

/// The failure of what did not end in time.
fn unanswered(config: &PostgresConfig, what: &str, advice: &str) -> StoreError {
    let place = config.place();
    let text = format!("{what} in {place}: no answer within {PATIENCE:?}{advice}");
    StoreError::new(StoreErrorKind::Unavailable, text)
}

/// True if the server gave up waiting for a lock.
fn is_held(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some("55P03"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::ABSENCE;

    /// A host that is gone lets the lock go as soon as the log, and before its own process gives up
    /// asking for it again.
    #[test]
    fn the_lock_of_a_host_that_is_gone_is_free_soon() {
        let config: PostgresConfig = "postgres://u@localhost/d".parse().unwrap();
        let begin = format!("{};{}", config.begin_pinned().as_str(), include_str!("waits.sql"));
        let number = |name: &str| {
            let (_, rest) = begin.rsplit_once(&format!("SET LOCAL {name} = ")).unwrap();
            rest.split(';').next().unwrap().trim_matches('\'').parse::<u64>().unwrap()
        };
        let probes = number("tcp_keepalives_interval") * number("tcp_keepalives_count");
        let longest = ABSENCE.as_secs();
        assert!(number("tcp_keepalives_idle") + probes <= longest);
        assert!(number("tcp_user_timeout") <= longest * 1000);
    }
}
