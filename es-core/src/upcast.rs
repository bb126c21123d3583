//! Upcasting: an upcaster changes what it writes, and nothing else.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Error;

use crate::__private::Upcaster;
use crate::payload::{Parts, Payload};

/// The fields of a payload, as an upcaster changes them.
///
/// Each field stays the text that was stored until it is written: what an upcaster leaves alone,
/// renames, or takes out and puts elsewhere keeps every digit.
///
/// ```
/// use es_core::event::{Fields, Payload};
///
/// fn in_cents(payload: &mut Fields) {
///     payload.rename("out", "output");
///     payload.insert("currency", "EUR");
///     if let Some(euros) = payload.get::<f64>("price") {
///         payload.insert("cents", (euros * 100.0).round());
///         payload.remove("price");
///     }
///     payload.within_each("lines", |line| line.rename("no", "number"));
/// }
///
/// let stored = r#"{"out":18446744073709551617,"price":1.5,"lines":[{"no":1}]}"#;
/// let mut payload = Fields::of(&Payload::parse(stored.to_owned())?)?;
/// in_cents(&mut payload);
/// let expected =
///     r#"{"output":18446744073709551617,"currency":"EUR","cents":150,"lines":[{"number":1}]}"#;
/// assert_eq!(payload.into_payload()?, Payload::parse(expected.to_owned())?);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Fields {
    fields: BTreeMap<String, Payload>,
    /// The first value that could not be written.
    failed: Option<Error>,
}

impl Fields {
    /// The fields of an object, or none of `null`: an event without fields may be stored so.
    ///
    /// # Errors
    ///
    /// When the document is something else.
    pub fn of(payload: &Payload) -> Result<Self, Error> {
        let fields = payload.decode::<Option<BTreeMap<String, Payload>>>()?.unwrap_or_default();
        Ok(Self { fields, failed: None })
    }

    /// The object of the fields.
    ///
    /// # Errors
    ///
    /// When something was inserted that is no JSON, such as a number that is not finite.
    pub fn into_payload(self) -> Result<Payload, Error> {
        match self.failed {
            Some(error) => Err(error),
            None => Payload::of(&self.fields),
        }
    }

    /// The names of the fields, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// True if there is such a field, `null` included.
    pub fn contains(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A field, read into a type; `None` if it is absent or does not fit.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.fields.get(name)?.decode().ok()
    }

    /// Writes a field, in the place of one that has the name.
    ///
    /// What is no JSON makes the event one that cannot be decoded, and the error names the field.
    pub fn insert(&mut self, name: &str, value: impl Serialize) {
        match Payload::of(&value) {
            Ok(value) => drop(self.fields.insert(name.to_owned(), value)),
            Err(error) => {
                let error = Error::custom(format_args!("the upcaster's field `{name}`: {error}"));
                self.failed.get_or_insert(error);
            }
        }
    }

    /// Takes a field out, as it is stored: [`insert`](Self::insert) puts it elsewhere.
    pub fn remove(&mut self, name: &str) -> Option<Payload> {
        self.fields.remove(name)
    }

    /// Gives a field another name, in the place of one that has it; nothing if there is none.
    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.fields.remove(from) {
            self.fields.insert(to.to_owned(), value);
        }
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.fields.clear();
    }

    /// Changes the fields of an object that is a field; nothing if it is none.
    pub fn within(&mut self, name: &str, change: impl FnOnce(&mut Self)) {
        if let Some(Parts::Object(fields)) = self.fields.get(name).map(Payload::parts) {
            let changed = self.changed(fields, change);
            self.insert(name, changed);
        }
    }

    /// Changes the fields of each object in an array that is a field; nothing if it is none.
    pub fn within_each(&mut self, name: &str, mut change: impl FnMut(&mut Self)) {
        if let Some(Parts::Array(mut items)) = self.fields.get(name).map(Payload::parts) {
            for item in &mut items {
                if let Parts::Object(fields) = item.parts() {
                    *item = Payload::of(&self.changed(fields, &mut change))
                        .expect("texts of JSON are JSON");
                }
            }
            self.insert(name, items);
        }
    }

    /// The fields of a part after a change; what fails there, fails here.
    fn changed(
        &mut self,
        fields: BTreeMap<String, Payload>,
        change: impl FnOnce(&mut Self),
    ) -> BTreeMap<String, Payload> {
        let mut part = Self { fields, failed: self.failed.take() };
        change(&mut part);
        self.failed = part.failed;
        part.fields
    }
}

/// The payload after the upcasters, in the form that every store may give back.
pub(crate) fn upcast(
    payload: &Payload,
    upcasters: impl Iterator<Item = Upcaster>,
) -> Result<Payload, Error> {
    let mut fields = Fields::of(payload)?;
    upcasters.for_each(|upcaster| upcaster(&mut fields));
    fields.into_payload()?.canonical().map_err(Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upcast(text: &str, upcaster: Upcaster) -> Result<String, Error> {
        let payload = Payload::parse(text.to_owned())?;
        super::upcast(&payload, [upcaster].into_iter()).map(|payload| payload.as_str().to_owned())
    }

    #[test]
    fn what_is_not_written_passes_to_the_last_digit() {
        let text = r#"{"amount":18446744073709551616,"deep":{"p":[{"q":0.1234567890123456789,"x":1},2]},"n":[1.50,12345678901234567890.12],"huge":1e400}"#;
        let after = upcast(text, |payload| {
            payload.insert("a", "EUR");
            payload.within("deep", |deep| {
                deep.within_each("p", |item| item.insert("x", [0.1, 2.0]));
            });
            payload.within("amount", |_| panic!("it is no object"));
            payload.within_each("deep", |_| panic!("it is no array"));
        });
        let huge = format!("1{}.0", "0".repeat(400));
        assert_eq!(
            after.unwrap(),
            format!(
                r#"{{"a":"EUR","n":[1.50,12345678901234567890.12],"deep":{{"p":[{{"q":0.1234567890123456789,"x":[0.1,2.0]}},2]}},"huge":{huge},"amount":18446744073709551616}}"#
            )
        );
    }

    #[test]
    fn what_is_moved_keeps_its_digits_beside_one_that_is_the_same_double() {
        let rename: Upcaster = |payload| {
            let amount = payload.remove("amount");
            payload.insert("money", BTreeMap::from([("amount", amount)]));
            payload.rename("b", "c");
            payload.rename("absent", "amount");
        };
        let two = r#"{"amount":18446744073709551617,"b":18446744073709551618}"#;
        assert_eq!(
            upcast(two, rename).unwrap(),
            r#"{"c":18446744073709551618,"money":{"amount":18446744073709551617}}"#
        );
    }

    #[test]
    fn what_is_rounded_in_place_is_rounded() {
        // the stored number is the double that it is rounded to
        let rounded =
            upcast(r#"{"n":18446744073709551617,"m":0.1234567890123456789}"#, |payload| {
                for name in ["n", "m"] {
                    let number = payload.get::<f64>(name).unwrap();
                    payload.insert(name, number);
                }
            });
        assert_eq!(rounded.unwrap(), r#"{"m":0.12345678901234568,"n":18446744073709552000.0}"#);
    }

    #[test]
    fn what_is_no_json_is_an_error_with_the_name_of_its_field() {
        let infinite: Upcaster = |payload| {
            payload.within("deep", |deep| {
                deep.within_each("list", |item| item.insert("limit", f64::INFINITY));
            });
        };
        let error = upcast(r#"{"deep":{"list":[{}]}}"#, infinite).unwrap_err();
        assert!(error.to_string().contains("`limit`"), "{error}");
        assert!(upcast(r#"{"deep":{"list":[]}}"#, infinite).is_ok());
    }

    #[test]
    fn null_is_an_object_without_fields() {
        let add: Upcaster = |payload| payload.insert("a", 1);
        assert_eq!(upcast("null", add).unwrap(), r#"{"a":1}"#);
        assert!(upcast("[1]", add).is_err());
    }
}
