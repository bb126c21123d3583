//! `turing run show`: the account of one run.

use serde_json::json;

use super::arguments::ShowArgs;
use super::failures::{tell_errors, tell_failed};
use super::output::{Output, rows, shown, table};
use super::{Failure, Verdict};
use crate::account::{RunAccount, Status, account_of};
use crate::left_out::named;
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    args: &ShowArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let account = account_of(store, args.run, None).await?;
    match (args.failed, args.common.json) {
        (true, true) => output.json(&json!({
            "run_id": account.run_id,
            "workflow_id": account.workflow_id,
            "failed": account.failed_postings,
            "left_out": account.left_out,
        })),
        (false, true) => output.json(&account),
        (true, false) => tell_failed(&account, output),
        (false, false) => tell(&account, output),
    }
    if !args.common.json && !account.left_out.is_empty() {
        output.line("");
        output.hanging("", &named(&account.left_out));
    }
    Ok(Verdict::Well)
}

fn tell(account: &RunAccount, output: &mut Output) {
    let RunAccount { run_id, workflow_id, began, open, .. } = account;
    let status = match &account.status {
        Status::InProgress => "in progress".to_owned(),
        Status::Completed => "completed".to_owned(),
        Status::Failed(error) => format!("failed: {}", shown(error, usize::MAX)),
    };
    let seconds = account.duration().as_secs_f64();
    output.line(format_args!(
        "run {run_id} of workflow {workflow_id}, began {began}, {seconds:.1} s, {status}\n"
    ));
    let ended: usize = account.ended.values().sum();
    let reasons: Vec<_> =
        account.ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    let postings = account.postings.map_or_else(|| "?".to_owned(), |count| count.to_string());
    output.line(format_args!("  {postings} postings, {ended} ended{reasons}, {open} open\n"));

    let header = ["conversation", "done", "failed", "open", "p50", "p95", "per minute"];
    let mut listed = table(&header, &[1, 2, 3, 4, 5, 6]);
    for (id, done) in &account.conversations {
        let failed: Vec<_> =
            done.failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let failed = if failed.is_empty() { "0".to_owned() } else { failed.join(", ") };
        let time = |ms: Option<u64>| ms.map_or_else(String::new, |ms| format!("{ms} ms"));
        listed.add_row([
            id.to_string(),
            done.done.to_string(),
            failed,
            done.open.to_string(),
            time(done.p50_ms),
            time(done.p95_ms),
            format!("{:.0}", done.per_minute),
        ]);
    }
    output.line(rows(&listed));
    tell_errors(*run_id, &account.errors, |id| id.to_string(), output);
}
