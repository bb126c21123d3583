//! Scripts that the system cannot start now: their attempts wait until it can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

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
    /// Why the first of all starts failed, until that is told.
    reason: Mutex<Option<String>>,
    has_failed: AtomicBool,
    failed: Notify,
}

impl Starts {
    pub(super) fn new(stop: watch::Receiver<bool>) -> Self {
        let (free, failed) = (Notify::new(), Notify::new());
        let (reason, has_failed) = (Mutex::new(None), AtomicBool::new(false));
        Self { stop, free, reason, has_failed, failed }
    }

    /// True once the run is to stop.
    pub(super) fn are_over(&self) -> bool {
        *self.stop.borrow()
    }

    /// Lets one that waits try again.
    pub(super) fn attempt_ended(&self) {
        self.free.notify_one();
    }

    /// Waits after so many starts in vain until it is time for another; false if the run is to stop.
    pub(super) async fn wait(&self, tries: u32, reason: String) -> bool {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            self.failed.notify_one();
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

    /// Waits until a start has failed for the first time, and answers why.
    pub(super) async fn first_failure(&self) -> String {
        loop {
            self.failed.notified().await;
            let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(reason) = reason {
                return reason;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pause_grows_up_to_the_longest_and_ends_when_something_is_free() {
        let (_stop, stopped) = watch::channel(false);
        let starts = Starts::new(stopped);
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
        let starts = Starts::new(stopped);
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
        let starts = Starts::new(stopped);
        for reason in ["first", "second"] {
            assert!(starts.wait(1, reason.to_owned()).await);
        }
        assert_eq!(starts.first_failure().await, "first");
        assert!(starts.wait(1, "third".to_owned()).await);
        let again = tokio::time::timeout(Duration::from_secs(1), starts.first_failure());
        assert!(again.await.is_err());
    }
}
