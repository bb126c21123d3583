//! One projection of a runner.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tracing::Instrument;

use crate::envelope::{EventId, RecordedEvent};

use super::super::worker::{Worker, chain};
use super::super::{
    Checkpoint, Claim, Definition, LastResort, Renewal, SinkError, Slot, StopCause, TroubleKind,
    models, telemetry,
};
use super::{Means, Stopped};

/// A projection, what it works with, and what keeps it from working.
pub(super) struct Member {
    pub(super) definition: Definition,
    worker: Option<Worker>,
    /// Why it goes on only after somebody did something about it.
    stopped: Option<StopCause>,
    /// What failed, since the last success.
    trouble: Option<SinkError>,
    /// How often in a row the store failed.
    failures: u32,
    /// The event that could not be taken, and how often it was tried.
    attempts: Option<(EventId, u32)>,
    wait: Option<Wait>,
    renewed_at: Option<Instant>,
    /// Up to which call to look at once it has looked.
    wakes: u64,
    /// Where its worker counts the sink's answers.
    answers: Arc<AtomicU64>,
    /// Whether it came to where it was to come with the last page, or cannot.
    pub(super) is_done: bool,
}

/// What a member waits for.
#[derive(Clone, Copy)]
enum Wait {
    /// Another attempt at an event.
    Retry(Instant),
    /// The store, or a lease that somebody else has.
    Store(Instant),
}

impl Wait {
    fn until(self) -> Instant {
        match self {
            Self::Retry(at) | Self::Store(at) => at,
        }
    }
}

impl Member {
    pub(super) fn new(definition: Definition, answers: Arc<AtomicU64>) -> Self {
        Self {
            definition,
            worker: None,
            stopped: None,
            trouble: None,
            failures: 0,
            attempts: None,
            wait: None,
            renewed_at: None,
            wakes: 0,
            answers,
            is_done: false,
        }
    }

    /// Where it stands; `None` if it does not work at present.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        let worker = self.worker.as_ref().filter(|_| self.is_active())?;
        Some(worker.reached())
    }

    fn is_active(&self) -> bool {
        self.stopped.is_none() && self.wait.is_none()
    }

    /// True if it lost its lease and is to take it again at once.
    pub(super) fn is_left_behind(&self) -> bool {
        self.is_active() && self.worker.is_none()
    }

    pub(super) fn stopped(&self) -> Option<Stopped> {
        Some(self.because(self.stopped.clone()?))
    }

    /// When it wants to go on by itself.
    pub(super) fn next_attempt(&self) -> Option<Instant> {
        self.wait.map(Wait::until)
    }

    /// When an event is to be tried again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        match self.wait? {
            Wait::Retry(at) => Some(at),
            Wait::Store(_) => None,
        }
    }

    /// What keeps it from going on, after which it tries again at once unless an event stopped it.
    pub(super) fn take_trouble(&mut self) -> Option<Stopped> {
        if let Some(Wait::Store(_)) = self.wait {
            self.wait = None;
            if let Some(trouble) = self.trouble.take() {
                return Some(self.because(trouble.into()));
            }
        }
        self.stopped()
    }

    pub(super) fn because(&self, cause: StopCause) -> Stopped {
        Stopped { projection: self.definition.name().to_owned(), cause }
    }

    /// Sees to the lease, and to parked events that are due.
    pub(super) async fn prepare(&mut self, means: &Means) {
        if self.wait.is_some_and(|wait| wait.until() <= means.now()) {
            self.wait = None;
        }
        if !self.is_active() {
            return;
        }
        if self.worker.is_none() {
            if let Err(halt) = self.acquire(means).await {
                return self.halt(means, halt).await;
            }
            self.renewed_at = None;
        }
        if self.wakes != means.wakes {
            self.wakes = means.wakes;
            self.renewed_at = None;
        }
        self.keep_lease(means).await;
    }

    /// Renews the lease if that is due.
    pub(super) async fn keep_lease(&mut self, means: &Means) {
        if self.is_due(means)
            && let Err(halt) = self.renew(means).await
        {
            self.halt(means, halt).await;
        }
    }

    /// True if its lease is to be renewed.
    pub(super) fn is_due(&self, means: &Means) -> bool {
        let time = means.settings.time_to_live / 3;
        self.is_active() && self.renewed_at.is_none_or(|at| means.since(at) >= time)
    }

    async fn acquire(&mut self, means: &Means) -> Result<(), StopCause> {
        self.definition.check()?;
        let sink = models(&means.store, self.definition.name())?;
        let lease = sink.acquire(&self.claim(means)).await?;
        means.signals.answered();
        let mut worker = Worker::new(
            means.store.event_store().clone(),
            sink.clone(),
            means.environment.clone(),
            self.definition.clone(),
            lease,
            0,
        )
        .await?;
        worker.limit = means.settings.limit;
        worker.answers = self.answers.clone();
        // whatever is found, there is a lease by now, to tell of it and to be given back
        let worker = self.worker.insert(worker);
        worker.check_log().await?;
        Ok(worker.forget_passed_trouble().await?)
    }

    async fn renew(&mut self, means: &Means) -> Result<(), StopCause> {
        let Some(worker) = &mut self.worker else { return Ok(()) };
        let rate = means.signals.rate(self.definition.name(), means.environment.clock.now());
        let renewal = Renewal { rate, ..Renewal::lasting(means.settings.time_to_live) };
        loop {
            let renewed = worker.sink.renew(&worker.lease, &renewal).await?;
            means.signals.answered();
            // at the first renewal it was looked at just now
            if self.renewed_at.is_some() {
                worker.check_log().await?;
            }
            self.renewed_at = Some(means.now());
            for key in &renewed.due {
                worker.retry_key(key).await?;
            }
            if renewed.due.len() < renewal.limit {
                return Ok(());
            }
        }
    }

    /// Takes the events that are its own; answers whether it has come to `to`, or cannot. With the
    /// last events nothing is left to be committed.
    pub(super) async fn take(
        &mut self,
        means: &Means,
        events: &[RecordedEvent],
        to: &Checkpoint,
        is_last: bool,
    ) -> bool {
        let parking = self.definition.policy().parking(self.attempts);
        let Some(worker) = &mut self.worker else { return true };
        let selection = self.definition.selection();
        let selected: Vec<_> = events.iter().filter(|event| selection.accepts(event)).collect();
        worker.parking = parking;
        let (done, before, started) = (worker.done, worker.checkpoint.position, means.now());
        let began = means.environment.clock.now();
        let span = telemetry::batch_span(self.definition.name(), selected.len());
        let taken = async {
            worker.advance(&selected, to, is_last).await?;
            worker.retry_joined().await
        };
        let taken = taken.instrument(span).await;
        let has_come = worker.reached().position >= to.position;
        let is_committed = worker.checkpoint.position > before || worker.is_committed();
        let done = worker.done - done;
        telemetry::batch(self.definition.name(), done, means.since(started));
        if !selected.is_empty() || done > 0 {
            means.signals.count(self.definition.name(), done, began, means.environment.clock.now());
        }
        match taken {
            Ok(()) => {
                if is_committed {
                    (self.failures, self.attempts, self.trouble) = (0, None, None);
                }
                has_come
            }
            Err(halt) => {
                self.halt(means, halt).await;
                !self.is_active()
            }
        }
    }

    pub(super) async fn halt(&mut self, means: &Means, halt: StopCause) {
        telemetry::failure(self.definition.name());
        let halt = match halt {
            StopCause::Sink(error) => StopCause::Sink(error.of(self.definition.name())),
            other => other,
        };
        match halt {
            halt if let Some(event) = halt.untaken() => self.untaken(means, event, halt).await,
            halt if halt.kind() != TroubleKind::Store => self.stop(halt).await,
            StopCause::Sink(SinkError::LeaseLost { .. } | SinkError::ParkedChanged { .. })
                if self.failures == 0 =>
            {
                // what this process knows is old; it asks again at once, but not for ever
                self.failures = 1;
                self.worker = None;
            }
            StopCause::Sink(error) => {
                if let Some(worker) = &self.worker {
                    let told = StopCause::Sink(error.clone()).told();
                    // whether this arrives or not, the store has already failed
                    let _ = worker.sink.report(&worker.lease, Some(&told)).await;
                }
                self.fail(means, &error);
            }
            other => self.stop(other).await,
        }
    }

    /// Waits for the store, or for who has the lease.
    fn fail(&mut self, means: &Means, error: &SinkError) {
        let settings = &means.settings;
        let delay = if let SinkError::Held { .. } = error {
            settings.time_to_live / 3
        } else {
            self.failures = self.failures.saturating_add(1);
            settings.backoff.delay(self.failures, means.environment.jitter.fraction())
        };
        // the next lease tells what was committed
        self.worker = None;
        let reason = chain(error);
        tracing::warn!(projection = self.definition.name(), %reason, "projection waits");
        self.trouble = Some(error.clone());
        self.wait = Some(Wait::Store(means.after(delay)));
    }

    async fn untaken(&mut self, means: &Means, event: EventId, cause: StopCause) {
        let before = self.attempts.filter(|(id, _)| *id == event);
        let attempts = before.map_or(0, |(_, attempts)| attempts).saturating_add(1);
        self.attempts = Some((event, attempts));
        let policy = self.definition.policy();
        if attempts <= policy.retry.retries {
            if let Some(worker) = &self.worker {
                // shown to operators if it arrives; the retry does not depend on it
                let told = cause.told_while_retrying();
                let _ = worker.sink.report(&worker.lease, Some(&told)).await;
            }
            let fraction = means.environment.jitter.fraction();
            let delay = policy.retry.delay(attempts, fraction);
            self.wait = Some(Wait::Retry(means.after(delay)));
        } else if policy.then == LastResort::Stop {
            self.stop(cause).await;
        }
    }

    /// Stops for good; the reason stays with the model.
    async fn stop(&mut self, cause: StopCause) {
        let reason = chain(&cause);
        tracing::error!(projection = self.definition.name(), %reason, "projection stopped");
        if let Some(worker) = &self.worker {
            // the reason is also what the runner answers
            let _ = worker.sink.report(&worker.lease, Some(&cause.told())).await;
        }
        self.release().await;
        self.stopped = Some(cause);
    }

    fn claim(&self, means: &Means) -> Claim {
        let settings = &means.settings;
        Claim::of(&self.definition, Slot::Active, &*settings.holder, settings.time_to_live)
    }

    /// Commits what was gathered; what cannot be is taken again by whoever comes next.
    pub(super) async fn flush(&mut self) {
        if let Some(worker) = &mut self.worker {
            let _ = worker.flush().await;
        }
    }

    /// Itself, when nothing is gathered any more.
    pub(super) async fn flushed(mut self) -> Self {
        self.flush().await;
        self
    }

    /// Itself, without a lease.
    pub(super) async fn released(mut self) -> Self {
        self.release().await;
        self
    }

    /// Forgets its lease, which expires; what was not committed is taken again.
    pub(super) fn abandon(&mut self) {
        self.worker = None;
    }

    pub(super) async fn release(&mut self) {
        self.flush().await;
        if let Some(worker) = self.worker.take() {
            // a lease that is not given back expires
            let _ = worker.sink.release(&worker.lease).await;
        }
    }
}
