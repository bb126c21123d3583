//! What the database knows of the cutover beside its stream.

use es_core::execution::StoreError;
use es_postgres::sqlx::postgres::PgRow;
use es_postgres::sqlx::{self, Row};
use turing_domain::{Cutover, CutoverPhase};

use super::error::CutoverError;
use super::statements::query;
use super::work::Work;

/// The row of the table `cutovers`.
#[derive(Debug, Clone)]
pub(super) struct CutoverRow {
    pub(super) phase: i32,
    /// The name by which programs know the old table, with its schema.
    pub(super) old_name: Option<(String, String)>,
    /// What it is called now; `None` if it is gone.
    pub(super) old_table: Option<(String, String)>,
    pub(super) mapping: Option<String>,
    pub(super) columns_digest: Option<String>,
    pub(super) is_backfilled: bool,
    pub(super) backfilled_through: Option<i32>,
    pub(super) backfill_total: Option<i64>,
    pub(super) backfill_done: i64,
}

impl CutoverRow {
    /// The row, if there ever was a cutover.
    pub(super) async fn look(work: &mut Work) -> Result<Option<Self>, StoreError> {
        let look = query(&work.statements.look);
        let rows = work.rows(look).await?;
        rows.first().map(|row| work.read(row, Self::of)).transpose()
    }

    fn of(row: &PgRow) -> Result<Self, sqlx::Error> {
        let pair = |first: usize| -> Result<Option<(String, String)>, sqlx::Error> {
            let schema: Option<String> = row.try_get(first)?;
            let name: Option<String> = row.try_get(first + 1)?;
            Ok(schema.zip(name))
        };
        Ok(Self {
            phase: row.try_get(0)?,
            old_name: pair(1)?,
            old_table: pair(3)?,
            mapping: row.try_get(5)?,
            columns_digest: row.try_get(6)?,
            is_backfilled: row.try_get::<Option<bool>, _>(7)?.unwrap_or_default(),
            backfilled_through: row.try_get(8)?,
            backfill_total: row.try_get(9)?,
            backfill_done: row.try_get::<Option<i64>, _>(10)?.unwrap_or_default(),
        })
    }

    /// The phase that the row has; its number if it is none.
    pub(super) fn phase(&self) -> Result<CutoverPhase, i32> {
        let phase = u8::try_from(self.phase).ok().and_then(CutoverPhase::of_number);
        phase.ok_or(self.phase)
    }

    /// The name by which programs know the old table.
    pub(super) fn known_as(&self) -> String {
        qualified(self.old_name.as_ref()).unwrap_or_else(|| "the old table".to_owned())
    }

    /// What the old table is called now, with its schema.
    pub(super) fn called(&self) -> Option<String> {
        qualified(self.old_table.as_ref())
    }
}

fn qualified(name: Option<&(String, String)>) -> Option<String> {
    name.map(|(schema, name)| format!("{schema}.{name}"))
}

/// The stream and the row, which are written together.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) cutover: Cutover,
    pub(super) row: Option<CutoverRow>,
}

impl Known {
    /// Refuses two that disagree: one was written without the other.
    pub(super) fn agreed(self) -> Result<Self, CutoverError> {
        match self.disagreement() {
            None => Ok(self),
            Some(error) => Err(error),
        }
    }

    /// In what they disagree, if they do.
    pub(super) fn disagreement(&self) -> Option<CutoverError> {
        let stream = self.cutover.phase();
        let table = self.row.as_ref().map_or(Ok(CutoverPhase::None), CutoverRow::phase);
        let table = match table {
            Ok(table) if table == stream => return None,
            Ok(table) => table.to_string(),
            Err(number) => number.to_string(),
        };
        Some(CutoverError::Disagreement { stream, table })
    }

    /// The row of a cutover that there is.
    pub(super) fn row(&self) -> Result<&CutoverRow, CutoverError> {
        let (stream, table) = (self.cutover.phase(), CutoverPhase::None.to_string());
        self.row.as_ref().ok_or(CutoverError::Disagreement { stream, table })
    }
}
