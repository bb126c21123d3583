//! Tasks of people within a run: nobody is called for them, their time is kept, and what was answered
//! elsewhere is gone on with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use es_core::event::{EventId, Position, Timestamp};
use es_core::execution::LoadError;
use futures_util::TryStreamExt;
use serde::Serialize;
use tokio::task::JoinSet;
use turing_domain::posting::overdue;
use turing_domain::{
    ActorId, Attempt, ConversationId, FailureType, OpenTasks, Posting, PostingId, PostingRejection,
    Step, Workflow,
};

use super::clocks::Moment;
use super::ears::{Ears, Heard};
use super::enter::{Entered, settle};
use super::error::unless_stopped;
use super::step::load;
use super::{Left, Run, RunError, Shared, StepError};

/// What waits for people at one conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingForPeople {
    /// The conversation.
    pub conversation: ConversationId,
    /// Whose it is.
    pub actor: Option<ActorId>,
    /// What people call them.
    pub name: Option<String>,
    /// How many tasks are open.
    pub tasks: usize,
    /// When the next of them is overdue, as far as that is known.
    pub next_due: Option<Timestamp>,
}

/// The tasks of people in a run, as far as this process knows them: an index, made of the store's events.
#[derive(Debug, Default)]
pub(super) struct People {
    waiting: BTreeMap<PostingId, Vec<Awaited>>,
    /// The postings that ever waited for a person here, and whether their end is counted.
    known: HashMap<PostingId, bool>,
    /// Whom to look at again: somebody else may have moved them.
    again: BTreeSet<PostingId>,
    /// Whose circuit breakers others have closed.
    closed: BTreeSet<ActorId>,
    /// What others write.
    pub(super) ears: Ears,
    /// What listens for them.
    listening: JoinSet<()>,
}

/// A task that waits for a person.
#[derive(Debug, Clone, Copy)]
struct Awaited {
    attempt: Attempt,
    time: Time,
}

/// Until when a task waits.
#[derive(Debug, Clone, Copy)]
enum Time {
    /// For ever; or it is known to be over.
    Open,
    /// That is still to be read.
    Unread,
    /// Until then, by both clocks; and the event that opened it.
    Until { at: Instant, due_at: Timestamp, opened_by: EventId },
}

impl People {
    /// Keeps what waits for people out of what is to be attempted.
    pub(super) fn set_apart<'a>(
        &mut self,
        workflow: &Workflow,
        posting: PostingId,
        steps: Vec<Step<'a>>,
    ) -> Vec<Step<'a>> {
        let is_persons = |step: &Step<'_>| workflow.person_at(step.conversation).is_some();
        let (tasks, steps): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_persons);
        let before = self.waiting.remove(&posting).unwrap_or_default();
        if tasks.is_empty() {
            return steps;
        }
        self.known.entry(posting).or_insert(false);
        let waiting = tasks.into_iter().map(|step| {
            let attempt = step.attempt;
            let known = before.iter().find(|task| task.attempt == attempt).copied();
            known.unwrap_or_else(|| {
                let has_limit = workflow.time_limit(step.conversation).is_some();
                Awaited { attempt, time: if has_limit { Time::Unread } else { Time::Open } }
            })
        });
        self.waiting.insert(posting, waiting.collect());
        steps
    }

    /// Takes note of a posting that has ended; true if it was counted before.
    fn is_counted(&mut self, posting: PostingId) -> bool {
        self.known.get_mut(&posting).is_some_and(|counted| std::mem::replace(counted, true))
    }

    /// When the next task is overdue.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let tasks = self.waiting.values().flatten();
        let times = tasks.filter_map(|task| match task.time {
            Time::Until { at, .. } => Some(at),
            Time::Open | Time::Unread => None,
        });
        times.min()
    }

    /// The postings with tasks whose time is not read yet.
    fn unread(&self) -> Vec<PostingId> {
        let is_unread = |task: &Awaited| matches!(task.time, Time::Unread);
        let unread = self.waiting.iter().filter(|(_, tasks)| tasks.iter().any(is_unread));
        unread.map(|(posting, _)| *posting).collect()
    }

    /// Takes the tasks whose time is over.
    fn take_overdue(&mut self, now: Instant) -> Vec<(PostingId, Attempt, EventId)> {
        let mut overdue = Vec::new();
        for (posting, tasks) in &mut self.waiting {
            for task in tasks {
                if let Time::Until { at, opened_by, .. } = task.time
                    && at <= now
                {
                    task.time = Time::Open;
                    overdue.push((*posting, task.attempt, opened_by));
                }
            }
        }
        overdue
    }

    /// Remembers until when the tasks of a posting wait, from when that was first met.
    fn learn(&mut self, workflow: &Workflow, posting: PostingId, open: &OpenTasks, seen: Moment) {
        for task in self.waiting.get_mut(&posting).into_iter().flatten() {
            if !matches!(task.time, Time::Unread) {
                continue;
            }
            let id = task.attempt.conversation_id;
            let known = open.all().get(&id).filter(|known| known.attempt == task.attempt);
            let limit = workflow.conversation(id).and_then(|it| workflow.time_limit(it));
            // where somebody was faster it is looked at again, and waits no more
            task.time = match known.zip(limit) {
                Some((known, limit)) => {
                    let due_at = known.since.plus(limit);
                    let at = seen.deadline(due_at, limit);
                    Time::Until { at, due_at, opened_by: known.opened_by }
                }
                None => Time::Open,
            };
        }
    }

    /// What waits, by conversation.
    fn waiting(&self, workflow: &Workflow) -> Vec<WaitingForPeople> {
        let mut waiting = BTreeMap::<ConversationId, WaitingForPeople>::new();
        for task in self.waiting.values().flatten() {
            let conversation = task.attempt.conversation_id;
            let entry = waiting.entry(conversation).or_insert_with(|| {
                let actor = workflow.conversation(conversation).map(|one| one.actor);
                let name = actor.and_then(|actor| workflow.actor(actor));
                let name = name.map(|actor| actor.name.clone());
                WaitingForPeople { conversation, actor, name, tasks: 0, next_due: None }
            });
            entry.tasks = entry.tasks.saturating_add(1);
            if let Time::Until { due_at, .. } = task.time {
                entry.next_due = Some(entry.next_due.map_or(due_at, |known| known.min(due_at)));
            }
        }
        waiting.into_values().collect()
    }
}

impl Run<'_> {
    /// Hears from now on what others write, where people have something to do.
    pub(super) async fn listen(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let workflow = &shared.definition.workflow;
        if !workflow.conversations.iter().any(|one| workflow.person_at(one).is_some()) {
            return Ok(());
        }
        let asking = shared.patience.persist(|| end_of_log(&shared));
        let from = self.telling(asking).await?;
        self.people.listening = self.people.ears.listen(shared.clone(), from);
        Ok(())
    }

    /// Counts a posting that has ended, once: somebody else may have ended it, and be heard.
    pub(super) fn count_end(&mut self, posting: PostingId, state: &Posting) {
        let has_ended = state.ended_in(self.shared.run_id).is_some();
        if has_ended && !self.people.is_counted(posting) {
            self.report.moved(state);
        }
    }

    /// Goes on with what people have answered, and with what they have not in time.
    pub(super) async fn go_on_with_people(&mut self) -> Result<(), RunError> {
        unless_stopped(self.take_overdue().await)?;
        for heard in self.people.ears.take() {
            match heard {
                Heard::Posting(posting) => {
                    self.people.again.insert(posting);
                }
                Heard::Actor(actor) => {
                    self.people.closed.insert(actor);
                }
                // its runs are looked at when the lock was lost, and when all is done
                Heard::Workflow => {}
            }
        }
        let shared = self.shared.clone();
        while let Some(actor) = self.people.closed.pop_first() {
            let looking = shared.patience.persist(|| shared.breakers.reload(actor));
            unless_stopped(self.telling(looking).await)?;
        }
        // what is in progress for a posting knows all of it when that is recorded
        let free = self.people.again.iter().copied();
        let free: Vec<_> = free.filter(|posting| !self.agenda.is_taken(*posting)).collect();
        for posting in free {
            if !self.goes_on() {
                return Ok(());
            }
            self.people.again.remove(&posting);
            let is_left = self.report.left.iter().any(|left| left.posting == posting);
            if self.people.known.contains_key(&posting) && !is_left {
                self.look_again(posting).await?;
            }
        }
        unless_stopped(self.read_times().await)
    }

    /// Puts a posting where it stands now.
    async fn look_again(&mut self, posting: PostingId) -> Result<(), RunError> {
        let shared = self.shared.clone();
        let seen = shared.clocks.moment();
        let looking = shared.patience.persist(|| look(&shared, posting, seen));
        match self.telling(looking).await {
            Ok(Entered { state, causes }) => {
                self.place(posting, &state, &causes, seen);
                self.count_end(posting, &state);
                self.observer.posting_ended(self.report.postings - self.report.open);
                Ok(())
            }
            Err(error) => self.leave(posting, error),
        }
    }

    /// Goes on without a posting, if it alone cannot go on.
    fn leave(&mut self, posting: PostingId, error: RunError) -> Result<(), RunError> {
        match error {
            RunError::NotBegun => Ok(()),
            error if error.concerns_one_posting() => {
                let reason = error.told();
                self.agenda.remove(posting);
                self.people.waiting.remove(&posting);
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
        let workflow = &shared.definition.workflow;
        for posting in self.people.unread() {
            if !self.goes_on() {
                return Ok(());
            }
            let seen = shared.clocks.moment();
            let reading = shared.patience.persist(|| open_tasks(&shared, posting));
            match self.telling(reading).await {
                Ok(open) => self.people.learn(workflow, posting, &open, seen),
                Err(error) => self.leave(posting, error)?,
            }
        }
        Ok(())
    }

    /// Records of tasks that were not answered in time that they failed.
    async fn take_overdue(&mut self) -> Result<(), RunError> {
        self.read_times().await?;
        let shared = self.shared.clone();
        let overdue = self.people.take_overdue(shared.clocks.timer.now());
        if overdue.is_empty() {
            return Ok(());
        }
        self.keep_lock().await?;
        for (posting, attempt, opened_by) in overdue {
            if !self.goes_on() {
                // who goes on with the run records it
                return Ok(());
            }
            let recording =
                shared.patience.persist(|| record_overdue(&shared, posting, attempt, opened_by));
            match self.telling(recording).await {
                Ok(is_recorded) => {
                    if is_recorded {
                        let (id, failure) = (attempt.conversation_id, FailureType::Overdue);
                        self.report.attempted(id, Some(failure), Duration::ZERO);
                    }
                    self.people.again.insert(posting);
                }
                Err(error) => self.leave(posting, error)?,
            }
        }
        Ok(())
    }

    /// What waits for people now.
    pub(super) fn waiting_for_people(&self) -> Vec<WaitingForPeople> {
        self.people.waiting(&self.shared.definition.workflow)
    }
}

async fn end_of_log(shared: &Shared) -> Result<Position, RunError> {
    Ok(shared.store.events.end_of_log().await?)
}

/// Where a posting stands now, after what its last result leads to.
async fn look(shared: &Shared, posting: PostingId, seen: Moment) -> Result<Entered, RunError> {
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

/// Records that nobody answered in time, unless somebody did meanwhile; answers whether it is recorded.
async fn record_overdue(
    shared: &Shared,
    posting: PostingId,
    attempt: Attempt,
    opened_by: EventId,
) -> Result<bool, RunError> {
    let workflow = &shared.definition.workflow;
    let conversation = workflow.conversation(attempt.conversation_id);
    let limit = conversation.and_then(|conversation| workflow.time_limit(conversation));
    let failure = overdue(attempt, limit.unwrap_or_default(), shared.clocks.wall.now());
    let decide = |posting: &Posting| match posting.fail(workflow, &failure) {
        Err(
            PostingRejection::AlreadyTerminal
            | PostingRejection::NotInRun
            | PostingRejection::OtherRun { .. }
            | PostingRejection::NotOpen { .. }
            | PostingRejection::OtherAttempt { .. },
        ) => Ok(Vec::new()),
        decided => decided,
    };
    let metadata = shared.metadata(posting, Some(opened_by));
    let decision = shared.postings.by_id(&posting).decide(decide).metadata(metadata);
    let recorded = decision.await.map_err(|error| StepError::of(posting, error))?;
    shared.count(recorded.events.len());
    Ok(!recorded.events.is_empty())
}

#[cfg(test)]
mod tests;
