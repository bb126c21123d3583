//! What becomes of rows, as data.

use std::fmt;

use super::{KeyOf, SqlValue, SqlValues, TableRow, TableSchema};

/// The changes of an event, in their order.
///
/// `set` and `filter` are SQL with `$1`, `$2` .. for the values; as they are `&'static str`, nothing
/// of an event gets into the text of a statement. They name columns and nothing else: the model that
/// is written is the library's to say, and a subquery, which would read another one, fails its event.
#[derive(Debug, Default)]
pub struct Changes(Vec<TableChange>);

impl Changes {
    /// Writes the row, whether there is one under its key or not.
    pub fn upsert<T: TableRow>(&mut self, row: T) {
        let (table, values) = (&T::SCHEMA, row.into_values());
        self.0.push(TableChange::Upsert { table, values, set: None });
    }

    /// Writes the row if there is none under its key; else changes that as `set` says, which names the
    /// row that is there by the table, and the new one by `excluded`:
    /// `cents = totals.cents + excluded.cents`.
    pub fn insert_or_update<T: TableRow>(&mut self, row: T, set: &'static str) {
        let (table, values) = (&T::SCHEMA, row.into_values());
        self.0.push(TableChange::Upsert { table, values, set: Some(set) });
    }

    /// Changes the row under the key as `set` says. A row that is not there fails the event.
    ///
    /// `set` is a literal, and what changes goes into it as `$1`, `$2` ..:
    /// `rows.update::<OpenOrder>(id, "due = due - $1, payer = $2", (cents, payer))`.
    pub fn update<T: TableRow>(
        &mut self,
        key: impl KeyOf<T::Key>,
        set: &'static str,
        values: impl SqlValues,
    ) {
        let rows = Which::Key(key.into_key().into_values());
        let (table, values) = (&T::SCHEMA, values.into_values());
        self.0.push(TableChange::Update { table, rows, set, values });
    }

    /// Removes the row under the key, if there is one.
    pub fn delete<T: TableRow>(&mut self, key: impl KeyOf<T::Key>) {
        let rows = Which::Key(key.into_key().into_values());
        self.0.push(TableChange::Delete { table: &T::SCHEMA, rows, values: Vec::new() });
    }

    /// Changes all rows that fit as `set` says, which counts the same `$1`, `$2` .. as `filter`.
    pub fn update_where<T: TableRow>(
        &mut self,
        filter: &'static str,
        set: &'static str,
        values: impl SqlValues,
    ) {
        let (rows, values) = (Which::Where(filter), values.into_values());
        self.0.push(TableChange::Update { table: &T::SCHEMA, rows, set, values });
    }

    /// Removes all rows that fit.
    pub fn delete_where<T: TableRow>(&mut self, filter: &'static str, values: impl SqlValues) {
        let (rows, values) = (Which::Where(filter), values.into_values());
        self.0.push(TableChange::Delete { table: &T::SCHEMA, rows, values });
    }

    pub(super) fn into_changes(self) -> Vec<TableChange> {
        self.0
    }
}

/// What becomes of rows of a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TableChange {
    /// A row is written.
    Upsert {
        /// The table.
        table: &'static TableSchema,
        /// The values of its columns, in their order.
        values: Vec<SqlValue>,
        /// How a row that is there is changed instead; `None` if all of it is replaced.
        set: Option<&'static str>,
    },
    /// Rows are changed.
    Update {
        /// The table.
        table: &'static TableSchema,
        /// Its rows; one by its key must be there.
        rows: Which,
        /// How they are changed.
        set: &'static str,
        /// What `$1`, `$2` .. stand for.
        values: Vec<SqlValue>,
    },
    /// Rows are removed.
    Delete {
        /// The table.
        table: &'static TableSchema,
        /// Its rows.
        rows: Which,
        /// What `$1`, `$2` .. stand for.
        values: Vec<SqlValue>,
    },
}

/// The rows that are changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Which {
    /// The one under this key.
    Key(Vec<SqlValue>),
    /// Those for which this SQL is true.
    Where(&'static str),
}

/// The table, and the SQL of the program; no values.
impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a change of table `{}`", self.table().name)?;
        self.sql().try_for_each(|sql| write!(f, ", `{sql}`"))
    }
}

impl TableChange {
    /// The table of which it changes rows.
    pub fn table(&self) -> &'static TableSchema {
        match self {
            Self::Upsert { table, .. }
            | Self::Update { table, .. }
            | Self::Delete { table, .. } => table,
        }
    }

    /// For backends: the key of the one row that it is for, as bytes that the key of no other row of the
    /// table has; `None` if it may be for others.
    pub fn row_key(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for value in self.key() {
            value.write_key(&mut bytes)?;
        }
        (!bytes.is_empty()).then_some(bytes)
    }

    /// For backends: true of an upsert of values that fit the table.
    pub fn is_fitting_row(&self) -> bool {
        let Self::Upsert { table, values, .. } = self else { return false };
        values.len() == table.columns.len()
            && table
                .columns
                .iter()
                .zip(values)
                .all(|(column, value)| column.sql_type == value.sql_type() && column.takes(value))
    }

    /// True if nothing but another upsert of its row need come of it: every store takes it, unless there
    /// are rules of somebody else's.
    pub(crate) fn is_replaceable(&self) -> bool {
        /// What fits into the entry of an index, whichever columns that has.
        const MOST_BYTES: usize = 1_024;
        matches!(self, Self::Upsert { set: None, .. })
            && self.is_fitting_row()
            && self.values().all(|value| !matches!(value, SqlValue::Json(_)))
            && self.values().map(SqlValue::bytes).sum::<usize>() <= MOST_BYTES
    }

    /// About how many bytes of memory it has.
    pub(crate) fn bytes(&self) -> usize {
        let of_values = self.values().map(|value| {
            let document = match value {
                SqlValue::Json(document) => document.as_str().len(),
                _ => 0,
            };
            size_of::<SqlValue>() + value.bytes() + document
        });
        size_of::<Self>() + of_values.sum::<usize>()
    }

    /// The SQL in it.
    pub(super) fn sql(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (rows, set) = match self {
            Self::Upsert { set, .. } => (None, *set),
            Self::Update { rows, set, .. } => (Some(rows), Some(*set)),
            Self::Delete { rows, .. } => (Some(rows), None),
        };
        let filter = match rows {
            Some(Which::Where(filter)) => Some(*filter),
            _ => None,
        };
        set.into_iter().chain(filter)
    }

    /// The key of the row that it is for, if it is for one.
    pub(super) fn key(&self) -> impl Iterator<Item = &SqlValue> {
        let (key, row): (&[SqlValue], _) = match self {
            Self::Upsert { table, values, .. } => (&[], Some(table.columns.iter().zip(values))),
            Self::Update { rows: Which::Key(key), .. }
            | Self::Delete { rows: Which::Key(key), .. } => (key, None),
            Self::Update { .. } | Self::Delete { .. } => (&[], None),
        };
        let of_row = row.into_iter().flatten().filter(|(column, _)| column.is_key);
        key.iter().chain(of_row.map(|(_, value)| value))
    }

    /// All values in it.
    pub(super) fn values(&self) -> impl Iterator<Item = &SqlValue> {
        let (key, values) = match self {
            Self::Upsert { values, .. } => (None, values),
            Self::Update { rows: Which::Key(key), values, .. }
            | Self::Delete { rows: Which::Key(key), values, .. } => (Some(key), values),
            Self::Update { values, .. } | Self::Delete { values, .. } => (None, values),
        };
        key.into_iter().flatten().chain(values)
    }
}
