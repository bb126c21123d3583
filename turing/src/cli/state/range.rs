//! Which two moments `--diff` compares.

use std::fmt;
use std::str::FromStr;

use es_core::event::Timestamp;
use es_core::execution::{Moment, StreamVersion};

/// Two moments, as `A..B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

/// A text that is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum RangeError {
    #[error("write two moments with two dots between, such as 3..7, 3.. or ..2026-11-23T10:00:00Z")]
    NoDots,
    #[error(
        "`{text}` is neither a version, such as 7, nor an instant, such as 2026-11-23T10:00:00Z"
    )]
    Moment { text: String },
    #[error(
        "nothing lies between a moment and itself; leave one side out for the start or for now"
    )]
    Empty,
    #[error("it ends before it begins; write the earlier moment first")]
    Reversed,
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (from, to) = text.split_once("..").ok_or(RangeError::NoDots)?;
        let from = if from.is_empty() { Moment::Start } else { moment(from)? };
        let to = if to.is_empty() { Moment::Now } else { moment(to)? };
        let ordering = match (from, to) {
            (Moment::Version(from), Moment::Version(to)) => from.cmp(&to),
            (Moment::Instant(from), Moment::Instant(to)) => from.cmp(&to),
            // only the events tell
            _ => std::cmp::Ordering::Less,
        };
        match ordering {
            std::cmp::Ordering::Less => Ok(Self { from, to }),
            std::cmp::Ordering::Equal => Err(RangeError::Empty),
            std::cmp::Ordering::Greater => Err(RangeError::Reversed),
        }
    }
}

fn moment(text: &str) -> Result<Moment, RangeError> {
    if let Ok(version) = text.parse() {
        return Ok(Moment::Version(StreamVersion::new(version)));
    }
    let instant: Result<Timestamp, _> = text.parse();
    instant.map(Moment::Instant).map_err(|_| {
        let text = text.chars().take(60).collect();
        RangeError::Moment { text }
    })
}

/// A moment as it is told.
pub(super) struct Told(pub(super) Moment);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Moment::Start => f.write_str("the start"),
            Moment::Version(version) => write!(f, "version {version}"),
            Moment::Instant(instant) => write!(f, "{instant}"),
            Moment::Now => f.write_str("now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_side_is_a_version_an_instant_or_left_out() {
        let version = |number| Moment::Version(StreamVersion::new(number));
        let instant = Moment::Instant("2026-11-23T10:00:00.5Z".parse().unwrap());
        let table = [
            ("3..7", (version(3), version(7))),
            ("3..", (version(3), Moment::Now)),
            ("..7", (Moment::Start, version(7))),
            ("..", (Moment::Start, Moment::Now)),
            ("0..1", (version(0), version(1))),
            ("2026-11-23T11:00:00.5+01:00..", (instant, Moment::Now)),
            ("9..2026-11-23T10:00:00.5Z", (version(9), instant)),
        ];
        for (text, (from, to)) in table {
            assert_eq!(text.parse(), Ok(Range { from, to }), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_told() {
        let table = [
            ("", RangeError::NoDots),
            ("7", RangeError::NoDots),
            ("3.7", RangeError::NoDots),
            ("7..7", RangeError::Empty),
            ("7..3", RangeError::Reversed),
            ("2026-11-23T10:00:00Z..2026-11-23T09:00:00Z", RangeError::Reversed),
            ("1...7", RangeError::Moment { text: ".7".to_owned() }),
            ("-1..7", RangeError::Moment { text: "-1".to_owned() }),
            ("yesterday..", RangeError::Moment { text: "yesterday".to_owned() }),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Range>(), Err(error), "{text}");
        }
    }
}
