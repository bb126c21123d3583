//! What the events of a posting tell of where it stands, and since when.

use std::collections::{BTreeMap, HashMap};

use es_core::Aggregate;
use es_core::event::{RecordedEvent, Timestamp};
use turing_domain::posting::PostingRun;
use turing_domain::{
    Conversation, ConversationId, EndReason, FailureType, Posting, PostingEvent, PostingId, RunId,
    Workflow,
};

/// What is known of one posting from its events: where it stands, and how it ended. Outputs are not kept.
#[derive(Debug, Clone, Default)]
pub struct Story {
    run: Option<PostingRun>,
    is_terminal: bool,
    is_imported: bool,
    last_event: Option<Timestamp>,
    /// Since when it stands at its open positions.
    since: BTreeMap<ConversationId, Timestamp>,
    /// When it last ceased to stand at others.
    left: BTreeMap<ConversationId, Timestamp>,
    /// Of what the last attempt at a conversation failed, if it did.
    failed: BTreeMap<ConversationId, FailureType>,
    /// Who has claimed the task of a person at a conversation.
    pub(super) claims: BTreeMap<ConversationId, String>,
    /// The worst end of a path in its run.
    worst: Option<PathEnd>,
    ending: Option<Ending>,
    ended_runs: BTreeMap<RunId, Ending>,
}

/// How a posting ended in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) at: Timestamp,
    pub(super) reason: Option<EndReason>,
    /// The conversation that ended last.
    pub(super) conversation_id: Option<ConversationId>,
    /// What the reason comes from, if it is of a path.
    pub(super) cause: Option<PathEnd>,
}

/// How a path ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathEnd {
    pub(super) reason: EndReason,
    pub(super) at: Option<ConversationId>,
    /// The rule that was taken, or that a limit kept from being taken.
    pub(super) rule: Option<u32>,
    /// The conversation that a limit kept from being opened.
    pub(super) to: Option<ConversationId>,
    /// Of what the last attempt there failed.
    pub(super) failure_type: Option<FailureType>,
}

impl Story {
    /// Goes on with the next event of the posting, and when it was recorded.
    pub fn take(&mut self, at: Timestamp, event: &PostingEvent) {
        use PostingEvent::*;
        self.last_event = Some(at);
        match event {
            PostingEnteredRun { .. } => {
                let ended_runs = std::mem::take(&mut self.ended_runs);
                let run = Some(PostingRun::default());
                *self = Self { run, ended_runs, last_event: Some(at), ..Self::default() };
            }
            PostingStateImported { is_terminal, .. } => {
                let (ended_runs, is_terminal) =
                    (std::mem::take(&mut self.ended_runs), *is_terminal);
                let last_event = Some(at);
                *self = Self {
                    is_terminal,
                    is_imported: true,
                    ended_runs,
                    last_event,
                    ..Self::default()
                };
            }
            ScriptExecutionFailed { conversation_id, failure_type, .. }
            | LlmCallFailed { conversation_id, failure_type, .. }
            | HumanTaskFailed { conversation_id, failure_type, .. } => {
                if let Some(id) = conversation_id.0 {
                    let failure_type = failure_type.0.clone().unwrap_or(FailureType::Unknown);
                    self.claims.remove(&id);
                    self.failed.insert(id, failure_type);
                }
            }
            ScriptExecutionCompleted { conversation_id, .. }
            | LlmCallCompleted { conversation_id, .. }
            | HumanTaskCompleted { conversation_id, .. } => {
                if let Some(id) = conversation_id.0 {
                    self.claims.remove(&id);
                    self.failed.remove(&id);
                }
            }
            BranchTaken { rule, to: None, conversation_id, run_id, .. } => {
                let (reason, rule) = (EndReason::Completed, Some(*rule));
                self.path_ended(run_id.0, conversation_id.0, reason, rule, None);
            }
            PathEnded { reason, rule, to, conversation_id, run_id } => {
                self.path_ended(run_id.0, conversation_id.0, reason.clone(), *rule, *to);
            }
            PostingTerminal { reason, final_conversation_id, run_id } => {
                let is_of = |cause: &PathEnd| {
                    reason.0.as_ref().is_none_or(|reason| *reason == cause.reason)
                };
                let ending = Ending {
                    at,
                    reason: reason.0.clone(),
                    conversation_id: final_conversation_id.0,
                    cause: self.worst.take().filter(is_of),
                };
                if let Some(run_id) = run_id.0.or(self.run.as_ref().map(PostingRun::run_id)) {
                    self.ended_runs.insert(run_id, ending.clone());
                }
                self.is_terminal = true;
                self.ending = Some(ending);
            }
            HumanTaskClaimed { by, conversation_id, .. } => {
                let claim = conversation_id.0.zip(by.0.clone());
                self.claims.extend(claim);
            }
            HumanTaskReleased { conversation_id, .. } => {
                if let Some(id) = conversation_id.0 {
                    self.claims.remove(&id);
                }
            }
            BranchTaken { .. }
            | RetryScheduled { .. }
            | CircuitBreakerOpen { .. }
            | PostingMovedToDefinition { .. } => {}
        }
        let Some(run) = &mut self.run else { return };
        // as the state of a posting does
        if !self.is_terminal || matches!(event, PostingTerminal { .. }) {
            run.evolve(event);
        }
        let open = run.open();
        let ceased = self.since.keys().filter(|id| !open.contains_key(*id));
        self.left.extend(ceased.map(|id| (*id, at)));
        self.since.retain(|id, _| open.contains_key(id));
        for id in open.keys() {
            self.since.entry(*id).or_insert(at);
        }
    }

    fn path_ended(
        &mut self,
        run_id: Option<RunId>,
        at: Option<ConversationId>,
        reason: EndReason,
        rule: Option<u32>,
        to: Option<ConversationId>,
    ) {
        let current = self.run.as_ref().map(PostingRun::run_id);
        let is_own = run_id.is_none() || run_id == current;
        // of equals the last one ended the posting
        let is_worst = self.worst.as_ref().is_none_or(|known| known.reason <= reason);
        if is_own && is_worst && !self.is_terminal {
            let failure_type = at.and_then(|id| self.failed.get(&id)).cloned();
            self.worst = Some(PathEnd { reason, at, rule, to, failure_type });
        }
    }

    /// True if nothing ever happened to the posting.
    pub fn is_empty(&self) -> bool {
        self.last_event.is_none()
    }

    /// The run that the posting entered last, whether it has ended in it or not; none if its state was
    /// imported since.
    pub fn run(&self) -> Option<&PostingRun> {
        self.run.as_ref()
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(super) fn is_imported(&self) -> bool {
        self.is_imported
    }

    pub(super) fn last_event(&self) -> Option<Timestamp> {
        self.last_event
    }

    /// Since when nothing of its run keeps it from going on at a conversation: it stands there, and at no
    /// member of the group that is waited for.
    pub(super) fn since(
        &self,
        workflow: &Workflow,
        conversation: &Conversation,
    ) -> Option<Timestamp> {
        let since = self.since.get(&conversation.id).copied()?;
        let group = conversation.wait_for_group.as_deref();
        let members = group.into_iter().flat_map(|group| workflow.members_of(group));
        let left = members.filter_map(|member| self.left.get(&member).copied());
        Some(left.fold(since, Timestamp::max))
    }

    pub(super) fn failed(&self, id: ConversationId) -> Option<&FailureType> {
        self.failed.get(&id)
    }

    /// How it ended, while it is terminal.
    pub(super) fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    pub(super) fn ended_in(&self, run_id: RunId) -> Option<&Ending> {
        self.ended_runs.get(&run_id)
    }
}

/// Of so many postings of a run that are open at the same time it is known where they stand.
const FOLLOWED: usize = 10_000;

/// Where the open postings of a run stand, while its events are read; no more of them than are followed,
/// so that a run of any size takes no more memory.
#[derive(Debug, Default)]
pub struct Stories(HashMap<PostingId, Story>);

impl Stories {
    /// Goes on with the next event of the run.
    pub(crate) fn take(&mut self, recorded: &RecordedEvent, event: &PostingEvent) {
        use PostingEvent::{PostingEnteredRun, PostingStateImported, PostingTerminal};
        let Ok(posting) = recorded.aggregate_id::<Posting>() else { return };
        match event {
            PostingTerminal { .. } | PostingStateImported { .. } => {
                self.0.remove(&posting);
            }
            PostingEnteredRun { .. } if self.0.len() < FOLLOWED => {
                self.0.entry(posting).or_default().take(recorded.recorded_at, event);
            }
            _ => {
                if let Some(story) = self.0.get_mut(&posting) {
                    story.take(recorded.recorded_at, event);
                }
            }
        }
    }

    /// Where a posting stands is not known any more: one of its events cannot be read.
    pub(crate) fn forget(&mut self, recorded: &RecordedEvent) {
        if let Ok(posting) = recorded.aggregate_id::<Posting>() {
            self.0.remove(&posting);
        }
    }

    pub(super) fn all(&self) -> &HashMap<PostingId, Story> {
        &self.0
    }
}
