//! Upcasting: what an upcaster leaves alone stays as it was written, to the last digit.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde_json::value::RawValue;
use serde_json::{Error, Map, Number, Value};

use crate::__private::Upcaster;
use crate::canonical::{canonical, is_exact, is_same_number, number_at, string_end};
use crate::payload::MAX_CANONICAL_BYTES;

/// The payload after the upcasters, as text.
pub(crate) fn upcast(
    text: &str,
    upcasters: impl Iterator<Item = Upcaster>,
) -> Result<String, Error> {
    // an event without fields may have been stored as null
    let before: Option<Map<String, Value>> = serde_json::from_str(text)?;
    let text = if before.is_some() { text } else { "{}" };
    let before = Value::Object(before.unwrap_or_default());
    let mut after = before.as_object().cloned().unwrap_or_default();
    upcasters.for_each(|upcaster| upcaster(&mut after));
    let mut written = Written { inexact: inexact(text), out: String::with_capacity(text.len()) };
    written.value(&Value::Object(after), Some((&before, text)))?;
    canonical(&written.out, MAX_CANONICAL_BYTES).map_err(Error::custom)
}

struct Written<'a> {
    inexact: Vec<&'a str>,
    out: String,
}

impl Written<'_> {
    /// Writes a value; `was` is what stood in its place, as the upcasters saw it and as it is stored.
    fn value(&mut self, value: &Value, was: Option<(&Value, &str)>) -> Result<(), Error> {
        match (value, was) {
            (value, Some((before, text))) if value == before => self.out.push_str(text),
            (Value::Object(fields), was) => {
                let (before, texts): (_, BTreeMap<String, &RawValue>) = match was {
                    Some((Value::Object(before), text)) => {
                        (Some(before), serde_json::from_str(text)?)
                    }
                    _ => (None, BTreeMap::new()),
                };
                self.out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.out.push_str(&serde_json::to_string(name)?);
                    self.out.push(':');
                    let before = before.and_then(|before| before.get(name));
                    let text = texts.get(name).map(|text| text.get());
                    self.value(value, before.zip(text))?;
                }
                self.out.push('}');
            }
            (Value::Array(items), was) => {
                let (before, texts): (&[Value], Vec<&RawValue>) = match was {
                    Some((Value::Array(before), text)) => (before, serde_json::from_str(text)?),
                    _ => (&[], Vec::new()),
                };
                self.out.push('[');
                for (index, value) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    let text = texts.get(index).map(|text| text.get());
                    self.value(value, before.get(index).zip(text))?;
                }
                self.out.push(']');
            }
            (Value::Number(number), _) => self.number(number)?,
            (value, _) => self.out.push_str(&value.to_string()),
        }
        Ok(())
    }

    /// Writes a number that is new in its place: one that was moved there keeps its digits.
    fn number(&mut self, number: &Number) -> Result<(), Error> {
        let double = number.as_f64().filter(|_| number.is_f64());
        let mut same =
            self.inexact.iter().filter(|text| double.is_some() && text.parse().ok() == double);
        let Some(first) = same.next() else {
            self.out.push_str(&number.to_string());
            return Ok(());
        };
        match same.all(|text| is_same_number(text, first)) {
            true => self.out.push_str(first),
            false => {
                return Err(Error::custom(format_args!(
                    "an upcaster moves one of two numbers that are both {number} as doubles; \
                     leave one in its place"
                )));
            }
        }
        Ok(())
    }
}

/// The numbers of a text that no [`Value`] holds to the last digit.
fn inexact(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut at, mut found) = (0, Vec::new());
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(text, at),
            b'-' | b'0'..=b'9' => {
                let number = number_at(text, at);
                at += number.len();
                if !is_exact(number) {
                    found.push(number);
                }
            }
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upcast(text: &str, upcaster: Upcaster) -> String {
        super::upcast(text, [upcaster].into_iter()).unwrap()
    }

    #[test]
    fn what_is_not_touched_passes_to_the_last_digit() {
        let text = r#"{"amount":18446744073709551616,"deep":[{"p":0.1234567890123456789,"x":1}],"n":[1.50,12345678901234567890.12]}"#;
        let after = upcast(text, |payload| {
            payload.insert("a".to_owned(), json!("EUR"));
            payload["deep"][0]["x"] = json!([0.1, 2]);
            payload["n"].as_array_mut().unwrap().push(json!(null));
        });
        assert_eq!(
            after,
            r#"{"a":"EUR","n":[1.50,12345678901234567890.12,null],"deep":[{"p":0.1234567890123456789,"x":[0.1,2]}],"amount":18446744073709551616}"#
        );
    }

    #[test]
    fn what_is_moved_keeps_its_digits_and_what_cannot_be_told_apart_is_refused() {
        let rename: Upcaster = |payload| {
            let amount = payload.remove("amount").unwrap();
            payload.insert("money".to_owned(), json!({"amount": amount}));
        };
        let after = upcast(r#"{"amount":-9223372036854775809}"#, rename);
        assert_eq!(after, r#"{"money":{"amount":-9223372036854775809}}"#);
        let two = r#"{"amount":18446744073709551617,"b":18446744073709551618}"#;
        assert!(super::upcast(two, [rename].into_iter()).is_err());
    }

    #[test]
    fn null_is_an_object_without_members() {
        let add: Upcaster = |payload| {
            payload.insert("a".to_owned(), json!(1));
        };
        assert_eq!(upcast("null", add), r#"{"a":1}"#);
        assert!(super::upcast("[1]", [add].into_iter()).is_err());
    }
}
