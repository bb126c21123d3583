//! Lengths of time as definitions write them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A length of time in seconds, such as `300` or `0.5`: finite, not negative, at most a century.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    const CENTURY: f64 = 3_155_760_000.0;

    pub(crate) const fn from_whole(seconds: u32) -> Self {
        Self(seconds as f64)
    }

    /// The number of seconds.
    pub fn get(self) -> f64 {
        self.0
    }

    /// True for no time at all, which anything below a nanosecond comes to.
    pub fn is_zero(self) -> bool {
        Duration::from(self).is_zero()
    }
}

impl TryFrom<f64> for Seconds {
    type Error = SecondsError;

    fn try_from(seconds: f64) -> Result<Self, SecondsError> {
        match (0.0..=Self::CENTURY).contains(&seconds) {
            true => Ok(Self(seconds)),
            false => Err(SecondsError { seconds }),
        }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Duration::from_secs_f64(seconds.0)
    }
}

/// A number that is no length of time.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{} is no length of time in seconds; use 0 to a century", told(*seconds))]
pub struct SecondsError {
    seconds: f64,
}

/// The number in few digits.
fn told(seconds: f64) -> String {
    match (1e-6..1e12).contains(&seconds.abs()) {
        true => seconds.to_string(),
        false => format!("{seconds:e}"),
    }
}
