//! `turing run cancel`.

use serde_json::json;
use turing_domain::{Cancellation, RunStatus, WorkflowRuns};

use super::{CancelArgs, Found, ask};
use crate::cli::output::{Output, counted, shown};
use crate::cli::{Failure, Verdict};
use crate::lock::LockError;
use crate::run::{Cancelled, carry_out_cancellation};
use crate::store::{Access, Store};

/// What became of a run that is to be cancelled.
enum Outcome {
    /// It is over: just now, or before.
    Over(Option<Cancelled>),
    /// This process carries it out, and ends it.
    Under(String),
}

pub(in crate::cli) async fn cancel(
    args: CancelArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let CancelArgs { run, because, now, common } = args;
    let (by, because) = because.said()?;
    let cancellation = Cancellation { by, because, at_once: now };
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let done = Box::pin(async {
        let found = Found::of(&store, &run).await?;
        let (workflow, run_id) = (found.workflow, found.run.run_id);
        let decide = |runs: &WorkflowRuns| runs.cancel(workflow, run_id, &cancellation);
        let is_new = ask(&store, workflow, run_id, decide).await?;
        if found.run.status != RunStatus::Open {
            return Ok((run_id, is_new, Outcome::Over(None)));
        }
        let outcome = match store.lock_run(workflow).await {
            Ok(lock) => Outcome::Over(carry_out_cancellation(&store, &lock, run_id).await?),
            Err(LockError::Held { process, .. }) => Outcome::Under(process),
            Err(error) => return Err(error.into()),
        };
        Ok::<_, Failure>((run_id, is_new, outcome))
    });
    let done = done.await;
    store.close().await;
    let (run_id, is_new, outcome) = done?;
    if common.json {
        let (is_over, process, cancelled) = match &outcome {
            Outcome::Over(cancelled) => (true, None, cancelled.as_ref()),
            Outcome::Under(process) => (false, Some(process), None),
        };
        output.json(&json!({
            "run_id": run_id,
            "is_new": is_new,
            "is_over": is_over,
            "process": process,
            "cancelled": cancelled,
        }));
        return Ok(Verdict::Well);
    }
    match outcome {
        Outcome::Over(Some(Cancelled { gave_up, .. })) => {
            output.line(gave_up.to_string());
            if !gave_up.not_released.is_empty() {
                let count = counted(gave_up.not_released.len(), "posting");
                output.line(format_args!("{count} could not be ended in it:"));
            }
            for left in &gave_up.not_released {
                output.line(format_args!("  {}: {}", left.posting, shown(&left.reason, 1000)));
            }
        }
        Outcome::Over(None) => {
            output
                .line(format_args!("nothing to do: run {run_id} is over, or was ended meanwhile"));
        }
        Outcome::Under(process) => {
            let how = match now {
                true => "breaks off its attempts in progress",
                false => "waits for its attempts in progress",
            };
            output.line(format_args!(
                "run {run_id} is being cancelled: process {} begins no attempt any more, {how}, and \
                 ends the postings that are open; if it ends before that, the same command does it",
                shown(&process, 200)
            ));
        }
    }
    Ok(Verdict::Well)
}
