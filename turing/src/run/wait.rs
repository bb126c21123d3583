//! What a run waits for when nothing can be attempted.

use std::fmt;
use std::time::Duration;

use turing_domain::ActorId;

/// Why nothing can be attempted for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// For how long nothing can be; `None` until somebody ends a pause.
    pub longest: Option<Duration>,
    /// How many failed attempts wait for their time.
    pub due: usize,
    /// The actors that get no call now and that attempts wait for.
    pub held: Vec<Held>,
}

/// An actor that gets no call now, and what waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The actor.
    pub actor: ActorId,
    /// What people call it.
    pub name: Option<String>,
    /// How many attempts wait for it.
    pub attempts: usize,
    /// Why it gets no call.
    pub by: HeldBy,
}

/// Why an actor gets no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// It asked for a pause.
    Pause,
    /// Its circuit breaker is open.
    Breaker,
    /// Somebody paused it, or the run, or the conversations at which these attempts are to be made.
    Operator,
}

impl Wait {
    /// True if the other one waits for the same, however many attempts that are and however long it
    /// takes.
    pub fn is_for_the_same(&self, other: &Self) -> bool {
        let whom =
            |wait: &Self| wait.held.iter().map(|held| (held.actor, held.by)).collect::<Vec<_>>();
        (self.due > 0) == (other.due > 0) && whom(self) == whom(other)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = "";
        match self.due {
            0 => {}
            1 => f.write_str("1 failed attempt waits to be repeated")?,
            due => write!(f, "{due} failed attempts wait to be repeated")?,
        }
        if self.due > 0 {
            before = ", ";
        }
        for Held { actor, name, attempts, by } in &self.held {
            let wait = match (by, attempts) {
                (HeldBy::Operator, 1) => "attempt is paused, of",
                (HeldBy::Operator, _) => "attempts are paused, of",
                (_, 1) => "attempt waits for",
                (_, _) => "attempts wait for",
            };
            write!(f, "{before}{attempts} {wait} actor {actor}")?;
            if let Some(name) = name {
                write!(f, " ({name})")?;
            }
            f.write_str(match by {
                HeldBy::Pause => ", which asked for a pause",
                HeldBy::Breaker => ", whose circuit breaker is open",
                HeldBy::Operator => "",
            })?;
            before = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(actor: i32, attempts: usize, by: HeldBy) -> Held {
        let name = (actor == 80).then(|| "small".to_owned());
        Held { actor: ActorId(actor), name, attempts, by }
    }

    #[test]
    fn a_wait_says_how_many_wait_and_for_whom() {
        let longest = Some(Duration::from_secs(1));
        let wait = Wait { longest, due: 1, held: vec![held(80, 2, HeldBy::Pause)] };
        let told = "1 failed attempt waits to be repeated, 2 attempts wait for actor 80 (small), \
                    which asked for a pause";
        assert_eq!(wait.to_string(), told);
        let wait = Wait { due: 0, held: vec![held(81, 1, HeldBy::Breaker)], ..wait };
        let told = "1 attempt waits for actor 81, whose circuit breaker is open";
        assert_eq!(wait.to_string(), told);
        let wait = Wait { due: 3, held: Vec::new(), ..wait };
        assert_eq!(wait.to_string(), "3 failed attempts wait to be repeated");
        let wait = Wait { longest: None, due: 0, held: vec![held(80, 2, HeldBy::Operator)] };
        assert_eq!(wait.to_string(), "2 attempts are paused, of actor 80 (small)");
    }

    #[test]
    fn numbers_and_times_do_not_make_another_wait() {
        let wait =
            |due, held| Wait { longest: Some(Duration::from_millis(due)), due: due as usize, held };
        let paused = |attempts| vec![held(80, attempts, HeldBy::Pause)];
        assert!(wait(3, paused(1)).is_for_the_same(&wait(2, paused(2))));
        assert!(!wait(3, paused(1)).is_for_the_same(&wait(0, paused(1))));
        assert!(!wait(3, paused(1)).is_for_the_same(&wait(3, Vec::new())));
        let open = vec![held(80, 1, HeldBy::Breaker)];
        assert!(!wait(3, paused(1)).is_for_the_same(&wait(3, open)));
    }
}
