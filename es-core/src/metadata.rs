//! What stands beside an event's payload: timing, causation, correlation.

mod json;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::canonical::integer;
use crate::envelope::EventId;
use crate::payload::Payload;

pub use self::version::EventVersion;

/// The metadata of one event, stored as one JSON object.
///
/// The named fields are the standard ones; everything else stands in [`extra`](Self::extra). A
/// stored object whose standard field has another type (somebody wrote `"conversation_id": "x"` by
/// hand) is no error: the value is kept in `extra` under its name, and the typed field is `None`.
/// `null` fields are the same as absent ones. An integer is one in every spelling without a point:
/// `1e3` is 1000, `1.0` is no integer.
///
/// `extra` keeps each value as its JSON text, whatever it is: a number of any length, nesting of any
/// depth, half of a surrogate pair.
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
    pub extra: BTreeMap<String, Payload>,
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

    /// The value of a field by its stored name, standard or free; `None` if it is absent or does not
    /// fit the type. Read it as a [`Payload`] to have it exactly, whatever it is.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.document(name)?.decode().ok()
    }

    /// True if there is such a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.has_typed(name) || self.extra.contains_key(name)
    }

    /// A field as it is stored.
    pub(crate) fn document(&self, name: &str) -> Option<Payload> {
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
        standard.map(Payload::from).or_else(|| self.extra.get(name).cloned())
    }

    /// Sets a field by its stored name; a standard field whose type the value fits becomes typed,
    /// everything else goes to `extra`. `null` removes the field.
    pub fn set(&mut self, name: &str, value: impl Into<Payload>) {
        let value: Payload = value.into();
        let text = || value.decode::<String>().ok();
        let fits = match name {
            "conversation_id" => put(&mut self.conversation_id, number(&value)),
            "actor_id" => put(&mut self.actor_id, number(&value)),
            "execution_order" => put(&mut self.execution_order, number(&value)),
            "duration_ms" => put(&mut self.duration_ms, number(&value)),
            "retry_count" => put(&mut self.retry_count, number(&value)),
            "causation_id" => {
                put(&mut self.causation_id, text().and_then(|text| text.parse().ok()))
            }
            "correlation_id" => put(&mut self.correlation_id, text()),
            "event_version" => {
                let major = || number(&value).map(EventVersion::new);
                let version = text().map_or_else(major, |text| EventVersion::from_text(&text));
                put(&mut self.event_version, version)
            }
            _ => false,
        };
        if fits || value.as_str() == "null" {
            self.extra.remove(name);
        } else {
            self.extra.insert(name.to_owned(), value);
        }
    }

    /// Sets a free field or a standard one, for building in one expression; see [`set`](Self::set).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value.into());
        self
    }

    /// The free fields in the order of their names: those that are no standard ones, and those of a
    /// standard name whose value does not fit.
    pub fn free_fields(&self) -> impl Iterator<Item = (&str, &Payload)> {
        let free = self.extra.iter();
        let free = free.filter(|(name, value)| !self.has_typed(name) && value.as_str() != "null");
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

    /// Fills every field that is absent here from `base`. A field of this name that does not fit its
    /// type counts as present, and so does a `null` in `extra`: it says that there is none, as an
    /// event does whose field in the metadata is `None`.
    pub fn fill_from(&mut self, base: &Self) {
        /// Takes the base's value unless there is one here, typed or not.
        fn fill<T: Clone>(
            extra: &BTreeMap<String, Payload>,
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
            && self.free_fields().eq(other.free_fields())
    }
}

/// The integer that a value is, if it is a number and the type holds it.
fn number<T: TryFrom<i128>>(value: &Payload) -> Option<T> {
    let text = value.as_str();
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let integer = if is_number { integer(text) } else { None };
    integer.and_then(|integer| T::try_from(integer).ok())
}

/// Puts `found` into `field`; answers whether there was anything.
fn put<T>(field: &mut Option<T>, found: Option<T>) -> bool {
    *field = found;
    field.is_some()
}
