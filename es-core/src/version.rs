//! Numbers of events within a stream, and what a writer expects of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stream::StreamId;

/// The number of events in a stream, and so also the number of its newest event.
///
/// An empty stream is at [`StreamVersion::EMPTY`] (0), its first event gets 1, and versions are
/// dense.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(from = "u64", into = "u64")]
pub struct StreamVersion(u64);

impl StreamVersion {
    /// The version of a stream without events.
    pub const EMPTY: Self = Self(0);
    /// The version of the first event.
    pub const FIRST: Self = Self(1);
    /// The largest version that every backend can store.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// A version from its number; numbers above [`StreamVersion::MAX`] become `MAX`, which no
    /// stream reaches.
    pub const fn new(number: u64) -> Self {
        if number > Self::MAX.0 { Self::MAX } else { Self(number) }
    }

    /// The number of events.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The version as the signed number that databases store.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The version `count` events later, at most [`StreamVersion::MAX`].
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self::new(self.0.saturating_add(count))
    }

    /// The version of the next event.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// True for a stream without events.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The version as an entity tag of HTTP, with its quotes: `"3"`.
    pub fn etag(self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl From<u64> for StreamVersion {
    fn from(number: u64) -> Self {
        Self::new(number)
    }
}

impl From<StreamVersion> for u64 {
    fn from(version: StreamVersion) -> Self {
        version.0
    }
}

impl fmt::Display for StreamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a writer expects of the stream that it appends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedVersion {
    /// Nothing: the events follow whatever is there.
    Any,
    /// The stream has no events.
    NoStream,
    /// The stream has at least one event.
    StreamExists,
    /// The stream has exactly this many events; `Exact(StreamVersion::EMPTY)` equals `NoStream`.
    Exact(StreamVersion),
}

impl From<StreamVersion> for ExpectedVersion {
    fn from(version: StreamVersion) -> Self {
        Self::Exact(version)
    }
}

impl ExpectedVersion {
    /// True if a stream at `actual` is what the writer expects.
    ///
    /// This is the one comparison; backends that cannot call it (because the database compares)
    /// must agree with it.
    pub fn accepts(self, actual: StreamVersion) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual.is_empty(),
            Self::StreamExists => !actual.is_empty(),
            Self::Exact(version) => version == actual,
        }
    }

    /// [`accepts`](Self::accepts), with the refusal as an error that names the stream.
    ///
    /// # Errors
    ///
    /// [`Conflict`] if the stream is not as expected.
    pub fn check(self, stream: &StreamId, actual: StreamVersion) -> Result<(), Conflict> {
        if self.accepts(actual) {
            Ok(())
        } else {
            Err(Conflict { stream: stream.clone(), expected: self, actual })
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any version"),
            Self::NoStream => f.write_str("no stream"),
            Self::StreamExists => f.write_str("an existing stream"),
            Self::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// A stream was not as its writer expected; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("conflict on {stream}: expected {expected}, but it is at version {actual}")]
pub struct Conflict {
    /// The stream.
    pub stream: StreamId,
    /// What the writer expected.
    pub expected: ExpectedVersion,
    /// The version of the stream when the append was judged.
    pub actual: StreamVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expectation_is_judged_on_empty_and_filled_streams() {
        let (empty, two) = (StreamVersion::EMPTY, StreamVersion::new(2));
        let table = [
            (ExpectedVersion::Any, true, true),
            (ExpectedVersion::NoStream, true, false),
            (ExpectedVersion::StreamExists, false, true),
            (ExpectedVersion::Exact(StreamVersion::EMPTY), true, false),
            (ExpectedVersion::Exact(two), false, true),
            (ExpectedVersion::Exact(StreamVersion::new(3)), false, false),
        ];
        for (expected, on_empty, on_two) in table {
            assert_eq!((expected.accepts(empty), expected.accepts(two)), (on_empty, on_two));
        }
    }

    #[test]
    fn arithmetic_saturates_at_the_storable_maximum() {
        assert_eq!(StreamVersion::new(u64::MAX), StreamVersion::MAX);
        assert_eq!(StreamVersion::MAX.next(), StreamVersion::MAX);
        assert_eq!(StreamVersion::MAX.as_i64(), i64::MAX);
        let read: StreamVersion = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(read, StreamVersion::MAX);
    }
}
