//! The tables of a model: rows that are written and removed by their keys.

use std::collections::BTreeMap;
use std::ops::Bound;

use es_core::BoxError;
use es_core::backend::{SinkError, TableChange, TableRead, Timestamp};
use es_core::projection::{SqlValue, TableSchema, Which};

/// The tables of one model, by name.
#[derive(Debug, Default)]
pub(crate) struct Tables(BTreeMap<&'static str, Table>);

/// The rows of a table, each the values of its columns.
type Table = BTreeMap<Key, Vec<SqlValue>>;

type Key = Vec<Part>;

/// A column of a key, in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Bool(bool),
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
    Time(Timestamp),
    Uuid([u8; 16]),
}

/// What stood in the places of changes, in their order.
#[derive(Debug)]
pub(crate) struct Undo(Vec<Before>);

/// What stood in one place.
#[derive(Debug)]
struct Before {
    table: &'static str,
    key: Key,
    row: Option<Vec<SqlValue>>,
}

/// Why a change is not carried out.
enum Problem {
    /// Not for this event.
    Refused(BoxError),
    /// Never here.
    Unusable(String),
}

impl Tables {
    /// Makes those that are not there.
    pub(crate) fn make(&mut self, tables: &[TableSchema]) {
        for table in tables {
            self.0.entry(table.name).or_default();
        }
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Carries the changes out, all or none; answers how to undo them.
    pub(crate) fn apply(
        &mut self,
        projection: &str,
        changes: &[TableChange],
    ) -> Result<Undo, SinkError> {
        let mut undo = Undo(Vec::with_capacity(changes.len()));
        let done: Result<(), Problem> = changes.iter().try_for_each(|change| {
            undo.0.push(self.apply_one(change)?);
            Ok(())
        });
        let Err(problem) = done else { return Ok(undo) };
        self.undo(undo);
        let projection = projection.to_owned();
        Err(match problem {
            Problem::Refused(error) => SinkError::Refused { projection, source: error.into() },
            Problem::Unusable(reason) => SinkError::Unusable { projection, reason },
        })
    }

    /// Makes the tables what they were before the changes.
    pub(crate) fn undo(&mut self, undo: Undo) {
        for Before { table, key, row } in undo.0.into_iter().rev() {
            let rows = self.0.entry(table).or_default();
            match row {
                Some(row) => rows.insert(key, row),
                None => rows.remove(&key),
            };
        }
    }

    fn apply_one(&mut self, change: &TableChange) -> Result<Before, Problem> {
        let table = change.table();
        let rows = self.0.get_mut(table.name).ok_or_else(|| Problem::Unusable(none_of(table)))?;
        match change {
            TableChange::Upsert { values, set: None, .. } => {
                let key = key_of(&table.key_of(values)).map_err(Problem::Refused)?;
                let row = rows.insert(key.clone(), values.clone());
                Ok(Before { table: table.name, key, row })
            }
            TableChange::Delete { rows: Which::Key(key), .. } => {
                let key = key_of(key).map_err(Problem::Refused)?;
                let row = rows.remove(&key);
                Ok(Before { table: table.name, key, row })
            }
            _ => {
                let reason = "in memory rows are written and removed by their keys, and SQL is \
                              understood by nobody; use a file";
                Err(Problem::Unusable(reason.to_owned()))
            }
        }
    }

    pub(crate) fn rows(
        &self,
        projection: &str,
        table: &TableSchema,
        read: &TableRead,
    ) -> Result<Vec<Vec<SqlValue>>, SinkError> {
        let unusable = |reason| SinkError::Unusable { projection: projection.to_owned(), reason };
        let rows = self.0.get(table.name).ok_or_else(|| unusable(none_of(table)))?;
        let key_of = |key: &[SqlValue]| key_of(key).map_err(|error| unusable(error.to_string()));
        Ok(match read {
            TableRead::Key(key) => rows.get(&key_of(key)?).into_iter().cloned().collect(),
            TableRead::Rows { after, limit } => {
                let after = after.as_deref().map(key_of).transpose()?;
                let start = after.map_or(Bound::Unbounded, Bound::Excluded);
                let rest = rows.range::<Key, _>((start, Bound::Unbounded));
                rest.take((*limit).max(1)).map(|(_, row)| row.clone()).collect()
            }
        })
    }
}

fn none_of(table: &TableSchema) -> String {
    format!("the model has no table `{}`", table.name)
}

fn key_of(values: &[SqlValue]) -> Result<Key, BoxError> {
    let part = |value: &SqlValue| match value {
        SqlValue::Bool(value) => Ok(Part::Bool(*value)),
        SqlValue::Int(value) => Ok(Part::Int(*value)),
        SqlValue::Text(value) => Ok(Part::Text(value.clone())),
        SqlValue::Bytes(value) => Ok(Part::Bytes(value.clone())),
        SqlValue::Time(value) => Ok(Part::Time(*value)),
        SqlValue::Uuid(value) => Ok(Part::Uuid(*value.as_bytes())),
        other => Err(format!("{other:?} cannot be in a key").into()),
    };
    values.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use es_core::projection::{Column, SqlType};

    use super::*;

    const fn column(name: &'static str, sql_type: SqlType, is_key: bool) -> Column {
        Column { name, sql_type, is_key, is_nullable: false, range: None }
    }

    const DAYS: TableSchema = TableSchema {
        name: "days",
        columns: &[column("day", SqlType::Int, true), column("word", SqlType::Text, false)],
        indexes: &[],
    };

    fn row(day: i64, word: &str) -> Vec<SqlValue> {
        vec![SqlValue::Int(day), SqlValue::Text(word.to_owned())]
    }

    fn upsert(day: i64, word: &str) -> TableChange {
        TableChange::Upsert { table: &DAYS, values: row(day, word), set: None }
    }

    fn read(tables: &Tables, read: &TableRead) -> Vec<Vec<SqlValue>> {
        tables.rows("days", &DAYS, read).unwrap()
    }

    #[test]
    fn rows_are_written_removed_and_read_by_key() {
        let mut tables = Tables::default();
        tables.make(&[DAYS]);
        let key = |day| vec![SqlValue::Int(day)];
        let delete =
            TableChange::Delete { table: &DAYS, rows: Which::Key(key(3)), values: Vec::new() };
        let changes = [upsert(10, "a"), upsert(9, "b"), upsert(3, "c"), upsert(9, "d"), delete];
        tables.apply("days", &changes).unwrap();
        assert_eq!(read(&tables, &TableRead::Key(key(9))), [row(9, "d")]);
        assert!(read(&tables, &TableRead::Key(key(3))).is_empty());
        let all = |after, limit| read(&tables, &TableRead::Rows { after, limit });
        assert_eq!(all(None, 5), [row(9, "d"), row(10, "a")]);
        assert_eq!(all(None, 1), [row(9, "d")]);
        assert_eq!(all(Some(key(9)), 5), [row(10, "a")]);
    }

    #[test]
    fn changes_are_undone_and_those_before_one_that_cannot_be_are_none() {
        let mut tables = Tables::default();
        tables.make(&[DAYS]);
        tables.apply("days", &[upsert(1, "a"), upsert(2, "b")]).unwrap();
        let before = read(&tables, &TableRead::Rows { after: None, limit: 9 });
        let delete = |day| TableChange::Delete {
            table: &DAYS,
            rows: Which::Key(vec![SqlValue::Int(day)]),
            values: Vec::new(),
        };
        // of one row the first state counts
        let changes = [upsert(1, "c"), delete(1), upsert(3, "d"), delete(2), upsert(1, "e")];
        let undo = tables.apply("days", &changes).unwrap();
        let all = |tables: &Tables| read(tables, &TableRead::Rows { after: None, limit: 9 });
        assert_eq!(all(&tables), [row(1, "e"), row(3, "d")]);
        tables.undo(undo);
        assert_eq!(all(&tables), before);
        let values = vec![SqlValue::Null(SqlType::Int), SqlValue::Text("f".to_owned())];
        let refused = TableChange::Upsert { table: &DAYS, values, set: None };
        let changes: Vec<_> = changes.into_iter().chain([refused]).collect();
        tables.apply("days", &changes).unwrap_err();
        assert_eq!(all(&tables), before);
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        let mut tables = Tables::default();
        let answer = tables.apply("days", &[upsert(1, "a")]);
        assert!(matches!(answer, Err(SinkError::Unusable { .. })), "{answer:?}");
        tables.make(&[DAYS]);
        let update = TableChange::Update {
            table: &DAYS,
            rows: Which::Where("true"),
            set: "word = $1",
            values: vec![SqlValue::Text("b".to_owned())],
        };
        let answer = tables.apply("days", &[update]);
        assert!(matches!(answer, Err(SinkError::Unusable { .. })), "{answer:?}");
        let values = vec![SqlValue::Null(SqlType::Int), SqlValue::Text("a".to_owned())];
        let answer =
            tables.apply("days", &[TableChange::Upsert { table: &DAYS, values, set: None }]);
        assert!(matches!(answer, Err(SinkError::Refused { .. })), "{answer:?}");
    }
}
