//! What the code of the derives and es-testing call; no part of the public interface.

use std::fmt;
use std::marker::PhantomData;

pub use serde;

use crate::aggregate::AggregateId;
use crate::envelope::RecordedEvent;
use crate::error::BoxError;
use crate::event::{DecodeError, Decoded, EncodeError, Event, StoredEvent};
use crate::metadata::Metadata;
use crate::payload::{Payload, decoded};
use crate::projection::{Parts, RowError, SqlColumn, SqlValue};
use crate::reaction::{Delivery, Reaction};
use crate::upcast::Fields;
use serde::Serialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

/// Makes a payload of one version one of the next.
pub type Upcaster = fn(&mut Fields);

/// Makes of one event, of which it gets the fields of the payload and all that is stored, those that it
/// stands for.
pub type Splitter<E> = fn(&Fields, &StoredEvent<'_>) -> Result<Vec<E>, BoxError>;

pub fn payload_of<T: Serialize>(
    event_type: &'static str,
    payload: &T,
) -> Result<Payload, EncodeError> {
    Payload::of(payload).map_err(|source| EncodeError { event_type, source })
}

pub fn set_metadata<T: Serialize>(
    metadata: &mut Metadata,
    event_type: &'static str,
    field: &str,
    value: &T,
) -> Result<(), EncodeError> {
    let value = payload_of(event_type, value)?;
    match value.as_str() {
        // not stored, and not filled from the command's metadata
        "null" => metadata.set_none(field),
        _ => metadata.set_document(field, value),
    }
    Ok(())
}

/// The next value of a row, as a field of this name. How it is read is given, so that a type that is no
/// column is told once.
pub fn column<T>(
    values: &mut std::vec::IntoIter<SqlValue>,
    name: &str,
    read: fn(SqlValue) -> Result<T, RowError>,
) -> Result<T, RowError> {
    let value = values.next().ok_or_else(|| RowError::new("it is not there"));
    value.and_then(read).map_err(|error| error.in_column(name))
}

pub fn id_of_column<I: AggregateId>(value: SqlValue) -> Result<I, RowError> {
    let text = String::from_value(value)?;
    I::parse(&text).map_err(|error| RowError::new(error.to_string()))
}

/// Reads a payload of any version up to `current`; `upcasters` begin with the one from version 1.
pub fn payload<T: DeserializeOwned>(
    stored: &StoredEvent<'_>,
    current: u32,
    upcasters: &[Upcaster],
) -> Result<T, DecodeError> {
    let event_type = || stored.event_type.to_owned();
    let version = from_one(stored)?;
    if version > current {
        return Err(DecodeError::FutureVersion {
            event_type: event_type(),
            stored: version,
            known: current,
        });
    }
    let read = match version == current {
        true => decoded(stored.payload.get()),
        false => upcast(stored, upcasters).and_then(|payload| payload.decode()),
    };
    read.map_err(|source| DecodeError::Payload {
        event_type: event_type(),
        schema_version: version,
        source,
    })
}

/// Reads a payload of any version into the events that it stands for; nobody writes it any more, so
/// there is no current version.
pub fn split<E: Event>(
    stored: &StoredEvent<'_>,
    splitter: Splitter<E>,
) -> Result<Decoded<E>, DecodeError> {
    let event_type = || stored.event_type.to_owned();
    let schema_version = from_one(stored)?;
    let fields = Fields::of(&Payload::from(stored.payload.to_owned()));
    let fields = fields.map_err(|source| DecodeError::Payload {
        event_type: event_type(),
        schema_version,
        source,
    })?;
    let events = splitter(&fields, stored).and_then(|events| {
        let mut kinds = events.iter().map(E::event_type);
        let other = kinds.find(|kind| !kind.part_of.contains(&stored.event_type));
        match other {
            Some(kind) => Err(format!("`{}` is not named as a part of it", kind.name).into()),
            None => Ok(events),
        }
    });
    match events {
        Ok(events) => Ok(Decoded::Several(events)),
        Err(source) => Err(DecodeError::Split { event_type: event_type(), source }),
    }
}

fn from_one(stored: &StoredEvent<'_>) -> Result<u32, DecodeError> {
    match stored.schema_version {
        0 => Err(DecodeError::BadVersion {
            event_type: stored.event_type.to_owned(),
            found: "0".to_owned(),
        }),
        version => Ok(version),
    }
}

fn upcast(stored: &StoredEvent<'_>, upcasters: &[Upcaster]) -> Result<Payload, serde_json::Error> {
    let newer = upcasters.iter().zip(1..).filter(|(_, from)| *from >= stored.schema_version);
    let payload = Payload::from(stored.payload.to_owned());
    crate::upcast::upcast(&payload, newer.map(|(upcaster, _)| *upcaster))
}

/// Reads a metadata field; an absent one is read from null.
pub fn metadata<T: DeserializeOwned>(
    stored: &StoredEvent<'_>,
    field: &'static str,
) -> Result<T, DecodeError> {
    let read = stored.metadata.decode(field);
    read.unwrap_or_else(|| serde_json::from_str("null")).map_err(|source| DecodeError::Metadata {
        event_type: stored.event_type.to_owned(),
        field,
        source,
    })
}

/// Reads a metadata field; an absent one is what `default` answers.
pub fn metadata_or<T: DeserializeOwned>(
    stored: &StoredEvent<'_>,
    field: &'static str,
    default: impl FnOnce() -> T,
) -> Result<T, DecodeError> {
    match stored.metadata.has(field) {
        true => metadata(stored, field),
        false => Ok(default()),
    }
}

pub fn unknown_type<E: Event>(event_type: &str) -> DecodeError {
    DecodeError::UnknownType {
        event_type: crate::stream::shown(event_type),
        known: E::TYPES.iter().map(|kind| kind.name).collect(),
    }
}

/// True if `E` reads what is stored under this name.
pub fn reads<E: Event>(event_type: &str) -> bool {
    E::TYPES.iter().any(|kind| kind.is_named(event_type)) || E::RETIRED.contains(&event_type)
}

/// What a reaction is called with for a recorded event, as a runner calls it for the first time.
pub fn deliveries<R: Reaction>(
    recorded: &RecordedEvent,
) -> Result<Vec<Delivery<R::Event>>, BoxError> {
    crate::reaction::deliveries::<R>(&Parts::of::<R::Event>(&R::selection()), recorded, 1)
}

/// How many elements the lists have together.
pub const fn total<T>(lists: &[&[T]]) -> usize {
    let (mut sum, mut list) = (0, 0);
    while list < lists.len() {
        sum += lists[list].len();
        list += 1;
    }
    sum
}

/// The elements of the lists, `N` together; `filler` is any element.
pub const fn concatenated<T: Copy, const N: usize>(lists: &[&[T]], filler: T) -> [T; N] {
    let mut all = [filler; N];
    let (mut next, mut list) = (0, 0);
    while list < lists.len() {
        let mut i = 0;
        while i < lists[list].len() {
            all[next] = lists[list][i];
            next += 1;
            i += 1;
        }
        list += 1;
    }
    all
}

/// A struct that is read from a JSON object and from nothing else: serde takes arrays too.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// The payload of an event without fields: any object, so that fields can be dropped, or null.
#[derive(Debug)]
pub struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NoFields;
        impl<'de> Visitor<'de> for NoFields {
            type Value = Nothing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object or null")
            }

            fn visit_unit<E>(self) -> Result<Nothing, E> {
                Ok(Nothing)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nothing, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Nothing)
            }
        }
        deserializer.deserialize_any(NoFields)
    }
}
