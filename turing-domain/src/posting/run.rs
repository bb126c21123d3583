//! One run of a posting through a workflow: where it stands and how often it has been where.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::event::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::definition::{Conversation, Workflow};
use crate::ids::{ConversationId, PostingId, RunId, WorkflowId};
use crate::names::{EndReason, FailureType};
use crate::posting::command::Attempt;
use crate::posting::event::PostingEvent;
use crate::posting::state::Posting;

/// A posting's way through one run.
///
/// An aggregate of its own over the posting's stream: a decision takes a [`Draft`](es_core::Draft) of
/// it, which copies nothing that the other runs of the posting have left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostingRun {
    run_id: RunId,
    workflow_id: WorkflowId,
    open: BTreeMap<ConversationId, Position>,
    finished: BTreeMap<ConversationId, Finished>,
    completed: Vec<ConversationId>,
    conversation_runs: u32,
    runs_by_conversation: BTreeMap<ConversationId, u32>,
    iterations: BTreeMap<ConversationId, BTreeMap<u32, u32>>,
    ended_paths: BTreeMap<EndReason, u32>,
}

/// A conversation at which a posting stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which execution of the conversation this is in the run, from 1.
    pub execution: u32,
    /// How many attempts of it failed.
    pub retries: u32,
    /// When the next attempt is due, after a failed one.
    pub due_at: Option<Timestamp>,
}

/// An execution that ended and whose continuation is not recorded.
///
/// The decisions of this crate record both together; one without the other comes from a program
/// that wrote the result only. [`Posting::settle`](crate::Posting::settle) goes on from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The execution that ended.
    pub execution: u32,
    /// How many attempts of it failed before.
    pub retries: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an output.
    Completed,
    /// With a failure of this type.
    Failed(FailureType),
}

impl Default for PostingRun {
    /// Before the posting has entered a run: its ids are those of none.
    fn default() -> Self {
        Self {
            run_id: RunId(Uuid::nil()),
            workflow_id: WorkflowId(0),
            open: BTreeMap::new(),
            finished: BTreeMap::new(),
            completed: Vec::new(),
            conversation_runs: 0,
            runs_by_conversation: BTreeMap::new(),
            iterations: BTreeMap::new(),
            ended_paths: BTreeMap::new(),
        }
    }
}

impl PostingRun {
    /// The run's id.
    pub fn run_id(&self) -> RunId {
        self.run_id
    }

    /// The workflow that is run.
    pub fn workflow_id(&self) -> WorkflowId {
        self.workflow_id
    }

    /// The conversations at which the posting stands.
    pub fn open(&self) -> &BTreeMap<ConversationId, Position> {
        &self.open
    }

    /// Executions that ended and whose continuation is not recorded.
    pub fn finished(&self) -> &BTreeMap<ConversationId, Finished> {
        &self.finished
    }

    /// The conversations whose outputs this run may use, the latest completion last.
    pub fn completed(&self) -> &[ConversationId] {
        &self.completed
    }

    /// How many conversations the posting has begun in this run; repeats after failures do not
    /// count.
    pub fn conversation_runs(&self) -> u32 {
        self.conversation_runs
    }

    /// How often the posting has begun this conversation in this run.
    pub fn runs_of(&self, conversation: ConversationId) -> u32 {
        self.runs_by_conversation.get(&conversation).copied().unwrap_or(0)
    }

    /// How often a rule, numbered from 1, was taken in this run.
    pub fn iterations_of(&self, conversation: ConversationId, rule: u32) -> u32 {
        let rules = self.iterations.get(&conversation);
        rules.and_then(|rules| rules.get(&rule)).copied().unwrap_or(0)
    }

    /// How many paths ended for which reason.
    pub fn ended_paths(&self) -> &BTreeMap<EndReason, u32> {
        &self.ended_paths
    }

    /// Where the posting stands in the group that a conversation waits for: while that is anywhere, the
    /// conversation does not start. Nowhere if it waits for no group.
    pub fn awaited_at<'a>(
        &'a self,
        workflow: &'a Workflow,
        conversation: &'a Conversation,
    ) -> impl Iterator<Item = ConversationId> + 'a {
        let group = conversation.wait_for_group.as_deref();
        let members = group.into_iter().flat_map(move |group| workflow.members_of(group));
        members.filter(move |member| self.open.contains_key(member))
    }

    /// The attempt that the posting waits for at a conversation.
    pub fn attempt_at(&self, conversation_id: ConversationId) -> Option<Attempt> {
        let position = self.open.get(&conversation_id)?;
        Some(Attempt {
            run_id: self.run_id,
            conversation_id,
            execution: position.execution,
            retries: position.retries,
        })
    }
}

impl Aggregate for PostingRun {
    const TYPE: &'static str = Posting::TYPE;
    type Id = PostingId;
    type Event = PostingEvent;

    fn evolve(&mut self, event: &PostingEvent) {
        use PostingEvent::*;
        match event {
            ScriptExecutionCompleted { conversation_id, run_id, output, .. }
            | LlmCallCompleted { conversation_id, run_id, output, .. }
            | HumanTaskCompleted { conversation_id, run_id, output, .. } => {
                let Some(id) = self.own(run_id.0, conversation_id.0) else { return };
                if output.is_some() {
                    self.completed.retain(|other| *other != id);
                    self.completed.push(id);
                }
                self.finish(id, Outcome::Completed);
            }
            ScriptExecutionFailed { conversation_id, run_id, failure_type, .. }
            | LlmCallFailed { conversation_id, run_id, failure_type, .. }
            | HumanTaskFailed { conversation_id, run_id, failure_type, .. } => {
                let Some(id) = self.own(run_id.0, conversation_id.0) else { return };
                let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
                self.finish(id, Outcome::Failed(failure_type));
            }
            RetryScheduled { conversation_id, run_id, attempt, due_at, .. } => {
                let Some(id) = self.own(run_id.0, conversation_id.0) else { return };
                let execution = match self.finished.remove(&id) {
                    Some(finished) => finished.execution,
                    None => self.runs_of(id),
                };
                let position = Position { execution, retries: *attempt, due_at: Some(*due_at) };
                self.open.entry(id).or_insert(position);
            }
            BranchTaken { conversation_id, run_id, rule, to, .. } => {
                let Some(id) = self.own(run_id.0, conversation_id.0) else { return };
                self.finished.remove(&id);
                increase(self.iterations.entry(id).or_default().entry(*rule).or_default());
                match to {
                    Some(target) => self.enter(*target),
                    None => self.end_path(EndReason::Completed),
                }
            }
            PathEnded { conversation_id, run_id, reason, .. } => {
                let Some(id) = self.own(run_id.0, conversation_id.0) else { return };
                self.finished.remove(&id);
                self.end_path(reason.clone());
            }
            PostingTerminal { .. } => {
                self.open.clear();
                self.finished.clear();
            }
            PostingEnteredRun { run_id, workflow_id, entry_conversation_id } => {
                *self = Self { run_id: *run_id, workflow_id: *workflow_id, ..Self::default() };
                self.enter(*entry_conversation_id);
            }
            // it is in none any more
            PostingStateImported { .. } => *self = Self::default(),
            CircuitBreakerOpen { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
    }
}

impl PostingRun {
    /// The conversation of an event, if the event is of this run. An event that names no run is.
    fn own(
        &self,
        run_id: Option<RunId>,
        conversation_id: Option<ConversationId>,
    ) -> Option<ConversationId> {
        conversation_id.filter(|_| run_id.is_none_or(|run_id| run_id == self.run_id))
    }

    fn enter(&mut self, conversation: ConversationId) {
        if self.open.contains_key(&conversation) {
            return;
        }
        let runs = self.runs_by_conversation.entry(conversation).or_default();
        increase(runs);
        increase(&mut self.conversation_runs);
        let position = Position { execution: *runs, retries: 0, due_at: None };
        self.open.insert(conversation, position);
    }

    fn finish(&mut self, conversation: ConversationId, outcome: Outcome) {
        if let Some(position) = self.open.remove(&conversation) {
            let finished =
                Finished { execution: position.execution, retries: position.retries, outcome };
            self.finished.insert(conversation, finished);
        }
    }

    fn end_path(&mut self, reason: EndReason) {
        increase(self.ended_paths.entry(reason).or_default());
    }
}

fn increase(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}
