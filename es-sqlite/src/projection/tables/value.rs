//! Values of columns as SQLite keeps them.

use es_core::event::Payload;
use es_core::projection::{SqlType, SqlValue};
use rusqlite::types::{Value, ValueRef};

use crate::row::{parse_time, time_text};

/// The value that is stored.
pub(super) fn stored(value: &SqlValue) -> Value {
    match value {
        SqlValue::Bool(value) => Value::Integer((*value).into()),
        SqlValue::Int(value) => Value::Integer(*value),
        SqlValue::Float(value) => Value::Real(*value),
        SqlValue::Text(value) => Value::Text(value.clone()),
        SqlValue::Bytes(value) => Value::Blob(value.clone()),
        SqlValue::Time(value) => Value::Text(time_text(*value)),
        SqlValue::Uuid(value) => Value::Text(value.to_string()),
        SqlValue::Json(value) => Value::Text(value.as_str().to_owned()),
        _ => Value::Null,
    }
}

/// What is read; `None` if it is of another type.
pub(super) fn read(of: SqlType, stored: ValueRef<'_>) -> Option<SqlValue> {
    Some(match (of, stored) {
        (of, ValueRef::Null) => SqlValue::Null(of),
        (SqlType::Bool, ValueRef::Integer(value)) => SqlValue::Bool(value != 0),
        (SqlType::Int, ValueRef::Integer(value)) => SqlValue::Int(value),
        (SqlType::Float, ValueRef::Real(value)) => SqlValue::Float(value),
        (SqlType::Bytes, ValueRef::Blob(value)) => SqlValue::Bytes(value.to_owned()),
        (of, ValueRef::Text(value)) => {
            let text = std::str::from_utf8(value).ok()?;
            match of {
                SqlType::Text => SqlValue::Text(text.to_owned()),
                SqlType::Time => SqlValue::Time(parse_time(text).ok()?),
                SqlType::Uuid => SqlValue::Uuid(text.parse().ok()?),
                SqlType::Json => SqlValue::Json(Payload::from_stored(text).ok()?),
                _ => return None,
            }
        }
        _ => return None,
    })
}
