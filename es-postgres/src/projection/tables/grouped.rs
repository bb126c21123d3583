//! Rows of many changes in one statement, where nobody can tell it from one for each.

use std::collections::HashSet;

use es_core::backend::{Lease, SinkError, TableChange};
use es_core::projection::{SqlValue, TableSchema};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::super::Projections;
use super::super::commit::number;
use super::look::LOOKING;
use super::text::{Names, models};
use super::value;
use crate::connection::Bound;

/// Rows of a table that are written together.
struct Rows<'a> {
    table: &'static TableSchema,
    rows: Vec<&'a [SqlValue]>,
    keys: HashSet<Vec<u8>>,
    bytes: usize,
}

impl<'a> Rows<'a> {
    /// So many at once.
    const MOST: usize = 4_000;
    /// An array has a gigabyte at most.
    const MOST_BYTES: usize = 4 * 1024 * 1024;

    fn of(table: &'static TableSchema) -> Self {
        Self { table, rows: Vec::new(), keys: HashSet::new(), bytes: 0 }
    }

    /// False of a row that must come behind these: one statement writes none twice.
    fn takes(&self, key: &[u8]) -> bool {
        self.rows.len() < Self::MOST && self.bytes < Self::MOST_BYTES && !self.keys.contains(key)
    }

    fn add(&mut self, key: Vec<u8>, row: &'a [SqlValue]) {
        self.bytes += row.iter().map(value::size).sum::<usize>();
        self.keys.insert(key);
        self.rows.push(row);
    }
}

/// The key and the values of a row that is written whole.
fn whole_row(change: &TableChange) -> Option<(Vec<u8>, &[SqlValue])> {
    match change {
        TableChange::Upsert { values, .. } if change.is_whole_row() => {
            Some((change.row_key()?, values))
        }
        _ => None,
    }
}

impl Projections {
    /// From so many changes on it is worth while to look whether they may be grouped.
    pub(super) const MANY: usize = 16;

    /// Whether nothing but the rows of the tables tells in which steps they were written.
    pub(in super::super) async fn may_condense(&self, lease: &Lease) -> Result<bool, SinkError> {
        let rows = self.connections.rows(LOOKING, || self.bind_plain(lease)).await?;
        self.is_plain(&rows)
    }

    /// The same within a transaction.
    pub(super) async fn may_group(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
    ) -> Result<bool, SinkError> {
        let rows = self.rows_within(connection, self.bind_plain(lease)).await?;
        self.is_plain(&rows)
    }

    fn bind_plain(&self, lease: &Lease) -> Bound<'static> {
        let names: Vec<_> = lease.tables.iter().map(models).collect();
        sqlx::query(self.statements.table_plain.sql()).bind(names)
    }

    fn is_plain(&self, rows: &[PgRow]) -> Result<bool, SinkError> {
        let plain = self.read(LOOKING, || rows.first().map(|row| row.try_get(0)).transpose())?;
        Ok(plain.unwrap_or(false))
    }

    /// Carries out changes of tables that [`may_group`](Self::may_group) is true of: those of different
    /// tables in any order, and of a table in theirs, but for rows that nothing between them is about.
    pub(super) async fn apply_grouped(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        changes: &[TableChange],
    ) -> Result<(), SinkError> {
        let mut open: Vec<Rows<'_>> = Vec::new();
        for change in changes {
            let table = change.table();
            let at = open.iter().position(|rows| rows.table == table);
            let is_known = at.is_some() || lease.tables.contains(table);
            let Some((key, row)) = whole_row(change).filter(|_| is_known) else {
                if let Some(at) = at {
                    self.write_rows(connection, lease, &open.swap_remove(at)).await?;
                }
                self.apply_one(connection, lease, change).await?;
                continue;
            };
            let at = at.unwrap_or(open.len());
            if at == open.len() {
                open.push(Rows::of(table));
            } else if !open[at].takes(&key) {
                let full = std::mem::replace(&mut open[at], Rows::of(table));
                self.write_rows(connection, lease, &full).await?;
            }
            open[at].add(key, row);
        }
        for rows in &open {
            self.write_rows(connection, lease, rows).await?;
        }
        Ok(())
    }

    async fn write_rows(
        &self,
        connection: &mut PgConnection,
        lease: &Lease,
        rows: &Rows<'_>,
    ) -> Result<(), SinkError> {
        let names = Names::of(rows.table);
        let (arrays, set) = (names.arrays(2), names.replace_all());
        let parts = [("arrays", &*arrays), ("set", &*set)];
        let statement = names.fill(&self.templates.table_upsert_rows, &parts);
        let statement = sqlx::query(statement.sql()).bind(number(lease.generation));
        let columns = rows.table.columns.iter().enumerate();
        let statement = columns.fold(statement, |statement, (index, column)| {
            let values = rows.rows.iter().map(|row| &row[index]);
            value::bind_all(statement, column.sql_type, values)
        });
        let statement = statement.persistent(self.is_persistent);
        let connector = self.connections.connector();
        let done = connector.in_time(statement.execute(connection)).await;
        done.map(drop).map_err(|error| self.not_carried_out(lease, rows.table, error))
    }
}
