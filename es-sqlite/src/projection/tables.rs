//! Tables of projections: changes of rows, and reading them.

use std::sync::Arc;

use es_core::backend::{
    Lease, SinkError, Slot, StoreError, StoreErrorKind, TableChange, TableRead,
};
use es_core::projection::{SqlValue, TableSchema, Which};
use rusqlite::types::Value;
use rusqlite::{Connection, Error, Rows, Statement, params_from_iter};

use super::commit::{WRITING, limit, number};
use super::read;
use crate::damage::is_want;
use crate::error::{Doing, Said, kind};
use crate::sql;

mod make;
mod text;
mod value;

pub(super) use make::make;
use text::{Names, models};

/// Why a change is not carried out.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no row of `{0}` has this key, so there is nothing to be updated")]
    NoRow(&'static str),
    #[error(
        "the SQL of a change has its values as `$1`, `$2` .., all of them and nothing else; here are {0}"
    )]
    Parameters(usize),
    #[error("the change leaves in column `{1}` of `{0}` what its field does not take")]
    Unfit(&'static str, &'static str),
    #[error("a change is of a kind that this store does not know")]
    Unknown,
    #[error("SQLite refuses {0}")]
    Refused(String, #[source] Said),
    #[error(transparent)]
    Sqlite(#[from] Error),
}

/// Carries changes out within a transaction that is rolled back if this fails.
pub(super) fn apply(
    connection: &Connection,
    lease: &Lease,
    changes: &[TableChange],
) -> Result<(), SinkError> {
    for change in changes {
        let table = change.table();
        if !lease.tables.contains(table) {
            return Err(unusable(&lease.projection, none_of(table)));
        }
        match apply_one(connection, number(lease.generation), change) {
            Ok(()) => {}
            Err(Problem::Sqlite(error)) => {
                return Err(not_carried_out(connection, lease, change, error)?);
            }
            Err(problem @ Problem::Unknown) => {
                return Err(unusable(&lease.projection, problem.to_string()));
            }
            Err(problem) => return Err(refused(lease, problem)),
        }
    }
    Ok(())
}

/// What a statement failed for: the file, which is waited for, or the event.
fn not_carried_out(
    connection: &Connection,
    lease: &Lease,
    change: &TableChange,
    error: Error,
) -> Result<SinkError, StoreError> {
    let table = change.table();
    if kind(&error) != StoreErrorKind::Other || is_want(&error) {
        return Err(error).doing(connection, WRITING);
    }
    if !make::is_there(connection, table)? {
        let text = format!(
            "table `{}`, or a column of it, was dropped; the next claim makes it anew",
            models(table)
        );
        return Err(StoreError::new(StoreErrorKind::NotAStore, text).caused_by(Said(error)));
    }
    Ok(refused(lease, Problem::Refused(change.to_string(), Said(error))))
}

fn apply_one(
    connection: &Connection,
    generation: i64,
    change: &TableChange,
) -> Result<(), Problem> {
    let names = Names::of(change.table());
    match change {
        TableChange::Upsert { values, set, .. } => {
            let text = match set {
                Some(set) => names.judged(names.fill(sql::TABLE_UPSERT, &[("set", *set)])),
                None => names.fill(sql::TABLE_UPSERT, &[("set", &*names.replace_all())]),
            };
            let values = values.iter().map(value::stored);
            let values = std::iter::once(Value::Integer(generation)).chain(values);
            let mut statement = connection.prepare_cached(&text)?;
            judge(&names, statement.query(params_from_iter(values))?)?;
        }
        TableChange::Update { rows, set, values, .. } => {
            let filter = names.filter(rows);
            let text = names.fill(sql::TABLE_UPDATE, &[("set", *set), ("filter", &*filter)]);
            let changed =
                execute(connection, &names, &names.judged(text), generation, rows, values)?;
            if changed == 0 && matches!(rows, Which::Key(_)) {
                return Err(Problem::NoRow(change.table().name));
            }
        }
        TableChange::Delete { rows, values, .. } => {
            let filter = names.filter(rows);
            let text = names.fill(sql::TABLE_DELETE, &[("filter", &*filter)]);
            execute(connection, &names, &text, generation, rows, values)?;
        }
        _ => return Err(Problem::Unknown),
    }
    Ok(())
}

/// Runs a statement with named parameters: all that it has must be given, and all that are given it
/// must have. Answers how many rows it wrote, if it is a judged one.
fn execute(
    connection: &Connection,
    names: &Names<'_>,
    text: &str,
    generation: i64,
    rows: &Which,
    values: &[SqlValue],
) -> Result<usize, Problem> {
    let mut statement = connection.prepare_cached(text)?;
    let key = match rows {
        Which::Key(key) => key.as_slice(),
        Which::Where(_) => &[],
    };
    statement.raw_bind_parameter(":generation", generation)?;
    bind(&mut statement, ":key", key)?;
    bind(&mut statement, "$", values)?;
    if statement.parameter_count() != 1 + key.len() + values.len() {
        return Err(Problem::Parameters(values.len()));
    }
    judge(names, statement.raw_query())
}

/// Refuses what the fields of written rows do not take, and counts those rows.
fn judge(names: &Names<'_>, mut written: Rows<'_>) -> Result<usize, Problem> {
    let mut count = 0;
    while let Some(row) = written.next()? {
        for (index, column) in names.doubtful().enumerate() {
            let value = value::read(column.sql_type, row.get_ref(index)?);
            if !value.is_some_and(|value| column.takes(&value)) {
                return Err(Problem::Unfit(names.table.name, column.name));
            }
        }
        count += 1;
    }
    Ok(count)
}

fn bind(statement: &mut Statement<'_>, name: &str, values: &[SqlValue]) -> Result<(), Problem> {
    for (index, value) in (1..).zip(values) {
        let name = format!("{name}{index}");
        statement.raw_bind_parameter(name.as_str(), value::stored(value))?;
    }
    Ok(())
}

/// Rows of a table in the model of a projection.
pub(super) fn rows(
    connection: &Connection,
    projection: &str,
    slot: Slot,
    table: &TableSchema,
    read: &TableRead,
) -> Result<Vec<Vec<SqlValue>>, SinkError> {
    let generation = read::generation(connection, projection, slot)?;
    if !make::is_there(connection, table)? {
        return Err(unusable(projection, none_of(table)));
    }
    let names = Names::of(table);
    let (key, most) = match read {
        TableRead::Key(key) => (key.as_slice(), 1),
        TableRead::Rows { after, limit: most } => {
            (after.as_deref().unwrap_or_default(), limit(*most))
        }
    };
    let filter = match read {
        TableRead::Rows { after: None, .. } => "true".to_owned(),
        TableRead::Rows { .. } => names.compared(">"),
        TableRead::Key(_) => names.compared("="),
    };
    let text = names.fill(sql::TABLE_ROWS, &[("filter", &*filter)]);
    let values = [Value::Integer(generation), Value::Integer(most)];
    let values = values.into_iter().chain(key.iter().map(value::stored));
    let found = read::all(connection, &text, params_from_iter(values), |row| {
        let columns = table.columns.iter().enumerate();
        let values = columns.map(|(index, column)| {
            let stored = row.row.get_ref(index).doing(connection, "reading a table in")?;
            value::read(column.sql_type, stored).ok_or_else(|| {
                let text =
                    format!("column `{}` of table `{}` cannot be read", column.name, table.name);
                StoreError::new(StoreErrorKind::Corrupt, text)
            })
        });
        values.collect()
    });
    Ok(found?)
}

/// How the next generation in a table is found, and how a part of it is removed.
pub(super) fn removal(table: &TableSchema) -> (String, String) {
    let names = Names::of(table);
    (names.fill(sql::TABLE_NEXT_ROWS, &[]), names.fill(sql::TABLE_REMOVE_ROWS, &[]))
}

fn none_of(table: &TableSchema) -> String {
    format!("the model has no table `{}`", table.name)
}

fn refused(lease: &Lease, source: impl std::error::Error + Send + Sync + 'static) -> SinkError {
    SinkError::Refused { projection: lease.projection.clone(), source: Arc::new(source) }
}

fn unusable(projection: &str, reason: String) -> SinkError {
    SinkError::Unusable { projection: projection.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use es_core::backend::Claim;
    use es_core::projection::{Column, SqlType};
    use rusqlite::ffi;

    use super::*;

    const DAYS: TableSchema = TableSchema {
        name: "days",
        columns: &[Column {
            name: "day",
            sql_type: SqlType::Int,
            is_key: true,
            is_nullable: false,
            range: None,
        }],
        indexes: &[],
    };

    #[test]
    fn what_the_file_is_to_blame_for_is_not_the_events() {
        let connection = Connection::open_in_memory().unwrap();
        let claim = Claim::new("days", "days v1", Slot::Active, "one", Duration::ZERO);
        let lease = Lease::new(&claim.tables([DAYS]), 1, 1, Vec::new());
        let rows = Which::Where("TRUE");
        let change = TableChange::Delete { table: &DAYS, rows, values: Vec::new() };
        let judged = |code| {
            let failed = Error::SqliteFailure(ffi::Error::new(code), None);
            not_carried_out(&connection, &lease, &change, failed)
        };
        // a table that somebody has dropped
        assert_eq!(judged(ffi::SQLITE_ERROR).unwrap_err().kind(), StoreErrorKind::NotAStore);
        connection.execute("CREATE TABLE days_models (day INTEGER)", []).unwrap();
        for code in [
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_INTERRUPT,
            ffi::SQLITE_PERM,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_FULL,
            ffi::SQLITE_CORRUPT,
        ] {
            assert!(judged(code).is_err(), "{code}");
        }
        for code in [ffi::SQLITE_ERROR, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_TOOBIG] {
            assert!(matches!(judged(code), Ok(SinkError::Refused { .. })), "{code}");
        }
    }
}
