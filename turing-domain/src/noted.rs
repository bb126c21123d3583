//! Event fields that other programs write too.

use std::collections::BTreeMap;
use std::ops::Deref;

use es_core::event::{Payload, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::ids::{ActorId, ConversationId, RunId, WorkflowId};
use crate::names::{EndReason, FailureType};

/// A field that may be absent, and counts as absent when what stands there does not fit.
///
/// The specification's events are also written from `psql` and from scripts; one odd value there
/// must not make a whole posting unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted<T>(pub Option<T>);

impl<T> Noted<T> {
    /// The field of an event that does not say.
    pub const ABSENT: Self = Self(None);

    /// True for the field of an event that does not say.
    pub fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> Default for Noted<T> {
    fn default() -> Self {
        Self::ABSENT
    }
}

impl<T> Deref for Noted<T> {
    type Target = Option<T>;

    fn deref(&self) -> &Option<T> {
        &self.0
    }
}

impl<T> From<T> for Noted<T> {
    fn from(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> From<Option<T>> for Noted<T> {
    fn from(value: Option<T>) -> Self {
        Self(value)
    }
}

impl<T: Serialize> Serialize for Noted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: ReadNote> Deserialize<'de> for Noted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Option::<Payload>::deserialize(deserializer)?;
        Ok(Self(json.as_ref().and_then(T::read_note)))
    }
}

/// A type that is read from JSON of any shape, or not.
pub trait ReadNote: Sized {
    /// The value, if `json`, which is not null, fits.
    fn read_note(json: &Payload) -> Option<Self>;
}

/// A number without a fraction, or its decimal digits in a string.
fn integer(json: &Payload) -> Option<i128> {
    match json.decode().ok()? {
        Value::Number(number) => number.as_i128(),
        Value::String(text) => {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let is_decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_decimal.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

macro_rules! read_integers {
    ($($integer:ty => $type:ty),+ $(,)?) => {$(
        impl ReadNote for $type {
            fn read_note(json: &Payload) -> Option<Self> {
                <$integer>::try_from(integer(json)?).ok().map(Self::from)
            }
        }
    )+};
}

read_integers! {
    i32 => i32,
    u32 => u32,
    u64 => u64,
    i32 => ConversationId,
    i32 => ActorId,
    i32 => WorkflowId,
}

/// A string as it is, other JSON as JSON in its canonical form, which is that of a database: the
/// migration `posting note text` makes the same text.
pub(crate) fn text_of(json: &Payload) -> String {
    match json.decode() {
        Ok(text) => text,
        Err(_) => json.canonical().as_ref().unwrap_or(json).to_string(),
    }
}

/// Anything but `null` is a text.
impl ReadNote for String {
    fn read_note(json: &Payload) -> Option<Self> {
        Some(text_of(json))
    }
}

impl ReadNote for FailureType {
    fn read_note(json: &Payload) -> Option<Self> {
        String::read_note(json).map(|text| Self::from(text.as_str()))
    }
}

impl ReadNote for EndReason {
    fn read_note(json: &Payload) -> Option<Self> {
        String::read_note(json).map(|text| Self::from(text.as_str()))
    }
}

impl ReadNote for BTreeMap<EndReason, u32> {
    fn read_note(json: &Payload) -> Option<Self> {
        json.decode().ok()
    }
}

impl ReadNote for RunId {
    fn read_note(json: &Payload) -> Option<Self> {
        json.decode::<String>().ok()?.parse().ok()
    }
}

impl ReadNote for Timestamp {
    fn read_note(json: &Payload) -> Option<Self> {
        json.decode::<String>().ok()?.parse().ok()
    }
}

impl ReadNote for bool {
    fn read_note(json: &Payload) -> Option<Self> {
        json.decode().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: ReadNote>(json: &str) -> Option<T> {
        serde_json::from_str::<Noted<T>>(json).unwrap().0
    }

    #[test]
    fn an_id_is_read_from_a_number_and_from_digits() {
        assert_eq!(read("9184"), Some(ConversationId(9184)));
        assert_eq!(read("\"9184\""), Some(ConversationId(9184)));
        for other in
            ["null", "99999999999", "1.5", "\"x\"", "\"+1\"", "\"\"", "\"-\"", "[]", "{}", "true"]
        {
            assert_eq!(read::<ConversationId>(other), None, "{other}");
        }
    }

    #[test]
    fn a_text_is_read_from_anything_but_null() {
        assert_eq!(read("\"a\""), Some("a".to_owned()));
        assert_eq!(read("{\"a\":1}"), Some("{\"a\":1}".to_owned()));
        assert_eq!(read::<String>("null"), None);
    }

    #[test]
    fn an_instant_and_a_truth_are_read_as_they_are_written() {
        let at = read::<Timestamp>("\"2025-11-24T16:00:00.000000Z\"");
        assert_eq!(at, Some(Timestamp::from_micros(1_764_000_000_000_000)));
        assert_eq!(read::<bool>("true"), Some(true));
        for other in ["null", "1", "\"soon\"", "{}"] {
            assert_eq!(read::<Timestamp>(other), None, "{other}");
            assert_eq!(read::<bool>(other), None, "{other}");
        }
    }

    #[test]
    fn a_field_that_is_not_there_is_absent() {
        #[derive(Deserialize)]
        struct Payload {
            error: Noted<String>,
        }
        let payload: Payload = serde_json::from_str("{}").unwrap();
        assert_eq!(payload.error, Noted::ABSENT);
    }
}
