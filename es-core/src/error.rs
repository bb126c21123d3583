//! Failures of a store, as opposed to answers of it, and what every error means.

mod kind;

use std::fmt;
use std::sync::Arc;

use crate::position::Position;

pub use kind::ErrorKind;

/// Whatever went wrong in code of the domain, such as with an event that a projection cannot take.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A failure of the store itself: what it means, what the store was doing, and the cause.
///
/// Cheap to clone, because one failed commit can be the answer to many callers.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a [`StoreError`] means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store could not be reached or did not answer in time; nothing was written.
    Unavailable,
    /// Another process holds the store for longer than the configured wait; nothing was written.
    Busy,
    /// The answer was lost: the append may be in the store or not. With an idempotency key the
    /// same append can be sent again.
    OutcomeUnknown,
    /// No room is left; nothing was written.
    Full,
    /// The store, or this access to it, allows no writing.
    ReadOnly,
    /// What was opened is not a store.
    NotAStore,
    /// The store was made by a newer program.
    NewerSchema,
    /// The store was made by an older program, and this access may not bring it up to date.
    OlderSchema,
    /// What is stored cannot be read.
    Corrupt,
    /// The log is not the one that was read before: it went back, or on into another history, as
    /// after the restoring of a backup; or a cursor stands beyond its end. Final for this object:
    /// whoever has opened the store again must compare its cursors with the log.
    Diverged,
    /// The store was closed, or a failed sync made it refuse further work; open it again.
    Closed,
    /// Something else.
    Other,
}

impl StoreErrorKind {
    /// Its name in spans and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::NotAStore => "not_a_store",
            Self::NewerSchema => "newer_schema",
            Self::OlderSchema => "older_schema",
            Self::Corrupt => "corrupt",
            Self::Diverged => "diverged",
            Self::Closed => "closed",
            Self::Other => "other",
        }
    }
}

impl StoreError {
    /// A failure; `message` says what was being done and to what, in lower case without full stop.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// For backends: the refusal of a cursor beyond the end of the log; see clause 22 of
    /// [`EventStore`](crate::backend::EventStore).
    pub fn beyond_the_end(cursor: Position, end: Position) -> Self {
        Self::new(
            StoreErrorKind::Diverged,
            format!(
                "the cursor {cursor} is beyond {end}, the end of the log: it is of another log, or \
                 events behind it are gone; go on from a place that this log holds"
            ),
        )
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds a cause of whatever type.
    #[must_use]
    pub(crate) fn caused_by_any(
        mut self,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the failure means.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// True if the same call may succeed later without anybody mending anything, and certainly
    /// wrote nothing.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::Busy)
    }

    /// True if the append may have been written. Every other kind of failure wrote nothing.
    pub fn is_outcome_unknown(&self) -> bool {
        self.kind == StoreErrorKind::OutcomeUnknown
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("message", &self.message)
            .field("source", &self.source)
            .finish()
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}
