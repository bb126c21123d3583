//! Names of streams.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::Limits;

/// The name of one stream: the aggregate's type and its id.
///
/// The text form is `type/id`, such as `posting/12345`. The type is snake_case (`a-z`, `0-9`, `_`,
/// beginning with a letter, at most 64 bytes); the id is 1 to 255 bytes without control characters
/// and may contain `/`.
///
/// Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    aggregate_type: Arc<str>,
    aggregate_id: Arc<str>,
}

impl StreamId {
    /// The stream of the aggregate `aggregate_id` of the given type.
    ///
    /// # Errors
    ///
    /// [`InvalidStreamId`] names the part that breaks the rules above.
    pub fn new(aggregate_type: &str, aggregate_id: &str) -> Result<Self, InvalidStreamId> {
        check_type(aggregate_type)?;
        check_id(aggregate_id)?;
        Ok(Self { aggregate_type: aggregate_type.into(), aggregate_id: aggregate_id.into() })
    }

    /// A name for the stream of a row whose own names are none; for backends.
    ///
    /// Its type is `unreadable`, its id shows both names, escaped and shortened.
    pub fn stand_in(aggregate_type: &str, aggregate_id: &str) -> Self {
        let mut id = format!("{}/{}", shown(aggregate_type), shown(aggregate_id));
        while id.len() > Limits::AGGREGATE_ID_BYTES {
            id.pop();
        }
        Self { aggregate_type: "unreadable".into(), aggregate_id: id.into() }
    }

    /// The aggregate's type, such as `posting`.
    pub fn aggregate_type(&self) -> &str {
        &self.aggregate_type
    }

    /// The aggregate's id as text, such as `12345`.
    pub fn aggregate_id(&self) -> &str {
        &self.aggregate_id
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.aggregate_type, self.aggregate_id)
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    /// Parses `type/id`; the first `/` separates the two.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (aggregate_type, aggregate_id) =
            text.split_once('/').ok_or_else(|| InvalidStreamId::NoSlash { text: shown(text) })?;
        Self::new(aggregate_type, aggregate_id)
    }
}

crate::text::as_text!(StreamId);

/// A text that cannot name a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStreamId {
    /// The text form has no `/`.
    #[error("`{text}` is no stream id; write type/id, such as posting/12345")]
    NoSlash {
        /// The text as given, shortened.
        text: String,
    },
    /// The aggregate type is not a snake_case name of 1 to 64 bytes.
    #[error(
        "`{aggregate_type}` is no aggregate type; use a snake_case name of at most {max} bytes"
    )]
    Type {
        /// The type as given, shortened and escaped.
        aggregate_type: String,
        /// The longest allowed type, in bytes.
        max: usize,
    },
    /// The aggregate id is empty, too long or contains a control character.
    #[error("`{aggregate_id}` is no aggregate id; use 1 to {max} bytes without control characters")]
    Id {
        /// The id as given, shortened and escaped.
        aggregate_id: String,
        /// The longest allowed id, in bytes.
        max: usize,
    },
}

/// The slice of `count` that a stream belongs to: FNV-1a over its name, which stays the same in every
/// version of this library, because a rebuild may be resumed by a newer one.
pub(crate) fn slice_of(stream: &StreamId, count: u64) -> u64 {
    let name = [stream.aggregate_type().as_bytes(), b"/", stream.aggregate_id().as_bytes()];
    let hash = name.into_iter().flatten().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // the low bits alone are weak
    (hash ^ (hash >> 32)) % count.max(1)
}

/// True for a snake_case name: a letter, then letters, digits and underscores, all lower case.
pub(crate) fn is_snake_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// The text for an error message: escaped, and cut to a length that a terminal can show.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn check_type(aggregate_type: &str) -> Result<(), InvalidStreamId> {
    let max = Limits::AGGREGATE_TYPE_BYTES;
    if aggregate_type.len() <= max && is_snake_case(aggregate_type) {
        return Ok(());
    }
    Err(InvalidStreamId::Type { aggregate_type: shown(aggregate_type), max })
}

fn check_id(aggregate_id: &str) -> Result<(), InvalidStreamId> {
    let max = Limits::AGGREGATE_ID_BYTES;
    if (1..=max).contains(&aggregate_id.len()) && !aggregate_id.contains(char::is_control) {
        return Ok(());
    }
    Err(InvalidStreamId::Id { aggregate_id: shown(aggregate_id), max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_a_name_whatever_it_stands_for() {
        let long = "\u{85}\u{10ffff}\n".repeat(400);
        for (aggregate_type, id) in [("", ""), ("Posting", "1"), ("a", "b\n"), (&long, &long)] {
            let stream = StreamId::stand_in(aggregate_type, id);
            assert_eq!(stream.to_string().parse(), Ok(stream));
        }
    }

    #[test]
    fn slices_are_frozen_and_even() {
        let stream = |id: usize| -> StreamId { format!("posting/{id}").parse().unwrap() };
        let first: Vec<_> = (0..8).map(|id| slice_of(&stream(id), 4)).collect();
        assert_eq!(first, [0, 3, 2, 1, 0, 3, 2, 1]);
        let mut counts = [0_u32; 4];
        (0..10_000).for_each(|id| counts[slice_of(&stream(id), 4) as usize] += 1);
        assert!(counts.iter().all(|count| (2_300..2_700).contains(count)), "{counts:?}");
    }

    #[test]
    fn text_form_round_trips_and_the_id_may_contain_a_slash() {
        let stream: StreamId = "posting/2025/a".parse().unwrap();
        assert_eq!((stream.aggregate_type(), stream.aggregate_id()), ("posting", "2025/a"));
        assert_eq!(stream.to_string(), "posting/2025/a");
    }

    #[test]
    fn bad_parts_are_refused() {
        for (kind, id) in [("", "1"), ("Posting", "1"), ("po sting", "1"), ("1p", "1")] {
            assert!(matches!(StreamId::new(kind, id), Err(InvalidStreamId::Type { .. })), "{kind}");
        }
        for id in ["", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(matches!(StreamId::new("posting", id), Err(InvalidStreamId::Id { .. })));
        }
        assert!(matches!("posting".parse::<StreamId>(), Err(InvalidStreamId::NoSlash { .. })));
    }

    #[test]
    fn an_error_shows_the_text_escaped_and_shortened() {
        let error = StreamId::new("posting", &"\u{1b}".repeat(300)).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.contains('…'), "{error}");
    }
}
