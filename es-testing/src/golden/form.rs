//! A stored form.

use std::fmt;

use es_core::StoredEvent;
use es_core::{DecodeError, EncodeError, Event, EventVersion, Metadata, Payload};
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

    pub(super) fn decode<E: Event>(&self, file: &FileName) -> Result<E, DecodeError> {
        E::decode(StoredEvent {
            event_type: &file.event_type,
            schema_version: file.version,
            payload: self.payload.as_raw(),
            metadata: &self.metadata,
        })
    }
}

impl fmt::Display for Form {
    /// The text of a golden file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // through a Value, so that the raw payload is indented too
        let value = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        writeln!(f, "{value:#}")
    }
}
