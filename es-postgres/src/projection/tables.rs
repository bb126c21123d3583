//! Tables of projections: changes of rows, and reading them.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use es_core::backend::{
    Lease, SinkError, Slot, StoreError, StoreErrorKind, TableChange, TableRead,
};
use es_core::projection::{SqlValue, TableSchema, Which};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::commit::{WRITING, number};
use super::sink::limit;
use super::{Projections, row};
use crate::connection::Bound;
use crate::error::{caused, has_code, is_of_the_store, sql_state};
use crate::sql::Statement;

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
        for change in changes {
            let table = change.table();
            if !lease.tables.contains(table) {
                return Err(unusable(&lease.projection, none_of(table)));
            }
            let statement = self.bind_change(lease, change)?.persistent(self.is_persistent);
            let connector = self.connections.connector();
            let done = connector.in_time(statement.execute(&mut *connection)).await;
            let done = done.map_err(|error| self.not_carried_out(lease, table, error))?;
            let must_be_there = matches!(change, TableChange::Update { rows: Which::Key(_), .. });
            if must_be_there && done.rows_affected() == 0 {
                return Err(refused(lease, Problem::NoRow(table.name)));
            }
        }
        Ok(())
    }

    fn bind_change(
        &self,
        lease: &Lease,
        change: &TableChange,
    ) -> Result<Bound<'static>, SinkError> {
        let (names, generation) = (Names::of(change.table()), number(lease.generation));
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
                let statement = names.fill(&self.templates.table_upsert, &parts);
                let statement = sqlx::query(statement.sql()).bind(generation);
                return Ok(values.iter().fold(statement, value::bind));
            }
            TableChange::Update { rows, set, values, .. } => {
                (&self.templates.table_update, rows, Some(*set), values)
            }
            TableChange::Delete { rows, values, .. } => {
                (&self.templates.table_delete, rows, None, values)
            }
            _ => {
                let reason = "a change is of a kind that this store does not know".to_owned();
                return Err(unusable(&lease.projection, reason));
            }
        };
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
        // names that are not there are the change's: the claim has seen to the columns
        let is_about_names = has_code(&error, "42703") || has_code(&error, "42883");
        if !is_about_names && is_of_the_store(&error).is_some() {
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

    /// How the next generation in a table is found, and how a part of it is removed.
    pub(super) fn removal(&self, table: &TableSchema) -> [Statement; 2] {
        let names = Names::of(table);
        [&self.templates.table_next_rows, &self.templates.table_remove_rows]
            .map(|template| names.fill(template, &[]))
    }
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
