//! Which postings of a run ended otherwise than as completed, and of what; and what else failed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use turing_domain::{ConversationId, EndReason, FailureType, PostingEvent, PostingId};

/// So many lines of a script's standard error are told, and so many characters of them, the last
/// ones: the events have more.
const STDERR_LINES: usize = 10;
const STDERR_CHARS: usize = 2_000;

/// So many of the most frequent errors are told.
const FREQUENT: usize = 3;

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
    /// Whether another one was to follow it.
    is_repeated: bool,
}

impl FailedAttempt {
    fn of(
        self,
        posting: PostingId,
        reason: EndReason,
        at: Option<ConversationId>,
    ) -> FailedPosting {
        let Self { attempt, failure_type, error, stderr, is_repeated: _ } = self;
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
            RetryScheduled { conversation_id, .. } => {
                let open = self.open.get_mut(posting).zip(conversation_id.0);
                if let Some(failed) = open.and_then(|(open, id)| open.failed.get_mut(&id)) {
                    failed.is_repeated = true;
                }
            }
            PostingEnteredRun { .. } | BranchTaken { .. } | CircuitBreakerOpen { .. } => {}
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
        let (ScriptExecutionFailed { error, failure_type, retry_count, .. }
        | LlmCallFailed { error, failure_type, retry_count, .. }
        | HumanTaskFailed { error, failure_type, retry_count, .. }) = event
        else {
            return;
        };
        let failed = FailedAttempt {
            attempt: retry_count.0.map(|before| u64::from(before) + 1),
            failure_type: failure_type.0.clone(),
            error: error.0.clone(),
            stderr: stderr.map(last_lines).filter(|lines| !lines.is_empty()),
            is_repeated: false,
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
        let for_good = failed.into_iter().filter(|(_, attempt)| !attempt.is_repeated);
        let others = for_good.map(|(at, attempt)| attempt.of(posting_id, reason.clone(), Some(at)));
        self.others.extend(others);
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
mod tests {
    use turing_domain::Noted;

    use super::*;

    fn failed(at: i32, error: &str, stderr: Option<&str>) -> PostingEvent {
        PostingEvent::ScriptExecutionFailed {
            error: error.to_owned().into(),
            failure_type: FailureType::ScriptError.into(),
            stderr: stderr.map(str::to_owned).into(),
            conversation_id: ConversationId(at).into(),
            actor_id: Noted::ABSENT,
            execution_order: Noted::ABSENT,
            duration_ms: Noted::ABSENT,
            retry_count: Noted(Some(2)),
            run_id: Noted::ABSENT,
        }
    }

    fn completed(at: i32) -> PostingEvent {
        PostingEvent::HumanTaskCompleted {
            output: None,
            status: Noted::ABSENT,
            conversation_id: ConversationId(at).into(),
            actor_id: Noted::ABSENT,
            execution_order: Noted::ABSENT,
            duration_ms: Noted::ABSENT,
            retry_count: Noted::ABSENT,
            run_id: Noted::ABSENT,
        }
    }

    fn path_ended(at: i32, reason: EndReason) -> PostingEvent {
        PostingEvent::PathEnded {
            reason,
            rule: None,
            to: None,
            conversation_id: ConversationId(at).into(),
            run_id: Noted::ABSENT,
        }
    }

    fn terminal(at: i32, reason: EndReason) -> PostingEvent {
        PostingEvent::PostingTerminal {
            reason: reason.into(),
            final_conversation_id: ConversationId(at).into(),
            run_id: Noted::ABSENT,
        }
    }

    fn repeated(at: i32) -> PostingEvent {
        PostingEvent::RetryScheduled {
            attempt: 1,
            due_at: "2026-11-23T10:00:00Z".parse().unwrap(),
            failure_type: FailureType::ScriptError,
            conversation_id: ConversationId(at).into(),
            run_id: Noted::ABSENT,
        }
    }

    fn read_all(events: &[(&str, PostingEvent)]) -> (Vec<FailedPosting>, Vec<FailedPosting>) {
        let mut failures = Failures::default();
        for (posting, event) in events {
            failures.take(posting, event);
        }
        failures.into_postings()
    }

    fn read(events: &[(&str, PostingEvent)]) -> Vec<FailedPosting> {
        read_all(events).0
    }

    #[test]
    fn a_posting_fails_where_its_worst_path_ended_and_of_the_attempt_there() {
        let postings = read(&[
            ("2", failed(10, "bad", Some("one\ntwo\n\n"))),
            ("2", path_ended(10, EndReason::ActorFailed)),
            ("2", completed(20)),
            ("2", path_ended(20, EndReason::NoMatchingBranch)),
            ("2", terminal(20, EndReason::ActorFailed)),
            // what succeeded later is no reason
            ("1", failed(10, "bad", None)),
            ("1", completed(10)),
            ("1", path_ended(10, EndReason::NoMatchingBranch)),
            ("1", terminal(10, EndReason::NoMatchingBranch)),
            ("3", failed(10, "bad", None)),
            ("3", terminal(10, EndReason::Completed)),
        ]);
        let told: Vec<_> = postings.iter().map(|one| (one.posting_id.0, &one.reason)).collect();
        assert_eq!(told, [(1, &EndReason::NoMatchingBranch), (2, &EndReason::ActorFailed)]);
        assert_eq!((&postings[0].error, postings[0].attempt), (&None, None));
        let FailedPosting { conversation_id, attempt, error, stderr, .. } = &postings[1];
        assert_eq!((*conversation_id, *attempt), (Some(ConversationId(10)), Some(3)));
        assert_eq!((error.as_deref(), stderr.as_deref()), (Some("bad"), Some("one\ntwo")));
    }

    #[test]
    fn what_failed_for_good_is_kept_whatever_became_of_the_posting() {
        let (_, others) = read_all(&[
            ("2", failed(10, "followed by a rule", Some("one\n"))),
            ("2", completed(20)),
            ("2", terminal(20, EndReason::Completed)),
            // what succeeded later did not fail for good
            ("1", failed(10, "first", None)),
            ("1", repeated(10)),
            ("1", completed(10)),
            ("1", terminal(10, EndReason::Completed)),
            // nor did what was given up before it was repeated
            ("3", failed(10, "first", None)),
            ("3", repeated(10)),
            ("3", terminal(20, EndReason::Abandoned)),
            ("4", failed(10, "first", None)),
            ("4", repeated(10)),
            ("4", failed(10, "last", None)),
            ("4", path_ended(10, EndReason::Completed)),
            ("4", failed(20, "worst", None)),
            ("4", path_ended(20, EndReason::ActorFailed)),
            ("4", terminal(20, EndReason::ActorFailed)),
        ]);
        let told: Vec<_> = others.iter().map(|one| (one.posting_id.0, &one.reason)).collect();
        assert_eq!(told, [(2, &EndReason::Completed), (4, &EndReason::ActorFailed)]);
        let FailedPosting { conversation_id, error, stderr, .. } = &others[0];
        assert_eq!(*conversation_id, Some(ConversationId(10)));
        assert_eq!(error.as_deref(), Some("followed by a rule"));
        assert_eq!(stderr.as_deref(), Some("one"));
        assert_eq!(others[1].error.as_deref(), Some("last"));
    }

    #[test]
    fn errors_are_counted_and_the_most_frequent_told_first_with_an_example() {
        let mut events = Vec::new();
        for (posting, error) in
            [("5", "rare"), ("4", "often"), ("6", "often"), ("7", "b"), ("8", "c"), ("9", "often")]
        {
            events.push((posting, failed(10, error, Some(posting))));
            events.push((posting, terminal(10, EndReason::ActorFailed)));
        }
        let told = frequent(&read(&events));
        assert_eq!(told.len(), FREQUENT);
        assert_eq!((told[0].postings, told[0].example), (3, PostingId(4)));
        assert_eq!(told[0].last_line.as_deref(), Some("4"));
        assert!(told[1..].iter().all(|error| error.postings == 1));
    }

    #[test]
    fn only_the_end_of_a_long_standard_error_is_kept() {
        let lines: Vec<_> = (1..=50).map(|line| line.to_string()).collect();
        assert_eq!(last_lines(&lines.join("\n")), lines[40..].join("\n"));
        assert_eq!(last_lines(&"ä".repeat(5_000)).chars().count(), STDERR_CHARS);
        assert_eq!(last_lines("\n"), "");
    }
}
