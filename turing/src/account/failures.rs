//! Which postings of a run ended otherwise than as completed, and of what; and what else failed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use es_core::event::Timestamp;
use serde::Serialize;
use turing_domain::{ActorId, ConversationId, EndReason, FailureType, PostingEvent, PostingId};

use super::WaitingAttempt;

/// So many lines of a script's standard error are told, and so many characters of them, the last
/// ones: the events have more.
const STDERR_LINES: usize = 10;
const STDERR_CHARS: usize = 2_000;

/// So many of the most frequent errors are told.
pub(super) const FREQUENT: usize = 3;

/// A posting that ended otherwise than as completed, or in which an attempt failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedPosting {
    /// The posting.
    pub posting_id: PostingId,
    /// How it ended.
    pub reason: EndReason,
    /// Where it ended, if that was recorded; or where the attempt failed.
    pub conversation_id: Option<ConversationId>,
    /// The number of the attempt that failed, from 1; absent like the rest if none failed there.
    pub attempt: Option<u64>,
    /// The kind of failure.
    pub failure_type: Option<FailureType>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// The last lines that the script wrote to its standard error.
    pub stderr: Option<String>,
}

/// What some of the postings ended of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrequentError {
    /// How many of them.
    pub postings: usize,
    /// One of them, which tells more.
    pub example: PostingId,
    /// How they ended.
    pub reason: EndReason,
    /// Where they ended, if that was recorded.
    pub conversation_id: Option<ConversationId>,
    /// The kind of failure, if an attempt failed.
    pub failure_type: Option<FailureType>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// The last line of the example's standard error.
    pub last_line: Option<String>,
}

/// What is remembered of failures while the log is read.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// Whether what went wrong is kept in kinds only, and of postings that failed only.
    is_without_texts: bool,
    open: HashMap<String, Open>,
    ended: Vec<FailedPosting>,
    others: Vec<FailedPosting>,
}

/// A posting that has not ended.
#[derive(Debug, Default)]
struct Open {
    /// The last attempt of each conversation, where it failed.
    failed: BTreeMap<ConversationId, FailedAttempt>,
    /// The worst end of a path, and where.
    worst: Option<(EndReason, Option<ConversationId>)>,
}

#[derive(Debug, Default)]
struct FailedAttempt {
    attempt: Option<u64>,
    failure_type: Option<FailureType>,
    error: Option<String>,
    stderr: Option<String>,
    actor: Option<ActorId>,
    /// When it is repeated, if it is.
    due_at: Option<Timestamp>,
}

impl FailedAttempt {
    fn of(
        self,
        posting: PostingId,
        reason: EndReason,
        at: Option<ConversationId>,
    ) -> FailedPosting {
        let Self { attempt, failure_type, error, stderr, .. } = self;
        FailedPosting {
            posting_id: posting,
            reason,
            conversation_id: at,
            attempt,
            failure_type,
            error,
            stderr,
        }
    }
}

impl Failures {
    /// For a run of any size: what went wrong is kept in kinds only, and of postings that failed only.
    pub(super) fn without_texts() -> Self {
        Self { is_without_texts: true, ..Self::default() }
    }

    pub(super) fn take(&mut self, posting: &str, event: &PostingEvent) {
        use PostingEvent::*;
        match event {
            ScriptExecutionFailed { conversation_id, stderr, .. } => {
                self.failed(posting, conversation_id.0, event, stderr.0.as_deref());
            }
            LlmCallFailed { conversation_id, .. } | HumanTaskFailed { conversation_id, .. } => {
                self.failed(posting, conversation_id.0, event, None);
            }
            ScriptExecutionCompleted { conversation_id, .. }
            | LlmCallCompleted { conversation_id, .. }
            | HumanTaskCompleted { conversation_id, .. } => {
                if let (Some(open), Some(id)) = (self.open.get_mut(posting), conversation_id.0) {
                    open.failed.remove(&id);
                }
            }
            PathEnded { reason, conversation_id, .. } => {
                let worst = &mut self.open.entry(posting.to_owned()).or_default().worst;
                if worst.as_ref().is_none_or(|(known, _)| known < reason) {
                    *worst = Some((reason.clone(), conversation_id.0));
                }
            }
            PostingTerminal { reason, final_conversation_id, .. } => {
                let reason = reason.0.clone().unwrap_or(EndReason::Completed);
                self.ended(posting, reason, final_conversation_id.0);
            }
            RetryScheduled { conversation_id, due_at, .. } => {
                let open = self.open.get_mut(posting).zip(conversation_id.0);
                if let Some(failed) = open.and_then(|(open, id)| open.failed.get_mut(&id)) {
                    failed.due_at = Some(*due_at);
                }
            }
            // it is in no run any more, and did not end in this one
            PostingStateImported { .. } => {
                self.open.remove(posting);
            }
            PostingEnteredRun { .. }
            | BranchTaken { .. }
            | CircuitBreakerOpen { .. }
            | HumanTaskClaimed { .. }
            | HumanTaskReleased { .. }
            | PostingMovedToDefinition { .. } => {}
        }
    }

    fn failed(
        &mut self,
        posting: &str,
        conversation: Option<ConversationId>,
        event: &PostingEvent,
        stderr: Option<&str>,
    ) {
        use PostingEvent::*;
        let Some(id) = conversation else { return };
        let (ScriptExecutionFailed { error, failure_type, retry_count, actor_id, .. }
        | LlmCallFailed { error, failure_type, retry_count, actor_id, .. }
        | HumanTaskFailed { error, failure_type, retry_count, actor_id, .. }) = event
        else {
            return;
        };
        let has_texts = !self.is_without_texts;
        let failed = FailedAttempt {
            attempt: retry_count.0.map(|before| u64::from(before) + 1),
            failure_type: failure_type.0.clone(),
            error: error.0.as_ref().filter(|_| has_texts).cloned(),
            stderr: stderr.filter(|_| has_texts).map(last_lines).filter(|lines| !lines.is_empty()),
            actor: actor_id.0,
            due_at: None,
        };
        self.open.entry(posting.to_owned()).or_default().failed.insert(id, failed);
    }

    fn ended(&mut self, posting: &str, reason: EndReason, last: Option<ConversationId>) {
        let Open { mut failed, worst } = self.open.remove(posting).unwrap_or_default();
        let Ok(posting_id) = posting.parse::<PostingId>() else { return };
        if !reason.is_normal() {
            let at = match worst {
                Some((worst, at)) if worst == reason => at.or(last),
                _ => last,
            };
            let attempt = at.and_then(|id| failed.remove(&id)).unwrap_or_default();
            self.ended.push(attempt.of(posting_id, reason.clone(), at));
        }
        if self.is_without_texts {
            return;
        }
        let for_good = failed.into_iter().filter(|(_, attempt)| attempt.due_at.is_none());
        let others = for_good.map(|(at, attempt)| attempt.of(posting_id, reason.clone(), Some(at)));
        self.others.extend(others);
    }

    /// The attempts of postings that have not ended that failed last and are repeated, by postings.
    pub(super) fn waiting(&self) -> Vec<WaitingAttempt> {
        let mut waiting = Vec::new();
        for (posting, open) in &self.open {
            let Ok(posting_id) = posting.parse::<PostingId>() else { continue };
            waiting.extend(open.failed.iter().filter_map(|(id, failed)| {
                Some(WaitingAttempt {
                    posting_id,
                    conversation_id: *id,
                    actor_id: failed.actor,
                    due_at: failed.due_at?,
                    attempt: failed.attempt,
                    failure_type: failed.failure_type.clone(),
                    error: failed.error.clone(),
                    stderr: failed.stderr.clone(),
                })
            }));
        }
        waiting.sort_by_key(|one| (one.posting_id, one.conversation_id));
        waiting
    }

    /// The postings that failed, by their ids; and the other attempts that failed for good.
    pub(super) fn into_postings(self) -> (Vec<FailedPosting>, Vec<FailedPosting>) {
        let Self { mut ended, mut others, .. } = self;
        ended.sort_by_key(|failed| failed.posting_id);
        others.sort_by_key(|failed| failed.posting_id);
        (ended, others)
    }
}

/// The last lines of a text, without the blanks at its end.
fn last_lines(text: &str) -> String {
    let text = text.trim_end();
    let start = text.char_indices().rev().nth(STDERR_CHARS - 1).map_or(0, |(start, _)| start);
    let lines: Vec<_> = text[start..].lines().collect();
    lines[lines.len().saturating_sub(STDERR_LINES)..].join("\n")
}

/// What most of the postings ended of, the most frequent first.
pub(super) fn frequent(failed: &[FailedPosting]) -> Vec<FrequentError> {
    let mut groups = BTreeMap::<_, Vec<&FailedPosting>>::new();
    for one in failed {
        let key = (&one.reason, one.conversation_id, &one.failure_type, &one.error);
        groups.entry(key).or_default().push(one);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.len()));
    let told = groups.into_iter().take(FREQUENT).filter_map(|group| {
        let first = group.first()?;
        let last_line = first.stderr.as_ref().and_then(|stderr| stderr.lines().next_back());
        Some(FrequentError {
            postings: group.len(),
            example: first.posting_id,
            reason: first.reason.clone(),
            conversation_id: first.conversation_id,
            failure_type: first.failure_type.clone(),
            error: first.error.clone(),
            last_line: last_line.map(str::to_owned),
        })
    });
    told.collect()
}

#[cfg(test)]
mod tests;
