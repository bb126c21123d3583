//! Where a reaction begins, and how often it is tried.

use std::time::Duration;

use crate::projection::FailurePolicy;
use crate::retry::Retry;

/// Where a reaction begins when it runs for the first time. Afterwards it goes on from where it was,
/// whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is recorded from then on: for a log that has long held such events, of which nobody is
    /// to hear again.
    ///
    /// It passes over all that stands in the log when its first run has the lease, for ever: also what a
    /// program recorded that served before its runner had begun. A warning says so once. So let
    /// [`Runner::once`](crate::Runner::once) record the start before anything is served.
    Now,
    /// With the first event of the log: also where there is none yet, because the event is new, or the
    /// system is. Then nothing falls between, whatever begins first.
    Beginning,
}

/// How many events a reaction is given at once, how long a call may take, and what is done when it
/// fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactionPolicy {
    /// Of how many streams a call may be under way; 0 counts as 1. Of one stream it is one.
    pub concurrency: usize,
    /// How long one attempt may take before it is dropped, and has failed.
    pub timeout: Duration,
    /// How many events are held at once, from the first that is not done on, those included that are;
    /// fewer than 2 count as 2. So many are given again after a crash, at most: all from the first on
    /// that is not done, be it that it fails, that its call hangs, or that it waits for its turn. A
    /// runner that is stopped leaves less; see [`Runner::run`](crate::Runner::run).
    ///
    /// Where so many are held, nothing is read until the first of them has ended: other streams stand
    /// still, for the [`timeout`](Self::timeout) of its attempt at most. If it failed it is set aside: it
    /// is parked, with all of its stream, as one that is due, and is tried from there while the others go
    /// on: at once, and then as often again as the policy says. So what fails for long holds up nobody,
    /// and is seen in health and in [`parked`](crate::projection::Subscription::parked). A policy that
    /// ends with [`Stop`](crate::projection::LastResort::Stop) sets nothing aside, and lets the others
    /// stand still for as long as it tries.
    pub ahead: usize,
    /// What is done after a failure.
    pub failure: FailurePolicy,
}

impl Default for ReactionPolicy {
    /// 16 streams at once, 30 s an attempt, 1,000 events ahead, 14 retries, then the stream is parked.
    ///
    /// The longest delay before a retry grows from 200 ms to 30 s. By chance each is a part of that, so
    /// that an event is given up after two minutes, as a rule, and after four at most, in which the
    /// time of its calls is not counted: a receiver may be away for a minute, and nobody has to ask for
    /// another attempt.
    fn default() -> Self {
        let retry = Retry {
            retries: 14,
            base: Duration::from_millis(200),
            longest: Duration::from_secs(30),
        };
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(30),
            ahead: 1_000,
            failure: FailurePolicy::park_key().after(retry),
        }
    }
}

impl ReactionPolicy {
    /// Replaces of how many streams a call may be under way; 0 counts as 1.
    #[must_use]
    pub const fn concurrency(mut self, streams: usize) -> Self {
        self.concurrency = if streams == 0 { 1 } else { streams };
        self
    }

    /// Replaces how long one attempt may take.
    #[must_use]
    pub const fn timeout(mut self, attempt: Duration) -> Self {
        self.timeout = attempt;
        self
    }

    /// Replaces how many events are held at once; fewer than 2 count as 2.
    #[must_use]
    pub const fn ahead(mut self, events: usize) -> Self {
        self.ahead = if events < 2 { 2 } else { events };
        self
    }

    /// Replaces what is done after a failure.
    #[must_use]
    pub const fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.failure = policy;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::LastResort;

    #[test]
    fn a_policy_is_patient_unless_it_is_told_otherwise() {
        let policy = ReactionPolicy::default();
        assert_eq!((policy.concurrency, policy.timeout), (16, Duration::from_secs(30)));
        assert_eq!((policy.ahead, policy.ahead(1).ahead, policy.ahead(9).ahead), (1_000, 2, 9));
        assert_eq!(policy.failure.then, LastResort::ParkKey);
        let retry = policy.failure.retry;
        let delays = [1, 2, 8, 9].map(|number| retry.delay(number, 1.0).as_millis());
        assert_eq!(delays, [200, 400, 25_600, 30_000]);
        let in_all = |fraction| {
            let delays = (1..=retry.retries).map(|number| retry.delay(number, fraction));
            delays.sum::<Duration>().as_secs()
        };
        assert_eq!((in_all(0.5), in_all(1.0)), (115, 231));

        let policy = policy.concurrency(0).timeout(Duration::from_secs(1));
        let policy = policy.on_failure(FailurePolicy::stop());
        assert_eq!((policy.concurrency, policy.timeout), (1, Duration::from_secs(1)));
        assert_eq!(policy.failure, FailurePolicy::stop());
    }
}
