//! How far a cutover is, who took which step, and what the next one is.

use std::collections::BTreeMap;

use es_core::event::{Payload, RecordedEvent, Timestamp};
use es_postgres::sql_state;
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::{
    BackfillStatus, Cutover, CutoverArchive, CutoverEvent, CutoverId, CutoverPhase, CutoverStep,
};

use super::error::{CutoverError, command_of};
use super::measured::{ReadsMeasured, measured, with_statement};
use super::row::{CutoverRow, Known};
use super::validate::OpenKind;
use super::{Mover, Work};
use crate::proposal::{command, quoted};

/// How often both sides are looked at before they are said to disagree: between the two looks a phase may
/// have begun.
const LOOKS: u32 = 3;

/// How far a cutover is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CutoverStatus {
    /// The phase that holds.
    pub phase: CutoverPhase,
    /// The name by which programs know the old table.
    pub table: Option<String>,
    /// What the old table is called now, if it is there.
    pub old_table: Option<String>,
    /// How far the import is of what was there before, from dual writing on.
    pub backfill: Option<BackfillStanding>,
    /// How many discrepancies are open.
    pub open: u64,
    /// The open ones by their kinds.
    pub kinds: Vec<OpenKind>,
    /// What reading by the old name took before reads were switched and behind it, measured then; `None`
    /// while reads are not switched.
    pub reads: Option<ReadsMeasured>,
    /// When the old table was taken out of use.
    pub deprecated_at: Option<Timestamp>,
    /// From when on it may be dropped.
    pub kept_until: Option<Timestamp>,
    /// The file that holds what it had.
    pub archive: Option<CutoverArchive>,
    /// Whether it is dropped, which ends the cutover.
    pub is_dropped: bool,
    /// The next command; `None` once it is over.
    pub next: Option<String>,
    /// What is not as it should be: what somebody has changed past the commands.
    pub troubles: Vec<String>,
    /// Every step that was taken, the first one first.
    pub steps: Vec<Taken>,
}

/// How far the import is of what was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackfillStanding {
    /// How many postings there were when it began; 0 if it has not.
    pub total: u64,
    /// How many were looked at.
    pub done: u64,
    /// The last of them.
    pub through: Option<i32>,
    /// Whether all are.
    pub is_complete: bool,
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Taken {
    /// Which event of the stream it is.
    pub version: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// The name of the event, such as `reads_switched`.
    pub event: String,
    /// Who took it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// What else was recorded, such as counts.
    pub data: BTreeMap<String, Payload>,
}

impl Mover {
    /// How far the cutover is, by its stream, and what the database has beside it. It can be asked at any
    /// time, by whoever may read.
    ///
    /// # Errors
    ///
    /// When the database cannot be asked.
    pub async fn status(&self) -> Result<CutoverStatus, CutoverError> {
        let mut work = self.begin("looking at the cutover").await?;
        let mut known = self.look(&mut work).await?;
        for _ in 1..LOOKS {
            if known.disagreement().is_none() {
                break;
            }
            known = self.look(&mut work).await?;
        }
        let kinds = match &known.row {
            Some(row) if row.phase > 0 => self.open_kinds(&mut work).await?,
            _ => Vec::new(),
        };
        let history: Vec<_> = self.cutovers.history(&CutoverId::ONLY).try_collect().await?;
        let reads = match measured(history.iter().map(|(_, event)| event)) {
            Some(reads) => Some(Box::pin(with_statement(&mut work, reads)).await?),
            None => None,
        };
        work.undo().await?;
        let troubles = self.troubles(&known).await?;
        let Known { cutover, row } = &known;
        let open = kinds.iter().map(|kind| kind.count).sum();
        Ok(CutoverStatus {
            phase: cutover.phase(),
            table: row.as_ref().filter(|row| row.phase > 0).map(CutoverRow::known_as),
            old_table: row.as_ref().filter(|row| row.phase > 0).and_then(CutoverRow::called),
            backfill: backfill(cutover, row.as_ref()),
            open,
            kinds,
            reads,
            deprecated_at: cutover.deprecated_at(),
            kept_until: cutover.kept_until(),
            archive: cutover.archive().cloned(),
            is_dropped: cutover.is_dropped(),
            next: next(cutover, row.as_ref(), open),
            troubles,
            steps: history.iter().map(|(recorded, event)| taken(recorded, event)).collect(),
        })
    }

    /// What is not as the commands left it.
    async fn troubles(&self, known: &Known) -> Result<Vec<String>, CutoverError> {
        let mut troubles: Vec<_> =
            known.disagreement().into_iter().map(|error| error.to_string()).collect();
        let cutover = &known.cutover;
        if let Some(row) = &known.row
            && troubles.is_empty()
        {
            let is_complete = cutover.backfill() == BackfillStatus::Completed;
            let is_written = cutover.phase() >= CutoverPhase::DualWrite;
            if is_written && row.is_backfilled != is_complete {
                troubles.push(format!(
                    "the stream cutover/1 says that the backfill is {}, and the table cutovers that \
                     it is {}, though both are written together; somebody has changed the table: set \
                     is_backfilled back to {is_complete}",
                    if is_complete { "complete" } else { "not complete" },
                    if row.is_backfilled { "complete" } else { "not complete" },
                ));
            }
            if cutover.phase() > CutoverPhase::None && !cutover.is_dropped() {
                troubles.extend(self.trouble_with_table(row).await?);
            }
        }
        Ok(troubles)
    }

    /// What is wrong with the old table, as far as whoever asks may know.
    async fn trouble_with_table(&self, row: &CutoverRow) -> Result<Option<String>, CutoverError> {
        let mut work: Work = self.begin("looking at the old table").await?;
        match self.check_table(&mut work, row).await {
            Ok(()) => Ok(None),
            Err(error @ (CutoverError::TableChanged { .. } | CutoverError::TableGone { .. })) => {
                Ok(Some(error.to_string()))
            }
            // who only reads may not ask that
            Err(CutoverError::Store(error)) if sql_state(&error) == Some("42501") => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn taken(recorded: &RecordedEvent, event: &CutoverEvent) -> Taken {
    let (by, reason) = event.who();
    let mut data: BTreeMap<String, Payload> = recorded.payload.decode().unwrap_or_default();
    data.retain(|name, value| !matches!(&**name, "by" | "reason") && value.as_str() != "null");
    Taken {
        version: recorded.version.as_u64(),
        at: recorded.recorded_at,
        event: recorded.event_type.as_str().to_owned(),
        by: by.to_owned(),
        reason: reason.map(str::to_owned),
        data,
    }
}

fn backfill(cutover: &Cutover, row: Option<&CutoverRow>) -> Option<BackfillStanding> {
    let row = row.filter(|_| cutover.phase() >= CutoverPhase::DualWrite)?;
    let total = match cutover.backfill() {
        BackfillStatus::NotStarted => 0,
        BackfillStatus::Started { total } => total,
        BackfillStatus::Completed => row.backfill_total.unwrap_or(0).max(0).unsigned_abs(),
    };
    Some(BackfillStanding {
        total,
        done: row.backfill_done.max(0).unsigned_abs(),
        through: row.backfilled_through,
        is_complete: cutover.backfill() == BackfillStatus::Completed,
    })
}

/// The next command, with what is known of what it takes.
fn next(cutover: &Cutover, row: Option<&CutoverRow>, open: u64) -> Option<String> {
    let step = cutover.next()?;
    let is_stopped = matches!(step, CutoverStep::SwitchReads | CutoverStep::Deprecate) && open > 0;
    let step = if is_stopped { CutoverStep::Validate } else { step };
    let table = row.and_then(|row| row.old_table.as_ref());
    match (step, table, cutover.archive()) {
        (CutoverStep::Drop, Some((_, table)), Some(archive)) => Some(command(format_args!(
            "cutover deprecate --drop --confirm {} --archive {}",
            quoted(table),
            quoted(&archive.file_name)
        ))),
        _ => Some(command_of(step)),
    }
}

#[cfg(test)]
mod tests {
    use es_core::execution::fold;

    use super::*;

    fn row(phase: i32) -> CutoverRow {
        CutoverRow {
            phase,
            old_name: Some(("public".to_owned(), "old".to_owned())),
            old_table: Some(("public".to_owned(), "old_deprecated".to_owned())),
            mapping: None,
            columns_digest: None,
            is_backfilled: true,
            backfilled_through: Some(7),
            backfill_total: Some(9),
            backfill_done: 9,
        }
    }

    fn events() -> Vec<CutoverEvent> {
        let (by, reason) = ("ada".to_owned(), None);
        let counts = [9, 9, 0, 0];
        let [seen, imported, written_back, refused] = counts;
        vec![
            CutoverEvent::CutoverCreated {
                table: "public.old".to_owned(),
                mapping: serde_json::json!({}).into(),
                mapping_digest: "7f".to_owned(),
                rows: 9,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::DualWriteEnabled { rows: 9, by: by.clone(), reason: reason.clone() },
            CutoverEvent::BackfillStarted { total: 9, by: by.clone(), reason: reason.clone() },
            CutoverEvent::BackfillCompleted {
                seen,
                imported,
                written_back,
                refused,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::ValidationCompleted {
                seen: 9,
                open: 0,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::ReadsSwitched {
                before_us: 2,
                after_us: 1,
                sample: 9,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::OldTableDeprecated {
                rows: 9,
                deprecated_at: Timestamp::EPOCH,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::OldTableArchived {
                file_name: "it's old.csv".to_owned(),
                sha256: "ab".to_owned(),
                rows: 9,
                bytes: 9,
                by: by.clone(),
                reason: reason.clone(),
            },
            CutoverEvent::OldTableDropped { archive_sha256: "ab".to_owned(), by, reason },
        ]
    }

    #[test]
    fn the_next_command_is_told_at_every_place() {
        let expected = [
            Some("turing cutover create --mapping FILE"),
            Some("turing cutover dual-write"),
            Some("turing cutover backfill"),
            Some("turing cutover backfill"),
            Some("turing cutover validate"),
            Some("turing cutover switch-reads"),
            Some("turing cutover deprecate"),
            Some("turing cutover deprecate --archive FILE"),
            Some(
                r"turing cutover deprecate --drop --confirm old_deprecated --archive 'it'\''s old.csv'",
            ),
            None,
        ];
        let events = events();
        for (count, expected) in expected.into_iter().enumerate() {
            let cutover: Cutover = fold(&events[..count]);
            let row = row(cutover.phase().number().into());
            assert_eq!(next(&cutover, Some(&row), 0).as_deref(), expected, "{count}");
            if (5..7).contains(&count) {
                let stopped = next(&cutover, Some(&row), 1);
                assert_eq!(stopped.as_deref(), Some("turing cutover validate"));
            }
        }
    }

    #[test]
    fn a_row_of_another_phase_is_a_disagreement_and_a_missing_one_is_none_at_first() {
        let cutover: Cutover = fold(&events()[..2]);
        let of = |cutover: &Cutover, row| Known { cutover: cutover.clone(), row };
        assert!(of(&cutover, Some(row(2))).disagreement().is_none());
        for (row, told) in [(Some(row(3)), "`validated`"), (Some(row(9)), "`9`"), (None, "`none`")]
        {
            let error = of(&cutover, row).agreed().unwrap_err().to_string();
            assert!(error.contains("`dual-write`") && error.contains(told), "{error}");
        }
        assert!(of(&Cutover::default(), None).disagreement().is_none());
        assert!(of(&Cutover::default(), Some(row(0))).disagreement().is_none());
    }

    #[test]
    fn the_backfill_is_told_from_dual_writing_on() {
        let events = events();
        let standing = |count: usize| backfill(&fold(&events[..count]), Some(&row(2)));
        assert_eq!(standing(1), None);
        let complete = standing(4).unwrap();
        assert_eq!((complete.total, complete.done, complete.is_complete), (9, 9, true));
        assert!(!standing(3).unwrap().is_complete);
    }
}
