//! Circuit breakers of the actors that a run calls.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use es_core::{ExecuteError, LoadError, Metadata, Repository, Timestamp};
use turing_domain::{ActorBreaker, ActorId, BreakerPolicy, BreakerRejection, CallPermit};

use super::{RunError, told};

/// What is known of the actors' circuit breakers.
///
/// The store decides; what is kept here only spares a look at it before every call of an actor that
/// does not fail.
#[derive(Debug)]
pub(super) struct Breakers {
    pub(super) actors: Repository<ActorBreaker>,
    pub(super) policy: BreakerPolicy,
    known: Mutex<HashMap<ActorId, ActorBreaker>>,
    /// Actors whose events cannot be read: they are called as if they had no breaker.
    unreadable: Mutex<BTreeMap<ActorId, String>>,
}

impl Breakers {
    /// The breakers of these actors as they are in the store.
    pub(super) async fn load(
        actors: Repository<ActorBreaker>,
        policy: BreakerPolicy,
        ids: impl IntoIterator<Item = ActorId>,
    ) -> Result<Self, LoadError> {
        let (known, unreadable) = (Mutex::default(), Mutex::default());
        let breakers = Self { actors, policy, known, unreadable };
        for id in ids {
            breakers.reload(id).await?;
        }
        Ok(breakers)
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

    /// Whether the actor gets a call.
    pub(super) fn permit(&self, actor: ActorId, now: Timestamp) -> CallPermit {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&actor).map_or(CallPermit::Free, |breaker| breaker.permit(now))
    }

    /// Remembers what the store answered.
    pub(super) fn remember(&self, actor: ActorId, breaker: ActorBreaker) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(actor, breaker);
    }

    /// Asks for a call now; an open breaker whose time is over lets exactly one through, which the
    /// store decides.
    pub(super) async fn claim(
        &self,
        actor: ActorId,
        now: Timestamp,
        metadata: Metadata,
    ) -> Result<bool, RunError> {
        match self.permit(actor, now) {
            CallPermit::Free => return Ok(true),
            CallPermit::Refused { .. } => return Ok(false),
            CallPermit::Once => {}
        }
        let claim = |breaker: &ActorBreaker| breaker.let_one_through(&self.policy, now);
        match self.actors.update(&actor, claim).metadata(metadata).retries(5).await {
            Ok(executed) => {
                self.remember(actor, executed.state);
                Ok(true)
            }
            Err(ExecuteError::Rejected(
                BreakerRejection::Open { .. } | BreakerRejection::CallUnderWay { .. },
            )) => {
                self.reload(actor).await.map_err(RunError::load)?;
                Ok(false)
            }
            Err(ExecuteError::Load(error @ LoadError::Decode { .. })) => {
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
            known.get(&actor).is_none_or(|breaker| *breaker == ActorBreaker::default())
        };
        if is_clean {
            return Ok(());
        }
        let recovered = self.actors.record(&actor, ActorBreaker::record_success);
        let recovered = recovered.metadata(metadata).retries(20).await;
        match recovered {
            Err(ExecuteError::Load(error @ LoadError::Decode { .. })) => {
                self.give_up(actor, &error);
            }
            recovered => self.remember(actor, recovered.map_err(RunError::record)?.state),
        }
        Ok(())
    }

    /// Looks what the store has; an actor whose events cannot be read goes without a breaker.
    pub(super) async fn reload(&self, actor: ActorId) -> Result<(), LoadError> {
        match self.actors.load(&actor).await {
            Ok(loaded) => self.remember(actor, loaded.state),
            Err(error @ LoadError::Decode { .. }) => self.give_up(actor, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
