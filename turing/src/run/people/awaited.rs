//! The tasks of people in a run, as far as this process knows them, and until when each of them waits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use es_core::event::{EventId, Timestamp};
use serde::Serialize;
use tokio::task::JoinSet;
use turing_domain::{ActorId, Attempt, ConversationId, OpenTasks, PostingId, Step, Workflow};

use super::super::clocks::Moment;
use super::super::ears::Ears;

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

/// The tasks of people in a run: an index, made of the store's events.
#[derive(Debug, Default)]
pub(in crate::run) struct People {
    waiting: BTreeMap<PostingId, Vec<Awaited>>,
    /// The tasks whose time is not over, by when it is.
    due: BTreeSet<(Instant, PostingId, ConversationId)>,
    /// The postings with tasks whose time is to be read.
    unread: BTreeSet<PostingId>,
    /// The tasks whose time is over, until that is recorded.
    overdue: Vec<Overdue>,
    /// The postings that ever waited for a person here, and whether their end is counted.
    known: HashMap<PostingId, bool>,
    /// Whom to look at again: somebody else may have moved them.
    pub(super) again: BTreeSet<PostingId>,
    /// What others write.
    pub(in crate::run) ears: Ears,
    /// What listens for them.
    pub(in crate::run) listening: JoinSet<()>,
}

/// A task that nobody answered in time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overdue {
    pub(super) posting: PostingId,
    pub(super) attempt: Attempt,
    /// The event that opened it.
    pub(super) opened_by: EventId,
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
    /// Keeps what waits for people out of what is to be attempted: answers what is theirs, and the rest.
    pub(in crate::run) fn set_apart<'a>(
        &mut self,
        workflow: &Workflow,
        posting: PostingId,
        steps: Vec<Step<'a>>,
    ) -> (Vec<Attempt>, Vec<Step<'a>>) {
        let is_persons = |step: &Step<'_>| workflow.person_at(step.conversation).is_some();
        let (tasks, steps): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_persons);
        let before = self.take_out(posting);
        if tasks.is_empty() {
            return (Vec::new(), steps);
        }
        self.known.entry(posting).or_insert(false);
        let mut waiting = Vec::with_capacity(tasks.len());
        for step in &tasks {
            let attempt = step.attempt;
            let known = before.iter().find(|task| task.attempt == attempt).copied();
            let task = known.unwrap_or_else(|| {
                let has_limit = workflow.time_limit(step.conversation).is_some();
                Awaited { attempt, time: if has_limit { Time::Unread } else { Time::Open } }
            });
            match task.time {
                Time::Open => {}
                Time::Unread => {
                    self.unread.insert(posting);
                }
                Time::Until { at, .. } => {
                    self.due.insert((at, posting, attempt.conversation_id));
                }
            }
            waiting.push(task);
        }
        self.waiting.insert(posting, waiting);
        (tasks.iter().map(|step| step.attempt).collect(), steps)
    }

    /// Forgets what waits for people in a posting.
    pub(in crate::run) fn forget(&mut self, posting: PostingId) {
        self.take_out(posting);
    }

    fn take_out(&mut self, posting: PostingId) -> Vec<Awaited> {
        let tasks = self.waiting.remove(&posting).unwrap_or_default();
        for task in &tasks {
            if let Time::Until { at, .. } = task.time {
                self.due.remove(&(at, posting, task.attempt.conversation_id));
            }
        }
        self.unread.remove(&posting);
        tasks
    }

    /// Has a posting looked at again when no attempt of it is in progress.
    pub(in crate::run) fn look_again_at(&mut self, posting: PostingId) {
        self.again.insert(posting);
    }

    /// Whether a posting ever waited for a person here.
    pub(super) fn knows(&self, posting: PostingId) -> bool {
        self.known.contains_key(&posting)
    }

    /// Takes note of a posting that has ended; true if it was counted before.
    pub(super) fn is_counted(&mut self, posting: PostingId) -> bool {
        self.known.get_mut(&posting).is_some_and(|counted| std::mem::replace(counted, true))
    }

    /// When the next task is overdue.
    pub(in crate::run) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// The postings with tasks whose time is not read yet.
    pub(super) fn unread(&self) -> Vec<PostingId> {
        self.unread.iter().copied().collect()
    }

    /// Takes the tasks whose time is over, one of a posting at most. Those of postings that are taken for
    /// something else come later.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        is_taken: impl Fn(PostingId) -> bool,
    ) -> Vec<Overdue> {
        while let Some((at, posting, id)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            for task in self.waiting.get_mut(&posting).into_iter().flatten() {
                if let Time::Until { opened_by, .. } = task.time
                    && task.attempt.conversation_id == id
                {
                    task.time = Time::Open;
                    self.overdue.push(Overdue { posting, attempt: task.attempt, opened_by });
                }
            }
        }
        let mut taken = BTreeSet::new();
        let comes_later = |task: &Overdue| is_taken(task.posting) || !taken.insert(task.posting);
        let overdue = std::mem::take(&mut self.overdue);
        let (later, at_once): (Vec<_>, Vec<_>) = overdue.into_iter().partition(comes_later);
        self.overdue = later;
        at_once
    }

    /// Remembers until when the tasks of a posting wait, from when that was first met.
    pub(super) fn learn(
        &mut self,
        workflow: &Workflow,
        posting: PostingId,
        open: &OpenTasks,
        seen: Moment,
    ) {
        self.unread.remove(&posting);
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
                    self.due.insert((at, posting, id));
                    Time::Until { at, due_at, opened_by: known.opened_by }
                }
                None => Time::Open,
            };
        }
    }

    /// What waits, by conversation.
    pub(super) fn waiting(&self, workflow: &Workflow) -> Vec<WaitingForPeople> {
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

#[cfg(test)]
mod tests;
