//! What an error means for whoever asked.

use super::StoreErrorKind;
use crate::projection::SinkError;
use crate::version::{Conflict, ExpectedVersion, StreamVersion};

/// What an error means for whoever asked, whichever error it is: what an interface makes its answer of.
///
/// | kind | written | may be sent again | HTTP |
/// |---|---|---|---|
/// | `Rejected` | no | after something changed | 422 |
/// | `NotFound` | no | no | 404 |
/// | `AlreadyExists` | no | no | 409 |
/// | `Stale` | no | after a look | 412 |
/// | `Conflict` | no | yes | 409 |
/// | `KeyReused` | no | no | 422 |
/// | `Invalid`, `TooLarge` | no | no | 400, 413 |
/// | `Unavailable` | no | yes | 503 |
/// | `OutcomeUnknown` | perhaps | yes, with its key | 504 |
/// | `Full` | no | after mending | 507 |
/// | `Broken` | no | after mending | 500 |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The domain refused.
    Rejected,
    /// It should exist, or be at a version, and there is nothing.
    NotFound,
    /// It should not exist, and does; or what is prepared was done before.
    AlreadyExists,
    /// It is at another version than was expected.
    Stale,
    /// Others were faster.
    Conflict,
    /// The idempotency key names another request.
    KeyReused,
    /// What is asked for is nothing that can be.
    Invalid,
    /// It is more than is taken at once.
    TooLarge,
    /// The store cannot be used just now.
    Unavailable,
    /// The answer was lost.
    OutcomeUnknown,
    /// No room is left.
    Full,
    /// What is stored cannot be read, the store cannot be used any more, or the program makes a
    /// mistake.
    Broken,
}

impl ErrorKind {
    /// The status of HTTP that says so.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Stale => 412,
            Self::TooLarge => 413,
            Self::Rejected | Self::KeyReused => 422,
            Self::Broken => 500,
            Self::Unavailable => 503,
            Self::OutcomeUnknown => 504,
            Self::Full => 507,
        }
    }
}

impl From<StoreErrorKind> for ErrorKind {
    fn from(kind: StoreErrorKind) -> Self {
        match kind {
            StoreErrorKind::Unavailable | StoreErrorKind::Busy => Self::Unavailable,
            StoreErrorKind::OutcomeUnknown => Self::OutcomeUnknown,
            StoreErrorKind::Full => Self::Full,
            _ => Self::Broken,
        }
    }
}

impl Conflict {
    /// What it means for whoever said what the stream is like; who was overtaken was told nothing.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.expected {
            ExpectedVersion::NoStream | ExpectedVersion::Exact(StreamVersion::EMPTY) => {
                ErrorKind::AlreadyExists
            }
            _ if self.actual.is_empty() => ErrorKind::NotFound,
            _ => ErrorKind::Stale,
        }
    }
}

impl SinkError {
    /// What it means for whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind().into(),
            Self::NoModel { .. } | Self::NothingParked { .. } => ErrorKind::NotFound,
            Self::Held { .. }
            | Self::RebuildRunning { .. }
            | Self::LeaseLost { .. }
            | Self::NotCaughtUp { .. }
            | Self::ParkedChanged { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;

    #[test]
    fn what_passes_is_told_from_what_must_be_mended() {
        for (kind, expected, status) in [
            (StoreErrorKind::Unavailable, ErrorKind::Unavailable, 503),
            (StoreErrorKind::Busy, ErrorKind::Unavailable, 503),
            (StoreErrorKind::OutcomeUnknown, ErrorKind::OutcomeUnknown, 504),
            (StoreErrorKind::Full, ErrorKind::Full, 507),
            (StoreErrorKind::ReadOnly, ErrorKind::Broken, 500),
            (StoreErrorKind::Corrupt, ErrorKind::Broken, 500),
            (StoreErrorKind::Closed, ErrorKind::Broken, 500),
        ] {
            let sink = SinkError::from(StoreError::new(kind, "")).kind();
            assert_eq!((ErrorKind::from(kind), sink), (expected, expected), "{kind:?}");
            assert_eq!(expected.http_status(), status);
        }
        let lost = SinkError::LeaseLost { projection: "totals".to_owned() };
        assert_eq!(lost.kind().http_status(), 409);
    }
}
