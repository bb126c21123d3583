//! A projection of a domain as the engine folds it: events decoded, keys as texts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::envelope::{Envelope, RecordedEvent};
use crate::error::BoxError;
use crate::event::{DecodeError, Event};
use crate::read::EventFilter;

use super::fold::{Typed, guarded};
use super::keying::{Form, KeyTexts};
use super::{Keying, Projection, RawKeying, RowKey};

/// What a projection wants, and how its rows are told and evolve; asked for once.
pub(super) struct Asked<P: Projection> {
    /// What it says that it wants, which is what its fingerprint tells.
    pub(super) said: EventFilter,
    /// What it wants: of rows per stream only those of the aggregate.
    pub(super) selection: EventFilter,
    pub(super) keying: Keying<P>,
}

impl<P: Projection> Asked<P> {
    /// Asks; a panic is a failure.
    pub(super) fn ask() -> Result<Self, BoxError> {
        guarded(|| {
            let (said, keying) = (P::selection(), P::keying());
            let mut selection = said.clone();
            if let Form::Stream(aggregate_type) = keying.form {
                selection.aggregate_types = BTreeSet::from([aggregate_type.to_owned()]);
            }
            Ok(Self { said, selection, keying })
        })
    }

    /// The fold over these rows.
    pub(super) fn fold(self) -> Typed<P> {
        let texts = self.keying.texts();
        let parts = Arc::new(Parts::of::<P::Event>(&self.selection));
        match self.keying.form {
            Form::Stream(_) => Typed::new(RawKeying::Streams, move |key, row, recorded| {
                evolved(texts, &parts, key, row, recorded, |_| Ok(true))
            }),
            Form::Metadata(of) => {
                let keying = RawKeying::Across(Arc::new(move |recorded: &RecordedEvent| {
                    Ok(of(recorded)?.iter().map(RowKey::to_key).collect())
                }));
                Typed::new(keying, move |key, row, recorded| {
                    evolved(texts, &parts, key, row, recorded, |_| Ok(true))
                })
            }
            Form::Event(of) => {
                let (told, read) = (of.clone(), parts.clone());
                let keying = RawKeying::Across(Arc::new(move |recorded: &RecordedEvent| {
                    let mut keys = Vec::new();
                    for event in read.read::<P::Event>(recorded)? {
                        keys.extend(told(&event)?.iter().map(RowKey::to_key));
                    }
                    Ok(keys)
                }));
                Typed::new(keying, move |key, row, recorded| {
                    evolved(texts, &parts, key, row, recorded, |event| {
                        Ok(of(event)?.iter().any(|named| named.to_key() == key))
                    })
                })
            }
        }
    }
}

/// The row after what an event stands for: if that is one, it; else those that name the row.
fn evolved<P: Projection>(
    texts: KeyTexts,
    parts: &Parts,
    key: &str,
    mut row: Option<P>,
    recorded: &RecordedEvent,
    names: impl Fn(&Envelope<'_, P::Event>) -> Result<bool, BoxError>,
) -> Result<Option<P>, BoxError> {
    let key = texts.parse(key)?;
    let mut events = parts.read::<P::Event>(recorded)?;
    match (events.next(), events.next()) {
        (Some(event), None) => P::evolve(&key, &mut row, &event)?,
        (first, second) => {
            for event in first.into_iter().chain(second).chain(events) {
                if names(&event)? {
                    P::evolve(&key, &mut row, &event)?;
                }
            }
        }
    }
    Ok(row)
}

/// Which parts of split events a selection names: those of the kinds in it, by their own names; all
/// if it names no kind.
pub(crate) struct Parts(Option<BTreeSet<&'static str>>);

impl Parts {
    pub(crate) fn of<E: Event>(selection: &EventFilter) -> Self {
        let is_split = E::TYPES.iter().any(|kind| !kind.part_of.is_empty());
        let is_named = |name: &str| selection.event_types.iter().any(|named| *named == *name);
        let kinds = E::TYPES
            .iter()
            .filter(|kind| is_named(kind.name) || kind.aliases.iter().any(|alias| is_named(alias)));
        let kinds: BTreeSet<_> = kinds.map(|kind| kind.name).collect();
        Self((is_split && !kinds.is_empty()).then_some(kinds))
    }

    /// The events that a recorded one stands for, as far as the selection names them.
    pub(crate) fn read<'e, E: Event>(
        &self,
        recorded: &'e RecordedEvent,
    ) -> Result<impl Iterator<Item = Envelope<'e, E>>, DecodeError> {
        let events = Envelope::<E>::read(recorded)?;
        Ok(events.filter(move |event| {
            self.0.as_ref().is_none_or(|kinds| kinds.contains(event.data.event_type().name))
        }))
    }
}
