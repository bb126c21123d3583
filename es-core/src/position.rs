//! Places in the log of all events.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A place in the log of all events: opaque, to be kept and compared, never computed with.
///
/// Positions of one log grow with every event and may have gaps. They are `PartialOrd` and not
/// `Ord`, because a store that keeps its log in several partitions has positions of which neither
/// is before the other. The text form is tagged (`log-42`), so that such positions can get another
/// tag.
///
/// Positions of different stores have nothing to do with each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position(u64);

impl Position {
    /// The place before the first event of every log.
    pub const START: Self = Self(0);

    const TAG: &'static str = "log-";

    /// For backends: the position of the event with this sequence number, from 1.
    pub const fn from_sequence(sequence: u64) -> Self {
        Self(sequence)
    }

    /// For backends: the sequence number that [`Position::from_sequence`] was given.
    pub const fn to_sequence(self) -> u64 {
        self.0
    }

    /// About how much of the way from the start to `end` this is, from 0 to 1: to show progress, and
    /// for nothing else, because positions have gaps.
    pub(crate) fn share_of(self, end: Self) -> f64 {
        if end.0 == 0 { 1.0 } else { (self.0 as f64 / end.0 as f64).min(1.0) }
    }

    /// The later of two positions of one log.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.0.cmp(&other.0))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::TAG, self.0)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no log position; positions look like log-42")]
pub struct PositionError {
    text: String,
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(Self::TAG)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| PositionError { text: crate::stream::shown(text) })
    }
}

crate::text::as_text!(Position);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_tagged_and_round_trips() {
        let position = Position::from_sequence(42);
        assert_eq!(position.to_string(), "log-42");
        assert_eq!("log-42".parse(), Ok(position));
        for text in ["42", "log-", "log-+4", "log--1", "log-99999999999999999999", "vec-1"] {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_start_is_before_every_event() {
        assert!(Position::START < Position::from_sequence(1));
    }
}
