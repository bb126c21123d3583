//! Values of columns.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::envelope::EventId;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::timestamp::Timestamp;

use super::super::worker::chain;
use super::RowError;

/// What stands in a column; each database has its own type for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlType {
    /// True or false.
    Bool,
    /// A whole number of 64 bits.
    Int,
    /// A number of 64 bits with a fraction.
    Float,
    /// A text without U+0000.
    Text,
    /// Bytes.
    Bytes,
    /// A moment, to the microsecond.
    Time,
    /// A UUID.
    Uuid,
    /// A JSON document.
    Json,
}

impl SqlType {
    /// Its name, as it stands in fingerprints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::Uuid => "uuid",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SqlValue {
    /// No value, in a column of this type.
    Null(SqlType),
    /// See [`SqlType::Bool`].
    Bool(bool),
    /// See [`SqlType::Int`].
    Int(i64),
    /// See [`SqlType::Float`].
    Float(f64),
    /// See [`SqlType::Text`].
    Text(String),
    /// See [`SqlType::Bytes`].
    Bytes(Vec<u8>),
    /// See [`SqlType::Time`].
    Time(Timestamp),
    /// See [`SqlType::Uuid`].
    Uuid(Uuid),
    /// See [`SqlType::Json`].
    Json(Payload),
}

impl SqlValue {
    /// What kind of value it is.
    pub fn sql_type(&self) -> SqlType {
        match self {
            Self::Null(of) => *of,
            Self::Bool(_) => SqlType::Bool,
            Self::Int(_) => SqlType::Int,
            Self::Float(_) => SqlType::Float,
            Self::Text(_) => SqlType::Text,
            Self::Bytes(_) => SqlType::Bytes,
            Self::Time(_) => SqlType::Time,
            Self::Uuid(_) => SqlType::Uuid,
            Self::Json(_) => SqlType::Json,
        }
    }

    /// How many bytes it has, if that can be any number.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// Adds it to the bytes of a key, which tell where it ends; `None` if it can be in no key.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) -> Option<()> {
        let text = |key: &mut Vec<u8>, bytes: &[u8]| {
            key.extend(bytes.len().to_be_bytes());
            key.extend(bytes);
        };
        match self {
            Self::Bool(value) => key.push((*value).into()),
            Self::Int(value) => key.extend(value.to_be_bytes()),
            Self::Time(value) => key.extend(value.as_micros().to_be_bytes()),
            Self::Uuid(value) => key.extend(value.as_bytes()),
            Self::Text(value) => text(key, value.as_bytes()),
            Self::Bytes(value) => text(key, value),
            Self::Null(_) | Self::Float(_) | Self::Json(_) => return None,
        }
        Some(())
    }

    /// Why no store takes the value, or not each as the same.
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Self::Float(number) if number.is_nan() => Some("it is no number".to_owned()),
            Self::Text(text) if text.contains('\0') => Some("it has U+0000 in it".to_owned()),
            Self::Json(document) => document.unreadable_because().map(str::to_owned),
            _ => None,
        }
    }
}

/// A type that stands in a column: `bool`, `i32`, `i64`, `u32`, `f64`, `String`, `Vec<u8>`,
/// [`Timestamp`], `Uuid`, [`EventId`], [`Json`], an `Option` of these, and each
/// `#[derive(AggregateId)]`, as its text.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no type of a column",
    note = "a type of your own stands there as its text, a `String`, as `Json` of it, or implements \
            `SqlColumn`",
    note = "for `u64` convert to `i64`, and fail the event if it does not fit"
)]
pub trait SqlColumn: Sized {
    /// The type of the column.
    const TYPE: SqlType;

    /// Whether the column may be empty.
    const IS_NULLABLE: bool = false;

    /// The least and the greatest whole number that it takes; `None` if it takes all of its type.
    const RANGE: Option<(i64, i64)> = None;

    /// The value to be stored.
    fn into_value(self) -> SqlValue;

    /// Reads what [`into_value`](Self::into_value) wrote.
    ///
    /// # Errors
    ///
    /// [`RowError`] when the value is none of this type.
    fn from_value(value: SqlValue) -> Result<Self, RowError>;
}

macro_rules! values_themselves {
    ($($type:ty => $kind:ident),+) => {$(
        impl SqlColumn for $type {
            const TYPE: SqlType = SqlType::$kind;

            fn into_value(self) -> SqlValue {
                SqlValue::$kind(self)
            }

            fn from_value(value: SqlValue) -> Result<Self, RowError> {
                match value {
                    SqlValue::$kind(value) => Ok(value),
                    other => Err(RowError::other_type(Self::TYPE, &other)),
                }
            }
        }
    )+};
}

values_themselves! {
    bool => Bool,
    i64 => Int,
    String => Text,
    Vec<u8> => Bytes,
    Timestamp => Time,
    Uuid => Uuid
}

impl SqlColumn for f64 {
    const TYPE: SqlType = SqlType::Float;

    /// The number; zero has no sign, which not all stores keep.
    fn into_value(self) -> SqlValue {
        // -0.0 becomes 0.0
        SqlValue::Float(self + 0.0)
    }

    fn from_value(value: SqlValue) -> Result<Self, RowError> {
        match value {
            SqlValue::Float(value) => Ok(value),
            other => Err(RowError::other_type(Self::TYPE, &other)),
        }
    }
}

macro_rules! smaller_integers {
    ($($type:ty),+) => {$(
        impl SqlColumn for $type {
            const TYPE: SqlType = SqlType::Int;
            const RANGE: Option<(i64, i64)> = Some((<$type>::MIN as i64, <$type>::MAX as i64));

            fn into_value(self) -> SqlValue {
                SqlValue::Int(self.into())
            }

            fn from_value(value: SqlValue) -> Result<Self, RowError> {
                let number = i64::from_value(value)?;
                Self::try_from(number).map_err(|_| {
                    RowError::new(format!("{number} is no `{}`", stringify!($type)))
                })
            }
        }
    )+};
}

smaller_integers!(i32, u32);

impl SqlColumn for EventId {
    const TYPE: SqlType = SqlType::Uuid;

    fn into_value(self) -> SqlValue {
        SqlValue::Uuid(self.as_uuid())
    }

    fn from_value(value: SqlValue) -> Result<Self, RowError> {
        Uuid::from_value(value).map(Self::from_uuid)
    }
}

impl<T: SqlColumn> SqlColumn for Option<T> {
    const TYPE: SqlType = T::TYPE;
    const IS_NULLABLE: bool = true;
    const RANGE: Option<(i64, i64)> = T::RANGE;

    fn into_value(self) -> SqlValue {
        self.map_or(SqlValue::Null(T::TYPE), T::into_value)
    }

    fn from_value(value: SqlValue) -> Result<Self, RowError> {
        match value {
            SqlValue::Null(_) => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// A value that stands in its column as a JSON document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> SqlColumn for Json<T> {
    const TYPE: SqlType = SqlType::Json;

    /// The document; one that cannot be stored fails the event that it is of.
    fn into_value(self) -> SqlValue {
        let stored = Payload::round_trip(&self.0, Limits::STATE_BYTES);
        SqlValue::Json(match stored {
            Ok((document, _)) => document,
            Err(error) => Payload::unreadable(&chain(&error)),
        })
    }

    fn from_value(value: SqlValue) -> Result<Self, RowError> {
        match value {
            SqlValue::Json(document) => {
                let read = document.decode().map(Self);
                read.map_err(|error| RowError::new(error.to_string()))
            }
            other => Err(RowError::other_type(Self::TYPE, &other)),
        }
    }
}

/// Values of columns: none, `()`, one, or a tuple of two to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value of a column, nor a tuple of them",
    note = "for `u64` convert to `i64`, and fail the event if it does not fit; a text is a `String`"
)]
pub trait SqlValues {
    /// The values, in their order.
    fn into_values(self) -> Vec<SqlValue>;
}

impl<T: SqlColumn> SqlValues for T {
    fn into_values(self) -> Vec<SqlValue> {
        vec![self.into_value()]
    }
}

impl SqlValues for () {
    fn into_values(self) -> Vec<SqlValue> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($(($($column:ident $at:tt),+)),+) => {$(
        impl<$($column: SqlColumn),+> SqlValues for ($($column),+) {
            fn into_values(self) -> Vec<SqlValue> {
                vec![$(self.$at.into_value()),+]
            }
        }
    )+};
}

tuples! {
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6),
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
