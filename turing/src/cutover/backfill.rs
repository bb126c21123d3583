//! The import of what was there before both sides were written.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::Instant;

use es_core::execution::StoreError;
use es_postgres::sqlx::Row;
use serde::Serialize;
use tokio::time::sleep;
use turing_domain::{BackfillCounts, BackfillStatus};

use super::Mover;
use super::error::CutoverError;
use super::progress::{Doing, GoOn, Meter, Portion, Progress};
use super::spelled::Spelled;
use super::statements::query;
use super::validate::count_of;
use super::work::{Line, Work, patiently};

/// How the backfill goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackfillOptions {
    /// How many postings a second at most; `None`: as many as go.
    pub rate: Option<NonZeroU32>,
    /// How many postings are imported in one transaction at most. There are fewer where that takes longer
    /// than a moment.
    pub batch: NonZeroU32,
}

impl Default for BackfillOptions {
    fn default() -> Self {
        Self { rate: None, batch: NonZeroU32::new(500).expect("it is not zero") }
    }
}

/// How far the backfill has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backfilled {
    /// How many postings there were when it began.
    pub total: u64,
    /// How many were looked at.
    pub seen: u64,
    /// How many of them were imported.
    pub imported: u64,
    /// How many got a row in the old table, which had none.
    pub written_back: u64,
    /// How many could not be imported; each is a discrepancy.
    pub refused: u64,
    /// False if it was stopped before its end; the next call goes on there.
    pub is_complete: bool,
}

/// What one transaction did.
struct Step {
    last: Option<i32>,
    seen: u64,
}

impl Mover {
    /// Imports what the old table had before both sides were written, and writes to it what only events
    /// have: in portions that hold nobody up for longer than a moment. A call that was stopped, or
    /// killed, is gone on with by the next one.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or all is imported.
    pub async fn backfill(
        &self,
        options: &BackfillOptions,
        mut go_on: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<Backfilled, CutoverError> {
        let hold = self.hold().await?;
        let done = Box::pin(self.import(options, &mut go_on)).await?;
        hold.give_back().await;
        Ok(done)
    }

    async fn import(
        &self,
        options: &BackfillOptions,
        go_on: &mut GoOn<'_>,
    ) -> Result<Backfilled, CutoverError> {
        let (mut last, mut done, total) =
            patiently(async || self.try_begin_backfill().await).await?;
        let meter = Meter::new(Doing::Backfilling, done, total);
        // so that one pause is no longer than a moment either
        let most = options.rate.map_or(options.batch, |rate| {
            let tenth = NonZeroU32::new(rate.get() / 10).unwrap_or(NonZeroU32::MIN);
            tenth.min(options.batch)
        });
        let mut portion = Portion::up_to(most.get());
        let mut line = Line::default();
        loop {
            if go_on(&meter.progress(done)).is_break() {
                let mut work = self.begin("asking how far the backfill is").await?;
                return Ok(self.backfilled(&mut work, total, false).await?);
            }
            let began = Instant::now();
            let step = self.import_some(&mut line, last, portion.size()).await?;
            portion.took(began.elapsed());
            done += step.seen;
            match step.last {
                Some(_) if step.seen > 0 => last = step.last,
                _ => break,
            }
            if let Some(rate) = options.rate {
                sleep(meter.pause(done, rate.get())).await;
            }
        }
        patiently(async || self.try_end_backfill(total).await).await
    }

    /// Begins it, unless it is begun; answers behind which posting to go on, how many were done, and how
    /// many there are.
    async fn try_begin_backfill(&self) -> Result<(Option<i32>, u64, u64), CutoverError> {
        let mut work = self.begin("beginning the backfill").await?;
        let known = self.known_with_table(&mut work).await?;
        known.cutover.start_backfill(0, &self.who)?;
        let row = known.row()?;
        if let BackfillStatus::Started { total } = known.cutover.backfill() {
            let done = row.backfill_done.max(0).unsigned_abs();
            let last = row.backfilled_through;
            work.undo().await?;
            return Ok((last, done, total));
        }
        let total = Spelled::look(&mut work).await?.postings(&mut work).await?;
        let decided = self.decided(|cutover| cutover.start_backfill(total, &self.who)).await?;
        let counted = i64::try_from(total).unwrap_or(i64::MAX);
        work.write(query(&self.statements.begin_backfill).bind(counted)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok((None, 0, total))
    }

    /// The next portion.
    async fn import_some(
        &self,
        line: &mut Line,
        after: Option<i32>,
        count: i32,
    ) -> Result<Step, CutoverError> {
        patiently(async || self.try_import(line, after, count).await).await
    }

    async fn try_import(
        &self,
        line: &mut Line,
        after: Option<i32>,
        count: i32,
    ) -> Result<Step, CutoverError> {
        let mut work = self.begin_on(line, "backfilling").await?;
        let rows = work.rows(query(&self.statements.backfill).bind(after).bind(count)).await?;
        let Some(row) = rows.first() else { return Ok(Step { last: None, seen: 0 }) };
        let (last, counts) = work.read(row, |row| {
            let last: Option<i32> = row.try_get(0)?;
            let mut counts = [0; 4];
            for (index, count) in counts.iter_mut().enumerate() {
                let number: Option<i32> = row.try_get(index + 1)?;
                *count = number.unwrap_or(0);
            }
            Ok((last, counts))
        })?;
        let [seen, imported, written_back, refused] = counts;
        if let Some(last) = last {
            let went = query(&self.statements.go_on_with_backfill)
                .bind(last)
                .bind(i64::from(seen))
                .bind(i64::from(imported))
                .bind(i64::from(written_back))
                .bind(i64::from(refused));
            work.write(went).await?;
        }
        work.commit_on(line).await?;
        Ok(Step { last, seen: count_of(Some(seen)) })
    }

    /// What came of it so far.
    async fn backfilled(
        &self,
        work: &mut Work,
        total: u64,
        is_complete: bool,
    ) -> Result<Backfilled, StoreError> {
        let rows = work.rows(query(&self.statements.backfilled)).await?;
        let counts = rows.first().map(|row| {
            work.read(row, |row| {
                let mut counts = [0; 4];
                for (index, count) in counts.iter_mut().enumerate() {
                    let number: Option<i64> = row.try_get(index)?;
                    *count = number.unwrap_or(0).max(0).unsigned_abs();
                }
                Ok(counts)
            })
        });
        let [seen, imported, written_back, refused] = counts.transpose()?.unwrap_or_default();
        Ok(Backfilled { total, seen, imported, written_back, refused, is_complete })
    }

    async fn try_end_backfill(&self, total: u64) -> Result<Backfilled, CutoverError> {
        let mut work = self.begin("ending the backfill").await?;
        let done = self.backfilled(&mut work, total, true).await?;
        let Backfilled { seen, imported, written_back, refused, .. } = done;
        let counts = BackfillCounts { seen, imported, written_back, refused };
        let decided = self.decided(|cutover| cutover.complete_backfill(counts, &self.who)).await?;
        work.write(query(&self.statements.end_backfill)).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(done)
    }
}
