//! The state of a cutover, made of its events.

use es_core::Aggregate;
use es_core::event::{Payload, Timestamp};
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::cutover::command::CutoverArchive;
use crate::cutover::decide::KEPT_FOR;
use crate::cutover::event::CutoverEvent;
use crate::cutover::phase::{CutoverPhase, CutoverStep};
use crate::ids::CutoverId;

/// The cutover of a store; without events there is none.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Cutover {
    phase: CutoverPhase,
    table: Option<String>,
    mapping: Option<Payload>,
    mapping_digest: Option<String>,
    backfill: BackfillStatus,
    open: Option<u64>,
    deprecated_at: Option<Timestamp>,
    archive: Option<CutoverArchive>,
    is_dropped: bool,
}

/// How far the import is of what was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillStatus {
    /// It has not begun.
    #[default]
    NotStarted,
    /// It goes on, or was interrupted.
    Started {
        /// How many postings there were to be looked at.
        total: u64,
    },
    /// All is imported.
    Completed,
}

impl Cutover {
    /// The phase that holds.
    pub fn phase(&self) -> CutoverPhase {
        self.phase
    }

    /// The old table, such as `public.posting_state_checkpoints`.
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// Which of its columns means what.
    pub fn mapping(&self) -> Option<&Payload> {
        self.mapping.as_ref()
    }

    /// What tells this mapping from another.
    pub fn mapping_digest(&self) -> Option<&str> {
        self.mapping_digest.as_deref()
    }

    /// How far the import is of what was there before.
    pub fn backfill(&self) -> BackfillStatus {
        self.backfill
    }

    /// How many discrepancies were open behind the last round of comparisons that was recorded in this
    /// phase; `None` if there was none since.
    pub fn open(&self) -> Option<u64> {
        self.open
    }

    /// When the old table was taken out of use.
    pub fn deprecated_at(&self) -> Option<Timestamp> {
        self.deprecated_at
    }

    /// From when on the old table may be dropped.
    pub fn kept_until(&self) -> Option<Timestamp> {
        self.deprecated_at.map(|at| at.plus(KEPT_FOR))
    }

    /// The file that holds what the old table had.
    pub fn archive(&self) -> Option<&CutoverArchive> {
        self.archive.as_ref()
    }

    /// Whether the old table is dropped, from which no way leads back.
    pub fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    /// What is to be done next; `None` once it is over.
    pub fn next(&self) -> Option<CutoverStep> {
        Some(match self.phase {
            _ if self.is_dropped => return None,
            CutoverPhase::None => CutoverStep::Create,
            CutoverPhase::Created => CutoverStep::DualWrite,
            CutoverPhase::DualWrite => match self.backfill {
                BackfillStatus::Completed => CutoverStep::Validate,
                BackfillStatus::NotStarted | BackfillStatus::Started { .. } => {
                    CutoverStep::Backfill
                }
            },
            CutoverPhase::Validated | CutoverPhase::ReadsSwitched
                if self.open.is_some_and(|open| open > 0) =>
            {
                CutoverStep::Validate
            }
            CutoverPhase::Validated => CutoverStep::SwitchReads,
            CutoverPhase::ReadsSwitched => CutoverStep::Deprecate,
            CutoverPhase::Deprecated => match self.archive {
                None => CutoverStep::Archive,
                Some(_) => CutoverStep::Drop,
            },
        })
    }

    /// Whether a round of comparisons with so many open discrepancies is what the next phase waits for.
    pub(super) fn is_passed_by(&self, open: u64) -> bool {
        self.phase == CutoverPhase::DualWrite
            && self.backfill == BackfillStatus::Completed
            && open == 0
    }

    /// Forgets what belongs to phases behind this one.
    fn go_back(&mut self, to: CutoverPhase) {
        if to == CutoverPhase::None {
            *self = Self::default();
            return;
        }
        self.phase = to;
        self.open = None;
        if to < CutoverPhase::DualWrite {
            self.backfill = BackfillStatus::NotStarted;
        }
        if to < CutoverPhase::Deprecated {
            self.deprecated_at = None;
            self.archive = None;
        }
    }
}

impl Aggregate for Cutover {
    const TYPE: &'static str = "cutover";
    type Id = CutoverId;
    type Event = CutoverEvent;

    fn evolve(&mut self, event: &CutoverEvent) {
        use CutoverEvent::*;
        match event {
            CutoverCreated { table, mapping, mapping_digest, .. } => {
                *self = Self {
                    phase: CutoverPhase::Created,
                    table: Some(table.clone()),
                    // a kept state tells no null from nothing
                    mapping: Some(mapping.clone()).filter(|mapping| mapping.as_str() != "null"),
                    mapping_digest: Some(mapping_digest.clone()),
                    ..Self::default()
                };
            }
            DualWriteEnabled { .. } => {
                self.phase = CutoverPhase::DualWrite;
                self.backfill = BackfillStatus::NotStarted;
                self.open = None;
            }
            BackfillStarted { total, .. } => {
                self.backfill = BackfillStatus::Started { total: *total };
            }
            BackfillCompleted { .. } => self.backfill = BackfillStatus::Completed,
            ValidationCompleted { open, .. } => {
                if self.is_passed_by(*open) {
                    self.phase = CutoverPhase::Validated;
                }
                self.open = Some(*open);
            }
            // how many are left is what the next round says
            DiscrepanciesResolved { .. } => self.open = None,
            ReadsSwitched { .. } => self.phase = CutoverPhase::ReadsSwitched,
            OldTableDeprecated { deprecated_at, .. } => {
                self.phase = CutoverPhase::Deprecated;
                self.deprecated_at = Some(*deprecated_at);
                self.archive = None;
            }
            OldTableArchived { file_name, sha256, rows, bytes, .. } => {
                self.archive = Some(CutoverArchive {
                    file_name: file_name.clone(),
                    sha256: sha256.clone(),
                    rows: *rows,
                    bytes: *bytes,
                });
            }
            OldTableDropped { .. } => self.is_dropped = true,
            CutoverRolledBack { to, .. } => {
                if let Some(to) = CutoverPhase::of_number(*to) {
                    self.go_back(to);
                }
            }
        }
    }
}

impl Snapshotted for Cutover {
    const REVISION: u32 = 1;
}
