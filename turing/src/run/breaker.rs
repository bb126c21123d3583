//! Circuit breakers of the actors that a run calls.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use es_core::{ExecuteError, LoadError, Metadata, Repository, Timestamp};
use turing_domain::{ActorBreaker, ActorId, BreakerPolicy, BreakerRejection, CallPermit};

use super::RunError;

/// What is known of the actors' circuit breakers.
///
/// The store decides; what is kept here only spares a look at it before every call of an actor that
/// does not fail.
#[derive(Debug)]
pub(super) struct Breakers {
    pub(super) actors: Repository<ActorBreaker>,
    pub(super) policy: BreakerPolicy,
    known: Mutex<HashMap<ActorId, ActorBreaker>>,
}

impl Breakers {
    /// The breakers of these actors as they are in the store.
    pub(super) async fn load(
        actors: Repository<ActorBreaker>,
        policy: BreakerPolicy,
        ids: impl IntoIterator<Item = ActorId>,
    ) -> Result<Self, LoadError> {
        let mut known = HashMap::new();
        for id in ids {
            known.insert(id, actors.load(&id).await?.state);
        }
        Ok(Self { actors, policy, known: Mutex::new(known) })
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
                self.reload(actor).await?;
                Ok(false)
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
        self.remember(actor, recovered.map_err(RunError::record)?.state);
        Ok(())
    }

    pub(super) async fn reload(&self, actor: ActorId) -> Result<(), RunError> {
        let state = self.actors.load(&actor).await.map_err(RunError::load)?.state;
        self.remember(actor, state);
        Ok(())
    }
}
