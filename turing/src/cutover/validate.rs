//! Comparing both sides, round by round.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use chrono::{DateTime, Utc};
use es_core::event::Timestamp;
use es_core::execution::StoreError;
use es_postgres::sqlx::Row;
use serde::Serialize;
use turing_domain::{Cutover, CutoverPhase, CutoverRejection, PostingId};

use super::Mover;
use super::error::CutoverError;
use super::progress::{Doing, GoOn, Meter, Portion, Progress};
use super::spelled::Spelled;
use super::statements::query;
use super::work::{Line, Work, patiently};

/// How many examples there are of each kind.
const EXAMPLES: i64 = 3;

/// How many postings are compared at once at most.
const MOST: u32 = 2_000;

/// What a round of comparisons came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Round {
    /// How many postings were compared.
    pub seen: u64,
    /// How many discrepancies are open behind it.
    pub open: u64,
    /// The open ones by their kinds.
    pub kinds: Vec<OpenKind>,
    /// The phase that holds behind it.
    pub phase: CutoverPhase,
    /// False if it was stopped before its end: then it says nothing.
    pub is_complete: bool,
}

/// The open discrepancies of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OpenKind {
    /// The kind, such as `current_differs`.
    pub kind: String,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Discrepancy>,
}

/// Something in which the old table and the events differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Discrepancy {
    /// The posting.
    pub posting_id: Option<PostingId>,
    /// The part of its state, if it is about one.
    pub field: Option<String>,
    /// What the old table has, perhaps shortened.
    pub old: Option<String>,
    /// What the events say.
    pub new: Option<String>,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// In how many rounds.
    pub sightings: u32,
    /// Why it was accepted as it was before, if it was: the difference is another one since.
    pub accepted_before: Option<String>,
}

/// One bounded step of a round.
struct Step {
    last: Option<i32>,
    seen: u64,
}

impl Mover {
    /// Compares all that the old table and the events have, in steps that hold nobody up, and records
    /// what differs. A round that finds nothing ends the phase, once all is imported.
    ///
    /// # Errors
    ///
    /// When there is nothing to be compared in this phase.
    pub async fn validate(
        &self,
        mut go_on: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<Round, CutoverError> {
        let hold = self.hold().await?;
        let may = |cutover: &Cutover| cutover.complete_validation(0, 0, &self.who).map(drop);
        let round = Box::pin(self.round(may, &mut go_on)).await?;
        hold.give_back().await;
        Ok(round)
    }

    /// A round before a phase, which begins only if nothing is found.
    pub(super) async fn compare_before(
        &self,
        may: impl Fn(&Cutover) -> Result<(), CutoverRejection> + Send,
        go_on: &mut GoOn<'_>,
    ) -> Result<Round, CutoverError> {
        let round = Box::pin(self.round(may, go_on)).await?;
        match (round.is_complete, round.open) {
            (false, _) => Err(CutoverError::Stopped),
            (true, 0) => Ok(round),
            (true, open) => Err(CutoverRejection::DiscrepanciesOpen { open }.into()),
        }
    }

    /// A round, if the cutover lets it be made.
    async fn round(
        &self,
        may: impl Fn(&Cutover) -> Result<(), CutoverRejection> + Send,
        go_on: &mut GoOn<'_>,
    ) -> Result<Round, CutoverError> {
        let mut work = self.begin("comparing").await?;
        let known = self.known(&mut work).await?;
        may(&known.cutover)?;
        self.check_table(&mut work, known.row()?).await?;
        let of = Spelled::look(&mut work).await?.postings(&mut work).await?;
        work.undo().await?;
        let meter = Meter::new(Doing::Validating, 0, of);
        let mut portion = Portion::up_to(MOST);
        let (mut last, mut seen, mut line) = (None, 0, Line::default());
        loop {
            if go_on(&meter.progress(seen)).is_break() {
                let mut work = self.begin("comparing").await?;
                return self.result(&mut work, seen, known.cutover.phase(), false).await;
            }
            let (began, size) = (Instant::now(), portion.size());
            let step = self.compare(&mut line, last, size).await?;
            portion.took(began.elapsed());
            seen += step.seen;
            // the last one also looks at rows that are no posting's
            if step.last.is_none() || step.seen < count_of(Some(size)) {
                break;
            }
            last = step.last;
        }
        patiently(async || self.try_record_round(seen).await).await
    }

    /// The next step of a round.
    async fn compare(
        &self,
        line: &mut Line,
        after: Option<i32>,
        count: i32,
    ) -> Result<Step, CutoverError> {
        patiently(async || self.try_compare(line, after, count).await).await
    }

    async fn try_compare(
        &self,
        line: &mut Line,
        after: Option<i32>,
        count: i32,
    ) -> Result<Step, CutoverError> {
        let mut work = self.begin_on(line, "comparing").await?;
        let validate = query(&self.statements.validate).bind(after).bind(count);
        let rows = work.rows(validate).await?;
        let step = rows.first().map(|row| {
            work.read(row, |row| {
                let seen: Option<i32> = row.try_get(1)?;
                Ok(Step { last: row.try_get(0)?, seen: count_of(seen) })
            })
        });
        let step = step.unwrap_or(Ok(Step { last: None, seen: 0 }))?;
        work.commit_on(line).await?;
        Ok(step)
    }

    /// Records a round that came to its end.
    async fn try_record_round(&self, seen: u64) -> Result<Round, CutoverError> {
        let mut work = self.begin("recording a round of comparisons").await?;
        let open = self.open_discrepancies(&mut work).await?;
        let decided =
            self.decided(|cutover| cutover.complete_validation(seen, open, &self.who)).await?;
        let cutover = self.record(&mut work, decided).await?;
        let phase = cutover.phase();
        self.enter_if_new(&mut work, phase).await?;
        let round = self.result(&mut work, seen, phase, true).await?;
        work.commit().await?;
        Ok(round)
    }

    /// Writes the phase if it is another one.
    async fn enter_if_new(&self, work: &mut Work, phase: CutoverPhase) -> Result<(), CutoverError> {
        let row = super::CutoverRow::look(work).await?;
        if row.is_some_and(|row| row.phase() != Ok(phase)) {
            self.enter(work, phase).await?;
        }
        Ok(())
    }

    async fn result(
        &self,
        work: &mut Work,
        seen: u64,
        phase: CutoverPhase,
        is_complete: bool,
    ) -> Result<Round, CutoverError> {
        let kinds = self.open_kinds(work).await?;
        let open = kinds.iter().map(|kind| kind.count).sum();
        Ok(Round { seen, open, kinds, phase, is_complete })
    }

    /// The open discrepancies by their kinds, with examples.
    pub(super) async fn open_kinds(&self, work: &mut Work) -> Result<Vec<OpenKind>, StoreError> {
        let rows = work.rows(query(&self.statements.open_kinds).bind(EXAMPLES)).await?;
        let mut kinds: Vec<OpenKind> = Vec::new();
        for row in &rows {
            let (kind, count, example) = work.read(row, |row| {
                let time = |index: usize| -> Result<Timestamp, es_postgres::sqlx::Error> {
                    let time: DateTime<Utc> = row.try_get(index)?;
                    Ok(time.into())
                };
                let kind: String = row.try_get(0)?;
                let count: i64 = row.try_get(1)?;
                let posting_id: Option<i32> = row.try_get(2)?;
                let example = Discrepancy {
                    posting_id: posting_id.map(PostingId),
                    field: row.try_get(3)?,
                    old: row.try_get(4)?,
                    new: row.try_get(5)?,
                    first_seen: time(6)?,
                    last_seen: time(7)?,
                    sightings: row.try_get::<i32, _>(8)?.unsigned_abs(),
                    accepted_before: row.try_get(9)?,
                };
                Ok((kind, count.unsigned_abs(), example))
            })?;
            match kinds.last_mut() {
                Some(last) if last.kind == kind => last.examples.push(example),
                _ => kinds.push(OpenKind { kind, count, examples: vec![example] }),
            }
        }
        Ok(kinds)
    }

    /// What differs now, by its kind, whether it was recorded or not; nothing is written.
    pub(super) async fn differing(
        &self,
        work: &mut Work,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = work.rows(query(&self.statements.differing_kinds)).await?;
        let kinds = rows.iter().map(|row| {
            work.read(row, |row| {
                let count: i64 = row.try_get(1)?;
                Ok((row.try_get(0)?, count.unsigned_abs()))
            })
        });
        kinds.collect()
    }
}

pub(super) fn count_of(number: Option<i32>) -> u64 {
    number.map_or(0, |number| u64::from(number.max(0).unsigned_abs()))
}
