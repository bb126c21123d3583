//! The laws of event types.

use std::any::type_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use es_core::Event;
use es_core::backend::{Limits, check_json};
use es_core::event::{
    DecodeError, Decoded, EventType, EventVersion, Metadata, Payload, StoredEvent,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};

use super::json::{Edit, any_edit};
use super::violation::{LawViolation, chain, for_all, no_panic, one};

/// How many events are looked at for kinds that are never generated.
const SAMPLES: usize = 4_096;

/// What is written is read as it was, payload and metadata, after both were JSON text as any store
/// may give it back: with other keys first, numbers written out. And it is written as the same JSON
/// value again, with the elements of sets in any order.
///
/// # Errors
///
/// The smallest event that comes back differently, or not at all.
pub fn events_round_trip<E>(events: impl Strategy<Value = E>) -> Result<(), LawViolation>
where
    E: Event + Debug + PartialEq,
{
    for_all("events_round_trip", type_name::<E>(), &events, |event| {
        let stored = Stored::of(&event)?;
        let again = stored.decode::<E>(stored.kind.name, stored.kind.schema_version);
        let again = again.map_err(|error| chain(&error)).and_then(one)?;
        if again != event {
            return Err(format!("it was read back as {again:?} from {stored:?}"));
        }
        // it may be equal and still be written as something else
        let written = Stored::of(&again)?;
        let is_same = written.payload.same_elements(&stored.payload)
            && metadata_of(&written)?.same_elements(&metadata_of(&stored)?);
        match is_same {
            true => Ok(()),
            false => Err(format!("it was read back as what is written as {written:?}")),
        }
    })
}

/// Every store can keep what is written: payload and metadata pass [`check_json`] with the default
/// [`Limits`].
///
/// It finds only what the strategy makes, and `any::<String>()` makes no control characters: where
/// a text comes from outside, generate it with the pattern `".*"`.
///
/// # Errors
///
/// The smallest event that a store would refuse, and why.
pub fn events_are_storable<E>(events: impl Strategy<Value = E>) -> Result<(), LawViolation>
where
    E: Event + Debug,
{
    let limits = Limits::default();
    for_all("events_are_storable", type_name::<E>(), &events, |event| {
        let stored = Stored::written(&event)?;
        let metadata =
            serde_json::to_string(&stored.metadata).map_err(|error| error.to_string())?;
        let parts = [
            ("payload", stored.payload.as_str(), limits.payload_bytes),
            ("metadata", &metadata, limits.metadata_bytes),
        ];
        for (part, text, max_bytes) in parts {
            check_json(text, max_bytes, limits.depth).map_err(|problem| {
                format!(
                    "no store takes its {part}: {problem}; make the type refuse it, or keep it \
                     out of the strategy if a decision refuses it"
                )
            })?;
        }
        Ok(())
    })
}

/// No name or alias appears twice in `TYPES` and `RETIRED`, a name of which kinds are a part is none
/// of these, versions count from 1, and the kind of every event is one of `TYPES`.
///
/// # Errors
///
/// The name that is used twice, or the smallest event whose kind is not listed.
pub fn kinds_are_distinct<E>(events: impl Strategy<Value = E>) -> Result<(), LawViolation>
where
    E: Event + Debug,
{
    let violation = |reason| LawViolation::new("kinds_are_distinct", type_name::<E>(), reason);
    let mut seen = BTreeSet::new();
    for kind in E::TYPES {
        if kind.schema_version == 0 {
            return Err(violation(format!("`{}` has schema version 0", kind.name)));
        }
    }
    let mut alone = E::TYPES.iter().flat_map(names).chain(E::RETIRED.iter().copied());
    let twice = alone.find(|name| !seen.insert(*name));
    if let Some(name) = twice.or_else(|| split_names::<E>().find(|name| seen.contains(name))) {
        return Err(violation(format!("the name `{name}` is used twice")));
    }
    for_all("kinds_are_distinct", type_name::<E>(), &events, |event| {
        let kind = event.event_type();
        match E::TYPES.contains(kind) {
            true => Ok(()),
            false => Err(format!("its kind {kind} is not in TYPES")),
        }
    })
}

/// What is written is never under a name that is retired or was split: that name means something else
/// in what is stored already.
///
/// # Errors
///
/// The smallest event that is written so.
pub fn retired_names_are_never_written<E>(
    events: impl Strategy<Value = E>,
) -> Result<(), LawViolation>
where
    E: Event + Debug,
{
    let law = "retired_names_are_never_written";
    for_all(law, type_name::<E>(), &events, |event| {
        let name = Stored::of(&event)?.kind.name;
        if E::RETIRED.contains(&name) {
            return Err(format!("it is written as `{name}`, which is retired"));
        }
        if split_names::<E>().any(|split| split == name) {
            return Err(format!("it is written as `{name}`, which was split"));
        }
        Ok(())
    })
}

/// Reading takes any JSON in any version without a panic, reads the current version under every
/// name of the kind, and refuses version 0, later versions and unknown names. A retired name is
/// nothing, whatever is stored under it; a name that was split is never read in version 0, and what it
/// is read as are events of its own parts.
///
/// Payloads and metadata are those of generated events with parts replaced, removed and added, so
/// that upcasters get input that nearly fits.
///
/// # Errors
///
/// The smallest case in which reading panics, or reads what it must refuse.
pub fn decode_never_panics<E>(events: impl Strategy<Value = E>) -> Result<(), LawViolation>
where
    E: Event + Debug,
{
    let cases = (events, any_edit(), any_edit());
    let law = "decode_never_panics";
    for_all(law, type_name::<E>(), &cases, |(event, payload, metadata)| {
        let stored = Stored::of(&event)?;
        let edited = stored.edited(&payload, &metadata)?;
        let current = stored.kind.schema_version;
        for name in names(stored.kind) {
            no_panic(|| stored.decode::<E>(name, current))?.map_err(|error| chain(&error))?;
            for version in 0..=current.saturating_add(1) {
                let read = no_panic(|| edited.decode::<E>(name, version))?;
                if read.is_ok() && !(1..=current).contains(&version) {
                    return Err(format!("`{name}` was read in schema version {version}"));
                }
            }
        }
        for name in E::RETIRED {
            for version in 0..=current.saturating_add(1) {
                let read = no_panic(|| edited.decode::<E>(name, version))?;
                if !matches!(read, Ok(Decoded::Nothing)) {
                    return Err(format!("`{name}` is retired, and was read as {read:?}"));
                }
            }
        }
        for name in split_names::<E>() {
            for version in 0..=current.saturating_add(1) {
                let read = no_panic(|| edited.decode::<E>(name, version))?;
                let Ok(events) = read else { continue };
                if version == 0 {
                    return Err(format!("`{name}` was read in schema version 0"));
                }
                let mut kinds = events.into_iter().map(|event| event.event_type());
                if let Some(kind) = kinds.find(|kind| !kind.part_of.contains(&name)) {
                    return Err(format!("`{name}` was read as {kind}, which is no part of it"));
                }
            }
        }
        let unknown = "no_such_event_has_happened";
        match no_panic(|| edited.decode::<E>(unknown, 1))? {
            Err(DecodeError::UnknownType { .. }) => Ok(()),
            _ => Err(format!("the unknown name `{unknown}` was not refused")),
        }
    })
}

/// The strategy makes every kind of event; a kind that it does not make is checked by no law.
///
/// # Errors
///
/// The kinds that were not among several thousand generated events.
pub fn every_kind_is_generated<E>(events: impl Strategy<Value = E>) -> Result<(), LawViolation>
where
    E: Event + Debug,
{
    let violation = |reason| LawViolation::new("every_kind_is_generated", type_name::<E>(), reason);
    let mut missing: BTreeMap<_, _> = E::TYPES.iter().map(|kind| (kind.name, ())).collect();
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..SAMPLES {
        if missing.is_empty() {
            return Ok(());
        }
        let event = events.new_tree(&mut runner).map_err(|reason| {
            violation(format!("no event could be generated: {}", reason.message()))
        })?;
        missing.remove(event.current().event_type().name);
    }
    let missing: Vec<_> = missing.into_keys().collect();
    match missing.is_empty() {
        true => Ok(()),
        false => {
            Err(violation(format!("the strategy never makes {}; add it there", missing.join(", "))))
        }
    }
}

/// The names whose versions are the kind's own.
fn names(kind: &'static EventType) -> impl Iterator<Item = &'static str> {
    std::iter::once(kind.name).chain(kind.aliases.iter().copied())
}

/// The names of which kinds are a part, once for each of them.
fn split_names<E: Event>() -> impl Iterator<Item = &'static str> {
    E::TYPES.iter().flat_map(|kind| kind.part_of.iter().copied())
}

/// The document as any store may give it back; one that no store takes as it is.
fn canonical(document: Payload) -> Payload {
    document.canonical().unwrap_or(document)
}

fn metadata_of(stored: &Stored) -> Result<Payload, String> {
    Payload::of(&stored.metadata).map_err(|error| error.to_string())
}

/// An event in its stored form.
#[derive(Debug)]
struct Stored {
    kind: &'static EventType,
    payload: Payload,
    metadata: Metadata,
}

impl Stored {
    /// The stored form, read back from its text.
    fn of<E: Event>(event: &E) -> Result<Self, String> {
        Self::written(event)?.edited(&Edit::Nothing, &Edit::Nothing)
    }

    /// The stored form as it is handed to a store.
    fn written<E: Event>(event: &E) -> Result<Self, String> {
        let kind = event.event_type();
        let mut metadata = Metadata::new();
        let payload = event.encode(&mut metadata).map_err(|error| chain(&error))?;
        if metadata.document("event_version").is_some() {
            return Err("encoding sets the schema version, which the caller sets".to_owned());
        }
        metadata.event_version = Some(EventVersion::new(kind.schema_version));
        Ok(Self { kind, payload, metadata })
    }

    /// The stored form after it was JSON text and edited.
    fn edited(&self, payload: &Edit, metadata: &Edit) -> Result<Self, String> {
        let text = |error: serde_json::Error| format!("the stored form is no JSON: {error}");
        let own = Payload::of(&self.metadata).map_err(text)?;
        let metadata = canonical(metadata.of(&own)).decode().unwrap_or_default();
        let payload = canonical(payload.of(&self.payload));
        Ok(Self { kind: self.kind, payload, metadata })
    }

    fn decode<E: Event>(&self, name: &str, version: u32) -> Result<Decoded<E>, DecodeError> {
        E::decode(StoredEvent::new(name, version, self.payload.as_raw(), &self.metadata))
    }
}
