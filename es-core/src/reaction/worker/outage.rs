//! What keeps a reaction from going on for a while, and that operators are told of it.

use std::time::Instant;

use super::held::Held;
use crate::environment::within;
use crate::projection::{Means, SinkError, StopCause, TroubleKind, chain, telemetry};

/// A store that fails, while the lease lasts.
pub(super) struct Outage {
    /// How often in a row.
    failures: u32,
    /// When it is asked again.
    pub(super) until: Instant,
    trouble: String,
}

impl Outage {
    pub(super) fn lasts(&self, means: &Means) -> bool {
        means.now() < self.until
    }
}

/// True if the store has failed, and is asked again.
pub(super) fn is_of_store(cause: &StopCause) -> bool {
    let is_failure = matches!(cause, StopCause::Sink(SinkError::Store(_)));
    is_failure && cause.kind() == TroubleKind::Store
}

impl Held {
    /// Whether a failure is waited out, with the lease and with the calls that are under way: it is the
    /// store's, the lease lasts, and what was asked can be asked again. Also one that does not pass, such
    /// as an event that cannot be read: what does go on goes on, and what was answered is committed.
    pub(super) async fn waits_out(&mut self, means: &Means, cause: &StopCause) -> bool {
        if !is_of_store(cause) || !self.has_lease(means) {
            return false;
        }
        let (reaction, reason) = (self.name(), chain(cause));
        telemetry::failure(reaction);
        tracing::warn!(reaction, %reason, "the store fails; calls go on as long as the lease lasts");
        let failures = self.outage.as_ref().map_or(0, |outage| outage.failures).saturating_add(1);
        let delay = means.settings.backoff.delay(failures, means.environment.jitter.fraction());
        // so that the lease can be renewed
        let until = means.after(delay.min(means.settings.time_to_live / 3));
        self.outage = Some(Outage { failures, until, trouble: cause.told() });
        self.tell(means).await;
        true
    }

    /// Tells operators what keeps it from going on, or that nothing does any more: that the store fails,
    /// or else why the event that holds the checkpoint back is tried again.
    pub(super) async fn tell(&mut self, means: &Means) {
        let trouble = match &self.outage {
            Some(outage) => Some(outage.trouble.clone()),
            None => self.window.trouble().map(|(event, reason)| {
                let (event, key) = (event.clone(), event.stream.to_string());
                StopCause::Poison { event, key, reason: reason.to_owned() }.told_while_retrying()
            }),
        };
        if trouble == self.told {
            return;
        }
        let (sink, lease) = (self.sink.clone(), self.lease.clone());
        let runtime = &*means.environment.runtime;
        let report = sink.report(&lease, trouble.as_deref());
        let told = within(runtime, means.settings.grace(), report);
        // one that does not arrive is told again
        if let Some(Ok(())) = self.beside(means, told).await {
            self.told = trouble;
        }
    }
}
