//! Pauses: that no attempt begins for a while, because somebody asked for that.

use std::time::Duration;

use es_core::event::Timestamp;
use serde::{Deserialize, Serialize};

/// That somebody wants no attempt to begin: who, why, since when, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who.
    pub by: String,
    /// Why.
    pub because: String,
    /// Since when, by the clock of who asked for it, if that was recorded.
    pub since: Option<Timestamp>,
    /// Until when at most; `None` if somebody has to end it.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// A pause from now on, with texts that every store can hold.
    pub fn new(by: &str, because: &str, now: Timestamp, until: Option<Timestamp>) -> Self {
        Self { by: text(by), because: text(because), since: Some(now), until }
    }

    /// True if its end is past by this clock.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The longest that it can take: a clock that was ahead when it was recorded, or that was set back
    /// since, makes it no longer.
    pub fn longest(&self) -> Duration {
        let length = self.since.zip(self.until).map(|(since, until)| until.since(since));
        length.unwrap_or(Duration::MAX)
    }

    /// True if the other one asks for the same, whenever it was asked for.
    pub fn asks_for_the_same(&self, other: &Self) -> bool {
        (&self.by, &self.because, self.until) == (&other.by, &other.because, other.until)
    }
}

/// A text without what no store can hold.
pub(crate) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_pause_is_over_at_its_end_and_takes_no_longer_than_it_was_to() {
        let pause = Pause::new("anna", "the disk is full\0", at(100), Some(at(160)));
        assert_eq!(pause.because, "the disk is full\u{fffd}");
        assert_eq!(pause.longest(), Duration::from_secs(60));
        assert!(!pause.is_over(at(159)));
        assert!(pause.is_over(at(160)));
        let endless = Pause { until: None, ..pause };
        assert!(!endless.is_over(at(1_000_000)));
        assert_eq!(endless.longest(), Duration::MAX);
    }

    #[test]
    fn the_same_pause_at_another_time_asks_for_the_same() {
        let pause = Pause::new("anna", "moving", at(100), None);
        assert!(pause.asks_for_the_same(&Pause::new("anna", "moving", at(200), None)));
        assert!(!pause.asks_for_the_same(&Pause::new("ben", "moving", at(100), None)));
        assert!(!pause.asks_for_the_same(&Pause::new("anna", "other", at(100), None)));
        assert!(!pause.asks_for_the_same(&Pause::new("anna", "moving", at(100), Some(at(200)))));
    }
}
