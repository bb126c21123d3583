//! The schema version that metadata states.

use std::fmt;

use serde::ser::{Serialize, Serializer};

/// The version of an event's schema as its metadata states it, such as `"1.0"`.
///
/// The major part is the schema version that upcasters count; the minor part is kept and means
/// nothing to this library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventVersion {
    /// The schema version.
    pub major: u32,
    /// Kept as stored.
    pub minor: u32,
}

impl EventVersion {
    /// Version `major.0`.
    pub const fn new(major: u32) -> Self {
        Self { major, minor: 0 }
    }

    /// Reads `2.0` and `2`.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let part = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse().ok(),
            false => None,
        };
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: part(major)?, minor: part(minor)? })
    }
}

impl Default for EventVersion {
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Display for EventVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for EventVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
