//! What happens to a cutover, under the names that are stored.

use es_core::Event;
use es_core::event::{Payload, Timestamp};

use crate::ids::PostingId;
use crate::names::Resolution;

/// What happens to a cutover. Each event says who did it, and why if that was given.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum CutoverEvent {
    /// It is known which column of the old table means what.
    CutoverCreated {
        /// The old table, such as `public.posting_state_checkpoints`.
        table: String,
        /// Which column means what.
        mapping: Payload,
        /// What tells this mapping from another.
        mapping_digest: String,
        /// How many rows the old table had.
        rows: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// From then on both sides were written.
    DualWriteEnabled {
        /// How many rows the old table had.
        rows: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The import of what was there before began.
    BackfillStarted {
        /// How many postings there were to be looked at.
        total: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The import of what was there before came to its end.
    BackfillCompleted {
        /// How many postings were looked at.
        seen: u64,
        /// How many of them were imported.
        imported: u64,
        /// How many got a row in the old table, which had none.
        written_back: u64,
        /// How many could not be imported; each is a discrepancy.
        refused: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// A whole round of comparisons had another result than the one before, or passed.
    ValidationCompleted {
        /// How many postings were compared.
        seen: u64,
        /// How many discrepancies were open behind it.
        open: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// It was decided which side counts where both differ.
    DiscrepanciesResolved {
        /// The posting; `null`: several.
        posting_id: Option<PostingId>,
        /// The kind of discrepancy; `null`: all kinds.
        kind: Option<String>,
        /// Which side counts.
        resolution: Resolution,
        /// How many discrepancies these were.
        count: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// Under the old name stands the state that is folded from events.
    ReadsSwitched {
        /// How long reading one posting by the old name took before, in microseconds: the median.
        before_us: u64,
        /// The same behind the switch.
        after_us: u64,
        /// How many reads there were of each.
        sample: u32,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The old table got another name, and is written no more.
    OldTableDeprecated {
        /// How many rows it had.
        rows: u64,
        /// When, by the clock of who did it.
        deprecated_at: Timestamp,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The old table was written to a file.
    OldTableArchived {
        /// The name of the file, without its folder.
        file_name: String,
        /// SHA-256 of the file, as hexadecimal digits.
        sha256: String,
        /// How many rows it has.
        rows: u64,
        /// How many bytes it has.
        bytes: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// The old table was dropped; its archive is what is left of it.
    OldTableDropped {
        /// SHA-256 of the archive, which was looked at.
        archive_sha256: String,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
    /// A phase, or several, were taken back.
    CutoverRolledBack {
        /// The number of the phase that was taken back.
        from: u8,
        /// The number of the phase that holds again.
        to: u8,
        /// How many postings were written to the old table for that.
        written_back: u64,
        /// Who did it.
        by: String,
        /// Why.
        reason: Option<String>,
    },
}

impl CutoverEvent {
    /// Who did it, and why if that was given.
    pub fn who(&self) -> (&str, Option<&str>) {
        let (Self::CutoverCreated { by, reason, .. }
        | Self::DualWriteEnabled { by, reason, .. }
        | Self::BackfillStarted { by, reason, .. }
        | Self::BackfillCompleted { by, reason, .. }
        | Self::ValidationCompleted { by, reason, .. }
        | Self::DiscrepanciesResolved { by, reason, .. }
        | Self::ReadsSwitched { by, reason, .. }
        | Self::OldTableDeprecated { by, reason, .. }
        | Self::OldTableArchived { by, reason, .. }
        | Self::OldTableDropped { by, reason, .. }
        | Self::CutoverRolledBack { by, reason, .. }) = self;
        (by, reason.as_deref())
    }
}
