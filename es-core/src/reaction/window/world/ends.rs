//! How it comes to rest, and how it ends.

use std::collections::BTreeMap;

use super::super::Window;
use super::kept::{at, extend};
use super::{Seen, World, place};

impl World {
    /// Goes on until nothing is left to be done; from now on all calls succeed.
    pub(in super::super) fn settle(&mut self) {
        self.is_away = false;
        let mut turns = 0;
        while self.turn() {
            self.check();
            turns += 1;
            assert!(turns < 10_000, "it never comes to rest: {:?}", self.window);
        }
        assert!(self.window.is_idle());
        assert_eq!(self.kept.checkpoint, self.seen.reached);
        for event in &self.log {
            let (place, is_parked) = (place(event), self.kept.parked.contains_key(&place(event)));
            assert!(is_parked || self.ever.contains(&place), "{place} was lost");
            let is_new = event.position > self.seen.began;
            assert!(!is_new || is_parked || self.seen.answered.contains(&place), "{place}: again");
        }
        for entry in self.kept.first().values() {
            assert!(entry.attempts > 0, "{entry:?} waits behind nothing");
        }
    }

    /// Discards what cannot be given, begins anew, and asks for another attempt at all else that waits:
    /// nothing is left then, and all streams go on.
    pub(in super::super) fn mend(&mut self) {
        let waiting: Vec<_> = self.kept.waiting().map(at).collect();
        for lost in waiting.iter().filter(|at| self.lost.contains(*at)) {
            self.kept.discard(*lost);
        }
        self.lose(true);
        self.settle();
        (0..self.kept.first().len()).for_each(|which| self.ask_for_retry(which));
        self.settle();
        assert_eq!(self.kept.first(), BTreeMap::new());
        assert!(self.seen.parked.is_empty(), "{:?}", self.seen.parked);
        extend(&mut self.log, &[0, 1, 2, 3]);
        self.settle();
        assert_eq!(self.kept.first(), BTreeMap::new());
    }

    fn turn(&mut self) -> bool {
        self.read(usize::MAX);
        self.start(usize::MAX);
        if !self.seen.calls.is_empty() {
            self.end(0, true);
        } else if let Some(at) = self.window.next_retry() {
            self.now = self.now.max(at);
        } else if self.seen.commit.is_some() {
            self.finish_commit();
        } else if self.seen.listed.is_some() {
            self.take_back();
        } else {
            self.renew();
            self.list();
            if self.seen.listed.is_none() {
                // nothing else is left to be done
                let is_wanted = self.window.wants_commit();
                assert_eq!(self.begin_commit(), is_wanted);
                return is_wanted;
            }
        }
        true
    }

    /// Nothing is given any more, calls that have not ended are cut off, and what came of the others is
    /// committed: whoever comes next gives none of them again.
    pub(super) fn stop(&mut self) {
        self.window.stop();
        assert!(self.window.next(self.now).is_none());
        self.seen.calls.clear();
        self.seen.is_ending = true;
        let read = |place: &u64| *place > self.kept.checkpoint.position.to_sequence();
        let last = self.seen.answered.iter().copied().filter(read).max();
        loop {
            let Some(lowest) = self.open().next() else { break };
            let (place, stream) = (place(lowest), lowest.stream.clone());
            if Some(place) >= last {
                break;
            }
            self.seen.retry_at.remove(&place);
            self.seen.aside.insert(place);
            self.seen.parked.insert(stream);
        }
        self.window.set_aside();
        self.finish_commit();
        while self.begin_commit() {
            self.finish_commit();
        }
        let checkpoint = self.kept.checkpoint.position.to_sequence();
        for answered in &self.seen.answered {
            let is_parked = self.kept.waiting().any(|entry| at(entry) == *answered);
            assert!(*answered <= checkpoint && !is_parked, "{answered} is given again");
        }
        self.lose(false);
    }

    /// The lease is lost: another window goes on with what the store keeps.
    pub(super) fn lose(&mut self, arrives: bool) {
        let commit = self.seen.commit.take().filter(|_| arrives);
        if let Some(commit) = commit.filter(|commit| self.kept.gone(commit).is_empty()) {
            self.kept.commit(&commit);
        }
        self.seen = Seen::new(&self.log, &self.kept);
        let parked = self.kept.first().into_keys();
        self.window = Window::new(self.policy, self.kept.checkpoint.clone(), parked);
    }
}
