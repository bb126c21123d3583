//! Executing wave after wave until nothing is left to do.

use std::time::Duration;

use es_core::{ExecuteError, LoadError, Metadata, Timestamp};
use tokio::task::JoinSet;
use turing_domain::{
    ActorId, CallPermit, ConversationId, ConversationWaves, PostingId, WaveCompletion,
};

use super::agenda::{Gate, Wave};
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
        while !*self.stop.borrow() {
            self.take_back()?;
            let shared = self.shared.clone();
            let now = shared.environment.clock.now();
            let gate = |conversation| shared.gate(conversation, now);
            self.agenda.wake(now);
            if let Some(wave) = self.agenda.next_wave(gate) {
                self.execute(wave).await?;
                continue;
            }
            let next = [self.agenda.next_due(), self.agenda.next_opening(gate)];
            match next.into_iter().flatten().min() {
                Some(due) => self.wait(due.since(now)).await,
                None if self.apart.len() == 0 => return Ok(()),
                None => {
                    self.tell_apart();
                    let mut stop = self.stop.clone();
                    tokio::select! {
                        waited = self.wait_for_one_apart() => waited?,
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                }
            }
        }
        // what was attempted is recorded before it stops
        while self.apart.len() > 0 {
            self.wait_for_one_apart().await?;
        }
        Ok(())
    }

    /// Waits for this long, or until it is asked to stop.
    async fn wait(&mut self, duration: Duration) {
        self.observer.waits(self.agenda.waiting(), self.agenda.ready(), duration);
        // a clock that is set back while we wait must not make us wait for hours
        let duration = duration.min(Duration::from_secs(60));
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            _ = self.stop.wait_for(|stop| *stop) => {}
        }
    }

    async fn execute(&mut self, wave: Wave) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let Some(conversation) = shared.definition.workflow.conversation(wave.conversation) else {
            // the agenda holds only conversations of the definition
            return Ok(());
        };
        let size = wave.tasks.len();
        self.observer.wave_begins(conversation, size);
        let began = shared.environment.clock.now();
        self.begin_wave(conversation.id, size).await?;
        let count = self.attempt_all(wave).await?;
        let took = shared.environment.clock.now().since(began);
        self.end_wave(conversation.id, &count, Some(took)).await?;
        self.observer.wave_ends(conversation, count.processed, count.failed);
        Ok(())
    }

    /// Ends the waves that were interrupted when the run was: what they had not done is done by
    /// waves of its own.
    pub(super) async fn end_interrupted_waves(&self) -> Result<(), RunError> {
        for conversation in &self.shared.definition.workflow.conversations {
            let waves = match self.shared.conversations.load(&conversation.id).await {
                // told when its next wave begins
                Err(LoadError::Decode { .. }) => continue,
                waves => waves.map_err(RunError::load)?.state,
            };
            if let Some(wave) = waves.open_wave(self.shared.run_id) {
                let size = wave.posting_count.unwrap_or(0) as usize;
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
        &self,
        conversation_id: ConversationId,
        count: &WaveCount,
        duration: Option<Duration>,
    ) -> Result<(), RunError> {
        let shared = &self.shared;
        let ended = WaveCompletion {
            conversation_id,
            run_id: shared.run_id,
            processed_count: as_u32(count.processed),
            failed_count: as_u32(count.failed),
            duration,
        };
        let ended = shared
            .conversations
            .update(&conversation_id, |waves: &ConversationWaves| waves.complete_wave(&ended))
            .metadata(self.shared.run_metadata())
            .retries(5)
            .await;
        match ended {
            // told when it began, or when the next one begins
            Err(ExecuteError::Load(LoadError::Decode { .. })) => return Ok(()),
            ended => drop(ended.map_err(RunError::record)?),
        }
        shared.count(1);
        Ok(())
    }

    /// Records that a wave begins. Where the conversation's events cannot be read, its waves are
    /// not recorded: they tell of the work and are not needed for it.
    async fn begin_wave(
        &mut self,
        conversation: ConversationId,
        size: usize,
    ) -> Result<(), RunError> {
        let run_id = self.shared.run_id;
        let begin =
            |waves: &ConversationWaves| waves.start_wave(conversation, run_id, as_u32(size));
        let executed = self
            .shared
            .conversations
            .record(&conversation, begin)
            .metadata(self.shared.run_metadata())
            .retries(5)
            .await;
        match executed {
            Err(ExecuteError::Load(error @ LoadError::Decode { .. })) => {
                let what = format!("a record of the wave of conversation {conversation}");
                self.observer.goes_without(&what, &told(&error));
            }
            executed => {
                let events = executed.map_err(RunError::record)?.events;
                self.shared.count(events.len());
            }
        }
        Ok(())
    }

    /// Makes all attempts of a wave, so many side by side as allowed.
    async fn attempt_all(&mut self, wave: Wave) -> Result<WaveCount, RunError> {
        let mut tasks = wave.tasks.into_iter();
        let mut attempts = JoinSet::new();
        let mut count = WaveCount::default();
        loop {
            while attempts.len() < self.shared.parallelism.get()
                && !*self.stop.borrow()
                && tasks.len() > 0
                && self.shared.claim_call(wave.conversation).await?
                && let Some(task) = tasks.next()
            {
                let shared = self.shared.clone();
                attempts.spawn(take_step(shared, task));
            }
            let attempted = tokio::select! {
                attempted = attempts.join_next() => attempted,
                reason = self.shared.starts.first_failure() => {
                    self.observer.waits_to_start(&reason);
                    continue;
                }
            };
            let Some(attempted) = attempted else { break };
            // what is recorded late is in no wave's count
            if let Some(result) = self.take(attempted??).await? {
                count.processed += 1;
                count.failed += usize::from(result.is_err());
            }
        }
        // what was not begun, because of an open breaker or a request to stop, stays open
        self.agenda.put_back(wave.conversation, tasks.collect());
        Ok(count)
    }

    pub(super) fn moved(
        &mut self,
        conversation: ConversationId,
        posting: PostingId,
        moved: Moved,
    ) -> Option<AttemptResult> {
        let Moved { causes, state, result, duration } = moved;
        self.place(posting, &state, &causes);
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
    fn gate(&self, conversation: ConversationId, now: Timestamp) -> Gate {
        let permit = self.actor_of(conversation).map(|actor| self.breakers.permit(actor, now));
        match permit {
            None | Some(CallPermit::Free) => Gate::Wide,
            Some(CallPermit::Once) => Gate::One,
            Some(CallPermit::Refused { until }) => Gate::Shut { until },
        }
    }

    /// Asks the breaker of a conversation's actor for one call.
    async fn claim_call(&self, conversation: ConversationId) -> Result<bool, RunError> {
        let Some(actor) = self.actor_of(conversation) else { return Ok(true) };
        let now = self.environment.clock.now();
        self.breakers.claim(actor, now, self.run_metadata()).await
    }

    /// What events that concern no single posting carry in this run.
    pub(super) fn run_metadata(&self) -> Metadata {
        let mut metadata = Metadata::new().with("run_id", self.run_id.to_string());
        metadata.causation_id = self.started_by;
        metadata
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
