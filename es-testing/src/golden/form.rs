//! A stored form and the name of its file.

use std::fmt;
use std::str::FromStr;

use es_core::StoredEvent;
use es_core::{DecodeError, EncodeError, Event, EventType, EventVersion, Metadata, Payload};
use serde::{Deserialize, Serialize};

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

/// `<event type>.v<version>.json`, or with one more part before `.json`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileName {
    pub(super) event_type: String,
    pub(super) version: u32,
    ending: Option<String>,
}

impl FileName {
    /// The file of the n-th example of a kind.
    pub(super) fn of(kind: &EventType, number: usize) -> Self {
        Self {
            event_type: kind.name.to_owned(),
            version: kind.schema_version,
            ending: (number > 1).then(|| number.to_string()),
        }
    }

    /// A file of the same kind and version with another ending.
    pub(super) fn ending(&self, ending: &str) -> Self {
        let ending = match &self.ending {
            Some(own) => format!("{own}-{ending}"),
            None => ending.to_owned(),
        };
        Self { ending: Some(ending), ..self.clone() }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", self.event_type, self.version)?;
        if let Some(ending) = &self.ending {
            write!(f, ".{ending}")?;
        }
        f.write_str(".json")
    }
}

impl FromStr for FileName {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let stem = name.strip_suffix(".json").ok_or(())?;
        let (event_type, rest) = stem.split_once(".v").ok_or(())?;
        let (version, ending) = match rest.split_once('.') {
            Some((version, ending)) => (version, Some(ending.to_owned())),
            None => (rest, None),
        };
        let file = Self {
            event_type: event_type.to_owned(),
            version: version.parse().map_err(|_| ())?,
            ending,
        };
        // `v01` would be a second name of version 1
        if file.to_string() == name { Ok(file) } else { Err(()) }
    }
}
