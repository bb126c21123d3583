//! Which phase may begin, and what leads back.

use std::time::Duration;

use es_core::event::Timestamp;

use crate::cutover::command::{
    BackfillCounts, CutoverArchive, CutoverCreation, ReadTimes, Resolved, Who,
};
use crate::cutover::event::CutoverEvent;
use crate::cutover::phase::CutoverPhase;
use crate::cutover::rejection::CutoverRejection;
use crate::cutover::state::{BackfillStatus, Cutover};

/// How long the old table is kept before it may be dropped: sixty days.
pub const KEPT_FOR: Duration = Duration::from_secs(5_184_000);

impl Cutover {
    /// Begins a cutover.
    ///
    /// # Errors
    ///
    /// When there is one already.
    pub fn create(
        &self,
        creation: CutoverCreation,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::None)?;
        let CutoverCreation { table, mapping, mapping_digest, rows } = creation;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::CutoverCreated { table, mapping, mapping_digest, rows, by, reason }])
    }

    /// Has both sides written from now on.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn.
    pub fn enable_dual_write(
        &self,
        rows: u64,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::Created)?;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::DualWriteEnabled { rows, by, reason }])
    }

    /// Begins the import of what was there before. Nothing happens if it goes on already.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or all is imported.
    pub fn start_backfill(
        &self,
        total: u64,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::DualWrite)?;
        match self.backfill() {
            BackfillStatus::NotStarted => {
                let Who { by, reason } = who.clone();
                Ok(vec![CutoverEvent::BackfillStarted { total, by, reason }])
            }
            BackfillStatus::Started { .. } => Ok(Vec::new()),
            BackfillStatus::Completed => Err(CutoverRejection::BackfilledAlready),
        }
    }

    /// Ends the import of what was there before. Nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or it was never begun.
    pub fn complete_backfill(
        &self,
        counts: BackfillCounts,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::DualWrite)?;
        match self.backfill() {
            BackfillStatus::NotStarted => Err(CutoverRejection::BackfillNotStarted),
            BackfillStatus::Started { .. } => {
                let BackfillCounts { seen, imported, written_back, refused } = counts;
                let Who { by, reason } = who.clone();
                Ok(vec![CutoverEvent::BackfillCompleted {
                    seen,
                    imported,
                    written_back,
                    refused,
                    by,
                    reason,
                }])
            }
            BackfillStatus::Completed => Ok(Vec::new()),
        }
    }

    /// Records what a whole round of comparisons came to, if that is news: another result than that of
    /// the round before, or the one that ends the phase.
    ///
    /// # Errors
    ///
    /// When there is nothing to be compared in this phase.
    pub fn complete_validation(
        &self,
        seen: u64,
        open: u64,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_compared()?;
        if self.open() == Some(open) && !self.is_passed_by(open) {
            return Ok(Vec::new());
        }
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::ValidationCompleted { seen, open, by, reason }])
    }

    /// Records which side counts where both differ. Nothing happens if nothing differs.
    ///
    /// # Errors
    ///
    /// When there is nothing to be compared in this phase.
    pub fn resolve(
        &self,
        resolved: Resolved,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_compared()?;
        if resolved.count == 0 {
            return Ok(Vec::new());
        }
        let Resolved { posting_id, kind, resolution, count } = resolved;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::DiscrepanciesResolved {
            posting_id,
            kind,
            resolution,
            count,
            by,
            reason,
        }])
    }

    /// Whether reads may be switched, with so many discrepancies open now.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or discrepancies are open.
    pub fn may_switch_reads(&self, open: u64) -> Result<(), CutoverRejection> {
        self.is_in(CutoverPhase::Validated)?;
        none_is_open(open)
    }

    /// Shows the state that is folded from events to who reads the old name.
    ///
    /// # Errors
    ///
    /// As [`may_switch_reads`](Self::may_switch_reads).
    pub fn switch_reads(
        &self,
        open: u64,
        times: ReadTimes,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.may_switch_reads(open)?;
        let ReadTimes { before_us, after_us, sample } = times;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::ReadsSwitched { before_us, after_us, sample, by, reason }])
    }

    /// Takes the old table out of use, with so many discrepancies open and so many rows in it.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or discrepancies are open.
    pub fn deprecate(
        &self,
        open: u64,
        rows: u64,
        now: Timestamp,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::ReadsSwitched)?;
        none_is_open(open)?;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::OldTableDeprecated { rows, deprecated_at: now, by, reason }])
    }

    /// Whether there is an old table that is out of use: one to be archived, or dropped.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, or the table is dropped.
    pub fn may_archive(&self) -> Result<(), CutoverRejection> {
        self.is_in(CutoverPhase::Deprecated)
    }

    /// Records the file that holds what the old table had. A second archive takes the place of the
    /// first; nothing happens if it is the same.
    ///
    /// # Errors
    ///
    /// As [`may_archive`](Self::may_archive).
    pub fn record_archive(
        &self,
        archive: CutoverArchive,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.may_archive()?;
        if self.archive() == Some(&archive) {
            return Ok(Vec::new());
        }
        let CutoverArchive { file_name, sha256, rows, bytes } = archive;
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::OldTableArchived { file_name, sha256, rows, bytes, by, reason }])
    }

    /// Drops the old table, whose archive was found to have this SHA-256.
    ///
    /// # Errors
    ///
    /// When it is another phase's turn, the table is not archived, was not kept for sixty days, or the
    /// archive is another one.
    pub fn drop_old_table(
        &self,
        archive_sha256: &str,
        now: Timestamp,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        self.is_in(CutoverPhase::Deprecated)?;
        let Some(archive) = self.archive() else { return Err(CutoverRejection::NotArchived) };
        // who knows no time knows no end of it
        let until = self.kept_until().unwrap_or_else(|| now.plus(KEPT_FOR));
        if now < until {
            return Err(CutoverRejection::TooEarly { until });
        }
        if archive.sha256 != archive_sha256 {
            return Err(CutoverRejection::OtherArchive {
                recorded: archive.sha256.clone(),
                found: archive_sha256.to_owned(),
            });
        }
        let Who { by, reason } = who.clone();
        let archive_sha256 = archive_sha256.to_owned();
        Ok(vec![CutoverEvent::OldTableDropped { archive_sha256, by, reason }])
    }

    /// Takes phases back, so that `to` holds again.
    ///
    /// # Errors
    ///
    /// When `to` is no phase before the one that holds, or the old table is dropped.
    pub fn roll_back(
        &self,
        to: CutoverPhase,
        written_back: u64,
        who: &Who,
    ) -> Result<Vec<CutoverEvent>, CutoverRejection> {
        let phase = self.phase();
        if self.is_dropped() {
            return Err(CutoverRejection::Over);
        }
        if to >= phase {
            return Err(CutoverRejection::NoWayBack { phase, to });
        }
        let (from, to) = (phase.number(), to.number());
        let Who { by, reason } = who.clone();
        Ok(vec![CutoverEvent::CutoverRolledBack { from, to, written_back, by, reason }])
    }

    /// Refuses what is done in another phase than the one that holds.
    fn is_in(&self, needed: CutoverPhase) -> Result<(), CutoverRejection> {
        let phase = self.phase();
        match phase == needed {
            _ if self.is_dropped() => Err(CutoverRejection::Over),
            true => Ok(()),
            false => Err(CutoverRejection::OutOfOrder { phase, needed, next: self.next() }),
        }
    }

    /// Refuses a comparison where one side is not written, or not there.
    fn is_compared(&self) -> Result<(), CutoverRejection> {
        use CutoverPhase::{DualWrite, ReadsSwitched};
        match (DualWrite..=ReadsSwitched).contains(&self.phase()) {
            true => Ok(()),
            false => self.is_in(DualWrite),
        }
    }
}

fn none_is_open(open: u64) -> Result<(), CutoverRejection> {
    match open {
        0 => Ok(()),
        open => Err(CutoverRejection::DiscrepanciesOpen { open }),
    }
}
