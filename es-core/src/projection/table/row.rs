//! A row of a table, and what its table is like.

use super::{SqlColumn, SqlType, SqlValue, SqlValues};

/// A row of a table; `#[derive(TableRow)]` makes one of a struct.
pub trait TableRow: Sized + Send + Sync + 'static {
    /// The table.
    const SCHEMA: TableSchema;

    /// What tells one row from another: the type of the key's column, or a tuple of them.
    type Key: SqlValues;

    /// The values of the columns, in their order.
    fn into_values(self) -> Vec<SqlValue>;

    /// The row with these values, in the order of the columns.
    ///
    /// # Errors
    ///
    /// [`RowError`] when they are none of this type.
    fn from_values(values: Vec<SqlValue>) -> Result<Self, RowError>;
}

/// What may stand for the key of a row: the key, or what converts into it, such as a text; of several
/// columns a tuple, each part by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of this table, `{K}` is",
    note = "give the key, or what converts into it (`Into`); of several columns a tuple of these"
)]
pub trait KeyOf<K> {
    /// The key.
    fn into_key(self) -> K;
}

impl<K: SqlColumn, T: Into<K>> KeyOf<K> for T {
    fn into_key(self) -> K {
        self.into()
    }
}

macro_rules! keys {
    ($(($($column:ident $given:ident $at:tt),+)),+) => {$(
        impl<$($column: SqlColumn, $given: Into<$column>),+> KeyOf<($($column),+)>
            for ($($given),+)
        {
            fn into_key(self) -> ($($column),+) {
                ($(self.$at.into()),+)
            }
        }
    )+};
}

keys! {
    (A R 0, B S 1),
    (A R 0, B S 1, C T 2),
    (A R 0, B S 1, C T 2, D U 3),
    (A R 0, B S 1, C T 2, D U 3, E V 4),
    (A R 0, B S 1, C T 2, D U 3, E V 4, F W 5),
    (A R 0, B S 1, C T 2, D U 3, E V 4, F W 5, G X 6),
    (A R 0, B S 1, C T 2, D U 3, E V 4, F W 5, G X 6, H Y 7)
}

/// What a table is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name, which is that of the view over the model that is served.
    pub name: &'static str,
    /// Its columns, in the order of the fields.
    pub columns: &'static [Column],
    /// Its indexes, each by the names of its columns.
    pub indexes: &'static [&'static [&'static str]],
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub sql_type: SqlType,
    /// True if it tells one row from another.
    pub is_key: bool,
    /// True if it may be empty.
    pub is_nullable: bool,
    /// The least and the greatest whole number in it, if not all are taken.
    pub range: Option<(i64, i64)>,
}

impl Column {
    /// True if the field of the column takes this value of its type.
    pub fn takes(&self, value: &SqlValue) -> bool {
        match value {
            SqlValue::Null(_) => self.is_nullable,
            SqlValue::Int(number) => {
                self.range.is_none_or(|(least, greatest)| (least..=greatest).contains(number))
            }
            _ => true,
        }
    }
}

impl TableSchema {
    /// The columns that tell one row from another.
    pub fn key(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// The name of the index over these columns, such as `open_orders(customer,cents)`: no other table,
    /// and no other columns, have it, too.
    pub fn index_name(&self, columns: &[&str]) -> String {
        format!("{}({})", self.name, columns.join(","))
    }

    /// The key of a row with these values.
    pub fn key_of(&self, row: &[SqlValue]) -> Vec<SqlValue> {
        let key = self.columns.iter().zip(row).filter(|(column, _)| column.is_key);
        key.map(|(_, value)| value.clone()).collect()
    }
}

/// Values that are no row of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(String);

impl RowError {
    /// The error with this text, which says what does not fit.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The error of a value that is of another type.
    pub fn other_type(wanted: SqlType, found: &SqlValue) -> Self {
        match found {
            SqlValue::Null(_) => Self(format!("no value where {wanted} is wanted")),
            found => Self(format!("{} where {wanted} is wanted", found.sql_type())),
        }
    }

    pub(crate) fn in_column(self, column: &str) -> Self {
        Self(format!("column `{column}`: {}", self.0))
    }
}
