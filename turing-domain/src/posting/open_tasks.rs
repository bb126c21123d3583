//! Since when tasks of people are open, and who has claimed them: events with their times.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::event::{EventId, Timestamp};

use crate::definition::Workflow;
use crate::ids::{ConversationId, RunId};
use crate::posting::command::Attempt;
use crate::posting::decide::awaited_group;
use crate::posting::event::PostingEvent;
use crate::posting::run::PostingRun;

/// The tasks of people at which a posting stands.
///
/// A fold of the posting's events together with when each was recorded. It keeps no outputs, so that
/// the tasks of a whole run can be held at once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenTasks {
    run: Option<PostingRun>,
    tasks: BTreeMap<ConversationId, OpenTask>,
    /// The claims of tasks that wait for a group again, and are open when it has finished.
    held: BTreeMap<ConversationId, (Attempt, TaskClaim)>,
}

/// A task that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTask {
    /// Which execution of which conversation it is.
    pub attempt: Attempt,
    /// When it was opened: by the event after which nothing was waited for any more but a person.
    pub since: Timestamp,
    /// That event.
    pub opened_by: EventId,
    /// Who has claimed it.
    pub claim: Option<TaskClaim>,
}

impl OpenTask {
    /// When it is overdue, if it ever is.
    pub fn due_at(&self, workflow: &Workflow) -> Option<Timestamp> {
        let conversation = workflow.conversation(self.attempt.conversation_id)?;
        workflow.time_limit(conversation).map(|limit| self.since.plus(limit))
    }
}

/// Who has claimed a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskClaim {
    /// The name.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

impl OpenTasks {
    /// The tasks, by conversation.
    pub fn all(&self) -> &BTreeMap<ConversationId, OpenTask> {
        &self.tasks
    }

    /// The run in which the posting is.
    pub fn run(&self) -> Option<&PostingRun> {
        self.run.as_ref()
    }

    /// Takes the next event of the posting; `workflow` is that of its run.
    pub fn take(
        &mut self,
        workflow: &Workflow,
        event_id: EventId,
        recorded_at: Timestamp,
        event: &PostingEvent,
    ) {
        use PostingEvent::*;
        match event {
            PostingEnteredRun { .. } => {
                *self = Self { run: Some(PostingRun::default()), ..Self::default() };
            }
            PostingTerminal { .. } | PostingStateImported { .. } => {
                *self = Self::default();
                return;
            }
            HumanTaskClaimed { by, conversation_id, run_id, .. } => {
                let claim = by.0.clone().map(|by| TaskClaim { by, since: recorded_at });
                return self.claim(run_id.0, conversation_id.0, claim);
            }
            HumanTaskReleased { conversation_id, run_id, .. } => {
                return self.claim(run_id.0, conversation_id.0, None);
            }
            _ => {}
        }
        let Some(run) = &mut self.run else { return };
        run.evolve(event);
        let open = open_to_people(workflow, run);
        for (id, task) in self.tasks.extract_if(.., |_, task| !open.contains(&task.attempt)) {
            self.held.extend(task.claim.map(|claim| (id, (task.attempt, claim))));
        }
        self.held.retain(|id, (attempt, _)| run.attempt_at(*id) == Some(*attempt));
        for attempt in open {
            let id = attempt.conversation_id;
            self.tasks.entry(id).or_insert_with(|| OpenTask {
                attempt,
                since: recorded_at,
                opened_by: event_id,
                claim: self.held.remove(&id).map(|(_, claim)| claim),
            });
        }
    }

    fn claim(
        &mut self,
        run_id: Option<RunId>,
        conversation: Option<ConversationId>,
        claim: Option<TaskClaim>,
    ) {
        let task = conversation.and_then(|id| self.tasks.get_mut(&id));
        let is_own = |of: RunId| run_id.is_none_or(|run_id| run_id == of);
        if let Some(task) = task.filter(|task| is_own(task.attempt.run_id)) {
            task.claim = claim;
        }
    }
}

/// What waits for people, and for nothing else.
fn open_to_people(workflow: &Workflow, run: &PostingRun) -> Vec<Attempt> {
    let open = run.open().keys().filter_map(|id| {
        let conversation = workflow.conversation(*id)?;
        workflow.person_at(conversation)?;
        match awaited_group(workflow, run, conversation) {
            Some(_) => None,
            None => run.attempt_at(*id),
        }
    });
    open.collect()
}
