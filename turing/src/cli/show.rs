//! `turing run show`: the account of one run.

use serde::Serialize;
use turing_domain::RunId;

use super::output::{Output, rows, shown, table};
use super::report::tell_open_breakers;
use super::{Failure, Verdict};
use crate::account::{RunAccount, Status, account_of};
use crate::breakers::{OpenBreaker, open_breakers};
use crate::left_out::named;
use crate::store::Store;

pub(super) async fn execute(
    store: &Store,
    run_id: Option<RunId>,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let account = account_of(store, run_id, None).await?;
    // a run that is over waits for no actor
    let open_breakers = match account.status {
        Status::InProgress => open_breakers(&store.events).await?,
        Status::Completed | Status::Failed(_) => Vec::new(),
    };
    match json {
        true => output.json(&Shown { account: &account, open_breakers: &open_breakers }),
        false => {
            tell(&account, output);
            tell_open_breakers(&open_breakers, output);
        }
    }
    Ok(Verdict::Well)
}

/// What is shown of a run as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    account: &'a RunAccount,
    /// Those of all actors of the store: they belong to no run.
    open_breakers: &'a [OpenBreaker],
}

fn tell(account: &RunAccount, output: &mut Output) {
    let RunAccount { run_id, workflow_id, began, open, .. } = account;
    let status = match &account.status {
        Status::InProgress => "in progress".to_owned(),
        Status::Completed => "completed".to_owned(),
        Status::Failed(error) => format!("failed: {}", shown(error, 200)),
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
    if !account.left_out.is_empty() {
        output.line(format_args!("\n{}", shown(&named(&account.left_out), 240)));
    }
}
