//! Where a reaction begins, and how often it is tried.

use std::time::Duration;

use crate::projection::FailurePolicy;
use crate::retry::Retry;

/// Where a reaction begins when it runs for the first time. Afterwards it goes on from where it was,
/// whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is recorded from then on.
    Now,
    /// With the first event of the log.
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
    /// What is done after a failure.
    pub failure: FailurePolicy,
}

impl Default for ReactionPolicy {
    /// 16 streams at once, 30 s an attempt, 14 retries, then the stream is parked.
    ///
    /// The longest delay before a retry grows from 200 ms to 30 s. By chance each is a part of that, so
    /// that an event is given up after two minutes, as a rule, and after four at most, in which the
    /// time of its calls is not counted: a receiver may be away for a minute, and nothing is parked.
    fn default() -> Self {
        let retry = Retry {
            retries: 14,
            base: Duration::from_millis(200),
            longest: Duration::from_secs(30),
        };
        Self {
            concurrency: 16,
            timeout: Duration::from_secs(30),
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
