//! The fields of metadata beside the standard ones: cheap to clone, and taken apart when somebody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use super::json;
use crate::payload::Payload;

/// Fields by name.
#[derive(Clone, Default)]
pub(super) struct Extra(Option<Arc<Fields>>);

#[derive(Clone)]
struct Fields {
    /// The object that was read; nothing once it is taken apart to be changed or stored.
    text: Box<str>,
    map: OnceLock<BTreeMap<String, Payload>>,
}

impl Fields {
    fn map(&self) -> &BTreeMap<String, Payload> {
        self.map.get_or_init(|| json::fields_of(&self.text))
    }
}

impl Extra {
    /// Those of an object.
    pub(super) fn of_object(text: &str) -> Self {
        Self(Some(Arc::new(Fields { text: text.into(), map: OnceLock::new() })))
    }

    /// True if there never was one.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// How many bytes they are as text, without taking them apart for that.
    pub(super) fn bytes(&self) -> usize {
        match self.0.as_deref() {
            None => 0,
            Some(Fields { text, map }) if text.is_empty() => {
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
            fields.text = Box::default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Payload)> {
        self.0.as_deref().into_iter().flat_map(Fields::map)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Payload> {
        self.0.as_deref()?.map().get(name)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
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
        let none = || Fields { text: Box::default(), map: OnceLock::from(BTreeMap::new()) };
        let fields = Arc::make_mut(self.0.get_or_insert_with(|| Arc::new(none())));
        fields.map();
        fields.text = Box::default();
        fields.map.get_mut().expect("it was taken apart just now")
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
