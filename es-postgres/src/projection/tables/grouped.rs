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
use super::{check_parameters, value};
use crate::connection::Bound;

/// Rows of a table that are written together.
struct Rows<'a> {
    table: &'static TableSchema,
    /// How those that are there are changed instead; `None` if all of each is replaced.
    set: Option<&'static str>,
    rows: Vec<&'a [SqlValue]>,
    keys: HashSet<Vec<u8>>,
    bytes: usize,
}

impl<'a> Rows<'a> {
    /// So many at once.
    const MOST: usize = 4_000;
    /// An array has a gigabyte at most.
    const MOST_BYTES: usize = 4 * 1024 * 1024;

    fn of(table: &'static TableSchema, set: Option<&'static str>) -> Self {
        Self { table, set, rows: Vec::new(), keys: HashSet::new(), bytes: 0 }
    }

    /// False of a row that must come behind these: one statement writes none twice.
    fn takes(&self, row: &Upserted<'_>) -> bool {
        let has_room = self.rows.len() < Self::MOST && self.bytes < Self::MOST_BYTES;
        has_room && self.set == row.set && !self.keys.contains(&row.key)
    }

    fn add(&mut self, row: Upserted<'a>) {
        self.bytes += row.values.iter().map(value::size).sum::<usize>();
        self.keys.insert(row.key);
        self.rows.push(row.values);
    }
}

/// An upsert of which the values fit the columns.
struct Upserted<'a> {
    key: Vec<u8>,
    values: &'a [SqlValue],
    set: Option<&'static str>,
}

fn upserted(change: &TableChange) -> Option<Upserted<'_>> {
    match change {
        TableChange::Upsert { values, set, .. } if change.is_fitting_row() => {
            Some(Upserted { key: change.row_key()?, values, set: *set })
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
            let Some(row) = upserted(change).filter(|_| is_known) else {
                if let Some(at) = at {
                    self.write_rows(connection, lease, &open.swap_remove(at)).await?;
                }
                self.apply_one(connection, lease, change).await?;
                continue;
            };
            let at = at.unwrap_or(open.len());
            if at == open.len() {
                open.push(Rows::of(table, row.set));
            } else if !open[at].takes(&row) {
                let full = std::mem::replace(&mut open[at], Rows::of(table, row.set));
                self.write_rows(connection, lease, &full).await?;
            }
            open[at].add(row);
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
        let (arrays, replace) = (names.arrays(2), names.replace_all());
        check_parameters(lease, rows.set, 0)?;
        let template = &self.templates.table_upsert_rows;
        let template = match rows.set {
            Some(_) => names.judged(&self.templates.table_judged, template),
            None => template.clone(),
        };
        let parts = [("arrays", &*arrays), ("set", rows.set.unwrap_or(&*replace))];
        let statement = sqlx::query(names.fill(&template, &parts).sql());
        let statement = statement.bind(number(lease.generation));
        let columns = rows.table.columns.iter().enumerate();
        let statement = columns.fold(statement, |statement, (index, column)| {
            let values = rows.rows.iter().map(|row| &row[index]);
            value::bind_all(statement, column.sql_type, values)
        });
        let is_judged = rows.set.is_some();
        self.carry_out(connection, lease, rows.table, statement, is_judged).await.map(drop)
    }
}
