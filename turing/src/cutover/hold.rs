//! One at a time carries a cutover on: an advisory lock of a transaction that stays open for as long.
//!
//! The transaction has a connection of its own, reads and writes nothing, and so holds nobody back. The
//! server lets the lock go when the connection ends, however the program does.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use es_postgres::PostgresConfig;
use es_postgres::sqlx::{self, Row};
use tokio::time::sleep;

use super::error::CutoverError;
use super::statements::{Statements, query};
use super::work::Work;

/// With the schema's name the first half of the key. The letters `cuto`.
const LOCK_CLASS: i32 = 0x6375_746f;

/// How often a lock is asked for that somebody holds, who may just be ending: the server takes a moment to
/// notice.
const TRIES: u32 = 20;
const ONCE_MORE: Duration = Duration::from_millis(50);

/// The right to carry the cutover on, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold(Work);

impl Hold {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// [`CutoverError::Held`] if somebody has it.
    pub(super) async fn take(
        config: &PostgresConfig,
        statements: &Arc<Statements>,
    ) -> Result<Self, CutoverError> {
        let mut work = Work::begin(config, statements, "locking the cutover").await?;
        let wait = sqlx::raw_sql(include_str!("../lock/waits.sql"));
        let waits = wait.execute(&mut work.connection).await;
        waits.map_err(|error| work.failed(error))?;
        let schema = config.names().schema.as_str().to_owned();
        for attempt in 1.. {
            let hold = query(&statements.hold).bind(LOCK_CLASS).bind(schema.clone());
            if work.value(hold).await? {
                return Ok(Self(work));
            }
            if attempt >= TRIES {
                break;
            }
            sleep(ONCE_MORE).await;
        }
        let holder = query(&statements.holder).bind(LOCK_CLASS).bind(schema);
        let rows = work.rows(holder).await?;
        let held = match rows.first() {
            Some(row) => work.read(row, |row| {
                let since: Option<DateTime<Utc>> = row.try_get(1)?;
                Ok(CutoverError::Held { process: row.try_get(0)?, since: since.map(Into::into) })
            })?,
            // it has ended since
            None => CutoverError::Held { process: "another session".to_owned(), since: None },
        };
        work.undo().await?;
        Err(held)
    }

    /// Gives it back.
    pub(super) async fn give_back(self) {
        // the server lets it go in any case
        let _ = self.0.undo().await;
    }
}
