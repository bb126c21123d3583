//! JSON text as stored.

mod round_trip;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::canonical::{canonical, is_canonical, same_elements, same_json, stored};
use crate::content::{ContentProblem, has_reserved_key, stored_text};
use crate::finite::check_finite;
use crate::limits::Limits;

pub use self::round_trip::RoundTripError;
pub(crate) use self::round_trip::unchanged;

/// One JSON document as text; cloning is cheap.
///
/// A store keeps the JSON *value*: numbers, strings and structure. Whether it also keeps the text
/// (white space, order of keys) is the store's own business, so equality is that of the value:
/// `{"a":1,"b":2}` equals `{"b": 2, "a": 1.0}`.
#[derive(Clone)]
pub struct Payload(Form);

#[derive(Clone)]
enum Form {
    Json {
        text: Arc<RawValue>,
        spelling: Spelling,
    },
    /// What somebody put into the store that is no event, and why not.
    Unreadable(Arc<str>),
}

/// What is known of a text, so that it need not be looked at again.
#[derive(Clone, Copy)]
enum Spelling {
    Any,
    /// The canonical form.
    Canonical,
    /// The canonical form of a document that every store takes, nested no deeper than this.
    Storable {
        depth: usize,
    },
}

impl Payload {
    /// The JSON of a value.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON, such as a map with keys that are not strings, or a
    /// number that is not finite, wherever it stands.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        let raw = serde_json::value::to_raw_value(value)?;
        // a number that is not finite is written as null; where no null is, none was
        if raw.get().contains("null") {
            check_finite(value)?;
        }
        Ok(raw.into())
    }

    /// A document from its text.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON value.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self::from)
    }

    /// A document as it stands in a store, where anybody may have written it; for backends that keep
    /// texts. It is read as every store reads it: of two members of one name the last counts, and
    /// `1e2` is the integer 100.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON value.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        let document = Self::parse(text.to_owned())?;
        Ok(match is_canonical(document.as_str()) {
            true => document.known_as(Spelling::Canonical),
            false => document.as_stored(),
        })
    }

    /// The document as [`from_stored`](Self::from_stored) reads its text.
    pub(crate) fn as_stored(&self) -> Self {
        let Ok(document) = self.respelled(|text| Ok::<_, Infallible>(stored(text)));
        document
    }

    /// The document in another spelling.
    fn respelled<E>(&self, spell: impl FnOnce(&str) -> Result<Cow<'_, str>, E>) -> Result<Self, E> {
        Ok(match spell(self.as_str())? {
            Cow::Borrowed(_) => self.clone(),
            Cow::Owned(text) => Self::parse(text).expect("another spelling of JSON is JSON"),
        })
    }

    /// What is known of the text.
    fn spelling(&self) -> Spelling {
        match &self.0 {
            Form::Json { spelling, .. } => *spelling,
            Form::Unreadable(_) => Spelling::Any,
        }
    }

    /// The same text, of which this is known.
    fn known_as(mut self, known: Spelling) -> Self {
        if let Form::Json { spelling, .. } = &mut self.0 {
            *spelling = known;
        }
        self
    }

    /// What stands in the place of a document in a row that cannot be read, as a store of events
    /// gives it to readers; for backends. Reading it into any type fails for this reason, which
    /// names the event and the column, and so does writing it as a part of something else; as text it
    /// is `null`.
    pub fn unreadable(reason: &str) -> Self {
        Self(Form::Unreadable(reason.into()))
    }

    /// Why this cannot be read: `None` for a document.
    pub fn unreadable_because(&self) -> Option<&str> {
        match &self.0 {
            Form::Json { .. } => None,
            Form::Unreadable(reason) => Some(reason),
        }
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.as_raw().get()
    }

    /// The JSON text, typed as checked JSON.
    pub fn as_raw(&self) -> &RawValue {
        match &self.0 {
            Form::Json { text, .. } => text,
            Form::Unreadable(_) => RawValue::NULL,
        }
    }

    /// Reads the document into a type.
    ///
    /// # Errors
    ///
    /// When the document does not fit the type, is [unreadable](Self::unreadable), or has a key that
    /// is reserved by serde_json, which would take what a string says there for JSON.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.unreadable_because() {
            Some(reason) => Err(serde::de::Error::custom(reason)),
            None => decoded(self.as_str()),
        }
    }

    /// True if both documents are the same JSON value: numbers are compared by their value, to the
    /// last digit, and of two members of one name the last counts.
    pub fn same_json(&self, other: &Self) -> bool {
        let reasons = (self.unreadable_because(), other.unreadable_because());
        if reasons != (None, None) {
            return reasons.0 == reasons.1;
        }
        same_json(self.as_str(), other.as_str())
    }

    /// As [`same_json`](Self::same_json), with the elements of arrays in any order, too: a set without
    /// an order is written in another one each time.
    pub fn same_elements(&self, other: &Self) -> bool {
        let reasons = (self.unreadable_because(), other.unreadable_because());
        match reasons {
            (None, None) => same_elements(self.as_str(), other.as_str()),
            (a, b) => a == b,
        }
    }

    /// The document in the form that every store gives back: keys by length, then by their bytes,
    /// numbers written out, with a point if they have a fraction or an exponent, no white space.
    ///
    /// # Errors
    ///
    /// When it has half of a surrogate pair, two members of one name, or a number that is larger than
    /// [`Limits::STATE_BYTES`] once it is written out. What else no store takes, such as `1e400`,
    /// [`check_json`](crate::backend::check_json) refuses.
    pub fn canonical(&self) -> Result<Self, ContentProblem> {
        match self.spelling() {
            Spelling::Any => {
                let document = self.respelled(|text| canonical(text, Limits::STATE_BYTES))?;
                Ok(document.known_as(Spelling::Canonical))
            }
            Spelling::Canonical | Spelling::Storable { .. } => Ok(self.clone()),
        }
    }

    /// The canonical form of a document that every store takes.
    pub(crate) fn stored_form(
        &self,
        max_bytes: usize,
        max_depth: usize,
    ) -> Result<Self, ContentProblem> {
        if let Some(reason) = self.unreadable_because() {
            return Err(ContentProblem::Unreadable { reason: reason.to_owned() });
        }
        let bytes = self.as_str().len();
        match self.spelling() {
            Spelling::Storable { depth } if depth <= max_depth && bytes <= max_bytes => {
                Ok(self.clone())
            }
            _ => {
                let document = self.respelled(|text| stored_text(text, max_bytes, max_depth))?;
                Ok(document.known_as(Spelling::Storable { depth: max_depth }))
            }
        }
    }
}

/// What a document is made of, each part as its text.
pub(crate) enum Parts {
    Object(BTreeMap<String, Payload>),
    Array(Vec<Payload>),
    /// Anything else, and an object with a key that is no text.
    Whole,
}

impl Payload {
    pub(crate) fn parts(&self) -> Parts {
        let parts = match self.as_str().as_bytes().first() {
            Some(b'{') => serde_json::from_str(self.as_str()).map(Parts::Object),
            Some(b'[') => serde_json::from_str(self.as_str()).map(Parts::Array),
            _ => return Parts::Whole,
        };
        parts.unwrap_or(Parts::Whole)
    }
}

/// What a stored document is as a type, unless serde_json would take what a string in it says for JSON.
/// Whatever decodes a stored document asks here.
pub(crate) fn decoded<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    match has_reserved_key(text) {
        true => Err(serde::de::Error::custom(
            "an object has a key that is reserved by serde_json, which no program writes",
        )),
        false => serde_json::from_str(text),
    }
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Form::Json { text: raw.into(), spelling: Spelling::Any })
    }
}

impl From<Value> for Payload {
    fn from(value: Value) -> Self {
        Self::of(&value).expect("a value is JSON")
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.same_json(other)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.unreadable_because().unwrap_or_else(|| self.as_str()))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.unreadable_because() {
            Some(reason) => {
                Err(serde::ser::Error::custom(format_args!("{reason}, so it cannot be written")))
            }
            None => self.as_raw().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &str) -> Payload {
        Payload::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn what_is_unreadable_fits_no_type_and_says_why() {
        let odd = Payload::unreadable("event_data of event 7 cannot be read");
        assert_eq!(odd.as_str(), "null");
        let error = odd.decode::<Option<serde_json::Value>>().unwrap_err();
        assert!(error.to_string().contains("event_data of event 7"), "{error}");
        assert_ne!(odd, payload("null"));
        assert_eq!(odd, odd.clone());
        let error = Payload::of(&[("doc", &odd)]).unwrap_err();
        assert!(error.to_string().contains("event_data of event 7"), "{error}");
    }

    #[test]
    fn what_a_string_says_is_never_read_as_json() {
        let odd = [
            r#"{"a":{"$serde_json::private::RawValue":"{\"b\":1}"}}"#,
            r#"[{"$serde_json::private::Number":"1"}]"#,
            r#"{"\u0024serde_json::private::Raw\u0056alue":"[]"}"#,
        ];
        for text in odd {
            let error = payload(text).decode::<serde_json::Value>().unwrap_err().to_string();
            assert!(error.contains("reserved by serde_json"), "{text}: {error}");
        }
        let text = r#"{"a":"$serde_json::private::RawValue","\u0062":1}"#;
        assert!(payload(text).decode::<serde_json::Value>().is_ok());
    }

    #[test]
    fn what_is_known_of_a_text_changes_no_answer() {
        let texts = [
            r#"{"bb":1e2,"a":[[{"x":"\u0041"}]]}"#,
            r#"{"a":[[{"x":"A"}]],"bb":100.0}"#,
            r#"["\u0000"]"#,
            r#"["\ud800"]"#,
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"a":1,"a":2}"#,
            "1e-400",
            "1e400",
            "1e300",
            "null",
        ];
        let text = |document: Result<Payload, _>| document.map(|document| document.to_string());
        for one in texts {
            let fresh = payload(one);
            let known = [fresh.canonical(), fresh.stored_form(1_000, 3), fresh.stored_form(400, 9)];
            let read = Payload::from_stored(one).unwrap();
            for known in known.into_iter().flatten().chain([read]) {
                let anew = payload(known.as_str());
                assert_eq!(text(known.canonical()), text(anew.canonical()), "{one}");
                for (bytes, depth) in [(1_000, 9), (1_000, 3), (1_000, 2), (20, 9), (3, 1)] {
                    let (known, anew) =
                        (known.stored_form(bytes, depth), anew.stored_form(bytes, depth));
                    assert_eq!(text(known), text(anew), "{one}: {bytes} {depth}");
                }
            }
        }
    }

    #[test]
    fn equality_is_that_of_the_json_value() {
        let same = [
            (r#"{"a":1,"b":[2]}"#, r#"{ "b": [2.0], "a": 1 }"#),
            ("1e2", "100"),
            ("0", "-0.0"),
            ("1e400", "10.0e399"),
            (r#"{"a":1,"a":2}"#, r#"{"\u0061":2}"#),
        ];
        for (a, b) in same {
            assert_eq!(payload(a), payload(b));
        }
        let different = [
            ("1", "2"),
            (r#""1""#, "1"),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("9007199254740993", "9007199254740992"),
            ("9007199254740993", "9007199254740992.0"),
            ("1", "1.5"),
            ("18446744073709551616", "18446744073709551617"),
            ("0.12345678901234567890", "0.12345678901234567891"),
            ("1e400", "1e401"),
        ];
        for (a, b) in different {
            assert_ne!(payload(a), payload(b));
        }
    }
}
