//! The account of a run, which adds up: every posting is refused, ended or open, with its reason.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use turing_domain::{ConversationId, EndReason, FailureType, Posting, PostingId, RunId};

use super::intake::Intake;
use super::{Cancelled, GivenUp, PausedNow, WaitingForPeople};
use crate::breakers::OpenBreaker;
use crate::postings::RefusedPosting;

/// What a run did, in this process, and where every posting stands now.
///
/// `read = refused + repeated + completed_before + postings` and `postings = ended + open`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run.
    pub run_id: RunId,
    /// True if the run began in an earlier process.
    pub is_continued: bool,
    /// How many items were read.
    pub read: usize,
    /// What was not taken, and why.
    #[serde(serialize_with = "texts")]
    pub refused: Vec<RefusedPosting>,
    /// How many items were read more than once.
    pub repeated: usize,
    /// How many postings were left out because a run of the workflow has completed them.
    pub completed_before: usize,
    /// How many postings the run has.
    pub postings: usize,
    /// How many postings have an open position.
    pub open: usize,
    /// How the others ended.
    pub ended: Vec<Ending>,
    /// How many of the open ones had not entered the run when this process was asked to stop. If
    /// the run began in an earlier process, they may have entered, or ended, there.
    pub not_entered: usize,
    /// Which of the open ones this process went on without.
    pub left: Vec<Left>,
    /// What waits for people, by conversation.
    pub people: Vec<WaitingForPeople>,
    /// The pauses that attempts wait for.
    pub paused: Vec<PausedNow>,
    /// That the run was cancelled, and what was done in it.
    pub cancelled: Option<Cancelled>,
    /// The run that was given up for this one.
    pub gave_up: Option<GivenUp>,
    /// What else this process went on without.
    pub without: Vec<Without>,
    /// The circuit breakers that keep calls from the workflow's actors.
    pub open_breakers: Vec<OpenBreaker>,
    /// What was attempted by this process, by conversation.
    pub conversations: BTreeMap<ConversationId, ConversationReport>,
    /// How many events this process recorded for the run, as far as the store has answered.
    pub events: u64,
    /// The largest amount of memory that this process ever held, where the system tells it.
    pub peak_memory_bytes: Option<u64>,
    /// How long this process worked on the run.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// A posting that could not go on, while others could; it stays open in the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Left {
    /// The posting.
    pub posting: PostingId,
    /// Why.
    pub reason: String,
}

/// Something that only protects a run or tells of it, and whose events cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Without {
    /// What it is.
    pub what: String,
    /// Why it cannot be read.
    pub reason: String,
}

/// How many postings ended for one reason at one conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ending {
    /// Why.
    pub reason: EndReason,
    /// Where, if it was recorded.
    pub conversation: Option<ConversationId>,
    /// How many.
    pub postings: usize,
}

/// What was attempted at one conversation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ConversationReport {
    /// Attempts that succeeded.
    pub completed: usize,
    /// Attempts that failed, by their kind of failure.
    pub failed: BTreeMap<FailureType, usize>,
    /// How long the actor worked, over all attempts.
    #[serde(rename = "worked_ms", serialize_with = "milliseconds")]
    pub worked: Duration,
}

impl ConversationReport {
    /// Attempts that failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }
}

fn texts<S: serde::Serializer>(
    refused: &[RefusedPosting],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(refused.iter().map(ToString::to_string))
}

fn milliseconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Report {
    pub(super) fn new(run_id: RunId, intake: &Intake, is_continued: bool) -> Self {
        Self {
            run_id,
            is_continued,
            read: intake.read,
            refused: intake.refused.clone(),
            repeated: intake.repeated(),
            completed_before: intake.completed_before,
            postings: intake.postings.len(),
            open: intake.postings.len(),
            ended: Vec::new(),
            not_entered: 0,
            left: Vec::new(),
            people: Vec::new(),
            paused: Vec::new(),
            cancelled: None,
            gave_up: None,
            without: Vec::new(),
            open_breakers: Vec::new(),
            conversations: BTreeMap::new(),
            events: 0,
            peak_memory_bytes: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Counts a posting if it has ended in the run, and answers why it did.
    pub(super) fn moved(&mut self, state: &Posting) -> Option<EndReason> {
        let terminal = state.ended_in(self.run_id)?;
        self.open -= 1;
        let reason = terminal.reason.clone().unwrap_or(EndReason::Completed);
        let conversation = terminal.final_conversation_id;
        let same =
            |ending: &&mut Ending| ending.reason == reason && ending.conversation == conversation;
        match self.ended.iter_mut().find(same) {
            Some(ending) => ending.postings += 1,
            None => {
                self.ended.push(Ending { reason: reason.clone(), conversation, postings: 1 });
            }
        }
        Some(reason)
    }

    /// The run was cancelled: how its postings ended in it is known from the store.
    pub(super) fn cancelled(&mut self, cancelled: Cancelled) {
        let ended = cancelled.gave_up.ended.iter();
        let ended = ended.map(|(reason, postings)| Ending {
            reason: reason.clone(),
            conversation: None,
            postings: *postings,
        });
        self.ended = ended.collect();
        let ended: usize = self.ended.iter().map(|ending| ending.postings).sum();
        self.open = self.postings.saturating_sub(ended);
        self.not_entered = self.not_entered.min(self.open);
        self.paused.clear();
        self.people.clear();
        self.cancelled = Some(cancelled);
    }

    pub(super) fn attempted(
        &mut self,
        conversation: ConversationId,
        failure: Option<FailureType>,
        duration: Duration,
    ) {
        let report = self.conversations.entry(conversation).or_default();
        report.worked += duration;
        match failure {
            None => report.completed += 1,
            Some(failure_type) => *report.failed.entry(failure_type).or_default() += 1,
        }
    }

    /// How many postings ended for which reason.
    pub fn ended_by_reason(&self) -> BTreeMap<EndReason, u32> {
        let mut reasons = BTreeMap::new();
        for ending in &self.ended {
            let count = u32::try_from(ending.postings).unwrap_or(u32::MAX);
            *reasons.entry(ending.reason.clone()).or_default() += count;
        }
        reasons
    }

    /// How many postings ended where the definition's author did not end them.
    pub fn failed(&self) -> usize {
        let failed = self.ended.iter().filter(|ending| !ending.reason.is_normal());
        failed.map(|ending| ending.postings).sum()
    }

    /// How many postings ended where the definition's author ended them.
    pub fn completed(&self) -> usize {
        let completed = self.ended.iter().filter(|ending| ending.reason.is_normal());
        completed.map(|ending| ending.postings).sum()
    }
}

/// The largest amount of memory that this process ever held, where the system tells it.
pub(crate) fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
