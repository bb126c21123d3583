//! Whether what is stored agrees with itself.

mod file;
mod log;
mod models;
mod postgres;

use std::fmt;

use es_core::event::StreamId;
use serde::Serialize;

pub use file::validate_file;
pub use log::validate_log;
pub(crate) use log::{FORGED, UNREADABLE, UNREADABLE_TIME_KIND};
pub use models::{validate_histories, validate_posting_states, validate_rows, validate_snapshots};
pub use postgres::{rights_of_others, validate_postgres};

/// Something in a store that does not agree with its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreFinding {
    /// What it is, such as `projection_differs`.
    pub kind: String,
    /// Whether something is wrong by it.
    pub severity: FindingSeverity,
    /// The type of the stream that it is about; `None` if it is about none.
    pub aggregate_type: Option<String>,
    /// The id of that stream.
    pub aggregate_id: Option<String>,
    /// What differs.
    pub detail: String,
    /// The command that repairs it, SQL on PostgreSQL; `None` if there is none. Where it has an
    /// ellipsis, somebody has to say what is missing.
    pub repair: Option<String>,
}

/// Whether something is wrong by a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// Something to know; it stays true for ever.
    Warning,
    /// Something is wrong until it is repaired.
    Error,
}

impl fmt::Display for FindingSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for StoreFinding {
    /// On one line, without the repair.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.severity, self.kind)?;
        if let (Some(aggregate_type), Some(id)) = (&self.aggregate_type, &self.aggregate_id) {
            write!(f, " {aggregate_type} {id}")?;
        }
        write!(f, ": {}", self.detail)
    }
}

/// The number that programs ask for a stream by; `None` of one whose id is none, or another text
/// than that of its number, so that nobody can ask for it.
fn usable_id(stream: &StreamId) -> Option<i32> {
    let text = stream.aggregate_id();
    text.parse().ok().filter(|id: &i32| id.to_string() == text)
}
