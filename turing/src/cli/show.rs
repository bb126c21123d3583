//! `turing run show`: the account of one run.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use es_core::event::Timestamp;
use serde::Serialize;
use serde_json::json;
use turing_domain::{Cancellation, ConversationId, Pause};

use super::arguments::ShowArgs;
use super::failures::{tell_errors, tell_failed, tell_waiting};
use super::ids::{only_failed_of, tell_ids};
use super::output::{Output, counted, rows, shown, table};
use super::report::tell_open_breakers;
use super::why::tell_of_run;
use super::{Failure, Verdict, run_name};
use crate::account::{ConversationAccount, Now, RunAccount, Status, account_following};
use crate::breakers::{OpenBreaker, open_breakers};
use crate::definition::{Recorded, definition_of};
use crate::left_out::named;
use crate::store::Store;
use crate::why::{Asker, WhyOfRun};

pub(super) async fn execute(
    store: &Store,
    args: &ShowArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    if args.definition {
        return tell_definition(store, args, output).await;
    }
    if args.ids {
        return Box::pin(tell_ids(store, args, output)).await;
    }
    let run_id = run_name::find(store, &args.run).await?;
    let (mut account, stories) = Box::pin(account_following(store, run_id)).await?;
    // a run that is over waits for no actor
    let (mut open_breakers, waits) = match (&args.failed, &account.status) {
        (None, Status::InProgress) => {
            let waits = Box::pin(Asker::new(store).of_run(&account, &stories)).await?;
            (open_breakers(&store.events).await?, waits)
        }
        _ => (Vec::new(), WhyOfRun::default()),
    };
    if let Some(kind) = &args.failed {
        only_failed_of(&mut account, kind);
    }
    for breaker in &mut open_breakers {
        breaker.name = account.actors.get(&breaker.actor).cloned();
    }
    match (args.failed.is_some(), args.common.json) {
        (true, true) => output.json(&json!({
            "run_id": account.run_id,
            "workflow_id": account.workflow_id,
            "failed": account.failed_postings,
            "other_failures": account.other_failures,
            "waiting": account.waiting_attempts,
            "left_out": account.left_out,
        })),
        (false, true) => {
            output.json(&Shown { account: &account, open_breakers: &open_breakers, why: &waits });
        }
        (true, false) => {
            tell_failed(&account, args.failed.as_deref().unwrap_or_default(), output);
        }
        (false, false) => {
            tell(&account, &waits, output);
            tell_open_breakers(&open_breakers, output);
        }
    }
    if !args.common.json && !account.left_out.is_empty() {
        output.line("");
        output.hanging("", &named(&account.left_out));
    }
    Ok(Verdict::Well)
}

/// Prints the definition of a run as the store has it.
async fn tell_definition(
    store: &Store,
    args: &ShowArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let found = definition_of(store, run_name::find(store, &args.run).await?).await?;
    let Recorded { text, digest, file_name, folder, .. } = &found.recorded;
    match args.common.json {
        true => output.json(&json!({
            "run_id": found.run.run_id,
            "workflow_id": found.workflow_id,
            "digest": digest,
            "file_name": file_name,
            "folder": folder,
            "text": text,
        })),
        false => output.verbatim(text),
    }
    Ok(Verdict::Well)
}

/// How a run stands that has not ended.
pub(super) fn going(now: &Now) -> String {
    let going = match (&now.process, now.is_interrupted) {
        (Some(process), _) => format!("in progress, process {process}"),
        (None, Some(true)) => {
            "interrupted: no process carries it out; the same command goes on".to_owned()
        }
        (None, _) => match now.server_began {
            Some(began) => format!(
                "in progress, or interrupted: the server began at {}, and a run that goes on takes its \
                 lock again before its next attempt; if none does, the same command goes on",
                second(began)
            ),
            None => "in progress".to_owned(),
        },
    };
    let going = match (now.waiting_attempts, now.next_due_at) {
        (1, Some(due_at)) => format!("{going}; 1 failed attempt waits until {}", second(due_at)),
        (count, Some(due_at)) => {
            format!("{going}; {count} failed attempts wait, the first until {}", second(due_at))
        }
        (_, None) => going,
    };
    let going = match operators(now) {
        Some(asked) => format!("{asked}; {going}"),
        None => going,
    };
    match now.last_event_age {
        Some(age) => format!("{going}; newest event {} ago", rounded(age)),
        None => going,
    }
}

/// What operators asked of a run that has not ended.
fn operators(now: &Now) -> Option<String> {
    if let Some(cancelling) = &now.cancelling {
        let Cancellation { by, because, .. } = cancelling;
        return Some(format!("cancelling, as {} wants: {}", shown(by, 60), shown(because, 300)));
    }
    let paused = |what: &str, Pause { by, because, until, .. }: &Pause| {
        let until = until.map_or_else(String::new, |until| format!(" until {}", second(until)));
        format!("{what}paused by {}{until}: {}", shown(by, 60), shown(because, 300))
    };
    let of_run = now.pause.iter().map(|pause| paused("", pause));
    let conversations = now.conversation_pauses.iter();
    let of_conversations =
        conversations.map(|(id, pause)| paused(&format!("conversation {id} "), pause));
    let told: Vec<_> = of_run.chain(of_conversations).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// An instant to the second, for people.
pub(super) fn second(time: Timestamp) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A length of time for people.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// What is shown of a run as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a RunAccount,
    /// Those of all actors of the store: they belong to no run.
    open_breakers: &'a [OpenBreaker],
    why: &'a WhyOfRun,
}

fn tell(account: &RunAccount, waits: &WhyOfRun, output: &mut Output) {
    let RunAccount { run_id, workflow_id, began, open, .. } = account;
    let status = match &account.status {
        Status::InProgress => going(&account.now),
        Status::Completed => "completed".to_owned(),
        Status::Failed(error) => format!("failed: {}", shown(error, usize::MAX)),
    };
    // of a run that goes on nobody knows how long it takes
    let took = match (&account.status, account.now.last_event_age) {
        (Status::InProgress, Some(age)) => format!("{} ago", rounded(account.duration() + age)),
        _ => format!("{:.1} s", account.duration().as_secs_f64()),
    };
    let name = account.workflow_name.as_deref();
    let name = name.map_or_else(String::new, |name| format!(" ({})", shown(name, 60)));
    output.line(format_args!(
        "run {run_id} of workflow {workflow_id}{name}, began {began}, {took}, {status}\n"
    ));
    let ended: usize = account.ended.values().sum();
    let reasons: Vec<_> =
        account.ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let postings = match account.postings {
        Some(count) => counted(count as usize, "posting"),
        None => "? postings".to_owned(),
    };
    let not_entered = match account.not_entered {
        None | Some(0) => String::new(),
        Some(count) => format!(", {count} not entered yet"),
    };
    output.line(format_args!("  {postings}, {ended} ended{reasons}, {open} open{not_entered}\n"));

    let named = |id: ConversationId| match account.names.get(&id) {
        Some(name) => format!("{id} {}", shown(name, 40)),
        None => id.to_string(),
    };
    let header = ["conversation", "done", "failed", "open", "p50", "p95", "total", "per minute"];
    let mut listed = table(&header, &[1, 2, 3, 4, 5, 6, 7]);
    let (mut all, mut all_failed) = (ConversationAccount::default(), 0);
    let seconds = |millis: u64| format!("{:.1} s", Duration::from_millis(millis).as_secs_f64());
    for (id, done) in &account.conversations {
        let failed: Vec<_> =
            done.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let failed = if failed.is_empty() { "0".to_owned() } else { failed.join(", ") };
        let time = |ms: Option<u64>| ms.map_or_else(String::new, |ms| format!("{ms} ms"));
        listed.add_row([
            named(*id),
            done.done.to_string(),
            failed,
            done.open.to_string(),
            time(done.p50_ms),
            time(done.p95_ms),
            seconds(done.total_ms),
            format!("{:.0}", done.per_minute),
        ]);
        all.done += done.done;
        all_failed += done.failed.values().sum::<usize>();
        all.open += done.open;
        all.total_ms = all.total_ms.saturating_add(done.total_ms);
        all.per_minute += done.per_minute;
    }
    if account.conversations.len() > 1 {
        listed.add_row([
            "all".to_owned(),
            all.done.to_string(),
            all_failed.to_string(),
            all.open.to_string(),
            String::new(),
            String::new(),
            seconds(all.total_ms),
            format!("{:.0}", all.per_minute),
        ]);
    }
    output.line(rows(&listed));
    tell_of_run(waits, *run_id, output);
    tell_waiting(account, named, output);
    tell_errors(*run_id, &account.errors, &account.other_errors, named, output);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_progress_says_who_carries_it_out_and_how_old_its_newest_event_is() {
        let now = |process: Option<&str>, is_interrupted, seconds| {
            let last_event_age = Some(Duration::from_secs(seconds));
            let process = process.map(str::to_owned);
            going(&Now { process, is_interrupted, last_event_age, ..Now::default() })
        };
        let told = now(Some("31666"), Some(false), 119);
        assert_eq!(told, "in progress, process 31666; newest event 119 s ago");
        let told = now(None, Some(true), 7_199);
        assert!(told.starts_with("interrupted: no process carries it out; the same "), "{told}");
        assert!(told.ends_with("; newest event 119 min ago"), "{told}");
        assert_eq!(now(None, None, 7_200), "in progress; newest event 2 h ago");
        assert_eq!(now(None, None, 200_000), "in progress; newest event 2 days ago");
        assert_eq!(going(&Now::default()), "in progress");
        let server_began = Some(Timestamp::from_micros(1_764_000_000_123_456));
        let told = going(&Now { server_began, ..Now::default() });
        let since =
            "in progress, or interrupted: the server began at 2025-11-24T16:00:00Z, and a run";
        assert!(told.starts_with(since), "{told}");
        let next_due_at = Some(Timestamp::from_micros(1_764_000_000_123_456));
        let waits = |waiting_attempts| Now { waiting_attempts, next_due_at, ..Now::default() };
        let told = "in progress; 1 failed attempt waits until 2025-11-24T16:00:00Z";
        assert_eq!(going(&waits(1)), told);
        let told = "in progress; 3 failed attempts wait, the first until 2025-11-24T16:00:00Z";
        assert_eq!(going(&waits(3)), told);
        let at = Timestamp::from_micros(1_764_000_000_123_456);
        let pause = Some(Pause::new("anna", "the disk is full", at, Some(at)));
        let told = going(&Now { pause, ..Now::default() });
        let paused = "paused by anna until 2025-11-24T16:00:00Z: the disk is full; in progress";
        assert_eq!(told, paused);
        let (by, because) = ("anna".to_owned(), "the wrong adverts".to_owned());
        let cancelling = Some(Cancellation { by, because, at_once: false });
        let told = going(&Now { cancelling, ..Now::default() });
        assert_eq!(told, "cancelling, as anna wants: the wrong adverts; in progress");
    }
}
