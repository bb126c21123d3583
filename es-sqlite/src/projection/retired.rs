//! Removing what is left of models that are served no longer, a part at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use es_core::backend::{SinkError, StoreError};
use es_core::projection::TableSchema;
use rusqlite::{Connection, OptionalExtension, params};

use super::commit::{WRITING, execute};
use super::tables;
use crate::error::Doing;
use crate::sql;
use crate::store::SqliteStore;
use crate::writer::Flush;

/// How many rows one transaction removes: appends wait for no more than that.
const PART: i64 = 1_000;

/// The tables that are too large to be emptied at once: how the next generation in one is found, and
/// how a part of it is removed.
const LARGE: [(&str, &str); 2] = [
    (sql::PROJECTION_NEXT_ROWS, sql::PROJECTION_REMOVE_ROWS),
    (sql::PROJECTION_NEXT_PARKED, sql::PROJECTION_REMOVE_PARKED),
];

impl SqliteStore {
    /// Removes what belongs to no model, also of these tables, for so long at most. Whatever is left, as
    /// by a failure, is left to the next who comes: nobody reads these rows, and their generation is
    /// never used again.
    pub(super) async fn remove_retired(&self, tables: &[TableSchema], time: Duration) {
        let began = Instant::now();
        let tables = tables.iter().map(tables::removal);
        let large = LARGE.iter().map(|(next, part)| ((*next).to_owned(), (*part).to_owned()));
        let large: Arc<[_]> = large.chain(tables).collect();
        let removed = async {
            loop {
                let large = Arc::clone(&large);
                let part = self.change(Flush::Later, move |connection, _| {
                    Ok(remove_part(connection, &large)?)
                });
                if !part.await? || began.elapsed() >= time {
                    break;
                }
            }
            Ok::<_, SinkError>(())
        };
        if let Err(error) = removed.await {
            tracing::debug!(%error, "a retired model was not removed altogether");
        }
    }
}

/// Removes a part; answers whether there was one.
fn remove_part(connection: &Connection, large: &[(String, String)]) -> Result<bool, StoreError> {
    for (next, part) in large {
        let mut after = 0;
        while let Some((generation, has_model)) = next_after(connection, next, after)? {
            if !has_model {
                execute(connection, part, params![generation, PART])?;
                return Ok(true);
            }
            after = generation;
        }
    }
    Ok(false)
}

/// The next generation that a table has something of, and whether it is a model's.
fn next_after(
    connection: &Connection,
    statement: &str,
    after: i64,
) -> Result<Option<(i64, bool)>, StoreError> {
    connection
        .prepare_cached(statement)
        .and_then(|mut statement| {
            statement.query_row([after], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .doing(connection, WRITING)
}
