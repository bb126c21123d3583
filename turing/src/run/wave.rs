//! Executing wave after wave until nothing is left to do.

use std::time::{Duration, Instant};

use es_core::CommandError;
use es_core::event::Metadata;
use es_core::execution::{IdempotencyKey, LoadError};
use tokio::task::{JoinError, JoinSet};
use turing_domain::fields::RUN_ID;
use turing_domain::{ActorId, ConversationId, ConversationRejection, PostingId, WaveCompletion};

use super::agenda::{Gate, Wave};
use super::apart::Recording;
use super::clocks::Moment;
use super::step::{AttemptResult, Moved, take_step};
use super::{Run, RunError, Shared, told};

/// What a wave did.
#[derive(Debug, Default)]
struct WaveCount {
    processed: usize,
    failed: usize,
}

impl Run<'_> {
    /// Executes waves until nothing is ready and nothing waits, or until it is asked to stop.
    pub(super) async fn execute_all(&mut self) -> Result<(), RunError> {
        while self.goes_on() {
            self.take_back()?;
            let shared = self.shared.clone();
            let now = shared.clocks.timer.now();
            let gate = |conversation| shared.gate(conversation, now);
            self.agenda.wake(now);
            if let Some(wave) = self.agenda.next_wave(gate) {
                self.execute(wave).await?;
                continue;
            }
            let next = [self.agenda.next_due(), self.agenda.next_opening(gate)];
            let next = next.into_iter().flatten().min();
            match next {
                Some(until) => self.tell_wait(until.saturating_duration_since(now), now),
                None if self.apart.len() == 0 => return Ok(()),
                None => self.tell_apart(),
            }
            self.wait(next).await?;
        }
        Ok(())
    }

    /// Tells what waits for so long, and for what.
    fn tell_wait(&mut self, longest: Duration, now: Instant) {
        let conversations = self.shared.definition.workflow.conversations.iter();
        let paused: usize = conversations
            .filter(|one| self.shared.pauses.until(one.actor, now).is_some())
            .map(|one| self.agenda.at(one.id))
            .sum();
        let held = self.agenda.ready().saturating_sub(paused);
        self.observer.waits(self.agenda.waiting(), held, longest);
        if paused > 0 {
            self.observer.pauses(paused, longest);
        }
    }

    /// Waits until then, until something was recorded for a posting that stands apart, until somebody
    /// closes a circuit breaker, or until it is asked to stop.
    async fn wait(&mut self, until: Option<Instant>) -> Result<(), RunError> {
        let (shared, mut stop) = (self.shared.clone(), self.stop.clone());
        let timer = &shared.clocks.timer;
        let some_apart = self.apart.len() > 0;
        let (is_bounded, until) = (until.is_some(), until.unwrap_or_else(|| timer.now()));
        tokio::select! {
            () = timer.sleep_until(until), if is_bounded => Ok(()),
            waited = self.wait_for_one_apart(), if some_apart => waited,
            () = shared.breaker_closed() => Ok(()),
            Ok(_) = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    async fn execute(&mut self, wave: Wave) -> Result<(), RunError> {
        self.keep_lock().await?;
        if !self.goes_on() {
            // the agenda is for who runs the workflow next
            return Ok(());
        }
        let shared = self.shared.clone();
        let Some(conversation) = shared.definition.workflow.conversation(wave.conversation) else {
            // the agenda holds only conversations of the definition
            return Ok(());
        };
        let size = wave.tasks.len();
        self.observer.wave_begins(conversation, size);
        let began = shared.clocks.timer.now();
        self.begin_wave(conversation.id, size).await?;
        let count = self.attempt_all(wave).await?;
        if self.lost.is_some() {
            // who runs the workflow now has ended the wave, or does
            return Ok(());
        }
        let took = shared.clocks.timer.now().saturating_duration_since(began);
        self.end_wave(conversation.id, &count, Some(took)).await?;
        self.observer.wave_ends(conversation, count.processed, count.failed);
        Ok(())
    }

    /// Ends the waves that were interrupted when the run was: what they had not done is done by
    /// waves of its own. If it is asked to stop meanwhile, the next process ends them.
    pub(super) async fn end_interrupted_waves(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        for conversation in &shared.definition.workflow.conversations {
            if *self.stop.borrow() {
                return Ok(());
            }
            let looking = shared.patience.persist(|| shared.open_wave(conversation.id));
            if let Some(size) = self.telling(looking).await? {
                // who stands apart may stand there, too
                let open = self.agenda.at(conversation.id) + self.apart.len();
                let processed = size.saturating_sub(open);
                let count = WaveCount { processed, failed: 0 };
                self.end_wave(conversation.id, &count, None).await?;
            }
        }
        Ok(())
    }

    async fn end_wave(
        &mut self,
        conversation_id: ConversationId,
        count: &WaveCount,
        duration: Option<Duration>,
    ) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let ended = WaveCompletion {
            conversation_id,
            run_id: shared.run_id,
            processed_count: as_u32(count.processed),
            failed_count: as_u32(count.failed),
            duration,
        };
        self.telling(shared.patience.persist(|| shared.end_wave(&ended))).await
    }

    /// Records that a wave begins. Where the conversation's events cannot be read, its waves are
    /// not recorded: they tell of the work and are not needed for it.
    async fn begin_wave(
        &mut self,
        conversation: ConversationId,
        size: usize,
    ) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let beginning = shared.patience.persist(|| shared.begin_wave(conversation, size));
        if let Some(unreadable) = self.telling(beginning).await? {
            let what = format!("a record of the waves of conversation {conversation}");
            self.goes_without(what, unreadable);
        }
        Ok(())
    }

    /// Asks for one call of a conversation's actor, which gets none any more once the run is asked to
    /// stop.
    async fn claims_call(&mut self, conversation: ConversationId) -> Result<bool, RunError> {
        let shared = self.shared.clone();
        match self.telling(shared.claim_call(conversation)).await {
            Err(RunError::NotBegun) => Ok(false),
            claimed => claimed,
        }
    }

    /// Makes all attempts of a wave, so many side by side as allowed.
    async fn attempt_all(&mut self, wave: Wave) -> Result<WaveCount, RunError> {
        let mut tasks = wave.tasks.into_iter();
        let mut attempts = JoinSet::new();
        let mut count = WaveCount::default();
        let workflow = &self.shared.definition.workflow;
        let conversation = workflow.conversation(wave.conversation);
        let limit = conversation.and_then(|conversation| workflow.time_limit(conversation));
        loop {
            while attempts.len() < self.shared.side_by_side(wave.conversation)
                && self.goes_on()
                && tasks.len() > 0
                && self.claims_call(wave.conversation).await?
                && let Some(task) = tasks.next()
            {
                let shared = self.shared.clone();
                self.observer.attempt_begins(task.posting, limit);
                attempts.spawn(take_step(shared, task));
            }
            let Some(attempted) = self.telling(attempts.join_next()).await else { break };
            match self.taken(attempted).await {
                // what is recorded late is in no wave's count
                Ok(None) => {}
                Ok(Some(result)) => {
                    count.processed += 1;
                    count.failed += usize::from(result.is_err());
                }
                Err(error) => {
                    // what others have made is recorded, if that can be
                    while let Some(attempted) = self.telling(attempts.join_next()).await {
                        let _ = self.taken(attempted).await;
                    }
                    return Err(error);
                }
            }
        }
        // what was not begun, because of an open breaker or a request to stop, stays open
        self.agenda.put_back(wave.conversation, tasks.collect());
        Ok(count)
    }

    async fn taken(
        &mut self,
        attempted: Result<Result<Recording, JoinError>, JoinError>,
    ) -> Result<Option<AttemptResult>, RunError> {
        let recording = attempted??;
        let posting = recording.posting();
        let result = self.take(recording).await?;
        self.observer.attempt_ends(posting, matches!(result, Some(Err(_))));
        Ok(result)
    }

    pub(super) fn moved(
        &mut self,
        conversation: ConversationId,
        posting: PostingId,
        moved: Moved,
        seen: Moment,
    ) -> Option<AttemptResult> {
        let Moved { causes, state, result, duration } = moved;
        self.place(posting, &state, &causes, seen);
        if let Some(result) = &result {
            self.report.attempted(conversation, result.clone().err(), duration);
        }
        self.report.moved(&state);
        self.observer.posting_ended(self.report.postings - self.report.open);
        result
    }
}

impl Shared {
    fn actor_of(&self, conversation: ConversationId) -> Option<ActorId> {
        self.definition.workflow.conversation(conversation).map(|conversation| conversation.actor)
    }

    /// Whether attempts at a conversation may be made now.
    fn gate(&self, conversation: ConversationId, now: Instant) -> Gate {
        let Some(actor) = self.actor_of(conversation) else { return Gate::Wide };
        match (self.breakers.gate(actor, now), self.pauses.until(actor, now)) {
            (gate, None) => gate,
            (Gate::Shut { until }, Some(pause)) => Gate::Shut { until: until.max(pause) },
            (_, Some(until)) => Gate::Shut { until },
        }
    }

    /// How many attempts are made at a conversation at the same time: one, if its actor may want
    /// another pause.
    fn side_by_side(&self, conversation: ConversationId) -> usize {
        let actor = self.actor_of(conversation);
        match actor.is_some_and(|actor| self.pauses.is_in_doubt(actor)) {
            true => 1,
            false => self.parallelism.get(),
        }
    }

    /// Asks for one call of a conversation's actor, which wants no pause and whose breaker lets it
    /// through.
    async fn claim_call(&self, conversation: ConversationId) -> Result<bool, RunError> {
        let Some(actor) = self.actor_of(conversation) else { return Ok(true) };
        match self.gate(conversation, self.clocks.timer.now()) {
            Gate::Wide => return Ok(true),
            Gate::Shut { .. } => return Ok(false),
            Gate::One => {}
        }
        let key = format!("{}/call/{}", self.run_id, self.environment.event_ids.next_id());
        let key = IdempotencyKey::new(&key).expect("two ids and a word are a key");
        let claim = || self.breakers.claim(actor, key.clone(), self.run_metadata());
        self.patience.persist(claim).await
    }

    /// The size of the run's wave at a conversation that is not over, if there is one.
    async fn open_wave(&self, conversation: ConversationId) -> Result<Option<usize>, RunError> {
        let waves = match self.conversations.load(&conversation).await {
            // told when its next wave begins
            Err(LoadError::Decode { .. }) => return Ok(None),
            loaded => loaded.map_err(RunError::load)?.state,
        };
        let open = waves.open_wave(self.run_id);
        Ok(open.map(|wave| wave.posting_count.unwrap_or(0) as usize))
    }

    /// Records that a wave begins, or answers why its conversation cannot be read.
    async fn begin_wave(
        &self,
        conversation: ConversationId,
        size: usize,
    ) -> Result<Option<String>, RunError> {
        let waves = self.conversations.by_id(&conversation);
        let begun = waves.decide(|waves| waves.start_wave(conversation, self.run_id, as_u32(size)));
        match begun.metadata(self.run_metadata()).await {
            Err(CommandError::Load(error @ LoadError::Decode { .. })) => Ok(Some(told(&error))),
            begun => {
                self.count(begun.map_err(RunError::record)?.events.len());
                Ok(None)
            }
        }
    }

    /// Records that a wave is over.
    async fn end_wave(&self, ended: &WaveCompletion) -> Result<(), RunError> {
        let waves = self.conversations.by_id(&ended.conversation_id);
        let ending = waves.decide(|waves| waves.complete_wave(ended));
        match ending.metadata(self.run_metadata()).await {
            // told when it began, or when the next one begins
            Err(CommandError::Load(LoadError::Decode { .. })) => return Ok(()),
            // somebody else ran the workflow while the lock was lost, and ended it
            Err(CommandError::Rejected(ConversationRejection::NoOpenWave { .. })) => return Ok(()),
            ended => drop(ended.map_err(RunError::record)?),
        }
        self.count(1);
        Ok(())
    }

    /// What events that concern no single posting carry in this run.
    pub(super) fn run_metadata(&self) -> Metadata {
        let mut metadata = Metadata::new().with(RUN_ID, self.run_id);
        metadata.causation_id = self.started_by;
        // the event that began the run begins its correlation, too
        metadata.correlation_id = self.started_by.map(|event| event.to_string());
        metadata
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
