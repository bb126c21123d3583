//! Changes of tables of many pages of the log in one commit: of each row only those that matter.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use crate::envelope::RecordedEvent;
use crate::environment::breathe;

use super::super::definition::Kind;
use super::super::table::Project;
use super::super::{Batch, BatchLimit, Checkpoint, Content, SinkError, StopCause, TableChange};
use super::Worker;
use super::gather::{Gathered, Trouble};

/// The changes since the last commit.
pub(super) struct Condensed {
    changes: Vec<TableChange>,
    upserts: HashMap<&'static str, Upserts>,
    events: usize,
    bytes: usize,
    /// How many of the changes write no whole row.
    alone: usize,
    /// Up to where.
    to: Checkpoint,
    /// When it began.
    since: Instant,
}

/// Where the changes of a table are that another upsert of the same row may replace.
#[derive(Default)]
struct Upserts {
    by_key: HashMap<Vec<u8>, usize>,
    /// Those before stand in front of a change of other rows that may read or write them.
    from: usize,
}

impl Condensed {
    /// How many changes a commit has that a database carries out one by one, in a round trip each: it
    /// must end well before its lease does.
    pub(super) const ALONE: usize = 500;

    fn new(to: Checkpoint, since: Instant) -> Self {
        let (changes, upserts) = (Vec::new(), HashMap::new());
        Self { changes, upserts, events: 0, bytes: 0, alone: 0, to, since }
    }

    pub(super) fn to(&self) -> &Checkpoint {
        &self.to
    }

    fn is_full(&self, limit: &BatchLimit) -> bool {
        let (rows, bytes) = (self.changes.len(), self.bytes);
        self.events >= limit.events
            || bytes >= limit.bytes
            || rows >= limit.rows
            || self.alone >= Self::ALONE
    }

    /// Adds a change behind the others, or in the place of one of the same row, if no change between
    /// the two is for that row.
    fn add(&mut self, change: TableChange) {
        let upserts = self.upserts.entry(change.table().name).or_default();
        let place = self.changes.len();
        self.bytes += change.bytes();
        self.alone += usize::from(!matches!(change, TableChange::Upsert { .. }));
        match change.row_key() {
            Some(key) if change.is_replaceable() => match upserts.by_key.entry(key) {
                Entry::Occupied(before) if *before.get() >= upserts.from => {
                    let before = &mut self.changes[*before.get()];
                    self.bytes -= before.bytes();
                    *before = change;
                    return;
                }
                Entry::Occupied(mut before) => *before.get_mut() = place,
                Entry::Vacant(none) => {
                    none.insert(place);
                }
            },
            Some(key) => {
                upserts.by_key.remove(&key);
            }
            None => upserts.from = place,
        }
        self.changes.push(change);
    }
}

impl Worker {
    /// True if something waits or was given up: its stream is told from others where pages are taken by
    /// themselves.
    fn has_special(&self) -> bool {
        !self.parked.is_empty() || !self.discarded.is_empty()
    }

    /// True if pages may be taken together. Those at the end of the log are committed at once.
    pub(super) async fn may_condense(&self, is_last: bool) -> Result<bool, SinkError> {
        if self.condensed.is_some() || is_last || self.has_special() {
            return Ok(self.condensed.is_some());
        }
        let may = self.sink.may_condense(&self.lease).await;
        self.answered();
        may
    }

    /// Takes events together with those before them. Where that fails, they are taken by themselves:
    /// at once, or when they come again.
    pub(super) async fn condense(
        &mut self,
        project: Arc<dyn Project>,
        events: &[&RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> Result<(), StopCause> {
        let from = self.reached().position;
        match self.try_condense(&*project, events, to, is_last).await {
            Ok(()) => Ok(()),
            Err(trouble) => self.care(trouble, &Kind::Tables(project), from, events, to).await,
        }
    }

    /// What was gathered is lost if this fails, or if the future is dropped: then the worker stands
    /// at its checkpoint.
    async fn try_condense(
        &mut self,
        project: &dyn Project,
        events: &[&RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> Result<(), Trouble> {
        if self.has_special() {
            self.commit_all().await?;
            return Err(Trouble::NeedsCare);
        }
        let mut condensed = self.condensed.take().unwrap_or_else(|| self.nothing_condensed());
        for part in events.chunks(Gathered::CHUNK) {
            breathe().await;
            for event in part {
                for change in project.project(event)? {
                    condensed.add(change);
                }
                condensed.events += 1;
                if condensed.is_full(&self.limit) {
                    condensed.to = Checkpoint::at(event);
                    self.commit_condensed(condensed).await?;
                    condensed = self.nothing_condensed();
                }
            }
        }
        condensed.to = to.clone();
        let took = self.environment.runtime.since(condensed.since);
        if is_last || took >= Gathered::PATIENCE {
            return self.commit_condensed(condensed).await;
        }
        self.condensed = Some(condensed);
        Ok(())
    }

    fn nothing_condensed(&self) -> Condensed {
        Condensed::new(self.checkpoint.clone(), self.environment.runtime.now())
    }

    pub(super) async fn commit_condensed(&mut self, condensed: Condensed) -> Result<(), Trouble> {
        if condensed.to == self.checkpoint {
            return Ok(());
        }
        let mut batch = Batch::moving(self.slice, self.checkpoint.clone(), condensed.to);
        batch.events = condensed.events as u64;
        batch.content = Content::Tables(condensed.changes);
        match self.commit(batch).await {
            // which of the events is to blame is found out where they are taken by themselves
            Err(SinkError::Refused { .. }) => Err(Trouble::NeedsCare),
            answer => answer.map_err(Trouble::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::{Column, SqlType, SqlValue, TableSchema, Which};

    const fn column(name: &'static str, sql_type: SqlType, is_key: bool) -> Column {
        Column { name, sql_type, is_key, is_nullable: false, range: None }
    }

    const DAYS: TableSchema = TableSchema {
        name: "days",
        columns: &[column("day", SqlType::Int, true), column("word", SqlType::Text, false)],
        indexes: &[],
    };

    const NIGHTS: TableSchema = TableSchema { name: "nights", ..DAYS };

    fn upsert(table: &'static TableSchema, day: i64, word: &str) -> TableChange {
        let values = vec![SqlValue::Int(day), SqlValue::Text(word.to_owned())];
        TableChange::Upsert { table, values, set: None }
    }

    fn delete(rows: Which) -> TableChange {
        TableChange::Delete { table: &DAYS, rows, values: Vec::new() }
    }

    fn condensed(changes: Vec<TableChange>) -> Vec<TableChange> {
        let mut condensed = Condensed::new(Checkpoint::START, Instant::now());
        changes.into_iter().for_each(|change| condensed.add(change));
        let bytes: usize = condensed.changes.iter().map(TableChange::bytes).sum();
        assert_eq!(condensed.bytes, bytes);
        condensed.changes
    }

    #[test]
    fn of_upserts_of_a_row_the_last_alone_is_kept() {
        let (one, other) = (upsert(&DAYS, 1, "a"), upsert(&NIGHTS, 1, "a"));
        let changes = vec![one.clone(), upsert(&DAYS, 2, "b"), other.clone(), one.clone()];
        let found = condensed([changes, vec![upsert(&DAYS, 1, "longer"), other.clone()]].concat());
        assert_eq!(found, [upsert(&DAYS, 1, "longer"), upsert(&DAYS, 2, "b"), other]);
    }

    #[test]
    fn a_commit_has_few_changes_that_are_carried_out_one_by_one() {
        let limit = BatchLimit::default();
        let mut condensed = Condensed::new(Checkpoint::START, Instant::now());
        for number in 1..=Condensed::ALONE {
            assert!(!condensed.is_full(&limit), "{number}");
            condensed.add(upsert(&DAYS, 1, "a"));
            condensed.add(delete(Which::Key(vec![SqlValue::Int(1)])));
        }
        assert!(condensed.is_full(&limit));
    }

    #[test]
    fn what_is_about_the_row_in_between_keeps_them_all() {
        let long = "a".repeat(2_000);
        let between = [
            delete(Which::Key(vec![SqlValue::Int(1)])),
            delete(Which::Where("word = 'a'")),
            TableChange::Upsert {
                table: &DAYS,
                values: vec![SqlValue::Int(1), SqlValue::Text("b".to_owned())],
                set: Some("word = excluded.word"),
            },
            // perhaps no store takes it
            upsert(&DAYS, 1, &long),
            TableChange::Upsert { table: &DAYS, values: vec![SqlValue::Int(1); 2], set: None },
        ];
        for between in between {
            let changes = vec![upsert(&DAYS, 1, "a"), between, upsert(&DAYS, 1, "c")];
            assert_eq!(condensed(changes.clone()), changes);
        }
        let elsewhere = delete(Which::Key(vec![SqlValue::Int(2)]));
        let changes = vec![upsert(&DAYS, 1, "a"), elsewhere.clone(), upsert(&DAYS, 1, "c")];
        assert_eq!(condensed(changes), [upsert(&DAYS, 1, "c"), elsewhere]);
    }
}
