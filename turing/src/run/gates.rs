//! Whether an actor gets a call now: what its circuit breaker and its pauses say, and what is in progress.

use std::time::Instant;

use es_core::execution::IdempotencyKey;
use turing_domain::{ActorId, ConversationId};

use super::agenda::Gate;
use super::wave_record::WaveRecord;
use super::{Held, HeldBy, Run, RunError, Shared, Wait};

impl Run<'_> {
    /// Tells what waits until then, or until somebody ends a pause, and for what.
    pub(super) fn tell_wait(&mut self, until: Option<Instant>, now: Instant) {
        let shared = self.shared.clone();
        let mut held = Vec::<Held>::new();
        for conversation in &shared.definition.workflow.conversations {
            let (actor, attempts) = (conversation.actor, self.agenda.at(conversation.id));
            if attempts == 0 {
                continue;
            }
            let by = match shared.paused_at(conversation.id, now) {
                Some(_) => Some(HeldBy::Operator),
                None => shared.held_by(actor, now),
            };
            let Some(by) = by else { continue };
            match held.iter_mut().find(|known| (known.actor, known.by) == (actor, by)) {
                Some(known) => known.attempts += attempts,
                None => held.push(Held { actor, name: shared.name_of(actor), attempts, by }),
            }
        }
        let longest = until.map(|until| until.saturating_duration_since(now));
        self.observer.waits(&Wait { longest, due: self.agenda.waiting(), held });
    }

    /// Asks for one call of a conversation's actor, which gets none any more once the run is asked to
    /// stop.
    pub(super) async fn claims_call(
        &mut self,
        conversation: ConversationId,
        record: &WaveRecord,
    ) -> Result<bool, RunError> {
        let shared = self.shared.clone();
        match self.telling(shared.claim_call(conversation, record)).await {
            Err(RunError::NotBegun) => Ok(false),
            claimed => claimed,
        }
    }
}

impl Shared {
    pub(super) fn actor_of(&self, conversation: ConversationId) -> Option<ActorId> {
        self.definition.workflow.conversation(conversation).map(|conversation| conversation.actor)
    }

    /// Whether attempts at a conversation may be made now, of whose actor one is in progress or none.
    pub(super) fn gate(
        &self,
        conversation: ConversationId,
        now: Instant,
        is_called: impl Fn(ActorId) -> bool,
    ) -> Gate {
        let Some(actor) = self.actor_of(conversation) else { return Gate::Wide };
        let gate = match self.gate_of(actor, now) {
            // it may want another pause, which one call tells
            Gate::Wide | Gate::One if self.pauses.is_in_doubt(actor) && is_called(actor) => {
                Gate::Full
            }
            gate => gate,
        };
        gate.and(self.pause_gate(conversation, actor, now))
    }

    /// What pauses let through that somebody asked for.
    fn pause_gate(&self, conversation: ConversationId, actor: ActorId, now: Instant) -> Gate {
        self.operators.gate(conversation, now).and(self.breakers.pause_gate(actor, now))
    }

    /// Whether an actor may be called now.
    fn gate_of(&self, actor: ActorId, now: Instant) -> Gate {
        match (self.breakers.gate(actor, now), self.pauses.until(actor, now)) {
            (gate, None) => gate,
            (Gate::Shut { until }, Some(pause)) => Gate::Shut { until: until.max(pause) },
            (_, Some(until)) => Gate::Shut { until },
        }
    }

    /// Why an actor gets no call now, if it gets none.
    pub(super) fn held_by(&self, actor: ActorId, now: Instant) -> Option<HeldBy> {
        if self.breakers.pause(actor, now).is_some() {
            return Some(HeldBy::Operator);
        }
        match (self.pauses.until(actor, now), self.breakers.gate(actor, now)) {
            (Some(_), _) => Some(HeldBy::Pause),
            (None, Gate::Shut { .. }) => Some(HeldBy::Breaker),
            (None, Gate::Wide | Gate::One | Gate::Full) => None,
        }
    }

    /// Asks for one call of a conversation's actor, which wants no pause and whose breaker lets it
    /// through; none is for a wave that cannot be recorded, or not now.
    async fn claim_call(
        &self,
        conversation: ConversationId,
        record: &WaveRecord,
    ) -> Result<bool, RunError> {
        if record.has_failed() {
            return Ok(false);
        }
        if self.patience.is_away() {
            record.record(self).await?;
        }
        let Some(actor) = self.actor_of(conversation) else { return Ok(true) };
        let now = self.clocks.timer.now();
        // somebody may have asked for a pause since it was chosen
        if matches!(self.pause_gate(conversation, actor, now), Gate::Shut { .. } | Gate::Full) {
            return Ok(false);
        }
        match self.gate_of(actor, now) {
            Gate::Wide => return Ok(true),
            Gate::Shut { .. } | Gate::Full => return Ok(false),
            Gate::One => {}
        }
        // the claim is an event of the wave
        record.record(self).await?;
        let key = format!("{}/call/{}", self.run_id, self.environment.event_ids.next_id());
        let key = IdempotencyKey::new(&key).expect("two ids and a word are a key");
        let claim = || self.breakers.claim(actor, key.clone(), self.run_metadata());
        self.patience.persist(claim).await
    }
}
