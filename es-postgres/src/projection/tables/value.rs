//! Values of columns as PostgreSQL keeps them.

use chrono::{DateTime, Utc};
use es_core::event::Payload;
use es_core::projection::{SqlType, SqlValue, TableSchema};
use sqlx::postgres::{PgBindIterExt, PgRow};
use sqlx::types::Json;
use sqlx::{Error, Row};
use uuid::Uuid;

use crate::connection::Bound;
use crate::row;

/// Gives a statement its next parameter.
pub(super) fn bind<'q>(statement: Bound<'q>, value: &SqlValue) -> Bound<'q> {
    match value {
        SqlValue::Bool(value) => statement.bind(*value),
        SqlValue::Int(value) => statement.bind(*value),
        SqlValue::Float(value) => statement.bind(*value),
        SqlValue::Text(value) => statement.bind(value.as_str()),
        SqlValue::Bytes(value) => statement.bind(value.as_slice()),
        SqlValue::Time(value) => statement.bind(DateTime::<Utc>::from(*value)),
        SqlValue::Uuid(value) => statement.bind(*value),
        SqlValue::Json(value) => statement.bind(Json(value.as_raw())),
        // its type goes with it
        none => match none.sql_type() {
            SqlType::Bool => statement.bind(None::<bool>),
            SqlType::Int => statement.bind(None::<i64>),
            SqlType::Float => statement.bind(None::<f64>),
            SqlType::Bytes => statement.bind(None::<Vec<u8>>),
            SqlType::Time => statement.bind(None::<DateTime<Utc>>),
            SqlType::Uuid => statement.bind(None::<Uuid>),
            SqlType::Json => statement.bind(None::<Json<()>>),
            _ => statement.bind(None::<String>),
        },
    }
}

/// Gives a statement the values of a column of this type as its next parameter, an array.
pub(super) fn bind_all<'q, 'v>(
    statement: Bound<'q>,
    of: SqlType,
    values: impl Iterator<Item = &'v SqlValue>,
) -> Bound<'q> {
    macro_rules! array {
        ($kind:ident, $value:ident => $bound:expr) => {{
            let values = values.map(|value| match value {
                SqlValue::$kind($value) => Some($bound),
                _ => None,
            });
            statement.bind(values.bind_iter())
        }};
    }
    match of {
        SqlType::Bool => array!(Bool, value => *value),
        SqlType::Int => array!(Int, value => *value),
        SqlType::Float => array!(Float, value => *value),
        SqlType::Bytes => array!(Bytes, value => value.as_slice()),
        SqlType::Time => array!(Time, value => DateTime::<Utc>::from(*value)),
        SqlType::Uuid => array!(Uuid, value => *value),
        SqlType::Json => array!(Json, value => Json(value.as_raw())),
        _ => array!(Text, value => value.as_str()),
    }
}

/// About how many bytes a value has.
pub(super) fn size(value: &SqlValue) -> usize {
    match value {
        SqlValue::Text(value) => value.len(),
        SqlValue::Bytes(value) => value.len(),
        SqlValue::Json(value) => value.as_str().len(),
        _ => size_of::<u64>(),
    }
}

/// The columns of a row, behind its generation; `None` if the model is there, but not the row.
pub(super) fn read(row: &PgRow, table: &TableSchema) -> Result<Option<Vec<SqlValue>>, Error> {
    if row.try_get::<Option<i64>, _>(0)?.is_none() {
        return Ok(None);
    }
    let columns = (1..).zip(table.columns);
    columns
        .map(|(index, column)| read_one(row, index, column.sql_type))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// The columns of a key.
pub(super) fn read_key(row: &PgRow, table: &TableSchema) -> Result<Vec<SqlValue>, Error> {
    let columns = (0..).zip(table.key());
    columns.map(|(index, column)| read_one(row, index, column.sql_type)).collect()
}

fn read_one(row: &PgRow, index: usize, of: SqlType) -> Result<SqlValue, Error> {
    let value = match of {
        SqlType::Bool => row.try_get::<Option<bool>, _>(index)?.map(SqlValue::Bool),
        SqlType::Int => row.try_get::<Option<i64>, _>(index)?.map(SqlValue::Int),
        SqlType::Float => row.try_get::<Option<f64>, _>(index)?.map(SqlValue::Float),
        SqlType::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(SqlValue::Bytes),
        SqlType::Uuid => row.try_get::<Option<Uuid>, _>(index)?.map(SqlValue::Uuid),
        SqlType::Time => {
            let time = row.try_get::<Option<row::Instant>, _>(index)?;
            time.map(|time| SqlValue::Time(time.0))
        }
        SqlType::Json => {
            let text = row.try_get::<Option<row::Json<'_>>, _>(index)?;
            let document = text.map(|text| Payload::parse(text.0.to_owned())).transpose();
            document.map_err(|error| Error::Decode(error.into()))?.map(SqlValue::Json)
        }
        _ => row.try_get::<Option<String>, _>(index)?.map(SqlValue::Text),
    };
    Ok(value.unwrap_or(SqlValue::Null(of)))
}
