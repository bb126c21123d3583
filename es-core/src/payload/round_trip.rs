//! A value as it is stored, and as it is read back.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Payload;
use crate::content::ContentProblem;
use crate::limits::Limits;
use crate::time_travel::{Difference, differences};

/// Why a value cannot be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoundTripError {
    /// It is no JSON, such as a number that is not finite.
    #[error("it cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// No store takes it.
    #[error(transparent)]
    Content(#[from] ContentProblem),
    /// What is written does not fit the type, in the form that a store may give back.
    #[error("it cannot be read back")]
    Unreadable(#[source] serde_json::Error),
    /// What is read back is written as something else.
    #[error("it is read back as another value, {0}; read what is written")]
    Changed(Box<Difference>),
}

impl Payload {
    /// The document of a value as every store may give it back, and what is read back from it: the
    /// engine's check of rows and kept states before they are written.
    ///
    /// What is read back must be the same JSON value again; elements of arrays may have changed
    /// places, because a set without an order gives them another one each time. A type that loses a
    /// part in writing is not found so, only by its own equality: see `es_testing::laws`.
    ///
    /// # Errors
    ///
    /// When the value is no JSON, is nothing that stores take, or does not come back.
    pub fn round_trip<T>(value: &T, max_bytes: usize) -> Result<(Self, T), RoundTripError>
    where
        T: Serialize + DeserializeOwned,
    {
        let written = Self::of(value).map_err(RoundTripError::Json)?;
        let stored = written.stored_form(max_bytes, Limits::default().depth)?;
        let read: T = stored.decode().map_err(RoundTripError::Unreadable)?;
        if !is_written_as(&read, &written) {
            let again = Self::of(&read).map_err(RoundTripError::Json)?;
            unchanged(&written, &again).map_err(RoundTripError::Changed)?;
        }
        Ok((stored, read))
    }
}

/// True if the value is written as this very text.
fn is_written_as<T: Serialize>(value: &T, text: &Payload) -> bool {
    /// What is still to be written.
    struct Rest<'a>(&'a [u8]);
    impl io::Write for Rest<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let rest = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
            self.0 = rest;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut rest = Rest(text.as_str().as_bytes());
    serde_json::to_writer(&mut rest, value).is_ok() && rest.0.is_empty()
}

/// Fails if what was read back is not what was written, and tells the first place that differs.
pub(crate) fn unchanged(written: &Payload, again: &Payload) -> Result<(), Box<Difference>> {
    if written.same_elements(again) {
        return Ok(());
    }
    match differences(written, again).into_iter().next() {
        Some(difference) => Err(Box::new(difference)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::{Deserialize, Deserializer, Serialize};
    use serde_json::{Value, json};

    use super::*;

    fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> Result<T, RoundTripError> {
        Payload::round_trip(value, 100_000).map(|(_, read)| read)
    }

    #[track_caller]
    fn changed<T: Serialize + DeserializeOwned>(value: &T, place: &str) {
        match round_trip(value).map(drop) {
            Err(RoundTripError::Changed(difference)) => assert_eq!(difference.to_string(), place),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_read_as_another_value_is_found_with_its_place() {
        #[derive(Serialize, Deserialize)]
        struct Row {
            #[serde(deserialize_with = "trimmed")]
            name: String,
            #[serde(default, skip_deserializing)]
            count: u32,
        }
        fn trimmed<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
            String::deserialize(from).map(|text| text.trim().to_owned())
        }
        let row = |name: &str, count| Row { name: name.to_owned(), count };
        changed(&row(" x", 0), r#"/name: " x" -> "x""#);
        changed(&row("x", 7), "/count: 7 -> 0");
        assert!(round_trip(&row("x", 0)).is_ok());

        #[derive(Serialize, Deserialize)]
        struct Rounded(#[serde(deserialize_with = "single")] f64);
        fn single<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
            f32::deserialize(from).map(f64::from)
        }
        changed(
            &BTreeMap::from([("mean", Rounded(0.1))]).into_values().next().unwrap(),
            "(all): 0.1 -> 0.10000000149011612",
        );
        assert!(round_trip(&Rounded(0.5)).is_ok());

        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum Amount {
            Small { n: f64 },
            Large { n: u64, of: u8 },
        }
        changed(&Amount::Large { n: 1, of: 2 }, "/of: 2 -> -");
        assert!(round_trip(&Amount::Small { n: 1.5 }).is_ok());
        changed(
            &vec![Amount::Large { n: u64::MAX, of: 2 }],
            "/0/n: 18446744073709551615 -> 1.8446744073709552e+19",
        );
    }

    #[test]
    fn honest_types_are_taken() {
        #[derive(Serialize, Deserialize, Default)]
        struct Honest {
            #[serde(default, skip_serializing_if = "Option::is_none")]
            note: Option<String>,
            #[serde(alias = "old_name")]
            name: String,
            // lost in writing, which no JSON tells
            #[serde(skip)]
            _cache: u32,
            tags: HashSet<String>,
            pairs: HashMap<String, HashSet<u8>>,
            total: u128,
            mean: f32,
            any: Value,
        }
        let tags: HashSet<_> = (0..20).map(|n| n.to_string()).collect();
        let any = json!({"b": -0.0, "a": [1e16, 1e300, 0.1, null]});
        let pairs = HashMap::from([("x".to_owned(), (0..20).collect())]);
        let honest = Honest {
            tags,
            pairs,
            any,
            total: u128::MAX,
            mean: 0.1,
            _cache: 3,
            ..Honest::default()
        };
        for _ in 0..8 {
            assert!(round_trip(&honest).is_ok());
        }
        let pairs: HashMap<u8, u8> = (0..20).map(|n| (n, n)).collect();
        #[derive(Deserialize)]
        #[serde(from = "Vec<(u8, u8)>")]
        struct Pairs(HashMap<u8, u8>);
        impl From<Vec<(u8, u8)>> for Pairs {
            fn from(pairs: Vec<(u8, u8)>) -> Self {
                Self(pairs.into_iter().collect())
            }
        }
        impl Serialize for Pairs {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_seq(&self.0)
            }
        }
        for _ in 0..8 {
            assert!(round_trip(&Pairs(pairs.clone())).is_ok());
        }
    }
}
