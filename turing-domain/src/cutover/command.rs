//! What a cutover is told.

use es_core::event::Payload;
use serde::{Deserialize, Serialize};

use crate::ids::PostingId;
use crate::names::Resolution;

/// Who does something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The name of who does it.
    pub by: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
}

/// A cutover that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct CutoverCreation {
    /// The old table, such as `public.posting_state_checkpoints`.
    pub table: String,
    /// Which column means what.
    pub mapping: Payload,
    /// What tells this mapping from another.
    pub mapping_digest: String,
    /// How many rows the old table has.
    pub rows: u64,
}

/// What came of the import of what was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackfillCounts {
    /// How many postings were looked at.
    pub seen: u64,
    /// How many of them were imported.
    pub imported: u64,
    /// How many got a row in the old table, which had none.
    pub written_back: u64,
    /// How many could not be imported; each is a discrepancy.
    pub refused: u64,
}

/// What was decided about discrepancies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The posting; `None`: several.
    pub posting_id: Option<PostingId>,
    /// The kind of discrepancy; `None`: all kinds.
    pub kind: Option<String>,
    /// Which side counts.
    pub resolution: Resolution,
    /// How many discrepancies these are.
    pub count: u64,
}

/// How long reads of single postings take by the old name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadTimes {
    /// The median before the switch, in microseconds.
    pub before_us: u64,
    /// The median behind it.
    pub after_us: u64,
    /// How many reads there are of each.
    pub sample: u32,
}

/// The file that holds what the old table had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutoverArchive {
    /// The name of the file, without its folder.
    pub file_name: String,
    /// SHA-256 of the file, as hexadecimal digits.
    pub sha256: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes it has.
    pub bytes: u64,
}
