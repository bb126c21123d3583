//! Pauses that actors asked for: no posting calls its actor before one is over, and then one does, to
//! see whether it wants another.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use turing_domain::ActorId;

/// Which actors asked for a pause and have not answered since, as far as this process was told;
/// setting the clock moves nothing.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<ActorId, Paused>>);

#[derive(Debug, Clone, Copy)]
struct Paused {
    until: Instant,
    /// How many pauses came before this one, each when the one before it was over.
    before: u32,
}

impl Pauses {
    fn locked(&self) -> MutexGuard<'_, HashMap<ActorId, Paused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pause, unless one is known that lasts longer. `length` says how long it is after so
    /// many others; answers that.
    pub(super) fn begin(
        &self,
        actor: ActorId,
        now: Instant,
        length: impl FnOnce(u32) -> Duration,
    ) -> Duration {
        let mut pauses = self.locked();
        let known = pauses.get(&actor).copied();
        let before = match known {
            None => 0,
            // this call was under way when the pause began
            Some(known) if now < known.until => known.before,
            Some(known) => known.before.saturating_add(1),
        };
        let pause = length(before);
        let until = known.map_or(now + pause, |known| known.until.max(now + pause));
        pauses.insert(actor, Paused { until, before });
        pause
    }

    /// The actor did not ask for a pause: it wants none any more, unless one is not over.
    pub(super) fn answered(&self, actor: ActorId, now: Instant) {
        let mut pauses = self.locked();
        if pauses.get(&actor).is_some_and(|paused| paused.until <= now) {
            pauses.remove(&actor);
        }
    }

    /// When the actor's pause is over, if it has one now.
    pub(super) fn until(&self, actor: ActorId, now: Instant) -> Option<Instant> {
        self.locked().get(&actor).map(|paused| paused.until).filter(|until| now < *until)
    }

    /// True if the actor asked for a pause and has not answered since.
    pub(super) fn is_in_doubt(&self, actor: ActorId) -> bool {
        self.locked().contains_key(&actor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: ActorId = ActorId(1);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_pause_ends_when_it_is_over_and_concerns_its_actor_only() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let after = |time| now + seconds(time);
        pauses.begin(ACTOR, now, |_| seconds(20));
        assert_eq!(pauses.until(ACTOR, after(5)), Some(after(20)));
        assert_eq!(pauses.until(ActorId(2), after(5)), None);
        assert_eq!(pauses.until(ACTOR, after(20)), None);
        assert_eq!(pauses.until(ACTOR, after(21)), None);
    }

    #[test]
    fn of_two_pauses_the_one_that_ends_later_counts() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let after = |time| now + seconds(time);
        pauses.begin(ACTOR, now, |_| seconds(20));
        pauses.begin(ACTOR, after(5), |_| seconds(1));
        assert_eq!(pauses.until(ACTOR, after(6)), Some(after(20)));
        pauses.begin(ACTOR, after(15), |_| seconds(10));
        assert_eq!(pauses.until(ACTOR, after(15)), Some(after(25)));
    }

    #[test]
    fn pauses_in_a_row_are_counted_until_an_answer_that_comes_after_one() {
        let (pauses, now) = (Pauses::default(), Instant::now());
        let begin = |at| {
            let pause =
                pauses.begin(ACTOR, now + seconds(at), |before| seconds(10 + u64::from(before)));
            pause.as_secs()
        };
        // six calls that were under way together are refused as one
        assert_eq!([0, 1, 2].map(begin), [10, 10, 10]);
        pauses.answered(ACTOR, now + seconds(11));
        assert!(pauses.is_in_doubt(ACTOR), "it has a pause still");
        assert_eq!([12, 23, 35].map(begin), [11, 12, 13]);
        assert!(pauses.is_in_doubt(ACTOR));
        pauses.answered(ACTOR, now + seconds(48));
        assert!(!pauses.is_in_doubt(ACTOR));
        assert_eq!(begin(60), 10);
    }
}
