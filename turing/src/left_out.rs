//! Events that an answer goes without because they cannot be read, so that it can say so.

use std::error::Error;
use std::fmt;

use es_core::event::{DecodeError, RecordedEvent, StreamId};
use es_core::execution::{LoadError, StreamVersion};
use serde::Serialize;

/// An event that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its stream.
    pub stream: StreamId,
    /// Its number there.
    pub version: StreamVersion,
    /// Why it cannot be read.
    pub reason: String,
}

impl LeftOut {
    /// This event, for that reason.
    pub fn new(event: &RecordedEvent, reason: impl fmt::Display) -> Self {
        Self { stream: event.stream.clone(), version: event.version, reason: reason.to_string() }
    }

    /// This event, which is none that programs know.
    pub fn undecoded(event: &RecordedEvent, error: &DecodeError) -> Self {
        Self::new(event, reason_of(error))
    }

    /// The event that keeps a stream from being read.
    ///
    /// # Errors
    ///
    /// What is no fault of an event.
    pub(crate) fn of(error: LoadError) -> Result<Self, LoadError> {
        match error {
            LoadError::Decode { stream, version, source } => {
                Ok(Self { stream, version, reason: reason_of(&source) })
            }
            LoadError::Gap { stream, version, .. } => {
                Ok(Self { stream, version, reason: "it is missing".to_owned() })
            }
            other => Err(other),
        }
    }
}

/// Why an event cannot be read, in one line.
pub(crate) fn reason_of(error: &DecodeError) -> String {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    format!("{error}{cause}")
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.stream, self.version)
    }
}

/// All of them in a line; `turing events` tells why each cannot be read.
pub(crate) fn named(all: &[LeftOut]) -> String {
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    format!("left out, because they cannot be read: {}", all.join(", "))
}
