//! What is recorded of waves: that one begins, beside its first attempts, and that one is over.

use es_core::execution::LoadError;
use es_core::{CommandError, ExpectedVersion, transact};
use tokio::sync::Mutex;
use turing_domain::{ConversationId, ConversationRejection, WaveCompletion};

use super::{Run, RunError, Shared, told};

/// The beginning of a wave, and the end of one at another conversation if that is over just then.
///
/// It is recorded while the first attempts of the wave are made, unless it is the first of the process or
/// since the store was away, and before the first of their results: in the log these stand behind it,
/// as if everybody had waited.
#[derive(Debug)]
pub(super) struct WaveRecord {
    over: Option<WaveCompletion>,
    conversation: ConversationId,
    size: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open,
    /// With the reason if the events of the conversation cannot be read, and so have no record.
    Recorded(Option<String>),
    /// Whoever asked was told why.
    Failed,
}

impl WaveRecord {
    pub(super) fn new(
        over: Option<WaveCompletion>,
        conversation: ConversationId,
        size: usize,
    ) -> Self {
        Self { over, conversation, size: as_u32(size), state: Mutex::new(State::Open) }
    }

    /// Records it if it is not, unless the run is asked to stop. Once that has failed there is no wave:
    /// [`RunError::NotBegun`] for all others.
    pub(super) async fn record(&self, shared: &Shared) -> Result<(), RunError> {
        self.recorded(shared, false).await
    }

    /// The same for who has a result, which would be lost otherwise: whoever asks the run to stop.
    pub(super) async fn record_for_result(&self, shared: &Shared) -> Result<(), RunError> {
        self.recorded(shared, true).await
    }

    /// The conversation whose wave before it ends.
    pub(super) fn ends(&self) -> Option<ConversationId> {
        self.over.as_ref().map(|over| over.conversation_id)
    }

    /// True if it is known that it cannot be recorded.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state.try_lock().as_deref(), Ok(State::Failed))
    }

    /// When nobody records it any more: why there is no record of it, if the events of the
    /// conversation cannot be read.
    pub(super) async fn outcome(&self) -> Result<Option<String>, RunError> {
        match &*self.state.lock().await {
            State::Recorded(unreadable) => Ok(unreadable.clone()),
            State::Open | State::Failed => Err(RunError::NotBegun),
        }
    }

    /// The wave that is over, if that is not recorded with this one.
    async fn left_over(&self) -> Option<&WaveCompletion> {
        match *self.state.lock().await {
            State::Recorded(_) => None,
            State::Open | State::Failed => self.over.as_ref(),
        }
    }

    async fn recorded(&self, shared: &Shared, has_result: bool) -> Result<(), RunError> {
        let mut state = self.state.lock().await;
        match *state {
            State::Recorded(_) => return Ok(()),
            State::Failed => return Err(RunError::NotBegun),
            State::Open => {}
        }
        let recording = || shared.record_wave(self);
        let recorded = match has_result {
            true => shared.patience.insist(recording).await,
            false => shared.patience.persist(recording).await,
        };
        match recorded {
            Ok(unreadable) => *state = State::Recorded(unreadable),
            // who has a result tries again
            Err(RunError::NotBegun) => return Err(RunError::NotBegun),
            Err(error) => {
                *state = State::Failed;
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Records at least that the other wave is over, with its own numbers, where the record of one
    /// has not come about for this reason; answers why the run ends.
    pub(super) async fn left_over(&mut self, record: &WaveRecord, error: RunError) -> RunError {
        let Some(over) = record.left_over().await else { return error };
        if matches!(error, RunError::NotBegun) {
            return self.end_wave(Some(over.clone())).await.err().unwrap_or(error);
        }
        if self.lost.is_none() {
            // the store was waited for; who goes on ends the wave if this fails, too
            let shared = self.shared.clone();
            let _ = self.telling(Box::pin(shared.end_wave(over))).await;
        }
        error
    }
}

impl Shared {
    async fn record_wave(&self, record: &WaveRecord) -> Result<Option<String>, RunError> {
        let WaveRecord { conversation, size, .. } = *record;
        if let Some(over) = &record.over {
            if self.change_waves(over, conversation, size).await? {
                return Ok(None);
            }
            self.end_wave(over).await?;
        }
        self.begin_wave(conversation, size).await
    }

    /// Records in one append that a wave is over and that one at another conversation begins. False if
    /// that can only be done one after the other, because the events of one cannot be read, or because
    /// somebody else ran the workflow meanwhile.
    ///
    /// What was recorded so is nothing when it is asked for again.
    async fn change_waves(
        &self,
        over: &WaveCompletion,
        next: ConversationId,
        size: u32,
    ) -> Result<bool, RunError> {
        let expected = match self.new_conversations.take(next) {
            true => ExpectedVersion::NoStream,
            false => ExpectedVersion::Any,
        };
        let mut changed = self.changed_waves(over, next, size, expected).await;
        if matches!(changed, Err(CommandError::PreconditionFailed(_))) {
            self.new_conversations.give_up();
            changed = self.changed_waves(over, next, size, ExpectedVersion::Any).await;
        }
        match changed {
            Err(CommandError::Load(LoadError::Decode { .. }) | CommandError::Rejected(_)) => {
                Ok(false)
            }
            changed => {
                self.count(changed.map_err(RunError::record)?);
                Ok(true)
            }
        }
    }

    /// The same, where the next conversation is in a state that is known or is to be read; answers how
    /// many events that took.
    async fn changed_waves(
        &self,
        over: &WaveCompletion,
        next: ConversationId,
        size: u32,
        expected: ExpectedVersion,
    ) -> Result<usize, CommandError<ConversationRejection>> {
        let ending = self.conversations.by_id(&over.conversation_id);
        let members = (ending, self.conversations.by_id(&next).expecting(expected));
        let change = transact(members, |(ending, beginning)| {
            ending.record(ending.complete_wave(over)?);
            beginning.record(beginning.start_wave(next, self.run_id, size));
            Ok::<_, ConversationRejection>(())
        });
        let changed = change.metadata(self.run_metadata()).await?;
        let (ended, begun) = &changed.events;
        Ok(ended.len() + begun.len())
    }

    /// The size of the run's wave at a conversation that is not over, if there is one.
    pub(super) async fn open_wave(
        &self,
        conversation: ConversationId,
    ) -> Result<Option<usize>, RunError> {
        let waves = match self.conversations.load(&conversation).await {
            // told when its next wave begins
            Err(LoadError::Decode { .. }) => return Ok(None),
            loaded => loaded.map_err(RunError::load)?.state,
        };
        let open = waves.open_wave(self.run_id);
        Ok(open.map(|wave| wave.posting_count.unwrap_or(0) as usize))
    }

    /// Records that a wave begins, or answers why its conversation cannot be read: waves tell of the
    /// work and are not needed for it.
    async fn begin_wave(
        &self,
        conversation: ConversationId,
        size: u32,
    ) -> Result<Option<String>, RunError> {
        self.new_conversations.take(conversation);
        let waves = self.conversations.by_id(&conversation);
        let begun = waves.decide(|waves| waves.start_wave(conversation, self.run_id, size));
        match begun.metadata(self.run_metadata()).await {
            Err(CommandError::Load(error @ LoadError::Decode { .. })) => Ok(Some(told(&error))),
            begun => {
                self.count(begun.map_err(RunError::record)?.events.len());
                Ok(None)
            }
        }
    }

    /// Records that a wave is over.
    pub(super) async fn end_wave(&self, ended: &WaveCompletion) -> Result<(), RunError> {
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
}

pub(super) fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
