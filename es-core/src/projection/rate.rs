//! How fast events are taken.

use crate::timestamp::Timestamp;

/// How many events are taken in a second, over the last seconds in which any were.
#[derive(Debug, Default)]
pub(super) struct Rate {
    since: Option<Timestamp>,
    /// When something was last worked on, and when that was last committed.
    worked: Option<Timestamp>,
    committed: Option<Timestamp>,
    events: u64,
    last: Option<f64>,
}

impl Rate {
    const WINDOW_SECONDS: f64 = 2.0;

    /// After so long without events what was before says nothing any more.
    const LATELY_SECONDS: f64 = 10.0;

    /// Counts what was committed, after work from `began` to now; none if it was gathered only.
    pub(super) fn count(&mut self, events: u64, began: Timestamp, now: Timestamp) {
        if !is_lately(self.worked, began) {
            *self = Self::default();
        }
        let since = *self.since.get_or_insert(began);
        self.worked = Some(now);
        if events == 0 {
            return;
        }
        self.events += events;
        self.committed = Some(now);
        let seconds = now.since(since).as_secs_f64();
        if seconds >= Self::WINDOW_SECONDS {
            self.last = Some(self.events as f64 / seconds);
            (self.since, self.events) = (Some(now), 0);
        }
    }

    /// The rate; `None` if no events were taken lately, or for too short a time.
    pub(super) fn per_second(&self, now: Timestamp) -> Option<f64> {
        self.last.filter(|_| is_lately(self.committed, now))
    }
}

fn is_lately(then: Option<Timestamp>, now: Timestamp) -> bool {
    then.is_some_and(|then| now.since(then).as_secs_f64() <= Rate::LATELY_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(number: i64) -> Timestamp {
        Timestamp::from_micros(number * 1_000_000)
    }

    #[test]
    fn it_is_that_of_the_last_seconds_with_events() {
        let mut rate = Rate::default();
        rate.count(5, second(100), second(101));
        assert_eq!(rate.per_second(second(101)), None, "one second says nothing");
        rate.count(5, second(101), second(102));
        assert_eq!(rate.per_second(second(102)), Some(5.0));
        rate.count(60, second(103), second(104));
        assert_eq!(rate.per_second(second(104)), Some(30.0));
        assert_eq!(rate.per_second(second(114)), Some(30.0));
        assert_eq!(rate.per_second(second(115)), None, "that is long ago");
    }

    #[test]
    fn what_is_gathered_counts_from_when_that_began() {
        let mut rate = Rate::default();
        rate.count(0, second(100), second(103));
        assert_eq!(rate.per_second(second(103)), None);
        rate.count(60, second(103), second(104));
        assert_eq!(rate.per_second(second(104)), Some(15.0));
        // work that comes to nothing is no rate
        rate.count(0, second(110), second(111));
        assert_eq!(rate.per_second(second(115)), None);
    }

    #[test]
    fn a_pause_is_not_counted_and_a_slow_batch_is() {
        let mut rate = Rate::default();
        rate.count(1, second(100), second(100));
        rate.count(100, second(3_600), second(3_650));
        assert_eq!(rate.per_second(second(3_650)), Some(2.0));
        rate.count(100, second(3_650), second(3_750));
        assert_eq!(rate.per_second(second(3_750)), Some(1.0));
    }
}
