//! Pauses that actors asked for: no posting calls its actor before one is over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use turing_domain::ActorId;

/// Until when actors want no call, as far as this process was told; setting the clock moves nothing.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<ActorId, Instant>>);

impl Pauses {
    /// Begins a pause, unless one is known that lasts longer.
    pub(super) fn begin(&self, actor: ActorId, now: Instant, pause: Duration) {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now + pause;
        let known = pauses.entry(actor).or_insert(until);
        *known = until.max(*known);
    }

    /// When the actor's pause is over, if it has one now.
    pub(super) fn until(&self, actor: ActorId, now: Instant) -> Option<Instant> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.get(&actor).copied().filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_it_is_over_and_concerns_its_actor_only() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let (one, other) = (ActorId(1), ActorId(2));
        let after = |seconds| now + Duration::from_secs(seconds);
        pauses.begin(one, now, Duration::from_secs(20));
        assert_eq!(pauses.until(one, after(5)), Some(after(20)));
        assert_eq!(pauses.until(other, after(5)), None);
        assert_eq!(pauses.until(one, after(20)), None);
        assert_eq!(pauses.until(one, after(21)), None);
    }

    #[test]
    fn of_two_pauses_the_one_that_ends_later_counts() {
        let (pauses, now, actor) = (Pauses::default(), Instant::now(), ActorId(1));
        let after = |seconds| now + Duration::from_secs(seconds);
        pauses.begin(actor, now, Duration::from_secs(20));
        pauses.begin(actor, after(5), Duration::from_secs(1));
        assert_eq!(pauses.until(actor, after(6)), Some(after(20)));
        pauses.begin(actor, after(15), Duration::from_secs(10));
        assert_eq!(pauses.until(actor, after(15)), Some(after(25)));
    }
}
