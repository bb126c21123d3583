//! Scripts that the system cannot start now: their attempts wait until it can, or for too long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use es_core::environment::Runtime;
use tokio::sync::{Notify, watch};

use super::StepError;
use super::notices::{Notice, Notifier};
use crate::lock::ABSENCE;

/// How long an attempt waits for the first time; each time doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long starts are waited for that are refused while no attempt is made: as long as for a store
/// that is away. What is missing then is held by nothing that this run could end.
pub(super) const PATIENCE: Duration = ABSENCE;

/// Where attempts wait whose script was not started. A waiting attempt keeps its place among those
/// that are made side by side, so that no more are begun than the system has means for.
#[derive(Debug)]
pub(super) struct Starts {
    stop: watch::Receiver<bool>,
    timer: Arc<dyn Runtime>,
    notifier: Notifier,
    /// An attempt has ended, and what it held is free; or nothing is waited for any more.
    free: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether it is told why the first of all starts failed.
    is_told: bool,
    /// How many attempts are made or tried, and do not wait.
    at_work: usize,
    /// Since when each start was refused, and no attempt has ended.
    refused_since: Option<Instant>,
    /// Whether no start is waited for any more.
    is_given_up: bool,
}

/// An attempt that is to be made, as long as it lasts.
#[derive(Debug)]
pub(super) struct Start<'a> {
    starts: &'a Starts,
    is_at_work: bool,
    /// How often its script was not started.
    refusals: u32,
}

impl Starts {
    pub(super) fn new(
        stop: watch::Receiver<bool>,
        timer: Arc<dyn Runtime>,
        notifier: Notifier,
    ) -> Self {
        let (free, state) = (Notify::new(), Mutex::default());
        Self { stop, timer, notifier, free, state }
    }

    /// An attempt begins.
    pub(super) fn begin(&self) -> Start<'_> {
        self.state().at_work += 1;
        Start { starts: self, is_at_work: true, refusals: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Start<'_> {
    /// Waits after a start in vain until it is time for another; false if the run is to stop.
    ///
    /// # Errors
    ///
    /// [`StepError::NotStarted`] if all starts were refused for too long while no attempt was made.
    pub(super) async fn wait(&mut self, reason: String) -> Result<bool, StepError> {
        let starts = self.starts;
        // from here on it hears of everything
        let freed = starts.free.notified();
        let Some(until) = self.refused(&reason) else {
            return Err(StepError::NotStarted { reason });
        };
        let mut stop = starts.stop.clone();
        let goes_on = tokio::select! {
            // whatever else is so
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => false,
            () = freed => true,
            () = starts.timer.sleep_until(until) => true,
        };
        let mut state = starts.state();
        if goes_on && state.is_given_up {
            return Err(StepError::NotStarted { reason });
        }
        state.at_work += 1;
        self.is_at_work = true;
        Ok(goes_on)
    }

    /// Takes down that a start was refused, and answers until when the next one waits; `None` if
    /// there is to be none.
    fn refused(&mut self, reason: &str) -> Option<Instant> {
        let now = self.starts.timer.now();
        let mut state = self.starts.state();
        state.at_work -= usize::from(self.is_at_work);
        (self.is_at_work, self.refusals) = (false, self.refusals.saturating_add(1));
        if !std::mem::replace(&mut state.is_told, true) {
            // it fails if the run is over
            let _ = self.starts.notifier.send(Notice::WaitsToStart(reason.to_owned()));
        }
        let end = *state.refused_since.get_or_insert(now) + PATIENCE;
        if state.at_work == 0 && now >= end {
            state.is_given_up = true;
            self.starts.free.notify_waiters();
        }
        if state.is_given_up {
            return None;
        }
        let factor = 2_u32.saturating_pow(self.refusals - 1);
        let until = now + FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE);
        // the last try is not late
        Some(if now < end { until.min(end) } else { until })
    }
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        let mut state = self.starts.state();
        state.at_work -= usize::from(self.is_at_work);
        state.refused_since = None;
        drop(state);
        // one that waits may try again
        self.starts.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;

    use super::super::clocks::Jumping;
    use super::super::notices::Notices;
    use super::*;

    struct Scene {
        starts: Starts,
        timer: Arc<Jumping>,
        stop: watch::Sender<bool>,
        notices: Notices,
    }

    impl Scene {
        fn new() -> Self {
            let (stop, stopped) = watch::channel(false);
            let (notifier, notices) = Notices::new();
            let timer = Jumping::new();
            Self { starts: Starts::new(stopped, timer.clone(), notifier), timer, stop, notices }
        }

        /// Answers for how long it waits.
        async fn wait(&self, start: &mut Start<'_>) -> Duration {
            let began = self.timer.now();
            assert!(start.wait("why".to_owned()).await.unwrap());
            self.timer.now() - began
        }
    }

    #[track_caller]
    fn is_given_up(waited: Result<bool, StepError>) {
        match waited {
            Err(StepError::NotStarted { reason }) => assert_eq!(reason, "why"),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_pause_grows_up_to_the_longest_and_ends_when_something_is_free() {
        let scene = Scene::new();
        // somebody is at work, who may free something
        let other = scene.starts.begin();
        let mut start = scene.starts.begin();
        for pause in [100, 200, 400, 800, 1600, 3200, 6400, 10_000] {
            assert_eq!(scene.wait(&mut start).await, Duration::from_millis(pause));
        }
        start.refusals = u32::MAX;
        scene.timer.sleep_until(scene.timer.now() + PATIENCE).await;
        assert_eq!(scene.wait(&mut start).await, LONGEST_PAUSE);
        drop(other);
        assert_eq!(scene.wait(&mut start).await, Duration::ZERO);
    }

    #[tokio::test]
    async fn starts_are_given_up_that_are_refused_for_long_while_no_attempt_is_made() {
        let scene = Scene::new();
        let began = scene.timer.now();
        let mut start = scene.starts.begin();
        let mut tries = 0;
        let waited = loop {
            tries += 1;
            match start.wait("why".to_owned()).await {
                Ok(true) => assert!(tries < 100),
                waited => break waited,
            }
        };
        is_given_up(waited);
        assert_eq!(scene.timer.now() - began, PATIENCE);
        assert!((5..20).contains(&tries), "{tries}");
    }

    /// A clock that stands still unless it is set.
    #[derive(Debug)]
    struct Standing(Mutex<Instant>);

    impl Runtime for Standing {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }

        fn sleep_until(&self, _: Instant) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn whoever_waits_hears_that_starts_are_given_up() {
        let (_stop, stopped) = watch::channel(false);
        let timer = Arc::new(Standing(Mutex::new(Instant::now())));
        let starts = Starts::new(stopped, timer.clone(), Notices::new().0);
        let (mut first, mut last) = (starts.begin(), starts.begin());
        let giving_up = async {
            *timer.0.lock().unwrap() += PATIENCE;
            last.wait("why".to_owned()).await
        };
        // the one waits before the other is refused
        let (heard, given_up) = tokio::join!(biased; first.wait("why".to_owned()), giving_up);
        is_given_up(heard);
        is_given_up(given_up);
        is_given_up(starts.begin().wait("why".to_owned()).await);
    }

    #[tokio::test]
    async fn an_attempt_that_ends_begins_the_patience_anew() {
        let scene = Scene::new();
        let (other, mut start) = (scene.starts.begin(), scene.starts.begin());
        scene.wait(&mut start).await;
        scene.timer.sleep_until(scene.timer.now() + PATIENCE).await;
        drop(other);
        let ended = scene.timer.now();
        scene.wait(&mut start).await;
        while let Ok(goes_on) = start.wait("why".to_owned()).await {
            assert!(goes_on);
        }
        assert_eq!(scene.timer.now() - ended, PATIENCE);
    }

    #[tokio::test]
    async fn a_run_that_stops_does_not_wait() {
        let scene = Scene::new();
        scene.stop.send_replace(true);
        let began = scene.timer.now();
        for _ in 0..100 {
            assert!(!scene.starts.begin().wait("why".to_owned()).await.unwrap());
        }
        assert_eq!(scene.timer.now(), began);
    }

    #[tokio::test]
    async fn the_reason_is_told_once() {
        let mut scene = Scene::new();
        for reason in ["first", "second"] {
            assert!(scene.starts.begin().wait(reason.to_owned()).await.unwrap());
        }
        assert_eq!(scene.notices.take(), Some(Notice::WaitsToStart("first".to_owned())));
        assert!(scene.starts.begin().wait("third".to_owned()).await.unwrap());
        assert_eq!(scene.notices.take(), None);
    }
}
