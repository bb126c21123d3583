//! Requests that came together with one that is held up, and may be held up, too.
//!
//! To find out takes a time-out for each that is. So they are tried few at a time, by all connections,
//! and whoever came later has every second turn.

use std::sync::Arc;

use super::{State, Turn, Waiting, Work, Writer};
use crate::append::SUSPECTS;

impl State {
    /// True if the next batch is one of suspects: in turn, where something of both can be written.
    pub(super) fn is_turn_of_suspects(&mut self) -> bool {
        match [false, true].map(|are_suspects| self.waiting.ready(are_suspects) > 0) {
            [true, true] => {
                self.is_for_suspects = !self.is_for_suspects;
                self.is_for_suspects
            }
            [_, are_suspects] => are_suspects,
        }
    }
}

impl Writer {
    /// Gives idle connections to suspects, as many as they can use.
    fn share(self: &Arc<Self>, suspects: usize) {
        let wanted = suspects.div_ceil(SUSPECTS);
        let idle: Vec<_> = {
            let mut state = self.state();
            std::iter::from_fn(|| state.slots.take_idle()).take(wanted).collect()
        };
        for slot in idle {
            self.begin(slot, Work::Waiting);
        }
    }
}

impl Turn {
    /// Hands requests back: what is held up to the slow lane, with all that waits for its streams, and
    /// suspects before all that came after them. Their streams are free.
    pub(super) fn hand_back(&mut self, stalled: Vec<Waiting>, suspects: Vec<Waiting>) {
        if stalled.is_empty() && suspects.is_empty() {
            return;
        }
        let count = suspects.len();
        let mut state = self.writer.state();
        state.waiting.free(self.streams.drain());
        for waiting in suspects.into_iter().rev() {
            state.waiting.push_front(waiting);
        }
        let refused = state.stall(stalled);
        let lane = if state.held.is_to_be_tried() { state.lane.take() } else { None };
        drop(state);
        self.writer.refuse(refused);
        if let Some(slot) = lane {
            self.writer.begin(slot, Work::Stalled);
        }
        self.writer.share(count);
    }
}
