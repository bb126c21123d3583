//! The clocks of a run: the wall clock for what others read, and one that nobody sets for waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use es_core::environment::{Clock, Runtime};
use es_core::event::Timestamp;

/// Both clocks of a run. What the timer shows means nothing to another process.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) wall: Arc<dyn Clock>,
    pub(super) timer: Arc<dyn Runtime>,
}

impl Clocks {
    pub(super) fn moment(&self) -> Moment {
        // in this order a process that is stopped in between waits too long rather than too little
        let wall = self.wall.now();
        Moment { wall, at: self.timer.now() }
    }
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) at: Instant,
}

impl Moment {
    /// When a wait is over that was met at this moment and is recorded to last until `due`.
    ///
    /// A wait longer than `longest` was recorded by a clock that was ahead, or this one was set
    /// back; it begins anew.
    pub(super) fn deadline(self, due: Timestamp, longest: Duration) -> Instant {
        self.at + due.since(self.wall).min(longest)
    }
}

#[cfg(test)]
#[path = "../../tests/support/jumping.rs"]
mod jumping;
#[cfg(test)]
pub(super) use jumping::Jumping;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_lasts_as_long_as_the_wall_clock_says_and_no_longer_than_the_longest() {
        let second = Duration::from_secs;
        let moment = Moment { wall: Timestamp::EPOCH.plus(second(100)), at: Instant::now() };
        for (due, wait) in [(0, 0), (100, 0), (101, 1), (103, 3), (104, 3), (86_500, 3)] {
            let deadline = moment.deadline(Timestamp::EPOCH.plus(second(due)), second(3));
            assert_eq!(deadline - moment.at, second(wait), "{due}");
        }
    }
}
