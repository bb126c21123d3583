//! How long each step of a run takes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use turing_domain::{Conversation, PostingId};

use crate::run::Observer;

/// Notes when steps begin and end. A posting makes one step at a time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    begun: HashMap<PostingId, Instant>,
    times: Vec<Duration>,
    failed: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Watch {
    /// From the first beginning to the last end.
    pub(super) fn whole(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first),
            _ => Duration::ZERO,
        }
    }

    fn begins(&mut self, posting: PostingId) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.begun.insert(posting, now);
    }

    /// How many ended.
    pub(super) fn steps(&self) -> usize {
        self.times.len()
    }

    /// How many of them succeeded.
    pub(super) fn succeeded(&self) -> usize {
        self.steps() - self.failed
    }

    /// How long so many of a hundred took at most.
    pub(super) fn percentile(&self, of_hundred: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = (times.len() * of_hundred).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or_default()
    }
}

impl Observer for Watch {
    fn attempt_begins(&mut self, _: &Conversation, posting: PostingId, _: Option<Duration>) {
        self.begins(posting);
    }

    fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        let now = Instant::now();
        if let Some(begun) = self.begun.remove(&posting) {
            self.times.push(now.duration_since(begun));
            self.failed += usize::from(has_failed);
            self.last = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let watch = |count| Watch {
            times: (1..=count).rev().map(Duration::from_millis).collect(),
            ..Watch::default()
        };
        for (count, of_hundred, millis) in [
            (0, 50, 0),
            (1, 50, 1),
            (1, 99, 1),
            (4, 50, 2),
            (5, 50, 3),
            (100, 99, 99),
            (101, 99, 100),
        ] {
            let time = watch(count).percentile(of_hundred);
            assert_eq!(time, Duration::from_millis(millis), "{of_hundred} of 100 of {count}");
        }
    }

    #[test]
    fn steps_are_counted_with_how_they_ended() {
        let mut watch = Watch::default();
        for (posting, has_failed) in [(1, false), (2, true), (1, false)] {
            watch.begins(PostingId(posting));
            watch.attempt_ends(PostingId(posting), has_failed);
        }
        // who began before is nobody's step
        watch.attempt_ends(PostingId(3), false);
        assert_eq!((watch.steps(), watch.succeeded()), (3, 2));
        assert!(watch.whole() >= watch.percentile(100));
    }
}
