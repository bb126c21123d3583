//! How a run ended, as it is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use turing_domain::{ConversationId, RunId, Workflow};

use super::call::{Call, Done};
use super::failures::tell_errors;
use super::output::{Output, counted, rows, shown, table};
use super::show::second;
use super::telling::tell;
use super::told::Told;
use super::{Common, Verdict};
use crate::account::{FrequentError, account_of};
use crate::breakers::OpenBreaker;
use crate::proposal::command;
use crate::run::{Before, Cancelled, Left, Paused, Report, RunOutcome, WaitingForPeople, Without};
use crate::store::Store;

/// Prints how the run ended, and answers whether anything was refused, failed or is open.
pub(super) async fn tell_done(
    store: &Store,
    done: &Done,
    call: &Call<'_>,
    output: &mut Output,
) -> Verdict {
    let (workflow, common) = (&call.definition.workflow, &call.args.common);
    let is_told = |is_clean: bool| common.json || !call.args.pace.quiet || !is_clean;
    let is_clean = match &done.outcome {
        RunOutcome::AlreadyCompleted(before) => {
            let has_failures = !done.taken.refused.is_empty() || before.failed() > 0;
            let is_clean = call.is_example || !has_failures;
            let errors = match before.failed_in() {
                Some(run_id) => errors_of(store, run_id).await,
                None => Some(Vec::new()),
            };
            if common.json {
                let (errors, read_models) = (errors.as_deref(), &done.read_models);
                output.json(&Told::before(before, &done.taken, errors, read_models));
            } else if is_told(is_clean) {
                already_completed(before, errors, call, output);
            }
            tell_read_models(done, common, output);
            is_clean
        }
        RunOutcome::Finished(report) | RunOutcome::Stopped(report) => {
            let is_over = matches!(done.outcome, RunOutcome::Finished(_));
            let has_failures = !report.refused.is_empty() || report.failed() > 0;
            let is_clean = is_over && (call.is_example || !has_failures);
            // who stops a run does not wait until its events are read
            let errors = match (is_over, report.failed()) {
                (true, 0) => Some(Vec::new()),
                (true, _) => errors_of(store, report.run_id).await,
                (false, _) => None,
            };
            match common.json {
                true => {
                    let is_open = !is_over && report.cancelled.is_none();
                    let go_on = is_open.then_some(done.go_on.as_str());
                    let errors = errors.as_deref();
                    output.json(&Told::of(report, errors, go_on, &done.read_models));
                }
                false if !is_told(is_clean) => {}
                false => {
                    tell_report(report, workflow, output);
                    tell_gaps(report, output);
                    let errors = errors.unwrap_or_default();
                    tell_errors(report.run_id, &errors, &[], |id| name_of(workflow, id), output);
                }
            }
            tell_read_models(done, common, output);
            if !is_over && !common.json {
                tell_people(report, workflow, output);
                tell_paused(report, output);
                if let Some(Cancelled { cancellation, gave_up }) = &report.cancelled {
                    output.line(format_args!("\n{}", shown(&cancellation.to_string(), 1000)));
                    output.line(gave_up);
                    tell_left(&gave_up.not_released, output);
                } else {
                    let how = match done.was_asked {
                        true => "stopped;",
                        false if waits_for_pauses(report) => "when the pause is ended,",
                        false if waits_for_people(report) => "when they have answered,",
                        false => "not finished;",
                    };
                    output.line(format_args!("\n{how} {}", done.go_on));
                }
            }
            is_clean
        }
    };
    match (&done.outcome, is_clean) {
        (RunOutcome::Stopped(report), _) if report.cancelled.is_some() => Verdict::Cancelled,
        (RunOutcome::Stopped(_), _) if done.was_asked => Verdict::Stopped,
        (RunOutcome::Stopped(report), _) if waits_for_pauses(report) => Verdict::Paused,
        (RunOutcome::Stopped(report), _) if waits_for_people(report) => Verdict::WaitsForPeople,
        (_, true) => Verdict::Well,
        (_, false) => Verdict::Found,
    }
}

/// True if nothing but answers of people keeps the run from going on.
fn waits_for_people(report: &Report) -> bool {
    !report.people.is_empty() && report.left.is_empty() && report.not_entered == 0
}

/// True if nothing but pauses, and perhaps people, keep the run from going on.
fn waits_for_pauses(report: &Report) -> bool {
    !report.paused.is_empty() && report.left.is_empty() && report.not_entered == 0
}

/// What is paused, by whom and why.
fn tell_paused(report: &Report, output: &mut Output) {
    if report.paused.is_empty() {
        return;
    }
    output.line("\nattempts wait for the end of pauses:");
    for paused in &report.paused {
        output.line(format_args!("  {}", shown(&paused.to_string(), 1000)));
        let run_id = report.run_id;
        let ends_it = match paused.paused {
            Paused::Run => format!("run unpause {run_id}"),
            Paused::Conversation(id) => format!("run unpause {run_id} --conversation {id}"),
            Paused::Actor(id) => format!("actor unpause {id}"),
        };
        output.line(format_args!("  `{}` ends it", command(ends_it)));
    }
}

/// How many tasks wait for whom.
fn tell_people(report: &Report, workflow: &Workflow, output: &mut Output) {
    if report.people.is_empty() {
        return;
    }
    output.line("\npeople are waited for:");
    for WaitingForPeople { conversation, name, tasks, next_due, .. } in &report.people {
        let who =
            name.as_deref().map_or_else(String::new, |name| format!(" ({})", shown(name, 40)));
        let due =
            next_due.map_or_else(String::new, |due| format!(", the next one due {}", second(due)));
        let tasks = counted(*tasks, "task");
        output.line(format_args!("  {tasks} at {}{who}{due}", name_of(workflow, *conversation)));
    }
    let (list, answer) = (command("inbox"), command("answer POSTING CONVERSATION …"));
    output.line(format_args!("`{list}` lists what is asked, `{answer}` answers"));
}

fn tell_read_models(done: &Done, common: &Common, output: &mut Output) {
    // in JSON they are a part of the whole
    if !common.json {
        done.read_models.iter().for_each(|told| output.line(format_args!("\n{told}")));
    }
}

/// What most of the failed postings ended of. Nothing depends on it, so that it cannot be read fails
/// no run.
async fn errors_of(store: &Store, run_id: RunId) -> Option<Vec<FrequentError>> {
    match account_of(store, Some(run_id), None).await {
        Ok(account) => Some(account.errors),
        Err(error) => {
            tell(format_args!("what failed cannot be told now: {error}"));
            None
        }
    }
}

/// A conversation by its number and its name.
fn name_of(workflow: &Workflow, id: ConversationId) -> String {
    match workflow.conversation(id) {
        Some(conversation) => format!("{id} {}", shown(&conversation.name, 40)),
        None => id.to_string(),
    }
}

/// What the run had to do without, and which postings.
fn tell_gaps(report: &Report, output: &mut Output) {
    if !report.without.is_empty() {
        output.line("\nthe run went on without:");
    }
    for Without { what, reason } in &report.without {
        output.line(format_args!("  {what}: {}", shown(reason, 1000)));
    }
    tell_open_breakers(&report.open_breakers, output);
    if let Some(gave_up) = &report.gave_up {
        output.line(format_args!("\n{gave_up}"));
        if !gave_up.not_released.is_empty() {
            let count = counted(gave_up.not_released.len(), "posting");
            output.line(format_args!("{count} could not be ended in it:"));
        }
        tell_left(&gave_up.not_released, output);
    }
    if !report.left.is_empty() {
        output.line(format_args!("\n{} of the open postings cannot go on:", report.left.len()));
    }
    tell_left(&report.left, output);
    match (report.not_entered, report.is_continued) {
        (0, _) => {}
        (count, false) => {
            output
                .line(format_args!("\n{count} of the open postings have not entered the run yet"));
        }
        (count, true) => output.line(format_args!(
            "\n{count} of the postings that are counted as open were not looked at: some of them \
             may have ended before; `{}` tells",
            command(format_args!("run show {}", report.run_id))
        )),
    }
}

/// Which actors get no call, why, and what to do about it.
pub(super) fn tell_open_breakers(open: &[OpenBreaker], output: &mut Output) {
    if open.is_empty() {
        return;
    }
    output.line("\ncircuit breakers that are open:");
    for breaker in open {
        output.line(format_args!("  {}", shown(&breaker.to_string(), 1000)));
    }
    let reset = command("actor reset ID");
    output.line(format_args!("once the cause is mended, `{reset}` lets the actor be called"));
}

fn tell_left(left: &[Left], output: &mut Output) {
    for Left { posting, reason } in left {
        output.line(format_args!("  {posting}: {}", shown(reason, 1000)));
    }
}

fn already_completed(
    before: &Before,
    errors: Option<Vec<FrequentError>>,
    call: &Call<'_>,
    output: &mut Output,
) {
    let workflow = &call.definition.workflow;
    let (ended, mut runs) = (before.ended(), before.runs());
    let run_id = runs.next_back();
    let (id, name) = (workflow.id, shown(&workflow.name, 60));
    let run_id = run_id.map_or_else(|| "?".to_owned(), |run_id| run_id.to_string());
    let reasons: Vec<_> = ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let have = match runs.len() {
        0 => "has".to_owned(),
        earlier => format!("and {earlier} before it have"),
    };
    output.line(format_args!(
        "Nothing to do: run {run_id} of workflow {id} ({name}) {have} completed these postings \
         ({}){}.\nUse --again to run them once more.",
        reasons.join(", "),
        if before.gave_up().is_some() { "" } else { ", so no event was added" }
    ));
    if let Some(run_id) = before.failed_in() {
        if let Some(again) = &call.again {
            let retry = format!("run retry {run_id}{again}");
            let retry = command(retry);
            output.line(format_args!("`{retry}` repeats only those that failed there."));
        }
        let errors = errors.unwrap_or_default();
        tell_errors(run_id, &errors, &[], |id| name_of(workflow, id), output);
    }
}

fn tell_report(report: &Report, workflow: &Workflow, output: &mut Output) {
    let name_of = |id: ConversationId| name_of(workflow, id);
    let Report { run_id, read, repeated, postings, open, .. } = report;
    let refused = report.refused.len();
    let (ended, seconds) = (postings - open, report.elapsed.as_secs_f64());
    let rate = report.events as f64 / seconds.max(f64::MIN_POSITIVE);
    output.line(format_args!(
        "\nrun {run_id} of workflow {} ({}): {seconds:.1} s, {} events, {rate:.0} a second\n",
        workflow.id,
        shown(&workflow.name, 60),
        report.events
    ));
    if report.is_continued {
        output.line(format_args!(
            "  time, events and attempts are those since the run was continued; `{}` has all\n",
            command(format_args!("run show {run_id}"))
        ));
    }
    let before = match report.completed_before {
        0 => String::new(),
        count => format!(" + {count} completed before"),
    };
    output.line(format_args!(
        "  {read} read = {} + {refused} refused + {repeated} repeated{before}",
        counted(*postings, "posting")
    ));
    let all = counted(*postings, "posting");
    output.line(format_args!("  {all} = {ended} ended + {open} open\n"));

    let mut endings = table(&["ended", "at", "postings"], &[2]);
    let mut sorted: Vec<_> = report.ended.iter().collect();
    sorted.sort_by_key(|ending| (&ending.reason, ending.conversation));
    for ending in sorted {
        let at = ending.conversation.map_or_else(|| "-".to_owned(), name_of);
        endings.add_row([ending.reason.to_string(), at, ending.postings.to_string()]);
    }
    // headers over nothing say nothing
    if !report.ended.is_empty() {
        output.line(rows(&endings));
    }

    let mut work = table(&["\nconversation", "\ncompleted", "\nfailed", "\nmean time"], &[1, 2, 3]);
    for (id, done) in &report.conversations {
        let attempts = u32::try_from(done.completed + done.failures()).unwrap_or(u32::MAX);
        let mean = done.worked.checked_div(attempts).unwrap_or(Duration::ZERO);
        let failed: BTreeMap<_, _> = done.failed.iter().collect();
        let failed: Vec<_> = failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let failed = if failed.is_empty() { "0".to_owned() } else { failed.join(", ") };
        let mean = format!("{:.0} ms", mean.as_secs_f64() * 1000.0);
        work.add_row([name_of(*id), done.completed.to_string(), failed, mean]);
    }
    if !report.conversations.is_empty() {
        output.line(rows(&work));
    }
}
