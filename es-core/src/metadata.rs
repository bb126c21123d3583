//! What stands beside an event's payload: causation, correlation, and the fields of the domain.

mod extra;
mod field;
mod json;
#[cfg(test)]
mod tests;
mod version;

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::canonical::{integer, stored};
use crate::envelope::EventId;
use crate::payload::Payload;

use self::extra::{Extra, Field};
pub use self::field::MetadataField;
pub use self::version::EventVersion;

/// The metadata of one event, stored as one JSON object.
///
/// Three fields are the library's own. All others are the domain's, which declares each once, as a
/// [`MetadataField`], and reads and writes it by that:
///
/// ```
/// use es_core::event::{Metadata, MetadataField};
///
/// const TENANT: MetadataField<String> = MetadataField::new("tenant");
///
/// let metadata = Metadata::new().with(TENANT, "acme".to_owned());
/// assert_eq!(metadata.get(TENANT).as_deref(), Some("acme"));
/// ```
///
/// A stored object whose standard field has another type (somebody wrote `"causation_id": 5` by
/// hand) is no error: the value is kept under its name, and the typed field is `None`. `null` fields
/// are the same as absent ones.
///
/// Each other field is kept as its JSON text, whatever it is: a number of any length, nesting of any
/// depth, half of a surrogate pair. Of metadata that were [parsed](Self::parse) it is read where it
/// stands; they are taken apart when somebody asks for all fields or changes one.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The event that caused this one.
    pub causation_id: Option<EventId>,
    /// What the event belongs to across streams. A command that says none gives its events the id of
    /// the first of them: they begin a correlation.
    pub correlation_id: Option<String>,
    /// The schema version of the event's payload; `None` means `1.0`.
    pub event_version: Option<EventVersion>,
    /// All other fields, by name. An entry under the name of a standard field that is set does not
    /// count; a `null`, which is not stored, says that nothing fills the field.
    extra: Extra,
}

/// The names of the standard fields.
const STANDARD: [&str; 3] = ["causation_id", "correlation_id", "event_version"];

impl Metadata {
    /// Metadata with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Metadata from their JSON text, as serde reads them, in one pass; for backends.
    ///
    /// # Errors
    ///
    /// When the text is neither a JSON object nor `null`.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        json::read(text)
    }

    /// Metadata as they stand in a store, where anybody may have written them; for backends that keep
    /// texts. They are read as [`Payload::from_stored`] reads a document.
    ///
    /// # Errors
    ///
    /// When the text is neither a JSON object nor `null`.
    pub fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        let metadata = Self::parse(text)?;
        match metadata.extra.are_stored() {
            true => Ok(metadata),
            false => Self::parse(&stored(text)),
        }
    }

    /// The schema version of the payload: the major part of `event_version`, 1 if there is none.
    pub fn schema_version(&self) -> u32 {
        self.event_version.unwrap_or_default().major
    }

    /// Sets a field, for building in one expression; see [`set`](Self::set).
    #[must_use]
    pub fn with<T: Serialize>(mut self, field: MetadataField<T>, value: T) -> Self {
        self.set(field, value);
        self
    }

    /// Sets a field; a value that is `null` as JSON removes it. A value that cannot be written as
    /// JSON, such as NaN, is refused by the append, which names the field.
    pub fn set<T: Serialize>(&mut self, field: MetadataField<T>, value: T) {
        let name = field.name();
        let document = Payload::of(&value).unwrap_or_else(|error| {
            Payload::unreadable(&format!("the metadata field `{name}` is no JSON ({error})"))
        });
        self.set_document(name, document);
    }

    /// The value of a field; `None` if it is absent or does not fit the type. An integer is one in
    /// every spelling without a point: `1e3` is 1000, `1.0` is no integer.
    pub fn get<T: DeserializeOwned>(&self, field: MetadataField<T>) -> Option<T> {
        let found = self.extra.get(field.name())?;
        found.decode().or_else(|_| found.document().as_stored().decode()).ok()
    }

    /// A field by its stored name, standard or not, as it is stored; `None` if it is absent.
    pub fn document(&self, name: &str) -> Option<Payload> {
        self.standard(name).or_else(|| self.extra.get(name).map(Field::document))
    }

    /// A field by its stored name, read into a type; `None` if it is absent.
    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Option<Result<T, serde_json::Error>> {
        match self.standard(name) {
            Some(document) => Some(document.decode()),
            None => self.extra.get(name).map(Field::decode),
        }
    }

    /// The standard field of this name as it is stored, if it is set.
    fn standard(&self, name: &str) -> Option<Payload> {
        let text = match name {
            "causation_id" => self.causation_id.map(|id| id.to_string()),
            "correlation_id" => self.correlation_id.clone(),
            "event_version" => self.event_version.map(|version| version.to_string()),
            _ => None,
        };
        text.map(|text| Value::from(text).into())
    }

    /// Sets a field by its stored name; a standard field whose type the value fits becomes typed,
    /// every other value is kept as it is. `null` removes the field.
    pub fn set_document(&mut self, name: &str, value: impl Into<Payload>) {
        let value: Payload = value.into();
        let fits = self.set_standard(name, value.as_str());
        if fits || is_null(&value) {
            self.extra.remove(name);
        } else {
            self.extra.insert(name, value);
        }
    }

    /// Sets the standard field of this name, if it is one, from its JSON; answers whether that fits.
    fn set_standard(&mut self, name: &str, json: &str) -> bool {
        // nearly every one has no escape, so that it need not be copied
        let text = || match serde_json::from_str::<&str>(json) {
            Ok(text) => Some(Cow::Borrowed(text)),
            Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
        };
        match name {
            "causation_id" => {
                put(&mut self.causation_id, text().and_then(|text| text.parse().ok()))
            }
            "correlation_id" => put(&mut self.correlation_id, text().map(Cow::into_owned)),
            "event_version" => {
                let major = || number(json).map(EventVersion::new);
                let version = text().map_or_else(major, |text| EventVersion::from_text(&text));
                put(&mut self.event_version, version)
            }
            _ => false,
        }
    }

    /// Removes a field by its stored name, and lets nothing fill it.
    pub(crate) fn set_none(&mut self, name: &str) {
        self.set_document(name, Value::Null);
        self.extra.insert(name, Value::Null.into());
    }

    /// All fields but the standard ones that are set, in the order of their names, as they are
    /// stored.
    pub fn documents(&self) -> impl Iterator<Item = (&str, &Payload)> {
        let extra = self.extra.iter();
        let extra = extra.filter(|(name, value)| !self.has_typed(name) && !is_null(value));
        extra.map(|(name, value)| (name.as_str(), value))
    }

    /// How many bytes the fields hold that are not the library's own.
    pub(crate) fn domain_bytes(&self) -> usize {
        self.extra.bytes()
    }

    /// Fills every field that is absent here from `base`. A standard field that does not fit its type
    /// counts as present, and so does one that an event has decided as `None`.
    pub fn fill_from(&mut self, base: &Self) {
        if !self.has("causation_id") {
            self.causation_id = base.causation_id;
        }
        if !self.has("correlation_id") {
            self.correlation_id.clone_from(&base.correlation_id);
        }
        if !self.has("event_version") {
            self.event_version = base.event_version;
        }
        let is_plain = |(name, value): (&String, &Payload)| {
            !STANDARD.contains(&name.as_str()) && !is_null(value)
        };
        if self.extra.is_none() && base.extra.iter().all(is_plain) {
            self.extra = base.extra.clone();
            return;
        }
        for (name, value) in base.documents() {
            if !self.has(name) {
                self.extra.insert(name, value.clone());
            }
        }
    }

    /// True if there is such a field, or an event decided that there is none.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.has_typed(name) || self.extra.contains(name)
    }

    /// True if the standard field of this name is set. A name has one value: the typed one.
    fn has_typed(&self, name: &str) -> bool {
        match name {
            "causation_id" => self.causation_id.is_some(),
            "correlation_id" => self.correlation_id.is_some(),
            "event_version" => self.event_version.is_some(),
            _ => false,
        }
    }

    /// The metadata as every store gives them back: each field in the canonical form. What no store
    /// takes stays as it is.
    pub(crate) fn into_canonical(mut self) -> Self {
        self.make_canonical();
        self
    }

    /// The same in place; true if each field was in that form, so that the metadata are written as
    /// before.
    pub(crate) fn make_canonical(&mut self) -> bool {
        let is_canonical = |(name, value): (&String, &Payload)| {
            let canonical = value.canonical();
            let is_same = canonical.is_ok_and(|canonical| canonical.as_str() == value.as_str());
            is_same && !self.has_typed(name) && !is_null(value)
        };
        if self.extra.iter().all(is_canonical) {
            // a store that keeps them in memory would keep both
            self.extra.drop_text();
            return true;
        }
        let mut extra = std::mem::take(&mut self.extra);
        let fields = extra.map_mut();
        fields.retain(|name, value| !self.has_typed(name) && !is_null(value));
        let mut was_canonical = true;
        for value in fields.values_mut() {
            match value.canonical() {
                Ok(canonical) => {
                    was_canonical &= canonical.as_str() == value.as_str();
                    *value = canonical;
                }
                Err(_) => was_canonical = false,
            }
        }
        self.extra = extra;
        was_canonical
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.causation_id == other.causation_id
            && self.correlation_id == other.correlation_id
            && self.event_version == other.event_version
            && self.documents().eq(other.documents())
    }
}

/// True for `null`, and not for what could not be written.
fn is_null(document: &Payload) -> bool {
    document.as_str() == "null" && document.unreadable_because().is_none()
}

/// The integer that a value is, if it is a number and the type holds it.
fn number<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let integer = if is_number { integer(text) } else { None };
    integer.and_then(|integer| T::try_from(integer).ok())
}

/// Puts `found` into `field`; answers whether there was anything.
fn put<T>(field: &mut Option<T>, found: Option<T>) -> bool {
    *field = found;
    field.is_some()
}
