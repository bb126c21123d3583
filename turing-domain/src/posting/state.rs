//! The state of a posting, made of its events.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::event::Payload;
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, PostingId, RunId};
use crate::names::EndReason;
use crate::noted::text_of;
use crate::posting::event::PostingEvent;
use crate::posting::run::PostingRun;

/// The state of a posting.
///
/// The first four fields are the columns of the specification's projection. Events of other
/// programs, which know no runs, change these four only; what was imported ends the way through a run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Posting {
    current_conversation_id: Option<ConversationId>,
    execution_sequence: Vec<ConversationId>,
    outputs: BTreeMap<ConversationId, Payload>,
    is_terminal: bool,
    terminal: Option<Terminal>,
    ended_runs: BTreeMap<RunId, Terminal>,
    run: Option<PostingRun>,
}

/// How a posting ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// The worst reason of its paths, if it was recorded.
    pub reason: Option<EndReason>,
    /// The conversation that ended last, if it was recorded.
    pub final_conversation_id: Option<ConversationId>,
}

impl Posting {
    /// Where the posting is: the lowest of its open conversations; if none is open, the one that it
    /// was at last.
    pub fn current_conversation_id(&self) -> Option<ConversationId> {
        self.current_conversation_id
    }

    /// The conversations that completed, in the order of their events, over all runs.
    pub fn execution_sequence(&self) -> &[ConversationId] {
        &self.execution_sequence
    }

    /// The latest output of each conversation, over all runs.
    pub fn outputs(&self) -> &BTreeMap<ConversationId, Payload> {
        &self.outputs
    }

    /// True from `posting_terminal` until the next run is entered, or as an imported state says.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// How the posting ended in a run, if it did: also when it is in another run by now.
    pub fn ended_in(&self, run_id: RunId) -> Option<&Terminal> {
        self.ended_runs.get(&run_id)
    }

    /// How the posting ended in each run in which it did.
    pub fn ended_runs(&self) -> &BTreeMap<RunId, Terminal> {
        &self.ended_runs
    }

    /// True while the posting is in this run and has not ended in it.
    pub fn is_open_in(&self, run_id: RunId) -> bool {
        !self.is_terminal && self.run.as_ref().is_some_and(|run| run.run_id() == run_id)
    }

    /// How the posting ended, while it is terminal.
    pub fn terminal(&self) -> Option<&Terminal> {
        self.terminal.as_ref()
    }

    /// The run that the posting entered last; none if its state was imported since.
    pub fn run(&self) -> Option<&PostingRun> {
        self.run.as_ref()
    }

    /// The outputs that the current run may use: what completed in it, latest completion last.
    pub fn usable_outputs(&self) -> impl DoubleEndedIterator<Item = (ConversationId, &Payload)> {
        let completed = self.run.iter().flat_map(|run| run.completed());
        completed.filter_map(|id| Some((*id, self.outputs.get(id)?)))
    }

    /// The text of an output that the current run may use; JSON that is no string as JSON text.
    pub fn usable_output(&self, conversation: ConversationId) -> Option<String> {
        let is_usable = self.run.as_ref()?.completed().contains(&conversation);
        let output = self.outputs.get(&conversation).filter(|_| is_usable)?;
        Some(text_of(output))
    }
}

impl Aggregate for Posting {
    const TYPE: &'static str = "posting";
    type Id = PostingId;
    type Event = PostingEvent;

    fn evolve(&mut self, event: &PostingEvent) {
        use PostingEvent::*;
        let mut seen = None;
        match event {
            ScriptExecutionCompleted { conversation_id, output, .. }
            | LlmCallCompleted { conversation_id, output, .. }
            | HumanTaskCompleted { conversation_id, output, .. } => {
                seen = conversation_id.0;
                if let Some(id) = conversation_id.0 {
                    self.execution_sequence.push(id);
                    if let Some(output) = output {
                        self.outputs.insert(id, output.clone());
                    }
                }
            }
            ScriptExecutionFailed { conversation_id, .. }
            | LlmCallFailed { conversation_id, .. }
            | HumanTaskFailed { conversation_id, .. } => seen = conversation_id.0,
            PostingTerminal { reason, final_conversation_id, run_id } => {
                seen = final_conversation_id.0;
                self.is_terminal = true;
                let terminal = Terminal {
                    reason: reason.0.clone(),
                    final_conversation_id: final_conversation_id.0,
                };
                let current = self.run.as_ref().map(PostingRun::run_id);
                if let Some(run_id) = run_id.0.or(current) {
                    self.ended_runs.insert(run_id, terminal.clone());
                }
                self.terminal = Some(terminal);
            }
            PostingEnteredRun { .. } => {
                self.is_terminal = false;
                self.terminal = None;
                self.run = Some(PostingRun::default());
            }
            PostingStateImported {
                current_conversation_id,
                is_terminal,
                replaces,
                execution_sequence,
                outputs,
                ..
            } => {
                if *replaces {
                    self.execution_sequence.clear();
                    self.outputs.clear();
                }
                self.execution_sequence.extend(execution_sequence);
                let outputs = outputs.iter().filter(|(_, output)| output.as_str() != "null");
                self.outputs.extend(outputs.map(|(id, output)| (*id, output.clone())));
                self.current_conversation_id = *current_conversation_id;
                self.is_terminal = *is_terminal;
                // how it ended is kept, if it had ended before
                self.terminal = is_terminal.then(|| {
                    self.terminal.take().unwrap_or(Terminal {
                        reason: None,
                        final_conversation_id: *current_conversation_id,
                    })
                });
                self.run = None;
            }
            CircuitBreakerOpen { .. }
            | BranchTaken { .. }
            | PathEnded { .. }
            | RetryScheduled { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
        let mut open = None;
        if let Some(run) = &mut self.run {
            if !self.is_terminal || matches!(event, PostingTerminal { .. }) {
                run.evolve(event);
            }
            open = run.open().keys().next().copied();
        }
        self.current_conversation_id = open.or(seen).or(self.current_conversation_id);
    }
}

impl Snapshotted for Posting {
    const REVISION: u32 = 3;
}
