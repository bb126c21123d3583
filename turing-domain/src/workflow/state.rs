//! The runs of a workflow, made of its events.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, RunId, WorkflowId};
use crate::pause::Pause;
use crate::workflow::command::Cancellation;
use crate::workflow::event::WorkflowEvent;

/// The runs of a workflow, in the order in which they began.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkflowRuns {
    runs: Vec<WorkflowRun>,
}

/// One run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRun {
    /// The run's id.
    pub run_id: RunId,
    /// How many postings it has, if it was recorded.
    pub posting_count: Option<u32>,
    /// What tells its input from another, if it was recorded.
    pub input_digest: Option<String>,
    /// What tells its definition from another, if it was recorded: the one that it was moved to last,
    /// or began with.
    pub definition_digest: Option<String>,
    /// How far it is.
    pub status: RunStatus,
    /// That somebody wants none of its attempts to begin; the end of that may be past.
    pub pause: Option<Pause>,
    /// The same of single conversations.
    pub conversation_pauses: BTreeMap<ConversationId, Pause>,
    /// That somebody wants it to come to nothing: as long as it is open that is under way.
    pub cancellation: Option<Cancellation>,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It goes on.
    Open,
    /// All its postings are terminal.
    Completed,
    /// It came to nothing; the text says why.
    Failed(String),
}

impl WorkflowRun {
    /// The pause of one conversation alone, or that of the run alone.
    pub fn pause_at(&self, conversation: Option<ConversationId>) -> Option<&Pause> {
        match conversation {
            Some(conversation) => self.conversation_pauses.get(&conversation),
            None => self.pause.as_ref(),
        }
    }
}

impl WorkflowRuns {
    /// All runs, the first one first. Runs that began without an id are not among them.
    pub fn all(&self) -> &[WorkflowRun] {
        &self.runs
    }

    /// The run of this id.
    pub fn run(&self, run_id: RunId) -> Option<&WorkflowRun> {
        self.runs.iter().rfind(|run| run.run_id == run_id)
    }

    /// The run that goes on: what a restarted program continues.
    pub fn open_run(&self) -> Option<&WorkflowRun> {
        self.runs.iter().rfind(|run| run.status == RunStatus::Open)
    }

    /// The last run that completed this input with this definition, whatever ran after it.
    pub fn completed_with(&self, input: &str, definition: &str) -> Option<&WorkflowRun> {
        self.runs.iter().rfind(|run| {
            run.status == RunStatus::Completed
                && run.input_digest.as_deref() == Some(input)
                && run.definition_digest.as_deref() == Some(definition)
        })
    }

    /// The run of this id, if it goes on.
    fn going_mut(&mut self, run_id: Option<RunId>) -> Option<&mut WorkflowRun> {
        let run = self.runs.iter_mut().rfind(|run| Some(run.run_id) == run_id);
        run.filter(|run| run.status == RunStatus::Open)
    }

    fn end(&mut self, run_id: Option<RunId>, status: RunStatus) {
        if let Some(run) = self.going_mut(run_id) {
            run.status = status;
        }
    }
}

impl Aggregate for WorkflowRuns {
    const TYPE: &'static str = "workflow";
    type Id = WorkflowId;
    type Event = WorkflowEvent;

    fn evolve(&mut self, event: &WorkflowEvent) {
        use WorkflowEvent::*;
        match event {
            WorkflowStarted { run_id, posting_count, input_digest, definition_digest, .. } => {
                if let Some(run_id) = run_id.0
                    && self.run(run_id).is_none()
                {
                    self.runs.push(WorkflowRun {
                        run_id,
                        posting_count: posting_count.0,
                        input_digest: input_digest.0.clone(),
                        definition_digest: definition_digest.0.clone(),
                        status: RunStatus::Open,
                        pause: None,
                        conversation_pauses: BTreeMap::new(),
                        cancellation: None,
                    });
                }
            }
            WorkflowCompleted { run_id, .. } => self.end(run_id.0, RunStatus::Completed),
            WorkflowFailed { run_id, error, .. } => {
                let error = error.0.clone().unwrap_or_default();
                self.end(run_id.0, RunStatus::Failed(error));
            }
            WorkflowMovedToDefinition { run_id, definition_digest, .. } => {
                if let (Some(run), Some(digest)) = (self.going_mut(run_id.0), &definition_digest.0)
                {
                    run.definition_digest = Some(digest.clone());
                }
            }
            WorkflowPaused { run_id, conversation_id, by, because, paused_at, until, .. } => {
                let pause = Pause {
                    by: by.0.clone().unwrap_or_default(),
                    because: because.0.clone().unwrap_or_default(),
                    since: paused_at.0,
                    until: until.0,
                };
                let Some(run) = self.going_mut(run_id.0) else { return };
                match conversation_id.0 {
                    Some(conversation) => {
                        run.conversation_pauses.insert(conversation, pause);
                    }
                    None => run.pause = Some(pause),
                }
            }
            WorkflowPauseEnded { run_id, conversation_id, .. } => {
                let Some(run) = self.going_mut(run_id.0) else { return };
                match conversation_id.0 {
                    Some(conversation) => {
                        run.conversation_pauses.remove(&conversation);
                    }
                    None => run.pause = None,
                }
            }
            WorkflowCancellationRequested { run_id, by, because, at_once, .. } => {
                let Some(run) = self.going_mut(run_id.0) else { return };
                // nothing is left that a pause could keep from beginning
                run.pause = None;
                run.conversation_pauses.clear();
                run.cancellation = Some(Cancellation {
                    by: by.0.clone().unwrap_or_default(),
                    because: because.0.clone().unwrap_or_default(),
                    at_once: at_once.0.unwrap_or_default(),
                });
            }
        }
    }
}

impl Snapshotted for WorkflowRuns {
    const REVISION: u32 = 3;
}
