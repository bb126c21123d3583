//! Tasks of people within a run: nobody is called for them, their time is kept, and what was answered
//! elsewhere is gone on with.

mod awaited;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use es_core::Decided;
use es_core::event::{EventId, Position};
use es_core::execution::LoadError;
use futures_util::TryStreamExt;
use tokio::task::JoinSet;
use turing_domain::posting::overdue;
use turing_domain::{Attempt, FailureType, LlmUsage, OpenTasks, Posting, PostingId};

use super::apart::Done;
use super::clocks::Moment;
use super::enter::{Entered, settle};
use super::error::unless_stopped;
use super::moved::{Moved, opened_by};
use super::step::load;
use super::{Left, Run, RunError, Shared, StepError};

use awaited::Overdue;
pub(super) use awaited::People;
pub use awaited::WaitingForPeople;

/// Of how many postings something is read or recorded side by side.
const SIDE_BY_SIDE: usize = 64;

impl Run<'_> {
    /// Hears from now on what others write.
    pub(super) async fn listen(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let asking = shared.patience.persist(|| end_of_log(&shared));
        let from = self.telling(asking).await?;
        self.people.listening = self.people.ears.listen(shared.clone(), from);
        Ok(())
    }

    /// Counts a posting that has ended, once: somebody else may have ended it, and be heard.
    pub(super) fn count_end(&mut self, posting: PostingId, state: &Posting) {
        let has_ended = state.ended_in(self.shared.run_id).is_some();
        if has_ended
            && !self.people.is_counted(posting)
            && let Some(reason) = self.report.moved(state)
        {
            self.observer.posting_ends(&reason);
        }
    }

    /// Goes on with what people have answered, and with what they have not in time.
    pub(super) async fn go_on_with_people(&mut self) -> Result<(), RunError> {
        if !self.goes_on() {
            return Ok(());
        }
        self.look_again().await?;
        unless_stopped(self.take_overdue().await)
    }

    /// Whether an attempt of a posting is in progress, or it stands apart: where it stands is known when
    /// that is recorded.
    fn is_taken(&self, posting: PostingId) -> bool {
        self.agenda.is_busy(posting) || self.apart.holds(posting)
    }

    /// Puts the postings where they stand now that somebody else may have moved.
    async fn look_again(&mut self) -> Result<(), RunError> {
        let again = self.people.again.iter().copied();
        let free: Vec<_> = again.filter(|posting| !self.is_taken(*posting)).collect();
        if free.is_empty() {
            return Ok(());
        }
        let left: BTreeSet<_> = self.report.left.iter().map(|left| left.posting).collect();
        let mut free = free.into_iter();
        let mut looking = JoinSet::new();
        loop {
            // others would wait for as long as all of them take one after the other
            while looking.len() < SIDE_BY_SIDE
                && self.goes_on()
                && let Some(posting) = free.next()
            {
                self.people.again.remove(&posting);
                if self.people.knows(posting) && !left.contains(&posting) {
                    let shared = self.shared.clone();
                    looking.spawn(async move {
                        let looker = shared.clone();
                        shared.recording(posting, look(looker, posting)).await
                    });
                }
            }
            let Some(looked) = self.telling(looking.join_next()).await else { return Ok(()) };
            self.take(looked??).await?;
        }
    }

    /// Goes on without a posting, if it alone cannot go on.
    fn leave(&mut self, posting: PostingId, error: RunError) -> Result<(), RunError> {
        match error {
            RunError::NotBegun => Ok(()),
            error if error.concerns_one_posting() => {
                let reason = error.told();
                self.agenda.remove(posting);
                self.people.forget(posting);
                self.observer.posting_left(posting, &reason);
                self.report.left.push(Left { posting, reason });
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Reads until when tasks wait that were opened.
    async fn read_times(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let mut unread = self.people.unread().into_iter();
        let mut reading = JoinSet::new();
        loop {
            while reading.len() < SIDE_BY_SIDE
                && self.goes_on()
                && let Some(posting) = unread.next()
            {
                let shared = shared.clone();
                reading.spawn(async move {
                    let seen = shared.clocks.moment();
                    let read = shared.patience.persist(|| open_tasks(&shared, posting)).await;
                    (posting, seen, read)
                });
            }
            if reading.is_empty() {
                return Ok(());
            }
            let Some(read) = self.telling(reading.join_next()).await else { return Ok(()) };
            let (posting, seen, read) = read?;
            match read {
                Ok(open) => {
                    self.people.learn(&shared.definition.workflow, posting, &open, seen);
                }
                Err(error) => self.leave(posting, error)?,
            }
        }
    }

    /// Records of tasks that were not answered in time that they failed. If it is asked to stop
    /// meanwhile, who goes on with the run does that.
    async fn take_overdue(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        loop {
            // what was recorded may have opened others
            self.read_times().await?;
            let now = shared.clocks.timer.now();
            let (agenda, apart) = (&self.agenda, &self.apart);
            let is_taken = |posting| agenda.is_busy(posting) || apart.holds(posting);
            let overdue = self.people.take_overdue(now, is_taken);
            if overdue.is_empty() {
                return Ok(());
            }
            self.keep_lock().await?;
            let mut overdue = overdue.into_iter();
            let mut recording = JoinSet::new();
            loop {
                while recording.len() < SIDE_BY_SIDE
                    && self.goes_on()
                    && let Some(task) = overdue.next()
                {
                    let shared = shared.clone();
                    recording.spawn(async move {
                        let recorder = shared.clone();
                        shared.recording(task.posting, fail(recorder, task)).await
                    });
                }
                let Some(recorded) = self.telling(recording.join_next()).await else { break };
                self.take(recorded??).await?;
            }
            if !self.goes_on() {
                return Ok(());
            }
        }
    }

    /// What waits for people now.
    pub(super) fn waiting_for_people(&self) -> Vec<WaitingForPeople> {
        self.people.waiting(&self.shared.definition.workflow)
    }
}

async fn end_of_log(shared: &Shared) -> Result<Position, RunError> {
    Ok(shared.store.events.end_of_log().await?)
}

/// Looks where a posting stands now, after what its last result leads to.
async fn look(shared: Arc<Shared>, posting: PostingId) -> Result<Done, RunError> {
    let seen = shared.clocks.moment();
    let found = shared.patience.persist(|| standing(&shared, posting, seen)).await?;
    Ok(Done::Found(found, seen))
}

/// Where a posting stands now, and what opened its positions.
pub(super) async fn standing(
    shared: &Shared,
    posting: PostingId,
    seen: Moment,
) -> Result<Entered, RunError> {
    let state = load(shared, posting).await?;
    settle(shared, posting, state, seen).await
}

/// What waits for people in a posting, and since when.
async fn open_tasks(shared: &Shared, posting: PostingId) -> Result<OpenTasks, RunError> {
    let mut open = OpenTasks::default();
    let mut history = shared.postings.history(&posting);
    loop {
        let next = history.try_next().await.map_err(|error| match error {
            LoadError::Store(error) => RunError::Store(error),
            source => StepError::Load { posting, source }.into(),
        })?;
        let Some((recorded, event)) = next else { return Ok(open) };
        let workflow = &shared.definition.workflow;
        open.take(workflow, recorded.event_id, recorded.recorded_at, &event);
    }
}

/// Records that nobody answered in time.
async fn fail(shared: Arc<Shared>, task: Overdue) -> Result<Done, RunError> {
    let Overdue { posting, attempt, opened_by } = task;
    let seen = shared.clocks.moment();
    let recording = || record_overdue(&shared, posting, attempt, opened_by, seen);
    let moved = shared.patience.persist(recording).await?;
    Ok(Done::Moved(attempt.conversation_id, moved, seen))
}

/// The same, unless somebody did answer meanwhile.
async fn record_overdue(
    shared: &Shared,
    posting: PostingId,
    attempt: Attempt,
    cause: EventId,
    seen: Moment,
) -> Result<Moved, RunError> {
    let workflow = &shared.definition.workflow;
    let conversation = workflow.conversation(attempt.conversation_id);
    let limit = conversation.and_then(|conversation| workflow.time_limit(conversation));
    let failure = overdue(attempt, limit.unwrap_or_default(), seen.wall);
    // somebody else may have opened a member of the group again that it waits for, too
    let is_open =
        |posting: &Posting| posting.ready(workflow).iter().any(|step| step.attempt == attempt);
    let decide = |posting: &Posting| match is_open(posting) {
        true => posting.fail(workflow, &failure),
        false => Ok(Vec::new()),
    };
    let metadata = shared.metadata(posting, Some(cause));
    let decision = shared.postings.by_id(&posting).decide(decide).metadata(metadata);
    let decided = decision.await.map_err(|error| StepError::of(posting, error))?;
    let Decided { state, events, appended, .. } = decided;
    let Some(appended) = appended else {
        let Entered { state, causes } = settle(shared, posting, state, seen).await?;
        return Ok(Moved { causes, ..Moved::elsewhere(state) });
    };
    shared.count(events.len());
    let causes = opened_by(&events, &appended);
    let (result, duration) = (Some(Err(FailureType::Overdue)), Duration::ZERO);
    Ok(Moved { causes, state, result, duration, usage: LlmUsage::default() })
}
