//! What waits for a connection, in the order in which it came, and what of it can be written now. The
//! latter is known and never looked for: however many wait for a stream that is being written to, nobody
//! passes over them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use es_core::backend::{AppendRequest, StreamId};

use super::{BATCH_BYTES, BATCH_EVENTS, BATCH_REQUESTS, Waiting};
use crate::append::{SUSPECTS, is_any_of, streams};

/// Requests by their numbers, which ascend, and the streams that are being written to.
#[derive(Default)]
pub(super) struct Queue {
    requests: BTreeMap<i64, Waiting>,
    /// Which of them are for each stream, in their order.
    streams: HashMap<StreamId, VecDeque<i64>>,
    busy: HashSet<StreamId>,
    /// Those that are the first for each of their streams, none of which is busy; and of them the
    /// suspects.
    ready: [BTreeSet<i64>; 2],
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// How many streams are being written to.
    pub(super) fn busy(&self) -> usize {
        self.busy.len()
    }

    /// How many can be written now that are suspects, or are not.
    pub(super) fn ready(&self, are_suspects: bool) -> usize {
        self.ready[usize::from(are_suspects)].len()
    }

    pub(super) fn is_any_ready(&self) -> bool {
        self.ready.iter().any(|ready| !ready.is_empty())
    }

    /// True if a request shares a stream with what waits or is being written.
    pub(super) fn is_for(&self, request: &AppendRequest) -> bool {
        request
            .streams()
            .iter()
            .any(|part| self.busy.contains(&part.stream) || self.streams.contains_key(&part.stream))
    }

    pub(super) fn push_back(&mut self, waiting: Waiting) {
        let number = self.requests.last_key_value().map_or(0, |(last, _)| last + 1);
        for stream in streams(&waiting.request) {
            self.streams.entry(stream).or_default().push_back(number);
        }
        self.requests.insert(number, waiting);
        self.look_at(number);
    }

    pub(super) fn push_front(&mut self, waiting: Waiting) {
        let number = self.requests.first_key_value().map_or(0, |(first, _)| first - 1);
        for stream in streams(&waiting.request) {
            let queue = self.streams.entry(stream).or_default();
            if let Some(second) = queue.front() {
                for ready in &mut self.ready {
                    ready.remove(second);
                }
            }
            queue.push_front(number);
        }
        self.requests.insert(number, waiting);
        self.look_at(number);
    }

    /// Notes that a request is ready, if it is.
    fn look_at(&mut self, number: i64) {
        let Some(waiting) = self.requests.get(&number) else { return };
        let is_ready = waiting.request.streams().iter().all(|part| {
            let first = self.streams.get(&part.stream).and_then(VecDeque::front);
            first == Some(&number) && !self.busy.contains(&part.stream)
        });
        if is_ready {
            self.ready[usize::from(waiting.is_suspect)].insert(number);
        }
    }

    /// Takes out a request that is ready. What was behind it can be written together with it, and is ready
    /// until its stream is [taken](Self::take).
    fn take_ready(&mut self, number: i64) -> Waiting {
        let waiting = self.requests.remove(&number).expect("what is ready waits");
        self.ready[usize::from(waiting.is_suspect)].remove(&number);
        for part in waiting.request.streams() {
            let Some(queue) = self.streams.get_mut(&part.stream) else { continue };
            queue.pop_front();
            match queue.front().copied() {
                Some(next) => self.look_at(next),
                None => drop(self.streams.remove(&part.stream)),
            }
        }
        waiting
    }

    /// Takes what can be written together now, in the order in which it came, and marks its streams as
    /// busy: of suspects or of others, and of no more streams than `share`. Looks at so many at most.
    pub(super) fn take(&mut self, are_suspects: bool, share: usize, looks: usize) -> Vec<Waiting> {
        let mut batch = Vec::new();
        let most = if are_suspects { SUSPECTS } else { BATCH_REQUESTS };
        let (mut events, mut bytes) = (0, 0);
        let mut taken: HashSet<StreamId> = HashSet::new();
        let mut keys = HashSet::new();
        let mut at = i64::MIN;
        for _ in 0..looks {
            let ready = &self.ready[usize::from(are_suspects)];
            let Some(&number) = ready.range((Excluded(at), Unbounded)).next() else { break };
            at = number;
            let waiting = &self.requests[&number];
            if waiting.is_gone() {
                self.take_ready(number);
                continue;
            }
            let request = &waiting.request;
            let (size, weight) = (request.event_count(), waiting.bytes);
            // a statement has one time for all of its events, and an import has its own
            let is_import = request.original_time().is_some();
            let is_small = events + size <= BATCH_EVENTS && bytes + weight <= BATCH_BYTES;
            if !batch.is_empty() && (is_import || !is_small) {
                // what is further behind is looked at next time
                break;
            }
            let is_in_share =
                taken.len() < share || streams(request).all(|stream| taken.contains(&stream));
            // of two with one key the second must see what the first has recorded
            let key = request.idempotency_key();
            let is_first_of_key = key.is_none_or(|key| {
                streams(request).all(|stream| !keys.contains(&(stream, key.clone())))
            });
            if !(is_in_share && is_first_of_key) {
                continue;
            }
            (events, bytes) = (events + size, bytes + weight);
            taken.extend(streams(request));
            if let Some(key) = key {
                keys.extend(streams(request).map(|stream| (stream, key.clone())));
            }
            batch.push(self.take_ready(number));
            if is_import || batch.len() == most {
                break;
            }
        }
        for stream in taken {
            if let Some(first) = self.streams.get(&stream).and_then(VecDeque::front) {
                for ready in &mut self.ready {
                    ready.remove(first);
                }
            }
            self.busy.insert(stream);
        }
        batch
    }

    /// Takes all that could be written now, one after the other, in the order of each stream.
    pub(super) fn take_all_ready(&mut self) -> Vec<Waiting> {
        let mut all = Vec::new();
        while let Some(number) = self.ready.iter().find_map(|ready| ready.first().copied()) {
            all.push(self.take_ready(number));
        }
        all
    }

    /// Nothing is written to these streams any more.
    pub(super) fn free(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        for stream in streams {
            self.busy.remove(&stream);
            if let Some(&first) = self.streams.get(&stream).and_then(VecDeque::front) {
                self.look_at(first);
            }
        }
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.streams.clear();
        self.ready.iter_mut().for_each(BTreeSet::clear);
        std::mem::take(&mut self.requests).into_values()
    }

    /// Takes all for these streams, and all for the streams of those before it, which are added.
    pub(super) fn take_behind(&mut self, held: &mut HashSet<StreamId>) -> Vec<Waiting> {
        let mut behind = Vec::new();
        if !held.iter().any(|stream| self.streams.contains_key(stream)) {
            return behind;
        }
        for waiting in self.take_all() {
            if is_any_of(&waiting.request, held) {
                held.extend(streams(&waiting.request));
                behind.push(waiting);
            } else {
                self.push_back(waiting);
            }
        }
        behind
    }

    /// Drops those whose callers have gone.
    pub(super) fn purge(&mut self) {
        for waiting in self.take_all().filter(|waiting| !waiting.is_gone()) {
            self.push_back(waiting);
        }
    }
}

#[cfg(test)]
impl Queue {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.requests.values()
    }

    /// What is ready is what a look at all of them finds.
    pub(super) fn check(&self) {
        let mut passed = HashSet::new();
        let mut ready = [BTreeSet::new(), BTreeSet::new()];
        for (&number, waiting) in &self.requests {
            let request = &waiting.request;
            if !is_any_of(request, &self.busy) && !is_any_of(request, &passed) {
                ready[usize::from(waiting.is_suspect)].insert(number);
            }
            passed.extend(streams(request));
        }
        assert_eq!(self.ready, ready);
        assert_eq!(self.streams.keys().cloned().collect::<HashSet<_>>(), passed);
    }
}
