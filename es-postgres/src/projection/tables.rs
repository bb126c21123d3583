//! Tables of projections: changes of rows, and reading them.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use es_core::backend::{
    Lease, SinkError, Slot, StoreError, StoreErrorKind, TableChange, TableRead,
};
use es_core::projection::{SqlValue, TableSchema, Which};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::commit::{WRITING, number};
use super::model::CHANGING;
use super::sink::limit;
use super::{Projections, row};
use crate::connection::Bound;
use crate::error::{caused, is_of_the_change, sql_state};

mod grouped;
mod look;
mod make;
mod script;
mod text;
mod value;

use text::Names;

/// Why a change is not carried out.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no row of `{0}` has this key, so there is nothing to be updated")]
    NoRow(&'static str),
    #[error("the change leaves in column `{1}` of `{0}` what its field does not take")]
    Unfit(&'static str, String),
    #[error(
        "the SQL of a change has its values as `$1`, `$2` .., all of them and nothing else; here are {0}"
    )]
    Parameters(usize),
}

impl Projections {
    /// Carries changes out within a transaction that is rolled back if this fails.
    pub(super) async fn apply(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        changes: &[TableChange],
    ) -> Result<(), SinkError> {
        if changes.len() >= Self::MANY && self.may_group(connection, lease).await? {
            return self.apply_grouped(connection, lease, changes).await;
        }
        for change in changes {
            self.apply_one(connection, lease, change).await?;
        }
        Ok(())
    }

    async fn apply_one(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        change: &TableChange,
    ) -> Result<(), SinkError> {
        let table = change.table();
        if !lease.tables.contains(table) {
            return Err(unusable(&lease.projection, none_of(table)));
        }
        let statement = self.bind_change(lease, change)?;
        let is_judged = is_judged(change);
        let written = self.carry_out(connection, lease, table, statement, is_judged).await?;
        let must_be_there = matches!(change, TableChange::Update { rows: Which::Key(_), .. });
        if must_be_there && written == Some(0) {
            return Err(refused(lease, Problem::NoRow(table.name)));
        }
        Ok(())
    }

    /// Sends a statement on a table; of one that answers what fields do not take, answers how many rows
    /// it has written.
    async fn carry_out(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        table: &TableSchema,
        statement: Bound<'_>,
        is_judged: bool,
    ) -> Result<Option<i64>, SinkError> {
        let statement = statement.persistent(self.is_persistent);
        let connector = self.connections.connector();
        let failed = |error| self.not_carried_out(lease, table, error);
        if !is_judged {
            let done = connector.in_time(statement.execute(connection)).await;
            return done.map(|_| None).map_err(failed);
        }
        let row = connector.in_time(statement.fetch_one(connection)).await.map_err(failed)?;
        let (written, unfit): (i64, Option<String>) =
            self.read(WRITING, || Ok((row.try_get(0)?, row.try_get(1)?)))?;
        match unfit {
            Some(column) => Err(refused(lease, Problem::Unfit(table.name, column))),
            None => Ok(Some(written)),
        }
    }

    fn bind_change(
        &self,
        lease: &Lease,
        change: &TableChange,
    ) -> Result<Bound<'static>, SinkError> {
        let (names, generation) = (Names::of(change.table()), number(lease.generation));
        let template = |template| match is_judged(change) {
            true => names.judged(&self.templates.table_judged, template),
            false => template.clone(),
        };
        let (template, rows, set, values) = match change {
            TableChange::Upsert { values, set, .. } => {
                check_parameters(lease, *set, 0)?;
                let replace = names.replace_all();
                let set = match set {
                    Some(set) => *set,
                    None => &*replace,
                };
                let places = text::places(1, values.len() + 1);
                let parts = [("values", &*places), ("set", set)];
                let statement = names.fill(&template(&self.templates.table_upsert), &parts);
                let statement = sqlx::query(statement.sql()).bind(generation);
                return Ok(values.iter().fold(statement, value::bind));
            }
            TableChange::Update { rows, set, values, .. } => {
                (template(&self.templates.table_update), rows, Some(*set), values)
            }
            TableChange::Delete { rows, values, .. } => {
                (template(&self.templates.table_delete), rows, None, values)
            }
            _ => {
                let reason = "a change is of a kind that this store does not know".to_owned();
                return Err(unusable(&lease.projection, reason));
            }
        };
        let template = &template;
        let (filter, key): (Option<&str>, &[SqlValue]) = match rows {
            Which::Where(filter) => (Some(filter), &[]),
            Which::Key(key) => (None, key),
        };
        check_parameters(lease, set.into_iter().chain(filter), values.len())?;
        // the library's own parameters follow those of the change
        let place = values.len() + 1;
        let filter = names.filter(rows, place + 1);
        let place = text::places(place, 1);
        // a statement is prepared once for each text, and its parameters have the types of that time
        let types: Vec<_> = values.iter().map(|it| format!("{:?}", it.sql_type())).collect();
        let parts = [
            ("types", &*types.join(", ")),
            ("set", set.unwrap_or_default()),
            ("filter", &*filter),
            ("generation", &*place),
        ];
        let statement = sqlx::query(names.fill(template, &parts).sql());
        let statement = values.iter().fold(statement, value::bind).bind(generation);
        Ok(key.iter().fold(statement, value::bind))
    }

    /// What a statement failed for: the server, which is waited for, or the event.
    fn not_carried_out(&self, lease: &Lease, table: &TableSchema, error: sqlx::Error) -> SinkError {
        if !is_of_the_change(&error) {
            return self.connections.failure(WRITING, error).into();
        }
        let text = format!("the database refuses a change of table `{}`", table.name);
        refused(lease, caused(StoreError::new(StoreErrorKind::Other, text), error))
    }

    /// Rows of a table in the model of a projection.
    pub(super) async fn table_rows(
        &self,
        projection: &str,
        slot: Slot,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let names = Names::of(table);
        let (key, most) = match read {
            TableRead::Key(key) => (key.as_slice(), 1),
            TableRead::Rows { after, limit: most } => {
                (after.as_deref().unwrap_or_default(), limit(*most))
            }
        };
        let filter = match read {
            TableRead::Rows { after: None, .. } => "TRUE".to_owned(),
            TableRead::Rows { .. } => names.compared(">", 4),
            TableRead::Key(_) => names.compared("=", 4),
        };
        let statement = names.fill(&self.templates.table_rows, &[("filter", &*filter)]);
        let bind = |bound: Bound<'static>| key.iter().fold(bound.bind(most), value::bind);
        let read = |row: &PgRow| value::read(row, table);
        match self.of_model(projection, slot, &statement, bind, read).await {
            Err(SinkError::Store(error)) if is_missing(&error) => {
                // the model may not be there either
                let nothing = |bound: Bound<'static>| bound.bind(Vec::<String>::new());
                let load = &self.statements.projection_load;
                self.of_model(projection, slot, load, nothing, row::model_row).await?;
                Err(unusable(projection, none_of(table)))
            }
            found => found,
        }
    }

    /// The next generation of which a table has rows, and whether a model has it.
    pub(super) async fn next_generation(
        &self,
        table: &TableSchema,
        after: i64,
    ) -> Result<Option<(i64, bool)>, StoreError> {
        let next = Names::of(table).fill(&self.templates.table_next_rows, &[]);
        let next = || sqlx::query(next.sql()).bind(after);
        let rows = self.connections.rows(CHANGING, next).await?;
        let read = |row: &PgRow| Ok::<_, sqlx::Error>((row.try_get(0)?, row.try_get(1)?));
        self.read(CHANGING, || rows.first().map(read).transpose())
    }

    /// Removes a part of a generation, behind this key; answers the last key of what it removed.
    pub(super) async fn remove_part(
        &self,
        table: &TableSchema,
        generation: i64,
        after: Option<&[SqlValue]>,
        most: i64,
    ) -> Result<Option<Vec<SqlValue>>, StoreError> {
        let names = Names::of(table);
        let filter = match after {
            None => "TRUE".to_owned(),
            Some(_) => names.compared(">", 3),
        };
        let part = names.fill(&self.templates.table_remove_rows, &[("filter", &*filter)]);
        let part = || {
            let part = sqlx::query(part.sql()).bind(generation).bind(most);
            after.unwrap_or_default().iter().fold(part, value::bind)
        };
        let rows = self.connections.rows(CHANGING, part).await?;
        let read = |row: &PgRow| value::read_key(row, table);
        self.read(CHANGING, || rows.first().map(read).transpose())
    }
}

/// True if it is SQL, and no row of the type, that says what is written.
fn is_judged(change: &TableChange) -> bool {
    matches!(change, TableChange::Update { .. } | TableChange::Upsert { set: Some(_), .. })
}

/// True if the server knows no such table, or no such column.
fn is_missing(error: &StoreError) -> bool {
    matches!(sql_state(error), Some("42P01" | "42703"))
}

/// Refuses a change whose SQL would take the library's parameters for its own.
fn check_parameters<'a>(
    lease: &Lease,
    sql: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Result<(), SinkError> {
    let used: BTreeSet<_> = sql.into_iter().flat_map(text::parameters).collect();
    match used.into_iter().eq(1..=count) {
        true => Ok(()),
        false => Err(refused(lease, Problem::Parameters(count))),
    }
}

fn none_of(table: &TableSchema) -> String {
    format!("the model has no table `{}`", table.name)
}

fn refused(lease: &Lease, source: impl Error + Send + Sync + 'static) -> SinkError {
    SinkError::Refused { projection: lease.projection.clone(), source: Arc::new(source) }
}

fn unusable(projection: &str, reason: String) -> SinkError {
    SinkError::Unusable { projection: projection.to_owned(), reason }
}
