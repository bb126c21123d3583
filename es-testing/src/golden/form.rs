//! A stored form.

use std::collections::BTreeMap;
use std::fmt;

use es_core::Event;
use es_core::event::{
    DecodeError, Decoded, EncodeError, EventVersion, Metadata, Payload, StoredEvent,
};
use serde::{Deserialize, Serialize};

use super::folder::FileName;

/// What a store keeps of an event.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    payload: Payload,
    metadata: Metadata,
}

impl Form {
    /// The form in which an event is stored now.
    pub(super) fn of<E: Event>(event: &E) -> Result<Self, EncodeError> {
        let mut metadata = Metadata::new();
        let payload = event.encode(&mut metadata)?;
        metadata.event_version = Some(EventVersion::new(event.event_type().schema_version));
        Ok(Self { payload, metadata })
    }

    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    pub(super) fn decode<E: Event>(&self, file: &FileName) -> Result<Decoded<E>, DecodeError> {
        let payload = self.payload.as_raw();
        E::decode(StoredEvent::new(&file.event_type, file.version, payload, &self.metadata))
    }
}

impl fmt::Display for Form {
    /// The text of a golden file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let document = Payload::of(self).map_err(|_| fmt::Error)?;
        let text = serde_json::to_string_pretty(&Tree::of(document)).map_err(|_| fmt::Error)?;
        writeln!(f, "{text}")
    }
}

/// A document in its parts, so that it is indented, and numbers stay as they are.
#[derive(Serialize)]
#[serde(untagged)]
enum Tree {
    Object(BTreeMap<String, Tree>),
    Array(Vec<Tree>),
    Leaf(Payload),
}

impl Tree {
    fn of(document: Payload) -> Self {
        if let Ok(fields) = document.decode::<BTreeMap<String, Payload>>() {
            let fields = fields.into_iter().map(|(name, value)| (name, Self::of(value)));
            return Self::Object(fields.collect());
        }
        match document.decode::<Vec<Payload>>() {
            Ok(items) => Self::Array(items.into_iter().map(Self::of).collect()),
            Err(_) => Self::Leaf(document),
        }
    }
}
