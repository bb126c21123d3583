//! Lengths of time as events keep them.

use std::time::Duration;

/// Whole milliseconds; lengths beyond what fits are as long as possible.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
