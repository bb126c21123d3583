//! What stands beside an event's payload: timing, causation, correlation.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::canonical::same_value;
use crate::content::has_reserved_key;
use crate::envelope::EventId;

/// The metadata of one event, stored as one JSON object.
///
/// The named fields are the standard ones; everything else stands in [`extra`](Self::extra). A
/// stored object whose standard field has another type (somebody wrote `"conversation_id": "x"` by
/// hand) is no error: the value is kept in `extra` under its name, and the typed field is `None`.
/// `null` fields are the same as absent ones.
///
/// Reading costs no more than a field: a value that no [`Value`] holds (a number beyond a double,
/// nesting beyond serde_json's limit, a key that serde_json reserves, half of a surrogate pair) is
/// kept in `extra` as its JSON text.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// The conversation that the event belongs to.
    pub conversation_id: Option<i64>,
    /// The actor that caused the event.
    pub actor_id: Option<i64>,
    /// The place of the conversation in the order of execution.
    pub execution_order: Option<i64>,
    /// How long the work took that the event reports, in milliseconds.
    pub duration_ms: Option<u64>,
    /// How many attempts preceded the one that the event reports.
    pub retry_count: Option<u32>,
    /// The event that caused this one.
    pub causation_id: Option<EventId>,
    /// What the event belongs to across streams, such as `workflow_3001_posting_12345`.
    pub correlation_id: Option<String>,
    /// The schema version of the event's payload; `None` means `1.0`.
    pub event_version: Option<EventVersion>,
    /// All other fields, by name. Fill it by [`set`](Self::set) or [`with`](Self::with), which sort
    /// standard fields out: an entry under the name of a standard field that is set does not count.
    pub extra: Map<String, Value>,
}

impl Metadata {
    /// Metadata with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The schema version of the payload: the major part of `event_version`, 1 if there is none.
    pub fn schema_version(&self) -> u32 {
        self.event_version.unwrap_or_default().major
    }

    /// The value of a field by its stored name, standard or free; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<Value> {
        let standard = match name {
            "conversation_id" => self.conversation_id.map(Value::from),
            "actor_id" => self.actor_id.map(Value::from),
            "execution_order" => self.execution_order.map(Value::from),
            "duration_ms" => self.duration_ms.map(Value::from),
            "retry_count" => self.retry_count.map(Value::from),
            "causation_id" => self.causation_id.map(|id| Value::from(id.to_string())),
            "correlation_id" => self.correlation_id.clone().map(Value::from),
            "event_version" => self.event_version.map(|version| Value::from(version.to_string())),
            _ => None,
        };
        standard.or_else(|| self.extra.get(name).cloned())
    }

    /// Sets a field by its stored name; a standard field whose type the value fits becomes typed,
    /// everything else goes to `extra`. `null` removes the field.
    pub fn set(&mut self, name: &str, value: Value) {
        let fits = match name {
            "conversation_id" => typed(&mut self.conversation_id, &value, Value::as_i64),
            "actor_id" => typed(&mut self.actor_id, &value, Value::as_i64),
            "execution_order" => typed(&mut self.execution_order, &value, Value::as_i64),
            "duration_ms" => typed(&mut self.duration_ms, &value, Value::as_u64),
            "retry_count" => typed(&mut self.retry_count, &value, |value| {
                value.as_u64().and_then(|count| u32::try_from(count).ok())
            }),
            "causation_id" => typed(&mut self.causation_id, &value, |value| {
                value.as_str().and_then(|text| text.parse().ok())
            }),
            "correlation_id" => {
                typed(&mut self.correlation_id, &value, |value| value.as_str().map(str::to_owned))
            }
            "event_version" => typed(&mut self.event_version, &value, EventVersion::from_json),
            _ => false,
        };
        if fits || value.is_null() {
            self.extra.remove(name);
        } else {
            self.extra.insert(name.to_owned(), value);
        }
    }

    /// Sets a standard field that is stored as text, if `name` is one and `text` fits.
    fn set_text(&mut self, name: &str, text: &str) -> bool {
        let fits = match name {
            "causation_id" => put(&mut self.causation_id, text.parse().ok()),
            "correlation_id" => put(&mut self.correlation_id, Some(text.to_owned())),
            "event_version" => put(&mut self.event_version, EventVersion::from_text(text)),
            _ => false,
        };
        if fits {
            self.extra.remove(name);
        }
        fits
    }

    /// Sets a free field or a standard one, for building in one expression; see [`set`](Self::set).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into());
        self
    }

    /// The free fields: those that are no standard ones, and those of a standard name whose value
    /// does not fit.
    pub fn free_fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let free = self.extra.iter();
        let free = free.filter(|(name, value)| !self.has_typed(name) && !value.is_null());
        free.map(|(name, value)| (name.as_str(), value))
    }

    /// True if the standard field of this name is set. A name has one value: the typed one.
    fn has_typed(&self, name: &str) -> bool {
        match name {
            "conversation_id" => self.conversation_id.is_some(),
            "actor_id" => self.actor_id.is_some(),
            "execution_order" => self.execution_order.is_some(),
            "duration_ms" => self.duration_ms.is_some(),
            "retry_count" => self.retry_count.is_some(),
            "causation_id" => self.causation_id.is_some(),
            "correlation_id" => self.correlation_id.is_some(),
            "event_version" => self.event_version.is_some(),
            _ => false,
        }
    }

    /// Fills every field that is absent here from `base`; a field of this name that does not fit
    /// its type counts as present.
    pub fn fill_from(&mut self, base: &Self) {
        /// Takes the base's value unless there is one here, typed or not.
        fn fill<T: Clone>(
            extra: &Map<String, Value>,
            name: &str,
            field: &mut Option<T>,
            base: &Option<T>,
        ) {
            if field.is_none() && !extra.contains_key(name) {
                field.clone_from(base);
            }
        }
        let extra = &self.extra;
        fill(extra, "conversation_id", &mut self.conversation_id, &base.conversation_id);
        fill(extra, "actor_id", &mut self.actor_id, &base.actor_id);
        fill(extra, "execution_order", &mut self.execution_order, &base.execution_order);
        fill(extra, "duration_ms", &mut self.duration_ms, &base.duration_ms);
        fill(extra, "retry_count", &mut self.retry_count, &base.retry_count);
        fill(extra, "causation_id", &mut self.causation_id, &base.causation_id);
        fill(extra, "correlation_id", &mut self.correlation_id, &base.correlation_id);
        fill(extra, "event_version", &mut self.event_version, &base.event_version);
        for (name, value) in base.free_fields() {
            if !self.has_typed(name) && !self.extra.contains_key(name) {
                self.extra.insert(name.to_owned(), value.clone());
            }
        }
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        let typed = |one: &Self| {
            (
                one.conversation_id,
                one.actor_id,
                one.execution_order,
                one.duration_ms,
                one.retry_count,
                one.causation_id,
                one.event_version,
            )
        };
        typed(self) == typed(other)
            && self.correlation_id == other.correlation_id
            && self.free_fields().count() == other.free_fields().count()
            && self
                .free_fields()
                .zip(other.free_fields())
                .all(|(a, b)| a.0 == b.0 && same_value(a.1, b.1))
    }
}

/// Puts what `read` makes of `value` into `field`; answers whether it fitted.
fn typed<T>(field: &mut Option<T>, value: &Value, read: impl Fn(&Value) -> Option<T>) -> bool {
    put(field, read(value))
}

/// Puts `found` into `field`; answers whether there was anything.
fn put<T>(field: &mut Option<T>, found: Option<T>) -> bool {
    *field = found;
    field.is_some()
}

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
                Ok(Name(String::from_utf8_lossy(text)))
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

/// The value of a text that is JSON; the text itself if it is nothing that a [`Value`] holds.
fn value_of(text: &str) -> Value {
    let value = match has_reserved_key(text) {
        true => None,
        false => serde_json::from_str(text).ok(),
    };
    value.unwrap_or_else(|| text.into())
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
        entry(&mut map, "conversation_id", &self.conversation_id)?;
        entry(&mut map, "actor_id", &self.actor_id)?;
        entry(&mut map, "execution_order", &self.execution_order)?;
        entry(&mut map, "duration_ms", &self.duration_ms)?;
        entry(&mut map, "retry_count", &self.retry_count)?;
        entry(&mut map, "causation_id", &self.causation_id)?;
        entry(&mut map, "correlation_id", &self.correlation_id)?;
        entry(&mut map, "event_version", &self.event_version)?;
        for (name, value) in self.free_fields() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object of metadata, or null")
            }

            fn visit_unit<E>(self) -> Result<Metadata, E> {
                Ok(Metadata::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(Name(name)) = map.next_key()? {
                    // as text first: what cannot be read costs its own field and not the event
                    let raw: Box<RawValue> = map.next_value()?;
                    match value_of(raw.get()) {
                        Value::String(text) if metadata.set_text(&name, &text) => {}
                        value => metadata.set(&name, value),
                    }
                }
                Ok(metadata)
            }
        }
        deserializer.deserialize_any(Fields)
    }
}

/// The version of an event's schema as its metadata states it, such as `"1.0"`.
///
/// The major part is the schema version that upcasters count; the minor part is kept and means
/// nothing to this library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventVersion {
    /// The schema version.
    pub major: u32,
    /// Kept as stored.
    pub minor: u32,
}

impl EventVersion {
    /// Version `major.0`.
    pub const fn new(major: u32) -> Self {
        Self { major, minor: 0 }
    }

    /// Reads `"2.0"`, `"2"` and `2`.
    fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => {
                number.as_u64().and_then(|major| u32::try_from(major).ok()).map(Self::new)
            }
            Value::String(text) => Self::from_text(text),
            _ => None,
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let part = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse().ok(),
            false => None,
        };
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { major: part(major)?, minor: part(minor)? })
    }
}

impl Default for EventVersion {
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Display for EventVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for EventVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIFICATION: &str = r#"{
        "conversation_id": 9184, "actor_id": 74, "execution_order": 2, "duration_ms": 245,
        "retry_count": 0, "causation_id": "0193a1d4-0000-7000-8000-000000000001",
        "correlation_id": "workflow_3001_posting_12345", "event_version": "1.0"
    }"#;

    #[test]
    fn the_specifications_example_is_typed_and_round_trips() {
        let metadata: Metadata = serde_json::from_str(SPECIFICATION).unwrap();
        assert_eq!(metadata.conversation_id, Some(9184));
        assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
        assert!(metadata.extra.is_empty());
        let again: Value = serde_json::to_value(&metadata).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(SPECIFICATION).unwrap());
    }

    #[test]
    fn what_does_not_fit_is_kept_by_name() {
        let text = r#"{"conversation_id":"x","duration_ms":-1,"event_version":"new","mine":[1]}"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!((metadata.conversation_id, metadata.duration_ms), (None, None));
        assert_eq!(metadata.get("conversation_id"), Some(Value::from("x")));
        let again: Value = serde_json::to_value(&metadata).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn what_no_value_holds_costs_its_field_and_not_the_event() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let odd = [
            "1e400",
            r#"{"x":[-1e999]}"#,
            &deep,
            r#"{"$serde_json::private::RawValue":5}"#,
            r#"[{"$serde_json::private::RawValue":"{\"admin\":true}"}]"#,
            r#"{"\u0024serde_json::private::Number":"x"}"#,
            r#""\ud800""#,
        ];
        for odd in odd {
            for name in ["n", "conversation_id", "correlation_id", "event_version"] {
                let text = format!(r#"{{"actor_id":1,"{name}":5,"{name}":{odd},"z":2}}"#);
                let metadata: Metadata = serde_json::from_str(&text).unwrap();
                assert_eq!(metadata.actor_id, Some(1));
                assert_eq!(metadata.conversation_id, None);
                assert_eq!(metadata.get("z"), Some(Value::from(2)));
                assert_eq!(metadata.get(name), Some(Value::from(odd)), "{name}");
            }
        }
        for key in ["$serde_json::private::RawValue", "$serde_json::private::Number"] {
            let metadata: Metadata = serde_json::from_str(&format!(r#"{{"{key}":5}}"#)).unwrap();
            assert_eq!(metadata.get(key), Some(Value::from(5)));
        }
        let half: Metadata = serde_json::from_str(r#"{"a\ud800":1,"actor_id":2}"#).unwrap();
        assert_eq!((half.actor_id, half.extra.len()), (Some(2), 1));
    }

    #[test]
    fn null_metadata_and_null_fields_are_absent() {
        assert_eq!(serde_json::from_str::<Metadata>("null").unwrap(), Metadata::default());
        let metadata: Metadata = serde_json::from_str(r#"{"actor_id":null,"x":null}"#).unwrap();
        assert_eq!(metadata, Metadata::default());
    }

    #[test]
    fn every_kind_of_value_is_kept_and_of_two_fields_of_one_name_the_last() {
        let text = r#"{
            "a": "\u0041", "b": true, "c": -1, "d": 1.5, "e": [1, null], "f": {"x": "y"},
            "g": 18446744073709551615, "correlation_id": "\"q\"", "causation_id": 5
        }"#;
        let metadata: Metadata = serde_json::from_str(text).unwrap();
        assert_eq!(metadata.correlation_id.as_deref(), Some("\"q\""));
        let again: Value = serde_json::to_value(&metadata).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(again, serde_json::to_value(Metadata::deserialize(&again).unwrap()).unwrap());

        let id = "0193a1d4-0000-7000-8000-000000000001";
        let twice = format!(r#"{{"causation_id": 5, "causation_id": "{id}"}}"#);
        let metadata: Metadata = serde_json::from_str(&twice).unwrap();
        assert_eq!((metadata.causation_id, metadata.extra.len()), (id.parse().ok(), 0));
        let twice = format!(r#"{{"causation_id": "{id}", "causation_id": "x"}}"#);
        let metadata: Metadata = serde_json::from_str(&twice).unwrap();
        assert_eq!((metadata.causation_id, metadata.extra.len()), (None, 1));
    }

    #[test]
    fn versions_are_read_from_text_and_numbers() {
        let read = |json: &str| {
            serde_json::from_str::<Metadata>(&format!(r#"{{"event_version":{json}}}"#)).unwrap()
        };
        assert_eq!(read("\"2.1\"").event_version, Some(EventVersion { major: 2, minor: 1 }));
        assert_eq!(read("\"3\"").schema_version(), 3);
        assert_eq!(read("4").schema_version(), 4);
        for bad in ["\"+1.0\"", "\"1.x\"", "\"\"", "1.5", "-1"] {
            assert_eq!(read(bad).event_version, None, "{bad}");
        }
    }

    #[test]
    fn a_name_has_one_value() {
        let mut metadata = Metadata::new().with("event_version", "draft").with("actor_id", "x");
        metadata.fill_from(&Metadata::new().with("actor_id", 7));
        assert_eq!(metadata.actor_id, None, "what stands there is kept, although it does not fit");
        metadata.event_version = Some(EventVersion::new(2));
        let text = serde_json::to_string(&metadata).unwrap();
        assert_eq!(text, r#"{"event_version":"2.0","actor_id":"x"}"#);
        assert_eq!(serde_json::from_str::<Metadata>(&text).unwrap(), metadata);
        let mut other = Metadata::new();
        other.event_version = Some(EventVersion::new(2));
        other.fill_from(&Metadata::new().with("event_version", "draft"));
        assert_eq!(serde_json::to_string(&other).unwrap(), r#"{"event_version":"2.0"}"#);
    }

    #[test]
    fn filling_keeps_what_is_there() {
        let mut metadata = Metadata::new().with("actor_id", 1).with("mine", "a");
        metadata.fill_from(&Metadata::new().with("actor_id", 2).with("mine", "b").with("x", 3));
        assert_eq!(metadata, Metadata::new().with("actor_id", 1).with("mine", "a").with("x", 3));
    }
}
