//! The fields of metadata beside the standard ones: cheap to clone, read where they stand, and taken
//! apart when somebody asks for all or changes one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;

use super::is_null;
use crate::canonical::is_stored;
use crate::payload::{Payload, decoded};

/// Fields by name.
#[derive(Clone, Default)]
pub(super) struct Extra(Option<Arc<Fields>>);

#[derive(Clone, Default)]
struct Fields {
    /// The object that was read; nothing once it is taken apart to be changed or stored.
    text: Box<str>,
    /// Where in it the names and the values stand; no name twice, and no `null`.
    places: Box<[(Place, Place)]>,
    map: OnceLock<BTreeMap<String, Payload>>,
}

/// Bytes of a text, of which metadata have fewer than 4 GiB.
type Place = Range<u32>;

/// A field as it is kept.
#[derive(Clone, Copy)]
pub(super) enum Field<'a> {
    Text(&'a str),
    Document(&'a Payload),
}

impl Field<'_> {
    pub(super) fn decode<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
        match self {
            Self::Text(text) => decoded(text),
            Self::Document(document) => document.decode(),
        }
    }

    pub(super) fn document(self) -> Payload {
        match self {
            Self::Text(text) => document(text),
            Self::Document(document) => document.clone(),
        }
    }
}

/// The document that a field of an object is.
fn document(text: &str) -> Payload {
    Payload::parse(text.to_owned()).expect("it was read as JSON with its object")
}

impl Fields {
    /// The names and values of the object, as long as it is kept.
    fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        let part = move |place: &Place| {
            self.text.get(place.start as usize..place.end as usize).unwrap_or_default()
        };
        self.places.iter().map(move |(name, value)| (part(name), part(value)))
    }

    fn map(&self) -> &BTreeMap<String, Payload> {
        let each = |(name, value): (&str, &str)| (name.to_owned(), document(value));
        self.map.get_or_init(|| self.parts().map(each).collect())
    }

    fn forget_text(&mut self) {
        self.text = Box::default();
        self.places = Box::default();
    }
}

impl Extra {
    /// Those of an object: of each that counts, its name and its value, which are parts of `text`.
    pub(super) fn of_object(text: &str, fields: &[(&str, &str)]) -> Self {
        if fields.is_empty() {
            return Self::default();
        }
        let at = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        let place = |part: &str| {
            let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
            at(start)..at(start + part.len())
        };
        let places = fields.iter().map(|&(name, value)| (place(name), place(value))).collect();
        Self(Some(Arc::new(Fields { text: text.into(), places, map: OnceLock::new() })))
    }

    /// True if there never was one.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// True if it is known that every store reads them as they stand in their object.
    pub(super) fn are_stored(&self) -> bool {
        self.0.as_deref().is_none_or(|fields| {
            !fields.text.is_empty() && fields.parts().all(|(_, value)| is_stored(value))
        })
    }

    /// How many bytes they are as text, without taking them apart for that.
    pub(super) fn bytes(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Fields { text, map, .. }) if text.is_empty() => {
                let fields = map.get().into_iter().flatten();
                fields.map(|(name, value)| name.len() + value.as_str().len()).sum()
            }
            Some(Fields { text, .. }) => text.len(),
        }
    }

    /// Keeps them taken apart only, where nobody shares them.
    pub(super) fn drop_text(&mut self) {
        if let Some(fields) = self.0.as_mut().and_then(Arc::get_mut)
            && fields.map.get().is_some()
        {
            fields.forget_text();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Payload)> {
        self.0.as_deref().into_iter().flat_map(Fields::map)
    }

    /// A field, unless it is absent or `null`.
    pub(super) fn get(&self, name: &str) -> Option<Field<'_>> {
        let found = self.find(name);
        found.filter(|field| !matches!(field, Field::Document(document) if is_null(document)))
    }

    /// True if there is such a field, `null` included.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Field<'_>> {
        let fields = self.0.as_deref()?;
        if fields.text.is_empty() {
            return fields.map().get(name).map(Field::Document);
        }
        let found = fields.parts().find(|(own, _)| *own == name);
        found.map(|(_, value)| Field::Text(value))
    }

    pub(super) fn remove(&mut self, name: &str) {
        if self.contains(name) {
            self.map_mut().remove(name);
        }
    }

    pub(super) fn insert(&mut self, name: &str, value: Payload) {
        self.map_mut().insert(name.to_owned(), value);
    }

    pub(super) fn map_mut(&mut self) -> &mut BTreeMap<String, Payload> {
        let none = || Fields { map: OnceLock::from(BTreeMap::new()), ..Fields::default() };
        let fields = Arc::make_mut(self.0.get_or_insert_with(|| Arc::new(none())));
        fields.map();
        fields.forget_text();
        fields.map.get_mut().expect("it was taken apart just now")
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
