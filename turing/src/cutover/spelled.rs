//! Statements on the old table, which the database writes: it knows the names.

use es_core::execution::StoreError;
use es_postgres::sqlx::Row;

use super::error::CutoverError;
use super::statements::query;
use super::work::Work;

/// Statements on the old table, every name in them as an identifier.
#[derive(Debug)]
pub(super) struct Spelled {
    /// Reads a posting by the old name.
    pub(super) read: String,
    /// Copies the rows of the table itself as CSV.
    pub(super) copy: String,
    /// Copies them once it is out of use, by the name that it has then.
    pub(super) copy_deprecated: String,
    count: String,
    postings: String,
    sample: String,
}

impl Spelled {
    /// Has the database write them.
    pub(super) async fn look(work: &mut Work) -> Result<Self, CutoverError> {
        let look = query(&work.statements.spelled);
        let rows = work.rows(look).await?;
        let Some(row) = rows.first() else {
            return Err(CutoverError::TableGone { table: "the old table".to_owned() });
        };
        let spelled = work.read(row, |row| {
            Ok(Self {
                read: row.try_get(0)?,
                count: row.try_get(1)?,
                postings: row.try_get(2)?,
                sample: row.try_get(3)?,
                copy: row.try_get(4)?,
                copy_deprecated: row.try_get(5)?,
            })
        });
        Ok(spelled?)
    }

    /// How many rows the old table has.
    pub(super) async fn rows(&self, work: &mut Work) -> Result<u64, StoreError> {
        work.count(query(&self.count)).await
    }

    /// How many postings it and the events have together.
    pub(super) async fn postings(&self, work: &mut Work) -> Result<u64, StoreError> {
        work.count(query(&self.postings)).await
    }

    /// So many of its postings, by chance.
    pub(super) async fn sample(&self, work: &mut Work, count: i64) -> Result<Vec<i32>, StoreError> {
        let rows = work.rows(query(&self.sample).bind(count)).await?;
        rows.iter().map(|row| work.read(row, |row| row.try_get(0))).collect()
    }
}
