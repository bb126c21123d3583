//! The waves that are open: of each conversation one at most, whose beginning and end are recorded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::timeout;
use turing_domain::{ActorId, ConversationId, WaveCompletion};

use super::agenda::Agenda;
use super::apart::Recording;
use super::wave_record::{WaveRecord, as_u32};
use super::{Run, RunError, Shared, unless_stopped};

/// For how long the end of a wave waits for the lock, to be recorded with the beginning of the next
/// one. The lock is for what begins: who does not get it records the end all the same.
const TOGETHER: Duration = Duration::from_millis(200);

/// What came of something that was done for a conversation.
pub(super) type Joined<T> = Result<(ConversationId, Result<T, RunError>), JoinError>;

/// What a wave did.
#[derive(Debug, Default)]
pub(super) struct WaveCount {
    pub(super) processed: usize,
    pub(super) failed: usize,
}

/// A wave that has begun and is not over.
#[derive(Debug)]
pub(super) struct OpenWave {
    pub(super) record: Arc<WaveRecord>,
    pub(super) count: WaveCount,
    /// How many of its attempts are in progress.
    pub(super) in_progress: usize,
    actor: ActorId,
    began: Instant,
    /// How many stood ready when it began.
    size: usize,
    /// How many attempts it has begun.
    begun: usize,
    /// Whether nobody records its beginning any more.
    is_begun: bool,
    attempts: Vec<AbortHandle>,
}

impl OpenWave {
    /// One more attempt is in progress.
    pub(super) fn begin(&mut self, attempt: AbortHandle) {
        self.attempts.retain(|attempt| !attempt.is_finished());
        self.attempts.push(attempt);
        self.begun += 1;
        self.in_progress += 1;
    }

    /// True if it has made as many attempts as stood ready when it began.
    fn is_full(&self) -> bool {
        self.begun >= self.size
    }
}

/// The attempts in progress, and their waves.
pub(super) struct Work {
    pub(super) waves: BTreeMap<ConversationId, OpenWave>,
    pub(super) attempts: JoinSet<(ConversationId, Result<Recording, RunError>)>,
    /// The waves whose beginning is recorded now.
    pub(super) beginnings: JoinSet<(ConversationId, Result<(), RunError>)>,
    /// Whether the end of a wave is left to who goes on.
    pub(super) is_cut_off: bool,
}

impl Work {
    pub(super) fn new() -> Self {
        let (attempts, beginnings) = (JoinSet::new(), JoinSet::new());
        Self { waves: BTreeMap::new(), attempts, beginnings, is_cut_off: false }
    }

    /// Whether so many more attempts can be made side by side.
    pub(super) fn has_room_for(&self, more: usize, shared: &Shared) -> bool {
        self.attempts.len() + more <= shared.parallelism.get()
    }

    /// Whether a call of an actor is in progress.
    pub(super) fn is_called(&self, actor: ActorId) -> bool {
        self.waves.values().any(|wave| wave.actor == actor && wave.in_progress > 0)
    }

    /// Whether a conversation has a wave that has not made the attempts yet that it began for.
    pub(super) fn goes_on(&self, conversation: ConversationId) -> bool {
        self.waves.get(&conversation).is_some_and(|wave| !wave.is_full())
    }

    /// Whether a conversation has a wave that has made these, and none of which is in progress.
    pub(super) fn is_over(&self, conversation: ConversationId) -> bool {
        let wave = self.waves.get(&conversation);
        wave.is_some_and(|wave| wave.is_full() && wave.in_progress == 0)
    }

    /// A wave of which no attempt is in progress.
    pub(super) fn idle(&self) -> Option<ConversationId> {
        self.idle_ones().next()
    }

    fn idle_ones(&self) -> impl Iterator<Item = ConversationId> {
        let idle = self.waves.iter().filter(|(_, wave)| wave.in_progress == 0);
        idle.map(|(conversation, _)| *conversation)
    }

    /// A wave that is over once one more attempt is begun elsewhere.
    fn over_next(&self, shared: &Shared, agenda: &Agenda) -> Option<ConversationId> {
        let is_last = !self.has_room_for(2, shared);
        self.idle_ones().find(|conversation| is_last || agenda.at(*conversation) == 0)
    }

    /// The wave with whose beginning it is recorded that the one at this conversation is over, if that
    /// is not done.
    fn ending(&self, conversation: ConversationId) -> Option<ConversationId> {
        let ends = |wave: &OpenWave| !wave.is_begun && wave.record.ends() == Some(conversation);
        self.waves.iter().find(|(_, wave)| ends(wave)).map(|(other, _)| *other)
    }

    /// Whether a wave is known to be one that cannot be recorded.
    pub(super) fn has_failed(&self) -> bool {
        self.waves.values().any(|wave| wave.record.has_failed())
    }

    /// Gives up the attempts of which nothing can be recorded.
    pub(super) fn give_up_failed(&self) {
        for wave in self.waves.values().filter(|wave| wave.record.has_failed()) {
            wave.attempts.iter().for_each(AbortHandle::abort);
        }
    }

    /// Breaks off the attempts in progress: nothing of them is recorded any more.
    pub(super) async fn break_off(&mut self) {
        self.attempts.shutdown().await;
        for wave in self.waves.values_mut() {
            wave.in_progress = 0;
        }
    }

    /// A beginning is recorded, or not because the run is asked to stop: whoever has a result then tries
    /// again.
    pub(super) fn begun(&mut self, begun: Joined<()>) -> Result<(), RunError> {
        let (conversation, begun) = begun?;
        unless_stopped(begun)?;
        if let Some(wave) = self.waves.get_mut(&conversation) {
            wave.is_begun = true;
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Begins a wave at a conversation where so many stand ready; false if the run is to stop. That it
    /// begins is recorded beside its first attempts, together with the end of one that is over.
    pub(super) async fn open_wave(
        &mut self,
        work: &mut Work,
        id: ConversationId,
        size: usize,
    ) -> Result<bool, RunError> {
        let shared = self.shared.clone();
        let conversation = shared.definition.workflow.conversation(id);
        let conversation = conversation.expect("the agenda holds conversations of the definition");
        if let Some(other) = work.ending(id) {
            self.await_beginning(work, other).await?;
        }
        let over = match work.over_next(&shared, &self.agenda) {
            Some(over) => self.close_wave(work, over).await?,
            None => None,
        };
        let over = self.keep_lock_between(over, id).await?;
        if !self.goes_on() {
            // the agenda is for who runs the workflow next
            self.end_wave(over).await?;
            return Ok(false);
        }
        self.observer.wave_begins(conversation, size);
        let began = shared.clocks.timer.now();
        let record = Arc::new(WaveRecord::new(over, id, size));
        let absences = shared.patience.absences();
        let is_begun = self.proven_at != Some(absences);
        if is_begun {
            // nobody is called before it is known that something can be recorded
            if let Err(error) = self.telling(record.record(&shared)).await {
                return self.unrecorded(work, &record, error).await.map(|()| false);
            }
            self.proven_at = Some(absences);
        } else {
            let (shared, begun) = (shared.clone(), record.clone());
            work.beginnings.spawn(async move { (id, begun.record(&shared).await) });
        }
        let (count, in_progress, begun, attempts) = (WaveCount::default(), 0, 0, Vec::new());
        let actor = conversation.actor;
        let wave =
            OpenWave { record, count, in_progress, actor, began, size, begun, is_begun, attempts };
        work.waves.insert(id, wave);
        Ok(true)
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

    /// Waits until nobody records the beginning of a wave any more.
    async fn await_beginning(
        &mut self,
        work: &mut Work,
        conversation: ConversationId,
    ) -> Result<(), RunError> {
        while work.waves.get(&conversation).is_some_and(|wave| !wave.is_begun) {
            let Some(begun) = self.telling(work.beginnings.join_next()).await else { break };
            work.begun(begun)?;
        }
        Ok(())
    }

    /// A wave whose record has not come about: the one before is over all the same.
    async fn unrecorded(
        &mut self,
        work: &mut Work,
        record: &WaveRecord,
        error: RunError,
    ) -> Result<(), RunError> {
        work.is_cut_off = true;
        unless_stopped(Err(self.left_over(record, error).await))
    }

    /// A wave of which no attempt is in progress is over: answers how it ended, which is to be recorded.
    pub(super) async fn close_wave(
        &mut self,
        work: &mut Work,
        id: ConversationId,
    ) -> Result<Option<WaveCompletion>, RunError> {
        self.await_beginning(work, id).await?;
        let Some(wave) = work.waves.remove(&id) else { return Ok(None) };
        match wave.record.outcome().await {
            Ok(None) => {}
            Ok(Some(unreadable)) => {
                let what = format!("a record of the waves of conversation {id}");
                self.goes_without(what, unreadable);
            }
            Err(error) => {
                return self.unrecorded(work, &wave.record, error).await.map(|()| None);
            }
        }
        if self.lost.is_some() {
            // who runs the workflow now has ended the wave, or does
            return Ok(None);
        }
        let shared = self.shared.clone();
        let took = shared.clocks.timer.now().saturating_duration_since(wave.began);
        if let Some(conversation) = shared.definition.workflow.conversation(id) {
            self.observer.wave_ends(conversation, wave.count.processed, wave.count.failed);
        }
        Ok(Some(self.completion(id, &wave.count, Some(took))))
    }

    /// Ends the waves of which no attempt is in progress; true if there were some.
    pub(super) async fn end_idle_waves(&mut self, work: &mut Work) -> Result<bool, RunError> {
        let mut some_ended = false;
        while let Some(idle) = work.idle() {
            let over = self.close_wave(work, idle).await?;
            self.end_wave(over).await?;
            some_ended = true;
        }
        Ok(some_ended)
    }

    /// Ends the waves that were interrupted when the run was: what they had not done is done by
    /// waves of its own. If it is asked to stop meanwhile, the next process ends them.
    ///
    /// Of those that stood ready when one began, as many have gone on at least as stand there no longer.
    pub(super) async fn end_interrupted_waves(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        // a repeat whose time is over stood ready, and stands there still
        self.agenda.wake(shared.clocks.timer.now());
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
}
