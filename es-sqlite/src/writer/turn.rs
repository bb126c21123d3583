//! Lets other processes write where this one always has something to write.

use std::time::{Duration, Instant};

/// After writing for so long without a pause, the file is left alone for so long. Others look every
/// millisecond.
const TURN: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(2);

/// For how long transactions have followed one another.
#[derive(Default)]
pub(super) struct Turn {
    began: Option<Instant>,
}

impl Turn {
    /// There is nothing to write: the file is anybody's.
    pub(super) fn end(&mut self) {
        self.began = None;
    }

    /// How long to leave the file to others before the transaction that begins now, if it is time.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Duration> {
        let began = *self.began.get_or_insert(now);
        (now.saturating_duration_since(began) >= TURN).then(|| {
            self.end();
            PAUSE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_writes_without_a_pause_makes_one() {
        let now = Instant::now();
        let mut turn = Turn::default();
        let pauses = [0, 100, 249, 250, 251, 400, 502]
            .map(|at| turn.pause(now + Duration::from_millis(at)).is_some());
        assert_eq!(pauses, [false, false, false, true, false, false, true]);
        turn.end();
        assert_eq!(turn.pause(now + Duration::from_secs(9)), None, "nothing was to be written");
    }
}
