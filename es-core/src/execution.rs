//! Running decisions: load, decide, append, and again after a conflict.
//!
//! ```text
//! members ─► known (snapshot + events) ─► drafts ─► decision ─► events ─► append ─► decided
//!              ▲                                                            │
//!              └──────── conflict: read what is new, decide again ◄─────────┘
//! ```

mod attempts;
mod cache;
mod decided;
mod decision;
mod draft;
mod error;
mod import;
mod known;
mod members;
mod prepared;
mod run;
mod telemetry;

/// So many members of one list are read side by side.
const AT_ONCE: usize = 16;

pub use crate::aggregate::{IdOf, IntoEvents, InvalidAggregateId, Outcome, fold, stream_of};
pub use crate::append::IdempotencyKey;
pub use crate::error::ErrorKind;
pub use crate::repository::{LoadError, Loaded, Repository, SnapshotChecks};
pub use crate::retry::Retry;
pub use crate::snapshot::Snapshotted;
pub use crate::time_travel::{Difference, DifferenceError, Moment, StateDifference, differences};
pub use crate::version::{Conflict, ExpectedVersion, StreamVersion};
pub(crate) use cache::Cache;
pub use decided::Decided;
pub use decision::{Decision, transact};
pub use draft::Draft;
pub use error::{CommandError, EventError};
pub use import::Imported;
pub(crate) use known::{Known, Snapshots, load_stream};
pub use members::{Member, Members};
pub use prepared::{NotAppended, Prepared};
pub(crate) use telemetry::Counters;

// of `backend`: what is met in answers and errors
#[doc(no_inline)]
pub use crate::append::{Appended, InvalidRequest};
#[doc(no_inline)]
pub use crate::error::{StoreError, StoreErrorKind};
