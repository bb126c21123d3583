//! Aggregates that were known lately, so that a load of one reads only what is new.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::known::Known;
use crate::aggregate::Aggregate;
use crate::measure::Counter;
use crate::stream::StreamId;

/// So many aggregates; who was used least recently goes first.
///
/// It is only ever a beginning: what follows in the stream is read, so what other processes wrote is
/// seen, and a state of another history is not used. Or an append proves that nothing follows; that it
/// is the same history is then for the store to notice.
pub(crate) struct Cache<A> {
    capacity: usize,
    entries: Mutex<Entries<A>>,
    hits: Counter,
    misses: Counter,
}

struct Entries<A> {
    /// With the turn in which it was used last.
    known: HashMap<StreamId, (u64, Known<A>)>,
    /// The streams by these turns.
    turns: BTreeMap<u64, StreamId>,
    turn: u64,
}

impl<A: Aggregate> Cache<A> {
    pub(crate) fn holding(capacity: usize) -> Self {
        let (known, turns) = (HashMap::new(), BTreeMap::new());
        let counter = |name| Counter::new(name, [("es.aggregate.type", A::TYPE.into())]);
        Self {
            capacity,
            entries: Mutex::new(Entries { known, turns, turn: 0 }),
            hits: counter("es.state_cache.hits"),
            misses: counter("es.state_cache.misses"),
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<A>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, stream: &StreamId) -> Option<Known<A>> {
        let known = self.entries().get(stream);
        let counter = if known.is_some() { &self.hits } else { &self.misses };
        counter.add(1);
        known
    }

    /// What is known if it ends with an append of our own, so that a decision may begin at it without
    /// reading; [`count_hit`](Self::count_hit) tells if one did.
    pub(crate) fn own(&self, stream: &StreamId) -> Option<Known<A>> {
        self.entries().get(stream).filter(|known| known.is_own)
    }

    pub(crate) fn count_hit(&self) {
        self.hits.add(1);
    }

    /// Keeps what is known in place of what was known before.
    pub(crate) fn put(&self, known: &Known<A>) {
        let mut entries = self.entries();
        if known.version.is_empty() {
            return entries.remove(&known.stream);
        }
        entries.put(known.clone());
        if entries.turns.len() > self.capacity
            && let Some((_, stream)) = entries.turns.pop_first()
        {
            entries.known.remove(&stream);
        }
    }
}

impl<A: Aggregate> Entries<A> {
    fn get(&mut self, stream: &StreamId) -> Option<Known<A>> {
        let known = self.known.get(stream)?.1.clone();
        self.put(known.clone());
        Some(known)
    }

    fn remove(&mut self, stream: &StreamId) {
        if let Some((turn, _)) = self.known.remove(stream) {
            self.turns.remove(&turn);
        }
    }

    fn put(&mut self, known: Known<A>) {
        self.turn += 1;
        let stream = known.stream.clone();
        self.turns.insert(self.turn, stream.clone());
        if let Some((turn, _)) = self.known.insert(stream, (self.turn, known)) {
            self.turns.remove(&turn);
        }
    }
}
