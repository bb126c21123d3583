//! JSON text as stored.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

/// One JSON document as text; cloning is cheap.
///
/// A store keeps the JSON *value*: numbers, strings and structure. Whether it also keeps the text
/// (white space, order of keys) is the store's own business, so equality is that of the value:
/// `{"a":1,"b":2}` equals `{"b": 2, "a": 1.0}`.
#[derive(Clone)]
pub struct Payload(Form);

#[derive(Clone)]
enum Form {
    Json(Arc<RawValue>),
    /// What somebody put into the store that is no event, and why not.
    Unreadable(Arc<str>),
}

impl Payload {
    /// The JSON of a value.
    ///
    /// # Errors
    ///
    /// When the value cannot be written as JSON, such as a map with keys that are not strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::value::to_raw_value(value).map(Self::from)
    }

    /// A document from its text.
    ///
    /// # Errors
    ///
    /// When the text is not one JSON value.
    pub fn parse(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self::from)
    }

    /// What stands in the place of a document in a row that cannot be read, as a store of events
    /// gives it to readers; for backends. Reading it into any type fails for this reason, which
    /// names the event and the column; as text it is `null`.
    pub fn unreadable(reason: &str) -> Self {
        Self(Form::Unreadable(reason.into()))
    }

    /// Why this cannot be read: `None` for a document.
    pub fn unreadable_because(&self) -> Option<&str> {
        match &self.0 {
            Form::Json(_) => None,
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
            Form::Json(raw) => raw,
            Form::Unreadable(_) => RawValue::NULL,
        }
    }

    /// Reads the document into a type.
    ///
    /// # Errors
    ///
    /// When the document does not fit the type, or is [unreadable](Self::unreadable).
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        match self.unreadable_because() {
            Some(reason) => Err(serde::de::Error::custom(reason)),
            None => serde_json::from_str(self.as_str()),
        }
    }

    /// True if both documents are the same JSON value; numbers are compared by their value.
    ///
    /// A document that serde_json cannot hold as a [`Value`] equals only its own text.
    pub fn same_json(&self, other: &Self) -> bool {
        let reasons = (self.unreadable_because(), other.unreadable_because());
        if reasons != (None, None) {
            return reasons.0 == reasons.1;
        }
        if self.as_str() == other.as_str() {
            return true;
        }
        match (self.decode::<Value>(), other.decode::<Value>()) {
            (Ok(a), Ok(b)) => same_value(&a, &b),
            _ => false,
        }
    }
}

pub(crate) fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (whole(a), whole(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

/// The number as an integer, if it is one.
fn whole(number: &Number) -> Option<i128> {
    // an integer and a double are compared here, not as doubles: those run together from 2^53 on
    number.as_i128().or_else(|| {
        let double = number.as_f64()?;
        let fits = double.fract() == 0.0 && double.abs() < 2_f64.powi(127);
        fits.then_some(double as i128)
    })
}

impl From<Box<RawValue>> for Payload {
    fn from(raw: Box<RawValue>) -> Self {
        Self(Form::Json(raw.into()))
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
        self.as_raw().serialize(serializer)
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
        let error = odd.decode::<Option<Value>>().unwrap_err();
        assert!(error.to_string().contains("event_data of event 7"), "{error}");
        assert_ne!(odd, payload("null"));
        assert_eq!(odd, odd.clone());
    }

    #[test]
    fn equality_is_that_of_the_json_value() {
        let same =
            [(r#"{"a":1,"b":[2]}"#, r#"{ "b": [2.0], "a": 1 }"#), ("1e2", "100"), ("0", "-0.0")];
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
        ];
        for (a, b) in different {
            assert_ne!(payload(a), payload(b));
        }
    }
}
