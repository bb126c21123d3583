//! Metadata as a JSON object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::{Extra, Metadata, STANDARD};
use crate::payload::Payload;

/// The name of a field, borrowed where it can be. Half of a surrogate pair, which is no character,
/// is replaced.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_borrowed_bytes<E>(self, text: &'de [u8]) -> Result<Name<'de>, E> {
                // at once, as nearly every name is whole
                let name = std::str::from_utf8(text).map(Cow::Borrowed);
                Ok(Name(name.unwrap_or_else(|_| String::from_utf8_lossy(text))))
            }

            fn visit_bytes<E>(self, text: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(String::from_utf8_lossy(text).into_owned().into()))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(text.to_owned().into()))
            }
        }
        // serde_json takes any string as bytes, and not any as a text
        deserializer.deserialize_bytes(Text)
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn entry<M: SerializeMap, T: Serialize>(
            map: &mut M,
            name: &'static str,
            field: &Option<T>,
        ) -> Result<(), M::Error> {
            match field {
                Some(value) => map.serialize_entry(name, value),
                None => Ok(()),
            }
        }
        let mut map = serializer.serialize_map(None)?;
        entry(&mut map, "causation_id", &self.causation_id)?;
        entry(&mut map, "correlation_id", &self.correlation_id)?;
        entry(&mut map, "event_version", &self.event_version)?;
        for (name, value) in self.documents() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // what the object stands in may be no text, and knows where a field of it is
        Whole::deserialize(deserializer).map(|Whole(metadata)| metadata)
    }
}

/// The metadata that a text is; the fields of the domain stay where they stand in it.
pub(super) fn read(text: &str) -> Result<Metadata, serde_json::Error> {
    let Members { standard, mut others, is_odd } = serde_json::from_str(text)?;
    if is_odd || u32::try_from(text.len()).is_err() {
        return serde_json::from_str(text).map(|Whole(metadata)| metadata);
    }
    let mut metadata = Metadata::default();
    for (name, value) in standard.into_iter().flatten() {
        if !metadata.set_standard(name, value) && value != "null" {
            others.push((name, value));
        }
    }
    metadata.extra = Extra::of_object(text, &others);
    Ok(metadata)
}

/// The fields of an object, each with its name, as parts of its text.
#[derive(Default)]
struct Members<'a> {
    /// Each as it stands there last.
    standard: [Option<(&'a str, &'a str)>; STANDARD.len()],
    /// Those that are not `null`.
    others: Vec<(&'a str, &'a str)>,
    /// True if a name has an escape or stands twice, or if there are too many.
    is_odd: bool,
}

impl<'a> Members<'a> {
    /// More than metadata have; each of them is compared with each.
    const MOST: usize = 32;

    fn add(&mut self, name: Cow<'a, str>, value: &'a str) {
        let Cow::Borrowed(name) = name else {
            self.is_odd = true;
            return;
        };
        if let Some(at) = STANDARD.iter().position(|standard| *standard == name) {
            self.standard[at] = Some((name, value));
        } else if self.others.len() == Self::MOST
            || self.others.iter().any(|(other, _)| *other == name)
        {
            self.is_odd = true;
        } else if value != "null" {
            self.others.push((name, value));
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of metadata, or null")
            }

            fn visit_unit<E>(self) -> Result<Members<'de>, E> {
                Ok(Members::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some(Name(name)) = map.next_key()? {
                    let value: &'de RawValue = map.next_value()?;
                    members.add(name, value.get());
                }
                Ok(members)
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

/// Metadata, with each field taken apart.
struct Whole(Metadata);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of metadata, or null")
            }

            fn visit_unit<E>(self) -> Result<Whole, E> {
                Ok(Whole(Metadata::default()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Whole, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(Name(name)) = map.next_key()? {
                    // as text: what cannot be read costs its own field and not the event
                    metadata.set_document(&name, map.next_value::<Payload>()?);
                }
                Ok(Whole(metadata))
            }
        }
        deserializer.deserialize_any(Fields)
    }
}
