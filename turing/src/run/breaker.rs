//! Circuit breakers of the actors that a run calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use es_core::event::Metadata;
use es_core::execution::{IdempotencyKey, LoadError, Retry};
use es_core::{CommandError, Repository};
use turing_domain::{ActorBreaker, ActorId, BreakerPolicy, BreakerRejection, BreakerStatus, Pause};

use super::agenda::Gate;
use super::clocks::{Clocks, Moment};
use super::notices::{Notice, Notifier};
use super::operators::Met;
use super::{Run, RunError, Shared, told};
use crate::breakers::{LastFailure, OpenBreaker, open_breaker};

/// How often a run that waits looks whether somebody has closed a breaker.
const BETWEEN_LOOKS: Duration = Duration::from_secs(2);

/// What is known of the actors' circuit breakers.
///
/// The store decides; what is kept here only spares a look at it before every call of an actor that
/// does not fail.
#[derive(Debug)]
pub(super) struct Breakers {
    pub(super) actors: Repository<ActorBreaker>,
    pub(super) policy: BreakerPolicy,
    clocks: Clocks,
    notifier: Notifier,
    known: Mutex<HashMap<ActorId, Known>>,
    /// Actors whose events cannot be read: they are called as if they had no breaker.
    unreadable: Mutex<BTreeMap<ActorId, String>>,
}

/// What the store last answered of one breaker.
#[derive(Debug)]
struct Known {
    breaker: ActorBreaker,
    /// The latest wait that was met; it may be of a status that is over.
    wait: Option<Wait>,
    /// That somebody paused the actor.
    pause: Option<Met>,
}

/// For how long a status refuses calls, from when it was first met.
#[derive(Debug, Clone, Copy)]
struct Wait {
    status: BreakerStatus,
    until: Instant,
}

impl Breakers {
    /// Nothing is known yet; see [`reload`](Self::reload).
    pub(super) fn new(
        actors: Repository<ActorBreaker>,
        policy: BreakerPolicy,
        clocks: Clocks,
        notifier: Notifier,
    ) -> Self {
        let (known, unreadable) = (Mutex::default(), Mutex::default());
        Self { actors, policy, clocks, notifier, known, unreadable }
    }

    /// The actors that go without a breaker, and why.
    pub(super) fn unreadable(&self) -> BTreeMap<ActorId, String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the actor has a breaker.
    pub(super) fn guards(&self, actor: ActorId) -> bool {
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        !unreadable.contains_key(&actor)
    }

    /// Goes without the breaker of an actor whose events cannot be read.
    fn give_up(&self, actor: ActorId, error: &dyn Error) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        unreadable.insert(actor, told(error));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&actor);
    }

    /// How the breaker is, as the store last answered; closed, if the actor goes without one.
    pub(super) fn status(&self, actor: ActorId) -> BreakerStatus {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&actor).map_or(BreakerStatus::Closed, |known| known.breaker.status())
    }

    /// How many calls the actor gets.
    pub(super) fn gate(&self, actor: ActorId, now: Instant) -> Gate {
        match self.wait(actor) {
            None => Gate::Wide,
            Some(Wait { until, .. }) if now < until => Gate::Shut { until },
            Some(_) => Gate::One,
        }
    }

    /// What the pause of the actor lets through that somebody asked for, if it has one.
    pub(super) fn pause_gate(&self, actor: ActorId, now: Instant) -> Gate {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let met = known.get(&actor).and_then(|known| known.pause.as_ref());
        met.map_or(Gate::Wide, |met| met.gate(now))
    }

    /// The pause of the actor that somebody asked for and that is not over.
    pub(super) fn pause(&self, actor: ActorId, now: Instant) -> Option<Pause> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let met = known.get(&actor)?.pause.as_ref()?;
        (met.gate(now) != Gate::Wide).then(|| met.pause.clone())
    }

    /// What keeps calls from the actor, or did until it was waited out.
    fn wait(&self, actor: ActorId) -> Option<Wait> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&actor)?;
        known.wait.filter(|wait| wait.status == known.breaker.status())
    }

    /// Remembers what the store answered, and that it was met at this moment. A wait that was met
    /// before goes on, and none is longer than an open breaker's time.
    pub(super) fn remember(&self, actor: ActorId, breaker: ActorBreaker, seen: Moment) {
        let status = breaker.status();
        let longest = self.policy.cooldown_seconds.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = known.get(&actor).and_then(|known| known.wait);
        if let Some(until) = status.until()
            && wait.is_none_or(|wait| wait.status != status)
        {
            wait = Some(Wait { status, until: seen.deadline(until, longest) });
        }
        let before = known.get(&actor).and_then(|known| known.pause.as_ref());
        let pause = breaker.pause().map(|pause| Met::at(pause.clone(), before, seen));
        known.insert(actor, Known { breaker, wait, pause });
    }

    /// Asks for a call now; an open breaker whose time is over lets exactly one through, which the
    /// store decides. `key` is of this call alone: a claim that is repeated under it, because the
    /// answer was lost, is the same claim.
    pub(super) async fn claim(
        &self,
        actor: ActorId,
        key: IdempotencyKey,
        metadata: Metadata,
    ) -> Result<bool, RunError> {
        let Some(Wait { status, until }) = self.wait(actor) else { return Ok(true) };
        let now = self.clocks.moment();
        if now.at < until {
            return Ok(false);
        }
        let (policy, waited_out) = (&self.policy, Some(status));
        let actors = self.actors.by_id(&actor);
        let claim = actors.decide(|breaker| breaker.let_one_through(policy, waited_out, now.wall));
        match claim.idempotency_key(key).metadata(metadata).await {
            Ok(claimed) => {
                self.remember(actor, claimed.state, now);
                Ok(true)
            }
            Err(CommandError::Rejected(
                BreakerRejection::Open { .. } | BreakerRejection::CallUnderWay { .. },
            )) => {
                self.reload(actor).await?;
                Ok(false)
            }
            Err(CommandError::Load(error @ LoadError::Decode { .. })) => {
                self.give_up(actor, &error);
                Ok(true)
            }
            Err(error) => Err(RunError::record(error)),
        }
    }

    /// Forgets the failures of an actor that succeeded.
    pub(super) async fn succeeded(
        &self,
        actor: ActorId,
        metadata: Metadata,
    ) -> Result<(), RunError> {
        let is_clean = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&actor).is_none_or(|known| known.breaker.is_clean())
        };
        if is_clean {
            return Ok(());
        }
        let recovered = self.actors.by_id(&actor).decide(ActorBreaker::record_success);
        let recovered = recovered.metadata(metadata).retry(Retry::times(20)).await;
        match recovered {
            Err(CommandError::Load(error @ LoadError::Decode { .. })) => {
                self.give_up(actor, &error);
            }
            recovered => {
                let state = recovered.map_err(RunError::record)?.state;
                self.remember(actor, state, self.clocks.moment());
            }
        }
        Ok(())
    }

    /// Looks what the store has; an actor whose events cannot be read goes without a breaker.
    pub(super) async fn reload(&self, actor: ActorId) -> Result<(), RunError> {
        match self.actors.load(&actor).await {
            Ok(loaded) => self.remember(actor, loaded.state, self.clocks.moment()),
            Err(error @ LoadError::Decode { .. }) => self.give_up(actor, &error),
            Err(error) => return Err(RunError::load(error)),
        }
        Ok(())
    }
}

impl Shared {
    /// What people call an actor.
    pub(super) fn name_of(&self, actor: ActorId) -> Option<String> {
        self.definition.workflow.actor(actor).map(|actor| actor.name.clone())
    }

    /// The breaker of an actor, if it is open.
    async fn open_breaker(&self, actor: ActorId) -> Result<Option<OpenBreaker>, RunError> {
        match open_breaker(&self.breakers.actors, actor).await {
            Ok(breaker) => {
                Ok(breaker.map(|breaker| OpenBreaker { name: self.name_of(actor), ..breaker }))
            }
            // it goes without one
            Err(LoadError::Decode { .. }) => Ok(None),
            Err(error) => Err(RunError::load(error)),
        }
    }

    /// Tells that this failure has opened the breaker of an actor.
    pub(super) fn tell_opened(
        &self,
        actor: ActorId,
        breaker: &ActorBreaker,
        last_failure: LastFailure,
    ) {
        let Some(until) = breaker.status().until() else { return };
        let (name, failures) = (self.name_of(actor), breaker.failure_count());
        let last_failure = Some(last_failure);
        let breaker = OpenBreaker { actor, name, until, failures, last_failure };
        // it fails if the run is over
        let _ = self.breakers.notifier.send(Notice::BreakerOpened(breaker));
    }

    /// The actors that the workflow calls and that get no call now, or get one only.
    fn shut_actors(&self) -> BTreeSet<ActorId> {
        let now = self.clocks.timer.now();
        let actors = self.definition.workflow.conversations.iter().map(|one| one.actor);
        actors.filter(|actor| self.breakers.gate(*actor, now) != Gate::Wide).collect()
    }

    /// Waits until somebody else has closed a breaker that keeps calls away, which no clock tells.
    pub(super) async fn breaker_closed(&self) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let shut = self.shut_actors();
            for actor in &shut {
                // a store that is away is met by whoever needs it
                let _ = self.breakers.reload(*actor).await;
            }
            if self.shut_actors() != shut {
                return;
            }
        }
    }
}

impl Run<'_> {
    /// Looks at the circuit breakers of the actors that the workflow calls.
    pub(super) async fn load_breakers(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let conversations = shared.definition.workflow.conversations.iter();
        for actor in conversations.map(|one| one.actor).collect::<BTreeSet<_>>() {
            self.telling(shared.patience.persist(|| shared.breakers.reload(actor))).await?;
        }
        for breaker in self.open_breakers().await? {
            self.observer.breaker_open(&breaker);
        }
        Ok(())
    }

    pub(super) fn tell_unreadable_breakers(&mut self) {
        for (actor, reason) in self.shared.breakers.unreadable() {
            self.goes_without(format!("the circuit breaker of actor {actor}"), reason);
        }
    }

    /// The breakers of the workflow's actors that are open.
    pub(super) async fn open_breakers(&mut self) -> Result<Vec<OpenBreaker>, RunError> {
        let shared = self.shared.clone();
        let mut open = Vec::new();
        let now = shared.clocks.timer.now();
        for actor in shared.shut_actors() {
            // one that lets a call through needs nobody
            if !matches!(shared.breakers.gate(actor, now), Gate::Shut { .. }) {
                continue;
            }
            let looking = shared.patience.persist(|| shared.open_breaker(actor));
            open.extend(self.telling(looking).await?);
        }
        Ok(open)
    }
}
