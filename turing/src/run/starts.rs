//! Scripts that the system cannot start now: their attempts wait until it can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::notices::{Notice, Notifier};

/// How long an attempt waits for the first time; each time doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where attempts wait whose script was not started. A waiting attempt keeps its place among those
/// that are made side by side, so that no more are begun than the system has means for.
#[derive(Debug)]
pub(super) struct Starts {
    stop: watch::Receiver<bool>,
    /// An attempt has ended, and what it held is free.
    free: Notify,
    /// Whether it is told why the first of all starts failed.
    is_told: AtomicBool,
    notifier: Notifier,
}

impl Starts {
    pub(super) fn new(stop: watch::Receiver<bool>, notifier: Notifier) -> Self {
        Self { stop, free: Notify::new(), is_told: AtomicBool::new(false), notifier }
    }

    /// Lets one that waits try again.
    pub(super) fn attempt_ended(&self) {
        self.free.notify_one();
    }

    /// Waits after so many starts in vain until it is time for another; false if the run is to stop.
    pub(super) async fn wait(&self, tries: u32, reason: String) -> bool {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            // it fails if the run is over
            let _ = self.notifier.send(Notice::WaitsToStart(reason));
        }
        let factor = 2_u32.saturating_pow(tries.saturating_sub(1));
        let pause = FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        let mut stop = self.stop.clone();
        tokio::select! {
            // whatever else is so
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => false,
            () = self.free.notified() => true,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::notices::Notices;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_grows_up_to_the_longest_and_ends_when_something_is_free() {
        let (_stop, stopped) = watch::channel(false);
        let starts = Starts::new(stopped, Notices::new().0);
        let clock = tokio::time::Instant::now;
        for (tries, pause) in [(1, 100), (2, 200), (5, 1600), (8, 10_000), (u32::MAX, 10_000)] {
            let began = clock();
            assert!(starts.wait(tries, "why".to_owned()).await);
            assert_eq!(clock() - began, Duration::from_millis(pause), "{tries}");
        }
        let began = clock();
        starts.attempt_ended();
        assert!(starts.wait(8, "why".to_owned()).await);
        assert_eq!(clock(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_stops_does_not_wait() {
        let (stop, stopped) = watch::channel(false);
        let starts = Starts::new(stopped, Notices::new().0);
        stop.send_replace(true);
        let began = tokio::time::Instant::now();
        for _ in 0..100 {
            starts.attempt_ended();
            assert!(!starts.wait(1, "why".to_owned()).await);
        }
        assert_eq!(tokio::time::Instant::now(), began);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_is_told_once() {
        let (_stop, stopped) = watch::channel(false);
        let (notifier, mut notices) = Notices::new();
        let starts = Starts::new(stopped, notifier);
        for reason in ["first", "second"] {
            assert!(starts.wait(1, reason.to_owned()).await);
        }
        assert_eq!(notices.take(), Some(Notice::WaitsToStart("first".to_owned())));
        assert!(starts.wait(1, "third".to_owned()).await);
        assert_eq!(notices.take(), None);
    }
}
