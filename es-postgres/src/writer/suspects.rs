//! Requests that came together with one that is held up, and may be held up, too.
//!
//! To find out takes a time-out for each that is. So they are tried few at a time, by all connections,
//! and whoever came later has every second turn.

use std::collections::HashSet;
use std::sync::Arc;

use super::{State, Turn, Waiting, Work, Writer};
use crate::append::{SUSPECTS, is_any_of, streams};

impl State {
    /// True if the next batch is one of suspects: in turn, where something of both can be written.
    pub(super) fn is_turn_of_suspects(&mut self) -> bool {
        if !self.waiting.iter().any(|waiting| waiting.is_suspect) {
            return false;
        }
        let mut passed = HashSet::new();
        let (mut suspects, mut others) = (false, false);
        for waiting in &self.waiting {
            let is_held =
                is_any_of(&waiting.request, &self.busy) || is_any_of(&waiting.request, &passed);
            match (is_held, waiting.is_suspect) {
                (true, _) => {}
                (false, true) => suspects = true,
                (false, false) => others = true,
            }
            if suspects && others {
                self.is_for_suspects = !self.is_for_suspects;
                return self.is_for_suspects;
            }
            passed.extend(streams(&waiting.request));
        }
        suspects
    }
}

impl Writer {
    /// Gives idle connections to suspects, as many as they can use.
    fn share(self: &Arc<Self>, suspects: usize) {
        let idle = {
            let mut state = self.state();
            let left = state.idle.len().saturating_sub(suspects.div_ceil(SUSPECTS));
            state.idle.split_off(left)
        };
        for slot in idle {
            self.begin(slot, Work::Waiting);
        }
    }
}

impl Turn {
    /// Hands requests back, before all that came after them; their streams are free.
    pub(super) fn leave_to_all(&mut self, suspects: Vec<Waiting>) {
        if suspects.is_empty() {
            return;
        }
        let count = suspects.len();
        let mut state = self.writer.state();
        for waiting in suspects.into_iter().rev() {
            for stream in streams(&waiting.request) {
                // one that is left to the lane is not of this turn any more
                if self.streams.remove(&stream) {
                    state.busy.remove(&stream);
                }
            }
            state.waiting.push_front(waiting);
        }
        drop(state);
        self.writer.share(count);
    }
}
