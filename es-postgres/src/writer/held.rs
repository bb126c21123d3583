//! What other transactions hold up, and what waits behind it: nothing of both waits for a connection,
//! so that nobody else waits for it, however much it is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use es_core::backend::{AppendRequest, StreamId};

use super::lane::{MOST_BYTES, MOST_REQUESTS};
use super::{State, Waiting};
use crate::append::{is_any_of, streams};

/// Requests in the order in which they came, as far as they share streams.
pub(super) struct Held {
    /// What is tried, one after the other; no two are for one stream.
    stalled: VecDeque<Waiting>,
    /// What waits for a stream of those, or of another that waits.
    behind: VecDeque<Waiting>,
    /// How many of both, and of the one that is being tried, are for each stream.
    streams: HashMap<StreamId, usize>,
    /// How many they are, and how large, and how much they may be.
    requests: usize,
    bytes: usize,
    most: (usize, usize),
}

impl Default for Held {
    fn default() -> Self {
        Self {
            stalled: VecDeque::new(),
            behind: VecDeque::new(),
            streams: HashMap::new(),
            requests: 0,
            bytes: 0,
            most: (MOST_REQUESTS, MOST_BYTES),
        }
    }
}

/// What a request takes of what may be held up.
pub(super) struct Share {
    streams: Vec<StreamId>,
    bytes: usize,
}

impl Share {
    pub(super) fn of(waiting: &Waiting) -> Self {
        Self { streams: streams(&waiting.request).collect(), bytes: waiting.bytes }
    }
}

impl Held {
    /// True if a request must not be sent, because others of its streams are held up.
    pub(super) fn is_for(&self, request: &AppendRequest) -> bool {
        request.streams().iter().any(|part| self.streams.contains_key(&part.stream))
    }

    pub(super) fn is_to_be_tried(&self) -> bool {
        !self.stalled.is_empty()
    }

    pub(super) fn to_be_tried(&self) -> usize {
        self.stalled.len()
    }

    /// Takes what is to be tried next. It has its share until [`State::leave`] or
    /// [`put_back`](Self::put_back).
    pub(super) fn next(&mut self) -> Option<Waiting> {
        self.stalled.pop_front()
    }

    /// Puts back what was tried in vain, after the others.
    pub(super) fn put_back(&mut self, stalled: Waiting) {
        self.stalled.push_back(stalled);
    }

    /// Takes a request that [is for](Self::is_for) a stream of these; answers what is too much.
    pub(super) fn wait_behind(&mut self, waiting: Waiting) -> Vec<Waiting> {
        self.take_share(&waiting);
        self.behind.push_back(waiting);
        self.take_excess()
    }

    /// Takes out what has waited as long as an append may, and what nobody waits for.
    fn take_over(&mut self, patience: Duration) -> Vec<Waiting> {
        let is_over =
            |waiting: &Waiting| waiting.ticket.since.elapsed() >= patience || waiting.is_gone();
        if !self.stalled.iter().chain(&self.behind).any(is_over) {
            return Vec::new();
        }
        let mut over = Vec::new();
        for queue in [&mut self.stalled, &mut self.behind] {
            let (out, left) =
                std::mem::take(queue).into_iter().partition::<VecDeque<_>, _>(is_over);
            *queue = left;
            over.extend(out);
        }
        for waiting in &over {
            self.give_share_back(&Share::of(waiting));
        }
        over
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Waiting> {
        let Self { mut stalled, mut behind, .. } = std::mem::take(self);
        stalled.append(&mut behind);
        stalled
    }

    fn take_share(&mut self, waiting: &Waiting) {
        let Share { streams, bytes } = Share::of(waiting);
        for stream in streams {
            *self.streams.entry(stream).or_default() += 1;
        }
        self.requests += 1;
        self.bytes += bytes;
    }

    /// Answers whether anybody else is for its streams.
    fn give_share_back(&mut self, share: &Share) -> bool {
        let mut are_others = false;
        for stream in &share.streams {
            match self.streams.get_mut(stream) {
                Some(count) if *count > 1 => {
                    *count -= 1;
                    are_others = true;
                }
                _ => drop(self.streams.remove(stream)),
            }
        }
        // once all were given up there is nothing to be given back
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(share.bytes);
        are_others
    }

    /// Takes the last of what is too much: nothing waits behind them.
    fn take_excess(&mut self) -> Vec<Waiting> {
        let mut excess = Vec::new();
        let (requests, bytes) = self.most;
        while self.requests > 1 && (self.requests > requests || self.bytes > bytes) {
            let Some(last) = self.behind.pop_back().or_else(|| self.stalled.pop_back()) else {
                break;
            };
            self.give_share_back(&Share::of(&last));
            excess.push(last);
        }
        excess
    }

    /// Takes out what waits behind nothing any more, and drops what nobody waits for.
    fn take_first(&mut self, mut take: impl FnMut(&mut Self, Waiting, &mut HashSet<StreamId>)) {
        let mut held: HashSet<_> =
            self.stalled.iter().flat_map(|waiting| streams(&waiting.request)).collect();
        for waiting in std::mem::take(&mut self.behind) {
            if waiting.is_gone() {
                self.give_share_back(&Share::of(&waiting));
            } else if is_any_of(&waiting.request, &held) {
                held.extend(streams(&waiting.request));
                self.behind.push_back(waiting);
            } else {
                take(self, waiting, &mut held);
            }
        }
    }
}

impl State {
    /// Takes in requests that were under way and are held up, with all that waits for their streams.
    /// They come before what waits behind others. Answers what is too much.
    pub(super) fn stall(&mut self, stalled: Vec<Waiting>) -> Vec<Waiting> {
        if stalled.is_empty() {
            return Vec::new();
        }
        let held = &mut self.held;
        let mut at = HashSet::new();
        let mut behind = VecDeque::new();
        for waiting in stalled {
            held.take_share(&waiting);
            let queue = match is_any_of(&waiting.request, &at) {
                true => &mut behind,
                false => &mut held.stalled,
            };
            at.extend(streams(&waiting.request));
            queue.push_back(waiting);
        }
        for mut waiting in self.waiting.take_behind(&mut at) {
            waiting.is_suspect = false;
            held.take_share(&waiting);
            behind.push_back(waiting);
        }
        behind.append(&mut held.behind);
        held.behind = behind;
        held.take_excess()
    }

    /// What was tried is gone. If its streams are free, all that waited for them waits for a connection
    /// now, after those who do already; otherwise it is tried itself.
    pub(super) fn leave(&mut self, share: &Share, is_free: bool) {
        if !self.held.give_share_back(share) {
            return;
        }
        if !is_free {
            self.advance();
            return;
        }
        let Self { held, waiting, .. } = self;
        held.take_first(|held, freed, _| {
            held.give_share_back(&Share::of(&freed));
            waiting.push_back(freed);
        });
    }

    /// What was behind requests that were not written is tried in their place. What shares a stream
    /// with what waits for a connection, or is written to, waits for one behind that.
    fn advance(&mut self) {
        let Self { held, waiting, .. } = self;
        held.take_first(|held, first, stalled| {
            if waiting.is_for(&first.request) {
                held.give_share_back(&Share::of(&first));
                waiting.push_back(first);
            } else {
                stalled.extend(streams(&first.request));
                held.stalled.push_back(first);
            }
        });
    }

    /// Takes out what has waited as long as an append may, and drops what nobody waits for.
    pub(super) fn take_overdue(&mut self, patience: Duration) -> Vec<Waiting> {
        let mut over = self.held.take_over(patience);
        if !over.is_empty() {
            self.advance();
        }
        over.retain(|waiting| !waiting.is_gone());
        over
    }
}

#[cfg(test)]
mod tests;
