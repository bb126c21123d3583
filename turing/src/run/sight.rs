//! What others may see of a run while it goes on: how its actors are, and what it has recorded.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use turing_domain::{ActorId, BreakerStatus, ConversationId};

use super::{HeldBy, Shared};

/// A look at a run of this process, for who wants to know more than an [`Observer`](super::Observer) is
/// told. It reads what the run knows and asks no store; nothing of the run is kept by it.
#[derive(Clone)]
pub struct Sight(Weak<Shared>);

/// How an actor is, as far as the run knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActorNow {
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
    /// Until when it gets no call, if it asked for a pause that is not over.
    pub paused_until: Option<Instant>,
    /// Why it gets no call now, if it gets none.
    pub held: Option<HeldBy>,
}

impl Sight {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(shared))
    }

    /// How many events this process has recorded for the run; `None` if it is over.
    pub fn events(&self) -> Option<u64> {
        Some(self.0.upgrade()?.recorded())
    }

    /// The conversations at which somebody wants no attempt to begin; `None` if the run is over.
    pub fn paused(&self) -> Option<BTreeSet<ConversationId>> {
        let shared = self.0.upgrade()?;
        let now = shared.clocks.timer.now();
        Some(shared.paused(now))
    }

    /// How an actor is; `None` if the run is over.
    pub fn actor(&self, actor: ActorId) -> Option<ActorNow> {
        let shared = self.0.upgrade()?;
        let now = shared.clocks.timer.now();
        Some(ActorNow {
            breaker: shared.breakers.status(actor),
            paused_until: shared.pauses.until(actor, now),
            held: shared.held_by(actor, now),
        })
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight").finish_non_exhaustive()
    }
}
