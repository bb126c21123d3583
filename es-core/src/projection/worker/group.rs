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
        events: &[&'a RecordedEvent],
        keys: impl Fn(&RecordedEvent) -> Result<Vec<String>, Poison>,
    ) -> (Self, Option<Poison>) {
        let mut keyed = Vec::with_capacity(events.len());
        for &event in events {
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

    /// Keeps what fits into one commit, which holds at least one event, and answers the rest, and the
    /// keys of what it keeps. Rows that are `open` do not count, nor are their keys among these.
    pub(super) fn split_off(
        &mut self,
        limit: &BatchLimit,
        is_open: impl Fn(&str) -> bool,
    ) -> (Self, Vec<String>) {
        let (mut bytes, mut seen) = (0, HashSet::new());
        let mut rows: Vec<&String> = Vec::new();
        let mut count = 0;
        for (event, keys) in &self.events {
            bytes += event.payload.as_str().len();
            let before = rows.len();
            rows.extend(keys.iter().filter(|key| !is_open(key) && seen.insert(key.as_str())));
            let fits = count < limit.events && bytes <= limit.bytes && rows.len() <= limit.rows;
            if count > 0 && !fits {
                rows.truncate(before);
                break;
            }
            count += 1;
        }
        let rows = rows.into_iter().cloned().collect();
        (Self { events: self.events.split_off(count) }, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::EventId;
    use crate::metadata::Metadata;
    use crate::payload::Payload;
    use crate::position::Position;
    use crate::timestamp::Timestamp;
    use crate::version::StreamVersion;

    fn event(number: u64) -> RecordedEvent {
        let position = Position::from_sequence(number);
        RecordedEvent {
            event_id: EventId::stand_in(position),
            stream: "order/1".parse().unwrap(),
            version: StreamVersion::new(number),
            position,
            event_type: "order_paid".into(),
            payload: Payload::parse("12345".to_owned()).unwrap(),
            metadata: Metadata::default(),
            recorded_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn what_is_kept_is_within_each_limit_and_comes_with_its_keys() {
        let events: Vec<_> = (1..=4).map(event).collect();
        let keys = [&["b", "a"][..], &["a", "open"], &["c"], &["b"]];
        let limit = |events, bytes, rows| BatchLimit { events, bytes, rows };
        for (limit, kept, of) in [
            (limit(9, 99, 9), 4, &["b", "a", "c"][..]),
            (limit(2, 99, 9), 2, &["b", "a"][..]),
            (limit(9, 14, 9), 2, &["b", "a"][..]),
            (limit(9, 99, 2), 2, &["b", "a"][..]),
            // one event always
            (limit(0, 0, 0), 1, &["b", "a"][..]),
        ] {
            let owned =
                |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
            let keyed = events.iter().zip(keys).map(|(event, keys)| (event, owned(keys)));
            let mut group = Group { events: keyed.collect() };
            let (rest, keys) = group.split_off(&limit, |key| key == "open");
            assert_eq!((group.len(), rest.len()), (kept, 4 - kept), "{limit:?}");
            assert_eq!(keys, of, "{limit:?}");
        }
    }
}
