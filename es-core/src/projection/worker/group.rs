//! Events, and the rows that they concern.

use std::collections::{BTreeMap, HashSet};

use crate::envelope::RecordedEvent;

use super::super::{BatchLimit, EventReference};
use super::Poison;

/// Some events of the log, in order, with their keys.
pub(super) struct Group<'a> {
    events: Vec<(&'a RecordedEvent, Vec<String>)>,
}

impl<'a> Group<'a> {
    /// The events up to the first of which the keys cannot be told, and why.
    pub(super) fn of(
        events: &'a [RecordedEvent],
        keys: impl Fn(&RecordedEvent) -> Result<Vec<String>, Poison>,
    ) -> (Self, Option<Poison>) {
        let mut keyed = Vec::with_capacity(events.len());
        for event in events {
            match keys(event) {
                Ok(keys) => keyed.push((event, keys)),
                Err(poison) => return (Self { events: keyed }, Some(poison)),
            }
        }
        (Self { events: keyed }, None)
    }

    /// One event.
    pub(super) fn one(event: &'a RecordedEvent, keys: Vec<String>) -> Self {
        Self { events: vec![(event, keys)] }
    }

    /// The first half, and the rest.
    pub(super) fn halves(self) -> (Self, Self) {
        let half = self.events.len() / 2;
        self.split_at(half)
    }

    /// So many, and the rest.
    pub(super) fn split_at(mut self, count: usize) -> (Self, Self) {
        let rest = self.events.split_off(count);
        (self, Self { events: rest })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events with their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(&'a RecordedEvent, Vec<String>)> {
        self.events.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn last(&self) -> Option<&'a RecordedEvent> {
        self.events.last().map(|(event, _)| *event)
    }

    /// The events of each key, in order.
    pub(super) fn by_key(&self) -> BTreeMap<&String, Vec<&'a RecordedEvent>> {
        let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (event, keys) in &self.events {
            for key in keys {
                by_key.entry(key).or_default().push(*event);
            }
        }
        by_key
    }

    /// The events that stand before this one.
    pub(super) fn before(&self, event: &EventReference) -> Self {
        let before = self.events.iter().take_while(|(it, _)| it.position < event.position);
        Self { events: before.cloned().collect() }
    }

    /// Keeps what fits into one commit, which holds at least one event, and answers the rest. Rows
    /// that are `open` do not count.
    pub(super) fn split_off(&mut self, limit: &BatchLimit, is_open: impl Fn(&str) -> bool) -> Self {
        let (mut bytes, mut rows) = (0, HashSet::new());
        let fits = self.events.iter().enumerate().take_while(|(index, (event, keys))| {
            bytes += event.payload.as_str().len();
            rows.extend(keys.iter().filter(|key| !is_open(key)));
            let fits = *index < limit.events && bytes <= limit.bytes && rows.len() <= limit.rows;
            *index == 0 || fits
        });
        let count = fits.count();
        Self { events: self.events.split_off(count) }
    }
}
