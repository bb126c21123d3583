//! Where one posting stands with people: what is open, and what they answered in its run.

use es_core::event::{Payload, Timestamp};
use es_core::{Aggregate, Repository};
use futures_util::TryStreamExt;
use turing_domain::{
    Attempt, ConversationId, FailureType, HumanAnswer, OpenTask, OpenTasks, Posting, PostingEvent,
    PostingId, RunId, RunStatus, Workflow, WorkflowRuns,
};

use super::PeopleError;
use crate::definition::recorded;
use crate::store::Store;

/// A posting in its run, with what people have to do with it.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The posting.
    pub posting: PostingId,
    /// The run in which it is, or has ended.
    pub run_id: RunId,
    /// The workflow as the run began with it.
    pub workflow: Workflow,
    /// Its state.
    pub state: Posting,
    /// What is open.
    pub open: OpenTasks,
    /// How tasks of people ended in this run, the latest last.
    pub ended: Vec<Ended>,
}

/// How a task of a person ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The task.
    pub attempt: Attempt,
    /// When.
    pub at: Timestamp,
    /// Who ended it, if that was recorded.
    pub by: Option<String>,
    /// With what.
    pub with: EndedWith,
}

/// With what a task of a person ended.
#[derive(Debug, Clone, PartialEq)]
pub enum EndedWith {
    /// An output, if it was recorded.
    Output(Option<Payload>),
    /// A failure.
    Failure(FailureType, String),
}

impl Ended {
    /// True if somebody of this name answered the same.
    fn is(&self, by: &str, answer: &HumanAnswer) -> bool {
        let is_same = match (&self.with, answer) {
            (EndedWith::Output(Some(output)), HumanAnswer::Done(given)) => {
                output.decode::<String>().is_ok_and(|text| text == *given)
            }
            (EndedWith::Failure(known, told), HumanAnswer::Failed { failure_type, error }) => {
                known == failure_type && told == error
            }
            _ => false,
        };
        is_same && self.by.as_deref() == Some(by)
    }

    /// In words, without the task.
    fn told(&self) -> String {
        let (by, at) = (self.by.as_deref().unwrap_or("somebody"), self.at);
        match &self.with {
            EndedWith::Output(_) => format!("{by} answered it at {at}"),
            EndedWith::Failure(FailureType::Overdue, _) if self.by.is_none() => {
                format!("nobody had answered it in time, which was recorded at {at}")
            }
            EndedWith::Failure(failure_type, error) => {
                format!("{by} said at {at} that it cannot be done ({failure_type}: {error})")
            }
        }
    }
}

impl Standing {
    /// Reads where a posting stands.
    ///
    /// # Errors
    ///
    /// [`PeopleError`]; above all, it is in no run.
    pub async fn read(store: &Store, posting: PostingId) -> Result<Self, PeopleError> {
        let postings = Repository::<Posting>::new(&store.events);
        let state = postings.load(&posting).await?.state;
        let run = state.run().ok_or(PeopleError::NotInRun { posting })?;
        let (run_id, workflow_id) = (run.run_id(), run.workflow_id());
        let runs = Repository::<WorkflowRuns>::new(&store.events);
        let runs = runs.load(&workflow_id).await?.state;
        let known = runs.run(run_id);
        let is_over = known.is_some_and(|run| run.status != RunStatus::Open);
        let digest = known.and_then(|run| run.definition_digest.as_deref());
        let kept = match digest {
            Some(digest) => recorded(store, digest).await?,
            None => None,
        };
        let workflow = kept.ok_or(PeopleError::NoDefinition { run_id })?.workflow;
        let (state, open, ended) = (Posting::default(), OpenTasks::default(), Vec::new());
        let mut standing = Self { posting, run_id, workflow, state, open, ended };
        let mut history = postings.history(&posting);
        while let Some((recorded, event)) = history.try_next().await? {
            standing.take(&event, recorded.recorded_at);
            let Self { workflow, open, .. } = &mut standing;
            open.take(workflow, recorded.event_id, recorded.recorded_at, &event);
        }
        // it may have gone on to another run meanwhile
        match standing.state.run().is_some_and(|run| run.run_id() == run_id) {
            // what has ended in it is told
            true if is_over && !standing.state.is_terminal() => {
                Err(PeopleError::RunOver { posting, run_id })
            }
            true => Ok(standing),
            false => Err(PeopleError::NotInRun { posting }),
        }
    }

    /// Takes an event before the open tasks do.
    fn take(&mut self, event: &PostingEvent, at: Timestamp) {
        use PostingEvent::{HumanTaskCompleted, HumanTaskFailed, PostingEnteredRun};
        let (conversation, by, with) = match event {
            PostingEnteredRun { .. } => {
                self.ended.clear();
                return self.state.evolve(event);
            }
            HumanTaskCompleted { conversation_id, by, output, .. } => {
                (conversation_id.0, &by.0, EndedWith::Output(output.clone()))
            }
            HumanTaskFailed { conversation_id, by, failure_type, error, .. } => {
                let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
                let error = error.0.clone().unwrap_or_default();
                (conversation_id.0, &by.0, EndedWith::Failure(failure_type, error))
            }
            _ => return self.state.evolve(event),
        };
        let run = self.state.run();
        if let Some(attempt) = run.zip(conversation).and_then(|(run, id)| run.attempt_at(id)) {
            self.ended.push(Ended { attempt, at, by: by.clone(), with });
        }
        self.state.evolve(event);
    }

    /// The task that is open at a conversation.
    pub fn task(&self, conversation: ConversationId) -> Option<&OpenTask> {
        self.open.all().get(&conversation)
    }

    /// The last task of a conversation that ended; the one of this execution, if one is meant.
    pub(super) fn last(
        &self,
        conversation: ConversationId,
        execution: Option<u32>,
    ) -> Option<&Ended> {
        self.ended.iter().rfind(|ended| {
            ended.attempt.conversation_id == conversation
                && execution.is_none_or(|execution| execution == ended.attempt.execution)
        })
    }

    /// When somebody of this name gave the same answer to the task that ended last, if they did.
    pub(super) fn same_answer(
        &self,
        conversation: ConversationId,
        execution: Option<u32>,
        by: &str,
        answer: &HumanAnswer,
    ) -> Option<Timestamp> {
        let last = self.last(conversation, execution)?;
        last.is(by, answer).then_some(last.at)
    }

    /// Why the posting does not wait for an answer there.
    pub(super) fn stale(&self, id: ConversationId, execution: Option<u32>) -> PeopleError {
        let conversation = self.workflow.conversation(id);
        let run = self.state.run().filter(|_| !self.state.is_terminal());
        let open: Vec<_> = run.into_iter().flat_map(|run| run.open().keys()).collect();
        let why = if let Some(last) = self.last(id, execution) {
            last.told()
        } else if conversation.is_none() {
            format!("workflow {} has no such conversation", self.workflow.id)
        } else if conversation.is_some_and(|it| self.workflow.person_at(it).is_none()) {
            "it is not a person's; the run executes it".to_owned()
        } else if open.contains(&&id) && self.task(id).is_none() {
            let group = conversation.and_then(|it| it.wait_for_group.as_deref());
            format!("it waits for group `{}` first", group.unwrap_or_default())
        } else if let Some(task) = self.task(id) {
            format!("its execution {} is open", task.attempt.execution)
        } else if open.is_empty() {
            format!("it has ended in run {}", self.run_id)
        } else {
            let open: Vec<_> = open.iter().map(ToString::to_string).collect();
            format!("it stands at {}", open.join(", "))
        };
        PeopleError::Stale { posting: self.posting, conversation: id, why }
    }
}
