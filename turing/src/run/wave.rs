//! Executing wave after wave until nothing is left to do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use es_core::execution::IdempotencyKey;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use turing_domain::{ActorId, ConversationId, Posting, PostingId, WaveCompletion};

use super::agenda::{Gate, Wave};
use super::apart::Recording;
use super::clocks::Moment;
use super::moved::{AttemptResult, Moved};
use super::step::take_step;
use super::wave_record::{WaveRecord, as_u32};
use super::{Held, HeldBy, Run, RunError, Shared, Wait};

/// For how long the end of a wave waits for the lock, to be recorded with the beginning of the next
/// one. The lock is for what begins: who does not get it records the end all the same.
const TOGETHER: Duration = Duration::from_millis(200);

/// What a wave did.
#[derive(Debug, Default)]
struct WaveCount {
    processed: usize,
    failed: usize,
}

/// What comes next in a wave.
enum Next {
    /// Its beginning is recorded, or not.
    Begun(Result<Result<(), RunError>, JoinError>),
    /// An attempt has ended, if one was in progress.
    Attempted(Option<Result<Result<Recording, RunError>, JoinError>>),
}

/// Why the beginning of a wave cannot be recorded, if not because the run is asked to stop: whoever has
/// a result then tries again.
fn unless_failed(begun: Result<Result<(), RunError>, JoinError>) -> Result<(), RunError> {
    match begun? {
        Ok(()) | Err(RunError::NotBegun) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Run<'_> {
    /// Executes waves until nothing is ready and nothing waits, or until it is asked to stop.
    pub(super) async fn execute_all(&mut self) -> Result<(), RunError> {
        // the wave that is over, until that is recorded: with the next one, if that begins at once
        let mut over = None;
        while self.goes_on() {
            if let Err(error) = self.take_back() {
                self.end_wave(over).await?;
                return Err(error);
            }
            let shared = self.shared.clone();
            let now = shared.clocks.timer.now();
            let gate = |conversation| shared.gate(conversation, now);
            self.agenda.wake(now);
            if let Some(wave) = self.agenda.next_wave(gate) {
                over = self.execute(wave, over).await?;
                continue;
            }
            if over.is_some() {
                self.end_wave(over.take()).await?;
                // somebody may have come back meanwhile
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
        self.end_wave(over).await
    }

    /// Tells what waits for so long, and for what.
    fn tell_wait(&mut self, longest: Duration, now: Instant) {
        let shared = self.shared.clone();
        let mut held = Vec::<Held>::new();
        for conversation in &shared.definition.workflow.conversations {
            let (actor, attempts) = (conversation.actor, self.agenda.at(conversation.id));
            if attempts == 0 {
                continue;
            }
            let Some(by) = shared.held_by(actor, now) else { continue };
            match held.iter_mut().find(|known| known.actor == actor) {
                Some(known) => known.attempts += attempts,
                None => held.push(Held { actor, name: shared.name_of(actor), attempts, by }),
            }
        }
        self.observer.waits(&Wait { longest, due: self.agenda.waiting(), held });
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

    /// Executes a wave, and answers how it ended, which is to be recorded; `over` is the one before.
    async fn execute(
        &mut self,
        wave: Wave,
        over: Option<WaveCompletion>,
    ) -> Result<Option<WaveCompletion>, RunError> {
        let over = self.keep_lock_between(over, wave.conversation).await?;
        if !self.goes_on() {
            // the agenda is for who runs the workflow next
            return Ok(over);
        }
        let shared = self.shared.clone();
        let Some(conversation) = shared.definition.workflow.conversation(wave.conversation) else {
            // the agenda holds only conversations of the definition
            return Ok(over);
        };
        self.observer.wave_begins(conversation, wave.tasks.len());
        let began = shared.clocks.timer.now();
        let record = Arc::new(WaveRecord::new(over, conversation.id, wave.tasks.len()));
        let count = match self.attempt_all(wave, &record).await {
            Ok(count) => count,
            Err(error) => return Err(self.left_over(&record, error).await),
        };
        if self.lost.is_some() {
            // who runs the workflow now has ended the wave, or does
            return Ok(None);
        }
        let took = shared.clocks.timer.now().saturating_duration_since(began);
        self.observer.wave_ends(conversation, count.processed, count.failed);
        Ok(Some(self.completion(conversation.id, &count, Some(took))))
    }

    /// Keeps the lock for a wave at this conversation, and answers of which wave the end is still to
    /// be recorded. That of one at the same conversation is recorded now: if both were asked for
    /// again, the end would be taken for that of the wave that begins.
    async fn keep_lock_between(
        &mut self,
        over: Option<WaveCompletion>,
        next: ConversationId,
    ) -> Result<Option<WaveCompletion>, RunError> {
        if over.as_ref().is_some_and(|over| over.conversation_id != next)
            && let Ok(kept) = timeout(TOGETHER, self.keep_lock()).await
        {
            if let Err(error) = kept {
                self.end_wave(over).await?;
                return Err(error);
            }
            return Ok(over);
        }
        self.end_wave(over).await?;
        self.keep_lock().await?;
        Ok(None)
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
                let over = self.completion(conversation.id, &count, None);
                self.end_wave(Some(over)).await?;
            }
        }
        Ok(())
    }

    fn completion(
        &self,
        conversation_id: ConversationId,
        count: &WaveCount,
        duration: Option<Duration>,
    ) -> WaveCompletion {
        WaveCompletion {
            conversation_id,
            run_id: self.shared.run_id,
            processed_count: as_u32(count.processed),
            failed_count: as_u32(count.failed),
            duration,
        }
    }

    /// Records that a wave is over, if one is; unless another process runs the workflow now.
    pub(super) async fn end_wave(&mut self, over: Option<WaveCompletion>) -> Result<(), RunError> {
        let Some(over) = over.filter(|_| self.lost.is_none()) else { return Ok(()) };
        let shared = self.shared.clone();
        self.telling(shared.patience.persist(|| shared.end_wave(&over))).await
    }

    /// Asks for one call of a conversation's actor, which gets none any more once the run is asked to
    /// stop.
    async fn claims_call(
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

    /// Makes all attempts of a wave, so many side by side as allowed, while its beginning is recorded, or
    /// behind that. If it fails, those that were begun are given up: nothing can be recorded of them.
    async fn attempt_all(
        &mut self,
        wave: Wave,
        record: &Arc<WaveRecord>,
    ) -> Result<WaveCount, RunError> {
        let (mut tasks, mut count) = (wave.tasks.into_iter(), WaveCount::default());
        let (mut attempts, mut beginning) = (JoinSet::new(), JoinSet::new());
        let (shared, begun) = (self.shared.clone(), record.clone());
        let absences = shared.patience.absences();
        if self.proven_at != Some(absences) {
            // nobody is called before it is known that something can be recorded
            self.telling(record.record(&shared)).await?;
            self.proven_at = Some(absences);
        }
        beginning.spawn(async move { begun.record(&shared).await });
        let workflow = &self.shared.definition.workflow;
        let conversation = workflow.conversation(wave.conversation);
        let limit = conversation.and_then(|conversation| workflow.time_limit(conversation));
        loop {
            while self.goes_on()
                && attempts.len() < self.shared.side_by_side(wave.conversation)
                && tasks.len() > 0
                && self.claims_call(wave.conversation, record).await?
                && let Some(task) = tasks.next()
            {
                let shared = self.shared.clone();
                self.observer.attempt_begins(task.posting, limit);
                attempts.spawn(take_step(shared, task, record.clone()));
            }
            let next = async {
                tokio::select! {
                    biased;
                    Some(begun) = beginning.join_next() => Next::Begun(begun),
                    attempted = attempts.join_next() => Next::Attempted(attempted),
                }
            };
            let attempted = match self.telling(next).await {
                Next::Begun(begun) => {
                    unless_failed(begun)?;
                    continue;
                }
                Next::Attempted(None) => break,
                Next::Attempted(Some(attempted)) => attempted,
            };
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
        while let Some(begun) = self.telling(beginning.join_next()).await {
            unless_failed(begun)?;
        }
        if let Some(unreadable) = record.outcome().await? {
            let what = format!("a record of the waves of conversation {}", wave.conversation);
            self.goes_without(what, unreadable);
        }
        Ok(count)
    }

    async fn taken(
        &mut self,
        attempted: Result<Result<Recording, RunError>, JoinError>,
    ) -> Result<Option<AttemptResult>, RunError> {
        let recording = attempted??;
        let posting = recording.posting();
        let result = self.take(recording).await?;
        self.observer.attempt_ends(posting, matches!(result, Some(Err(_))));
        Ok(result)
    }

    /// Counts a posting if it has ended in the run.
    pub(super) fn count_end(&mut self, state: &Posting) {
        if let Some(reason) = self.report.moved(state) {
            self.observer.posting_ends(&reason);
        }
    }

    pub(super) fn moved(
        &mut self,
        conversation: ConversationId,
        posting: PostingId,
        moved: Moved,
        seen: Moment,
    ) -> Option<AttemptResult> {
        let Moved { causes, state, result, duration, usage } = moved;
        self.place(posting, &state, &causes, seen);
        if let Some(result) = &result {
            let failure = result.as_ref().err();
            self.observer.attempt_recorded(conversation, failure, duration, &usage);
            self.report.attempted(conversation, failure.cloned(), duration);
        }
        self.count_end(&state);
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

    /// Why an actor gets no call now, if it gets none.
    pub(super) fn held_by(&self, actor: ActorId, now: Instant) -> Option<HeldBy> {
        match (self.pauses.until(actor, now), self.breakers.gate(actor, now)) {
            (Some(_), _) => Some(HeldBy::Pause),
            (None, Gate::Shut { .. }) => Some(HeldBy::Breaker),
            (None, Gate::Wide | Gate::One) => None,
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
        match self.gate(conversation, self.clocks.timer.now()) {
            Gate::Wide => return Ok(true),
            Gate::Shut { .. } => return Ok(false),
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
