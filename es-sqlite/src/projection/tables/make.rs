//! Making the tables, indexes and views of a projection where they are not there.

use es_core::backend::{SinkError, Slot, StoreError};
use es_core::projection::{Column, TableSchema};
use rusqlite::{Connection, OptionalExtension};

use super::super::commit::WRITING;
use super::super::read;
use super::text::{Names, models, quoted, served, sql_type};
use super::unusable;
use crate::error::Doing;
use crate::sql;

/// A column that is there.
struct Found {
    name: String,
    sql_type: String,
    /// Its place in the key, from 1; 0 if it is not in it.
    key: i64,
}

/// Makes what is missing, in the transaction of the claim.
pub(in super::super) fn make(
    connection: &Connection,
    projection: &str,
    tables: &[TableSchema],
) -> Result<(), SinkError> {
    for table in tables {
        let names = Names::of(table);
        let found = columns(connection, &models(table))?;
        if found.is_empty() {
            let definitions: Vec<_> = table.columns.iter().map(definition).collect();
            let definitions = definitions.join(",\n    ");
            run(connection, &names.fill(sql::TABLE_CREATE, &[("definitions", &*definitions)]))?;
        } else {
            let missing = missing(table, &found).map_err(|reason| unusable(projection, reason))?;
            for column in missing {
                let added = definition(column);
                run(connection, &names.fill(sql::TABLE_ADD_COLUMN, &[("definitions", &*added)]))?;
            }
        }
        for index in table.indexes {
            let name = quoted(&table.index_name(index));
            let columns: Vec<_> = index.iter().map(|column| quoted(column)).collect();
            let columns = columns.join(", ");
            let parts = [("index", &*name), ("columns", &*columns)];
            run(connection, &names.fill(sql::TABLE_CREATE_INDEX, &parts))?;
        }
        view(connection, projection, table, &names)?;
    }
    Ok(())
}

/// True if the table was made, with all these columns.
pub(super) fn is_there(connection: &Connection, table: &TableSchema) -> Result<bool, StoreError> {
    let found = columns(connection, &models(table))?;
    let is_found = |column: &Column| found.iter().any(|found| found.name == column.name);
    Ok(table.columns.iter().all(is_found))
}

/// Makes the view, in place of one that lacks columns; those that it has stay, because older code may
/// want them.
fn view(
    connection: &Connection,
    projection: &str,
    table: &TableSchema,
    names: &Names<'_>,
) -> Result<(), SinkError> {
    let found: Option<(String, Option<String>)> = connection
        .prepare_cached(sql::TABLE_OBJECT)
        .and_then(|mut statement| {
            statement.query_row([table.name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .doing(connection, WRITING)?;
    let found = match found {
        None => None,
        Some((kind, Some(text))) if kind == "view" && text.contains(&quoted(&models(table))) => {
            Some(text)
        }
        Some((kind, _)) => {
            let reason = format!(
                "the store has a {kind} `{}` of the application's; give the table another name",
                table.name
            );
            return Err(unusable(projection, reason));
        }
    };
    if let Some(other) = found.as_deref().and_then(served).filter(|other| other != projection)
        && read::models(connection, &other, &[Slot::Active])?.active.is_some()
    {
        return Err(unusable(projection, served_otherwise(table, &other)));
    }
    let mut listed: Vec<_> = match &found {
        Some(_) => columns(connection, table.name)?.into_iter().map(|found| found.name).collect(),
        None => Vec::new(),
    };
    for column in table.columns {
        if !listed.iter().any(|name| name == column.name) {
            listed.push(column.name.to_owned());
        }
    }
    let listed = listed.iter().map(|name| format!("t.{}", quoted(name)));
    let listed = listed.collect::<Vec<_>>().join(", ");
    let literal = format!("'{}'", projection.replace('\'', "''"));
    let parts = [("columns", &*listed), ("projection", &*literal)];
    let wanted = names.fill(sql::TABLE_CREATE_VIEW, &parts);
    match found {
        Some(text) if wanted.trim_end().ends_with(&*text) => return Ok(()),
        Some(_) => run(connection, &names.fill(sql::TABLE_DROP_VIEW, &[]))?,
        None => {}
    }
    Ok(run(connection, &wanted)?)
}

fn served_otherwise(table: &TableSchema, by: &str) -> String {
    format!(
        "the view `{}` serves projection `{by}`; give the table another name, or drop the view to hand \
         it over",
        table.name
    )
}

fn run(connection: &Connection, statement: &str) -> Result<(), StoreError> {
    connection.execute(statement, []).map(drop).doing(connection, WRITING)
}

/// The columns of a table or a view; none if there is no such.
fn columns(connection: &Connection, name: &str) -> Result<Vec<Found>, StoreError> {
    let found = |row: &rusqlite::Row<'_>| {
        Ok(Found { name: row.get(0)?, sql_type: row.get(1)?, key: row.get(2)? })
    };
    connection
        .prepare_cached(sql::TABLE_COLUMNS)
        .and_then(|mut statement| statement.query_map([name], found)?.collect())
        .doing(connection, WRITING)
}

fn definition(column: &Column) -> String {
    let null = if column.is_key { " NOT NULL" } else { "" };
    format!("{} {}{null}", quoted(column.name), sql_type(column.sql_type))
}

/// The columns that are to be added to those that are there.
fn missing<'a>(table: &'a TableSchema, found: &[Found]) -> Result<Vec<&'a Column>, String> {
    let mut key: Vec<_> = found.iter().filter(|column| column.key > 0).collect();
    key.sort_by_key(|column| column.key);
    let there = key.iter().map(|column| column.name.as_str());
    if !there.eq(std::iter::once("generation").chain(table.key().map(|column| column.name))) {
        return Err(format!(
            "table `{}` is there with another key; give it another name",
            models(table)
        ));
    }
    let mut missing = Vec::new();
    for column in table.columns {
        match found.iter().find(|there| there.name == column.name) {
            None => missing.push(column),
            Some(there) if there.sql_type != sql_type(column.sql_type) => {
                return Err(format!(
                    "column `{}` of table `{}` is there as {}; give it another name",
                    column.name,
                    models(table),
                    there.sql_type
                ));
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}
