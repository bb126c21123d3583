//! The way back, phase by phase, without losing what was written meanwhile.

use std::ops::ControlFlow;
use std::time::Instant;

use es_core::execution::StoreError;
use es_postgres::sqlx::{self, AssertSqlSafe, Row};
use serde::Serialize;
use turing_domain::{CutoverPhase, CutoverRejection};

use super::Mover;
use super::error::CutoverError;
use super::progress::{Doing, GoOn, Meter, Portion, Progress};
use super::statements::query;
use super::validate::count_of;
use super::work::{Line, Work, patiently};

/// How many postings are written back at once at most.
const MOST: u32 = 500;

/// How many may be left to be written while everybody waits for that.
const FEW: usize = 20;

/// How often what was written meanwhile is written back before everybody waits for it.
const ROUNDS: u32 = 10;

/// Differences of which the events say what the old table must have: it was out of use while they came about.
const NEWER_EVENTS: [&str; 6] = [
    "old_row_missing",
    "current_differs",
    "sequence_differs",
    "outputs_differ",
    "terminal_differs",
    "counter_differs",
];

/// A phase that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WentBack {
    /// The phase that was taken back.
    pub from: CutoverPhase,
    /// The phase that holds again.
    pub to: CutoverPhase,
    /// How many postings were written to the old table for that, before the moment in which everybody
    /// waited.
    pub written_back: u64,
}

impl Mover {
    /// Takes phases back, one after the other, until `to` holds again; without it, the last one. Nothing
    /// that was written meanwhile is lost: while both sides are written each has all, and what events have
    /// brought while the old table was out of use is written to it first.
    ///
    /// # Errors
    ///
    /// When no way leads back there. What was taken back before a failure stays so; the same call goes on.
    pub async fn roll_back(
        &self,
        to: Option<CutoverPhase>,
        mut go_on: impl FnMut(&Progress) -> ControlFlow<()> + Send,
    ) -> Result<Vec<WentBack>, CutoverError> {
        let hold = self.hold().await?;
        let mut work = self.begin("going back").await?;
        let known = self.known(&mut work).await?;
        work.undo().await?;
        let mut phase = known.cutover.phase();
        let to = to.or(phase.before()).unwrap_or(phase);
        known.cutover.roll_back(to, 0, &self.who)?;
        let mut went = Vec::new();
        while phase > to {
            let one = Box::pin(self.go_back(phase, &mut go_on)).await?;
            phase = one.to;
            went.push(one);
        }
        hold.give_back().await;
        Ok(went)
    }

    /// Takes one phase back.
    async fn go_back(
        &self,
        from: CutoverPhase,
        go_on: &mut GoOn<'_>,
    ) -> Result<WentBack, CutoverError> {
        let (phase, to) = (from, CutoverPhase::None);
        let to = from.before().ok_or(CutoverRejection::NoWayBack { phase, to })?;
        let (mut written_back, mut since) = (0, None);
        if from == CutoverPhase::Deprecated {
            let (written, position) = self.write_back(go_on).await?;
            written_back = written;
            since = Some(position);
        }
        patiently(async || self.try_go_back(from, to, written_back, since).await).await
    }

    async fn try_go_back(
        &self,
        from: CutoverPhase,
        to: CutoverPhase,
        written_back: u64,
        since: Option<i64>,
    ) -> Result<WentBack, CutoverError> {
        let mut work = self.begin("going back").await?;
        self.known(&mut work).await?;
        // before the first lock, behind which nobody reads events either
        let decided =
            self.decided(|cutover| cutover.roll_back(to, written_back, &self.who)).await?;
        if let Some(action) = undoing(from) {
            work.carry_out(action).await?;
        }
        if let Some(since) = since {
            // nobody appends from here on: these are all that there are
            let postings = self.postings_since(&mut work, since).await?;
            self.write_old(&mut work, postings).await?;
        }
        if to < CutoverPhase::DualWrite {
            work.write(query(&self.statements.forget_backfill)).await?;
        }
        self.enter(&mut work, to).await?;
        self.record(&mut work, decided).await?;
        work.commit().await?;
        Ok(WentBack { from, to, written_back })
    }

    /// Writes to the old table, which is out of use, what the events say, while they go on. Answers how many
    /// rows were written, and up to which position of the log all is written.
    async fn write_back(&self, go_on: &mut GoOn<'_>) -> Result<(u64, i64), CutoverError> {
        let mut position = self.settled_position().await?;
        let mut work = self.begin("counting postings").await?;
        let of = work.count(query(&self.statements.count_postings)).await?;
        work.undo().await?;
        let meter = Meter::new(Doing::WritingBack, 0, of);
        let mut portion = Portion::up_to(MOST);
        let (mut last, mut seen, mut written, mut line) = (None, 0, 0, Line::default());
        loop {
            if go_on(&meter.progress(seen)).is_break() {
                return Err(CutoverError::Stopped);
            }
            let postings = self.next_postings(&mut line, last, portion.size()).await?;
            let Some(next) = postings.last().copied() else { break };
            seen += postings.len() as u64;
            let began = Instant::now();
            written += self.write_some(&mut line, postings).await?;
            portion.took(began.elapsed());
            last = Some(next);
        }
        // what came meanwhile, until it is little
        for _ in 0..ROUNDS {
            let next = self.settled_position().await?;
            let mut work = self.begin("looking for events").await?;
            let postings = self.postings_since(&mut work, position).await?;
            work.undo().await?;
            for some in postings.chunks(MOST as usize) {
                written += self.write_some(&mut line, some.to_vec()).await?;
            }
            position = next;
            if postings.len() <= FEW {
                break;
            }
        }
        Ok((written, position))
    }

    /// A position up to which all events can be seen: whoever was inserting some has ended.
    async fn settled_position(&self) -> Result<i64, CutoverError> {
        patiently(async || self.try_settled_position().await).await
    }

    async fn try_settled_position(&self) -> Result<i64, CutoverError> {
        let mut work = self.begin("waiting for who appends events").await?;
        let lock = sqlx::raw_sql(AssertSqlSafe(self.statements.hold_events.clone()));
        let locked = lock.execute(&mut work.connection).await;
        locked.map_err(|error| work.failed(error))?;
        let position = work.value(query(&self.statements.last_position)).await?;
        work.commit().await?;
        Ok(position)
    }

    async fn next_postings(
        &self,
        line: &mut Line,
        after: Option<i32>,
        count: i32,
    ) -> Result<Vec<i32>, CutoverError> {
        let mut work = self.begin_on(line, "looking for postings").await?;
        let next = query(&self.statements.next_postings).bind(after).bind(i64::from(count));
        let rows = work.rows(next).await?;
        let postings: Result<Vec<i32>, StoreError> =
            rows.iter().map(|row| work.read(row, |row| row.try_get(0))).collect();
        let postings = postings?;
        work.commit_on(line).await?;
        Ok(postings)
    }

    /// The postings with events behind a position.
    async fn postings_since(&self, work: &mut Work, position: i64) -> Result<Vec<i32>, StoreError> {
        let rows = work.rows(query(&self.statements.postings_since).bind(position)).await?;
        rows.iter().map(|row| work.read(row, |row| row.try_get(0))).collect()
    }

    /// Writes those of these that differ, in a transaction of its own.
    async fn write_some(&self, line: &mut Line, postings: Vec<i32>) -> Result<u64, CutoverError> {
        patiently(async || self.try_write_some(line, postings.clone()).await).await
    }

    async fn try_write_some(
        &self,
        line: &mut Line,
        postings: Vec<i32>,
    ) -> Result<u64, CutoverError> {
        let mut work = self.begin_on(line, "writing the old table").await?;
        let written = self.write_old(&mut work, postings).await?;
        work.commit_on(line).await?;
        Ok(written)
    }

    /// Writes those of these that differ, and answers how many these were.
    async fn write_old(&self, work: &mut Work, postings: Vec<i32>) -> Result<u64, StoreError> {
        if postings.is_empty() {
            return Ok(0);
        }
        let kinds = NEWER_EVENTS.map(str::to_owned).to_vec();
        let differing = query(&self.statements.to_be_written).bind(postings).bind(kinds);
        let rows = work.rows(differing).await?;
        let differing: Result<Vec<i32>, StoreError> =
            rows.iter().map(|row| work.read(row, |row| row.try_get(0))).collect();
        let write = query(&self.statements.write_old).bind(differing?);
        let written: Option<i32> = work.value(write).await?;
        Ok(count_of(written))
    }
}

/// By which statements of the database a phase is taken back, if by any.
pub(super) fn undoing(from: CutoverPhase) -> Option<&'static str> {
    match from {
        CutoverPhase::Created => Some("undo-create"),
        CutoverPhase::DualWrite => Some("undo-dual-write"),
        CutoverPhase::ReadsSwitched => Some("undo-switch-reads"),
        CutoverPhase::Deprecated => Some("undo-deprecate"),
        // neither side was changed for it
        CutoverPhase::None | CutoverPhase::Validated => None,
    }
}
