//! What failed, as it is printed.

use turing_domain::{ConversationId, EndReason, FailureType, RunId};

use super::output::{Output, shown};
use super::show::second;
use crate::account::{FailedPosting, FrequentError, RunAccount, WaitingAttempt, WaitingError};
use crate::proposal::{command, is_in_memory};

/// Prints each posting that ended otherwise than as completed, and of what; then what else failed. All of
/// it is of this kind, if one is given.
pub(super) fn tell_failed(account: &RunAccount, kind: &str, output: &mut Output) {
    let RunAccount { run_id, failed_postings, other_failures, waiting_attempts, .. } = account;
    if failed_postings.is_empty() {
        let kind = if kind.is_empty() { String::new() } else { format!(" as {kind}") };
        output.line(format_args!("no posting of run {run_id} has failed{kind}"));
    }
    for failed in failed_postings {
        let FailedPosting { posting_id, reason, conversation_id, attempt, .. } = failed;
        let at = place(account, *conversation_id, *attempt);
        output.line(format_args!("posting {posting_id}: {reason}{at}"));
        tell_cause(&failed.failure_type, &failed.error, &failed.stderr, output);
    }
    if !other_failures.is_empty() {
        output.line(format_args!("\n{OTHERS}:"));
    }
    for failed in other_failures {
        let FailedPosting { posting_id, reason, conversation_id, attempt, .. } = failed;
        let at = place(account, *conversation_id, *attempt);
        output.line(format_args!("posting {posting_id}, which ended as {reason}: failed{at}"));
        tell_cause(&failed.failure_type, &failed.error, &failed.stderr, output);
    }
    if !waiting_attempts.is_empty() {
        output.line(format_args!("\n{REPEATED}:"));
    }
    for waiting in waiting_attempts {
        let WaitingAttempt { posting_id, conversation_id, due_at, attempt, .. } = waiting;
        let (at, due) = (place(account, Some(*conversation_id), *attempt), second(*due_at));
        output.line(format_args!("posting {posting_id}, not before {due}: failed{at}"));
        tell_cause(&waiting.failure_type, &waiting.error, &waiting.stderr, output);
    }
}

/// What stands before failures that postings did not end of.
const OTHERS: &str = "other attempts that failed for good";

/// What stands before failures that other attempts follow.
const REPEATED: &str = "failed attempts that are repeated";

/// Where something failed, and which attempt it was, to be told behind something else.
fn place(of: &RunAccount, at: Option<ConversationId>, attempt: Option<u64>) -> String {
    let at = at.map_or_else(String::new, |id| match of.names.get(&id) {
        Some(name) => format!(" at {id} {name}"),
        None => format!(" at {id}"),
    });
    let attempt = attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"));
    at + &attempt
}

/// Prints what an attempt failed of, below where that was.
fn tell_cause(
    failure_type: &Option<FailureType>,
    error: &Option<String>,
    stderr: &Option<String>,
    output: &mut Output,
) {
    let error = what(None, failure_type, error);
    if !error.is_empty() {
        output.hanging("  ", &error);
    }
    for line in stderr.iter().flat_map(|stderr| stderr.lines()) {
        output.hanging("  | ", line);
    }
}

/// Prints what most attempts failed of that are repeated, by whom and when.
pub(super) fn tell_waiting(
    account: &RunAccount,
    name_of: impl Fn(ConversationId) -> String,
    output: &mut Output,
) {
    if account.waiting.is_empty() {
        return;
    }
    output.line(format_args!("\n{REPEATED}:"));
    for waiting in &account.waiting {
        let WaitingError { attempts, example, conversation_id, actor_id, due_at, .. } = waiting;
        let many = match attempts {
            1 => format!("posting {example}"),
            _ => format!("{attempts} postings, such as {example},"),
        };
        let actor = actor_id.map_or_else(String::new, |id| match account.actors.get(&id) {
            Some(name) => format!(" by actor {id} ({})", shown(name, 40)),
            None => format!(" by actor {id}"),
        });
        let before = format!(
            "  {many} at {}{actor}, not before {}: ",
            name_of(*conversation_id),
            second(*due_at)
        );
        output.hanging(&before, &what(None, &waiting.failure_type, &waiting.error));
    }
}

/// Prints what most postings of a run ended of, and what most other attempts failed of, each with one
/// that tells more.
pub(super) fn tell_errors(
    run_id: RunId,
    errors: &[FrequentError],
    others: &[FrequentError],
    name_of: impl Fn(ConversationId) -> String,
    output: &mut Output,
) {
    for (what, errors) in [("most frequent errors", errors), (OTHERS, others)] {
        if !errors.is_empty() {
            output.line(format_args!("\n{what}:"));
        }
        errors.iter().for_each(|error| tell_error(error, &name_of, output));
    }
    // of a store in memory nothing is left to be shown
    if !(errors.is_empty() && others.is_empty() || is_in_memory()) {
        let show = command(format_args!("run show {run_id} --failed"));
        output.line(format_args!("\n`{show}` tells of each posting"));
    }
}

fn tell_error(
    error: &FrequentError,
    name_of: impl Fn(ConversationId) -> String,
    output: &mut Output,
) {
    let FrequentError { postings, example, reason, conversation_id, .. } = error;
    let at = conversation_id.map_or_else(String::new, |id| format!(" at {}", name_of(id)));
    let many = match postings {
        1 => format!("posting {example}"),
        _ => format!("{postings} postings, such as {example}"),
    };
    // an error stands for itself where the posting ended well
    let reason = Some(reason).filter(|reason| !reason.is_normal());
    let what = what(reason, &error.failure_type, &error.error);
    let last_line = error.last_line.iter().map(|line| format!(": {line}"));
    let text: String = std::iter::once(what).chain(last_line).collect();
    output.hanging(&format!("  {many}{at}: "), &text);
}

/// A failure in words; how the posting ended only where that says more.
fn what(
    reason: Option<&EndReason>,
    failure_type: &Option<FailureType>,
    error: &Option<String>,
) -> String {
    let says_more =
        |reason: &&EndReason| **reason != EndReason::ActorFailed || failure_type.is_none();
    let reason = reason.filter(says_more).map(EndReason::to_string);
    let failure_type = failure_type.as_ref().map(FailureType::to_string);
    let parts: Vec<_> = [reason, failure_type, error.clone()].into_iter().flatten().collect();
    parts.join(": ")
}
