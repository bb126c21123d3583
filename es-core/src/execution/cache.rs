//! Aggregates that were known lately, so that a load of one reads only what is new.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::known::Known;
use crate::aggregate::Aggregate;
use crate::envelope::EventId;
use crate::measure::Counter;
use crate::stream::StreamId;

/// Of how many streams it is known at least that they end with an append of our own, whether there is
/// room for their states or not: an entry takes about 200 bytes.
const OWN: usize = 16_384;

/// So many aggregates; who was used least recently goes first.
///
/// It is only ever a beginning: what follows in the stream is read, so what other processes wrote is
/// seen, and a state of another history is not used. Or an append proves that nothing follows; that it
/// is the same history is then for the store to notice.
pub(crate) struct Cache<A> {
    entries: Mutex<Entries<A>>,
    hits: Counter,
    misses: Counter,
}

struct Entries<A> {
    known: Recent<Known<A>>,
    /// The last events of our own appends: one that is read again with a state is our own still.
    own: Recent<EventId>,
}

/// Values of so many streams; that of the one that was used least recently goes first.
struct Recent<V> {
    capacity: usize,
    /// With the turn in which it was used last.
    values: HashMap<StreamId, (u64, V)>,
    /// The streams by these turns.
    turns: BTreeMap<u64, StreamId>,
    turn: u64,
}

impl<A: Aggregate> Cache<A> {
    pub(crate) fn holding(capacity: usize) -> Self {
        let counter = |name| Counter::new(name, [("es.aggregate.type", A::TYPE.into())]);
        Self {
            entries: Mutex::new(Entries {
                known: Recent::holding(capacity),
                own: Recent::holding(capacity.max(OWN)),
            }),
            hits: counter("es.state_cache.hits"),
            misses: counter("es.state_cache.misses"),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<A>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, stream: &StreamId) -> Option<Known<A>> {
        let known = self.entries().known.get(stream);
        let counter = if known.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        known
    }

    /// What is known if it ends with an append of our own, so that a decision may begin at it without
    /// reading; [`count_hit`](Self::count_hit) tells if one did.
    pub(crate) fn own(&self, stream: &StreamId) -> Option<Known<A>> {
        self.entries().known.get(stream).filter(|known| known.is_own)
    }

    pub(crate) fn count_hit(&self) {
        self.hits.add(1);
    }

    /// Keeps what is known in place of what was known before.
    pub(crate) fn put(&self, known: &Known<A>) {
        let mut entries = self.entries();
        let Known { stream, last_event, .. } = known;
        let Some(last_event) = *last_event else { return entries.known.remove(stream) };
        let mut known = known.clone();
        if known.is_own {
            entries.own.put(stream.clone(), last_event);
        } else {
            known.is_own = entries.own.get(stream) == Some(last_event);
        }
        entries.known.put(stream.clone(), known);
    }
}

impl<V: Clone> Recent<V> {
    fn holding(capacity: usize) -> Self {
        Self { capacity, values: HashMap::new(), turns: BTreeMap::new(), turn: 0 }
    }

    fn get(&mut self, stream: &StreamId) -> Option<V> {
        let value = self.values.get(stream)?.1.clone();
        self.put(stream.clone(), value.clone());
        Some(value)
    }

    fn remove(&mut self, stream: &StreamId) {
        if let Some((turn, _)) = self.values.remove(stream) {
            self.turns.remove(&turn);
        }
    }

    fn put(&mut self, stream: StreamId, value: V) {
        self.turn += 1;
        self.turns.insert(self.turn, stream.clone());
        if let Some((turn, _)) = self.values.insert(stream, (self.turn, value)) {
            self.turns.remove(&turn);
        }
        if self.turns.len() > self.capacity
            && let Some((_, stream)) = self.turns.pop_first()
        {
            self.values.remove(&stream);
        }
    }
}
