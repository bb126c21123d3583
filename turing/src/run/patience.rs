//! Waiting for a store that is away: one rule for all that a run reads and writes.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use es_core::environment::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;

use super::notices::{Notice, Notifier};
use super::{Preparation, RunError};
use crate::lock::{ABSENCE, RunLock, Standing};

/// The pauses between two tries double from the first to the second.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];

/// How long what is under way may take when it is asked to stop.
const AFTER_STOP: Duration = Duration::from_secs(5);

/// How long a run waits for its store, and for whom.
///
/// What [fails for a reason that passes](RunError::passes) is asked for again, the same question each
/// time, for [`ABSENCE`]; the last question has no longer for its answer. That is safe where an answer
/// was lost, too: whatever a run records is nothing when it is recorded already, as its decisions see
/// in the state, or has an idempotency key.
#[derive(Debug)]
pub(super) struct Patience {
    stop: watch::Receiver<bool>,
    timer: Arc<dyn Runtime>,
    notifier: Notifier,
    /// Whether it is told that the store is away, since it was not last.
    is_told: AtomicBool,
    absences: AtomicUsize,
    /// How many ask again and again now.
    asking: AtomicUsize,
}

/// One of those who ask again and again, as long as somebody waits for the answer.
struct Asking<'a>(&'a Patience);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.asking.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Patience {
    pub(super) fn new(
        stop: watch::Receiver<bool>,
        timer: Arc<dyn Runtime>,
        notifier: Notifier,
    ) -> Self {
        Self {
            stop,
            timer,
            notifier,
            is_told: AtomicBool::new(false),
            absences: AtomicUsize::new(0),
            asking: AtomicUsize::new(0),
        }
    }

    /// True once it is asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// True while the store is known to be away.
    pub(super) fn is_away(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    /// How often the store was away.
    pub(super) fn absences(&self) -> usize {
        self.absences.load(Ordering::Relaxed)
    }

    /// Tells that so many postings, of so many, have come through this.
    pub(super) fn prepares(&self, what: Preparation, done: usize, of: usize) {
        // it fails if the run is over
        let _ = self.notifier.send(Notice::Prepares(what, done, of));
    }

    /// Waits until it is asked to stop.
    async fn stopped(&self) {
        if self.stop.clone().wait_for(|stop| *stop).await.is_err() {
            // nobody is left who could ask it to
            pending::<()>().await;
        }
    }

    /// Does some work that is of no use once it is asked to stop: [`RunError::NotBegun`] then.
    pub(super) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, RunError>>,
    ) -> Result<T, RunError> {
        let done = tokio::select! {
            biased;
            () = self.stopped() => return Err(RunError::NotBegun),
            done = work => done?,
        };
        match self.is_stopped() {
            true => Err(RunError::NotBegun),
            false => Ok(done),
        }
    }

    /// Asks the store for something until it has answered, it has been away for too long, or it is
    /// asked to stop: [`RunError::NotBegun`] then. What is under way is let finish, if that does not
    /// take long; nothing is asked again.
    // what is asked is on the heap, here and below: it is large, and callers would hold it twice
    pub(super) async fn persist<T, F>(&self, ask: impl Fn() -> F) -> Result<T, RunError>
    where
        F: Future<Output = Result<T, RunError>>,
    {
        let is_late = async {
            self.stopped().await;
            tokio::time::sleep(AFTER_STOP).await;
        };
        let first = tokio::select! {
            biased;
            first = Box::pin(ask()) => first,
            () = is_late => return Err(RunError::NotBegun),
        };
        match first {
            Err(error) if error.passes() => tokio::select! {
                biased;
                () = self.stopped() => Err(RunError::NotBegun),
                done = Box::pin(self.ask_again(ask, error)) => done,
            },
            first => self.answered_at_once(first),
        }
    }

    /// The same for what would be lost otherwise: the result of an attempt is recorded whoever asks
    /// the run to stop.
    pub(super) async fn insist<T, F>(&self, ask: impl Fn() -> F) -> Result<T, RunError>
    where
        F: Future<Output = Result<T, RunError>>,
    {
        match Box::pin(ask()).await {
            Err(error) if error.passes() => Box::pin(self.ask_again(ask, error)).await,
            first => self.answered_at_once(first),
        }
    }

    /// Tells that the store is back if nobody else will: whoever told that it is away may have been
    /// dropped before it had an answer.
    fn answered_at_once<T>(&self, answer: Result<T, RunError>) -> Result<T, RunError> {
        if answer.is_ok() && self.asking.load(Ordering::Relaxed) == 0 {
            self.tell_back();
        }
        answer
    }

    fn tell_back(&self) {
        if self.is_told.swap(false, Ordering::Relaxed) {
            // it fails if the run is over
            let _ = self.notifier.send(Notice::StoreBack);
        }
    }

    async fn ask_again<T, F>(&self, ask: impl Fn() -> F, mut error: RunError) -> Result<T, RunError>
    where
        F: Future<Output = Result<T, RunError>>,
    {
        self.asking.fetch_add(1, Ordering::Relaxed);
        let _asking = Asking(self);
        if !self.is_told.swap(true, Ordering::Relaxed) {
            self.absences.fetch_add(1, Ordering::Relaxed);
            // it fails if the run is over
            let _ = self.notifier.send(Notice::StoreAway(error.told()));
        }
        let end = self.timer.now() + ABSENCE;
        let [mut pause, longest] = PAUSES;
        while self.timer.now() < end {
            self.timer.sleep_until(self.timer.now() + pause).await;
            pause = (pause * 2).min(longest);
            let left = end.saturating_duration_since(self.timer.now());
            match timeout(left, Box::pin(ask())).await {
                Err(_) => break,
                Ok(Err(again)) if again.passes() => error = again,
                Ok(done) => {
                    self.tell_back();
                    return done;
                }
            }
        }
        Err(error)
    }

    /// Asks for the lock, and takes it again if it was lost, as [`persist`](Self::persist) does.
    pub(super) async fn hold(&self, lock: &RunLock) -> Result<Standing, RunError> {
        self.persist(|| held(lock)).await
    }
}

async fn held(lock: &RunLock) -> Result<Standing, RunError> {
    Ok(lock.check().await?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use es_core::execution::{StoreError, StoreErrorKind};

    use super::super::StepError;
    use super::super::clocks::Jumping;
    use super::super::notices::Notices;
    use super::*;

    struct Scene {
        patience: Patience,
        timer: Arc<Jumping>,
        stop: watch::Sender<bool>,
        notices: Notices,
        asked: AtomicU32,
    }

    impl Scene {
        fn new() -> Self {
            let (stop, stopped) = watch::channel(false);
            let (notifier, notices) = Notices::new();
            let timer = Jumping::new();
            let patience = Patience::new(stopped, timer.clone(), notifier);
            Self { patience, timer, stop, notices, asked: AtomicU32::new(0) }
        }

        /// Fails so often, then succeeds.
        async fn fail(&self, times: u32, error: RunError) -> Result<u32, RunError> {
            match self.asked.fetch_add(1, Ordering::Relaxed) {
                asked if asked < times => Err(error),
                asked => Ok(asked),
            }
        }

        /// Fails once, and does not answer any more.
        async fn fail_and_swallow(&self) -> Result<(), RunError> {
            match self.asked.fetch_add(1, Ordering::Relaxed) {
                0 => Err(RunError::Store(failure(StoreErrorKind::Unavailable))),
                _ => pending().await,
            }
        }
    }

    fn failure(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, format!("{kind:?}"))
    }

    #[tokio::test]
    async fn what_passes_is_asked_again_and_told_once_for_each_absence() {
        use StoreErrorKind::{Busy, OutcomeUnknown, Unavailable};
        let mut scene = Scene::new();
        for kind in [Unavailable, OutcomeUnknown, Busy] {
            for of_result in [false, true] {
                scene.asked.store(0, Ordering::Relaxed);
                let ask = || scene.fail(9, RunError::Store(failure(kind)));
                let answer = match of_result {
                    false => scene.patience.persist(ask).await,
                    true => scene.patience.insist(ask).await,
                };
                assert_eq!(answer.unwrap(), 9, "{kind:?}");
                assert_eq!(scene.notices.take(), Some(Notice::StoreAway(format!("{kind:?}"))));
                assert_eq!(scene.notices.take(), Some(Notice::StoreBack));
                assert_eq!(scene.notices.take(), None);
            }
        }
    }

    #[tokio::test]
    async fn who_is_no_longer_waited_for_leaves_no_store_away() {
        let mut scene = Scene::new();
        let away = || RunError::Store(failure(StoreErrorKind::Unavailable));
        for of_result in [false, true] {
            scene.asked.store(0, Ordering::Relaxed);
            let dropped = scene.patience.persist(|| scene.fail_and_swallow());
            let told = async {
                while scene.asked.load(Ordering::Relaxed) < 2 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                answer = dropped => panic!("{answer:?}"),
                () = told => {}
            }
            assert_eq!(scene.notices.take(), Some(Notice::StoreAway("Unavailable".to_owned())));
            scene.asked.store(0, Ordering::Relaxed);
            let ask = || scene.fail(0, away());
            match of_result {
                false => scene.patience.persist(ask).await.unwrap(),
                true => scene.patience.insist(ask).await.unwrap(),
            };
            assert_eq!(scene.notices.take(), Some(Notice::StoreBack));
            assert_eq!(scene.notices.take(), None);
        }
    }

    #[tokio::test]
    async fn a_store_that_stays_away_is_waited_for_for_so_long_and_no_longer() {
        let scene = Scene::new();
        let began = scene.timer.now();
        let ask = || scene.fail(u32::MAX, RunError::Store(failure(StoreErrorKind::Unavailable)));
        let error = scene.patience.persist(ask).await.unwrap_err();
        assert!(matches!(error, RunError::Store(_)), "{error}");
        let waited = scene.timer.now() - began;
        assert!((ABSENCE..ABSENCE + PAUSES[1]).contains(&waited), "{waited:?}");
        assert!((50..100).contains(&scene.asked.into_inner()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_swallows_what_it_is_asked_is_given_up_as_soon_as_one_that_refuses() {
        for of_result in [false, true] {
            let scene = Scene::new();
            let ask = || scene.fail_and_swallow();
            let clock = tokio::time::Instant::now;
            let began = clock();
            let answer = match of_result {
                false => scene.patience.persist(ask).await,
                true => scene.patience.insist(ask).await,
            };
            assert!(matches!(answer, Err(RunError::Store(_))), "{answer:?}");
            // the pause before it was waited for by the other clock
            assert_eq!(clock() - began, ABSENCE - PAUSES[0]);
            assert_eq!(scene.asked.load(Ordering::Relaxed), 2);
        }
    }

    #[tokio::test]
    async fn what_does_not_pass_is_asked_once() {
        // a posting whose stream is held stands apart
        let busy = || RunError::Step(StepError::Store(failure(StoreErrorKind::Busy)));
        let full = || RunError::Store(failure(StoreErrorKind::Full));
        for error in [busy as fn() -> RunError, full, || RunError::NotBegun] {
            let mut scene = Scene::new();
            scene.patience.persist(|| scene.fail(1, error())).await.unwrap_err();
            assert_eq!(scene.asked.load(Ordering::Relaxed), 1);
            assert_eq!(scene.notices.take(), None);
        }
    }

    #[tokio::test]
    async fn once_it_is_asked_to_stop_only_results_are_waited_for() {
        let scene = Scene::new();
        scene.stop.send_replace(true);
        let ask = || scene.fail(2, RunError::Store(failure(StoreErrorKind::Unavailable)));
        let stopped = scene.patience.persist(ask).await.unwrap_err();
        assert!(matches!(stopped, RunError::NotBegun), "{stopped}");
        assert_eq!(scene.patience.insist(ask).await.unwrap(), 2);
        // what is done at once is done
        assert_eq!(scene.patience.persist(ask).await.unwrap(), 3);
        let useless = scene.patience.unless_stopped(ask()).await.unwrap_err();
        assert!(matches!(useless, RunError::NotBegun), "{useless}");
        assert_eq!(scene.asked.into_inner(), 4, "it is not even begun");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_answer_is_given_up_soon_after_a_stop() {
        let scene = Scene::new();
        let clock = tokio::time::Instant::now;
        let asking = scene.patience.persist(pending::<Result<(), RunError>>);
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            scene.stop.send_replace(true);
            clock()
        };
        let (given_up, stopped) = tokio::join!(asking, stopping);
        assert!(matches!(given_up.unwrap_err(), RunError::NotBegun));
        assert_eq!(clock() - stopped, AFTER_STOP);
    }
}
