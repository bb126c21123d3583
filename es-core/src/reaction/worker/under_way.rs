//! Calls that are under way: which begin, what comes of them, and what is done meanwhile.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::super::window::{AfterFailure, Given};
use super::call::{Ended, Outcome};
use super::held::{Held, silent};
use crate::envelope::EventReference;
use crate::environment::within;
use crate::projection::{Means, StopCause, telemetry};

/// After so long a store that could not say whether a parked event is to be given is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The next call that ends; pending as long as none is under way.
pub(super) async fn next_of(calls: &mut FuturesUnordered<BoxFuture<'static, Ended>>) -> Ended {
    match calls.next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}

impl Held {
    /// False when others may have the lease, or when nothing is given any more.
    fn may_begin(&self, means: &Means) -> bool {
        !means.signals.is_stopped() && !self.window.is_stopping() && self.has_lease(means)
    }

    /// Begins the calls that may begin.
    pub(super) fn start(&mut self, means: &Means) {
        while self.may_begin(means)
            && let Some(attempt) = self.window.next(means.now())
        {
            self.of.calls.fetch_add(1, Ordering::Relaxed);
            self.calls.push(match attempt.given {
                Given::Event(event) => self.of.call(means, event, attempt.number),
                Given::Parked(entry) => self.of.look(means, &self.sink, entry, attempt.number),
            });
        }
    }

    /// Takes what came of a call, or of what was asked before it.
    pub(super) fn ended(&mut self, means: &Means, ended: Ended) {
        let Ended { event, outcome } = ended;
        let id = event.event_id;
        match outcome {
            Outcome::Done => _ = self.window.answered(id),
            Outcome::Failed(reason) => self.failed(means, event, reason),
            Outcome::Found(found, number) if self.may_begin(means) => {
                self.calls.push(self.of.call(means, *found, number));
            }
            // whoever has the lease by then gives it
            Outcome::Found(..) => _ = self.window.put_back(id, means.now()),
            Outcome::Gone => _ = self.window.not_given(id),
            Outcome::Lost => _ = self.window.lost(id),
            Outcome::Unsaid(cause) => {
                self.window.put_back(id, means.after(ASK_AGAIN_AFTER));
                self.unsaid = Some(cause);
            }
        }
    }

    fn failed(&mut self, means: &Means, event: EventReference, reason: String) {
        let reaction = self.name();
        telemetry::failure(reaction);
        tracing::warn!(reaction, event = %event.event_id, %reason, "a call failed");
        let fraction = means.environment.jitter.fraction();
        let told = reason.clone();
        let after = self.window.failed(event.event_id, told, fraction, |delay| means.after(delay));
        if after == Some(AfterFailure::Stop) {
            let key = event.stream.to_string();
            self.poison.get_or_insert(StopCause::Poison { event, key, reason });
        }
    }

    /// Does something while calls go on.
    pub(super) async fn beside<T>(&mut self, means: &Means, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            self.start(means);
            let ended = {
                let next = pin!(next_of(&mut self.calls));
                match select(work.as_mut(), next).await {
                    Either::Left((done, _)) => return done,
                    Either::Right((ended, _)) => ended,
                }
            };
            self.ended(means, ended);
        }
    }

    /// Asks the store while calls go on, as long as it is worth waiting.
    pub(super) async fn asked<T, E: Into<StopCause>>(
        &mut self,
        means: &Means,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StopCause> {
        let runtime = &*means.environment.runtime;
        let answer = within(runtime, means.settings.patience(), work);
        let answer = self.beside(means, answer).await;
        answer.ok_or_else(|| silent(means))?.map_err(Into::into)
    }
}
