//! The clocks of a run: the wall clock for what others read, and one that nobody sets for waiting.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use es_core::{Clock, Timestamp};

/// A clock that only goes forwards, whoever sets the machine's time, and waiting by it.
///
/// A run waits by it and takes lengths of time from it. What it shows means nothing to another
/// process.
#[async_trait]
pub trait Timer: fmt::Debug + Send + Sync {
    /// The current time; never earlier than before.
    fn now(&self) -> Instant;
    /// Waits until then.
    async fn sleep_until(&self, until: Instant);
}

/// The machine's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemTimer;

#[async_trait]
impl Timer for SystemTimer {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep_until(&self, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
    }
}

/// Both clocks of a run.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) wall: Arc<dyn Clock>,
    pub(super) timer: Arc<dyn Timer>,
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
pub(super) use jumping::Jumping;

#[cfg(test)]
mod jumping {
    use super::*;

    /// A timer by which to wait is to jump.
    #[derive(Debug)]
    pub(in super::super) struct Jumping(std::sync::Mutex<Instant>);

    impl Jumping {
        pub(in super::super) fn new() -> Arc<Self> {
            Arc::new(Self(std::sync::Mutex::new(Instant::now())))
        }
    }

    #[async_trait]
    impl Timer for Jumping {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }

        async fn sleep_until(&self, until: Instant) {
            let mut now = self.0.lock().unwrap();
            *now = until.max(*now);
        }
    }
}

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
