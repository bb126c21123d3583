//! `turing runs`: every run of every workflow.

use std::collections::BTreeMap;

use es_core::{
    Aggregate, DecodeError, EventFilter, EventStoreExt, ReadLog, RecordedEvent, Timestamp,
};
use futures_util::{TryStreamExt, pin_mut};
use serde::Serialize;
use serde_json::json;
use turing_domain::{EndReason, RunId, WorkflowEvent, WorkflowRuns};

use super::output::{Listed, Output, rows, table};
use super::show::going;
use super::{Failure, Verdict};
use crate::account::{Now, Status, account_now};
use crate::left_out::{LeftOut, named};
use crate::store::Store;

/// One run as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    run_id: RunId,
    workflow_id: String,
    status: &'static str,
    postings: Option<u32>,
    began: Timestamp,
    duration_ms: Option<u64>,
    ended: BTreeMap<EndReason, u32>,
    error: Option<String>,
    #[serde(flatten)]
    now: Now,
}

impl Row {
    /// Asks who carries the run out if it is in progress.
    async fn look(&mut self, store: &Store) -> Result<(), Failure> {
        if self.status != IN_PROGRESS {
            return Ok(());
        }
        let account = account_now(store, Some(self.run_id)).await?;
        if account.status != Status::InProgress {
            // it has ended since its beginning was read
            self.duration_ms = u64::try_from(account.duration().as_millis()).ok();
            let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
            self.ended = account.ended.into_iter().map(|(it, n)| (it, count(n))).collect();
        }
        match account.status {
            Status::InProgress => self.now = account.now,
            Status::Completed => self.status = COMPLETED,
            Status::Failed(error) => (self.status, self.error) = (FAILED, Some(error)),
        }
        Ok(())
    }

    fn status(&self) -> String {
        if self.status == IN_PROGRESS { going(&self.now) } else { self.status.to_owned() }
    }
}

const IN_PROGRESS: &str = "in progress";
const COMPLETED: &str = "completed";
const FAILED: &str = "failed";

pub(super) async fn execute(
    store: &Store,
    json: bool,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let filter = EventFilter::all().aggregate_type(WorkflowRuns::TYPE);
    let events = store.events.log(ReadLog::from_start().filter(filter));
    pin_mut!(events);
    let (mut runs, mut left_out): (Vec<Row>, Vec<LeftOut>) = Default::default();
    while let Some(recorded) = events.try_next().await? {
        // runs are listed as far as they can be read
        left_out.extend(take(&mut runs, &recorded, recorded.decode()));
    }
    for run in &mut runs {
        run.look(store).await?;
    }
    if json {
        output.json(&json!({ "runs": runs, "left_out": left_out }));
    } else if runs.is_empty() {
        output.line("no run yet; `turing demo` makes one");
    } else {
        output.line(rows(&listed(&runs)));
    }
    if !json && !left_out.is_empty() {
        output.hanging("", &named(&left_out));
    }
    Ok(Verdict::Well)
}

/// Takes an event into the list, or answers that it cannot be.
fn take(
    runs: &mut Vec<Row>,
    recorded: &RecordedEvent,
    event: Result<WorkflowEvent, DecodeError>,
) -> Option<LeftOut> {
    let left_out = |reason: &str| Some(LeftOut::new(recorded, reason));
    let find = |runs: &mut Vec<Row>, run_id: Option<RunId>| {
        runs.iter().position(|run| Some(run.run_id) == run_id)
    };
    let event = match event {
        Ok(event) => event,
        Err(error) => return Some(LeftOut::undecoded(recorded, &error)),
    };
    match event {
        WorkflowEvent::WorkflowStarted { run_id, posting_count, .. } => {
            let Some(run_id) = run_id.0 else { return left_out("it names no run") };
            runs.push(Row {
                run_id,
                workflow_id: recorded.stream.aggregate_id().to_owned(),
                status: IN_PROGRESS,
                postings: posting_count.0,
                began: recorded.recorded_at,
                duration_ms: None,
                ended: BTreeMap::new(),
                error: None,
                now: Now::default(),
            });
        }
        WorkflowEvent::WorkflowCompleted { run_id, ended_postings, duration_ms, .. } => {
            let Some(index) = find(runs, run_id.0) else { return left_out(NO_RUN) };
            runs[index].status = COMPLETED;
            runs[index].duration_ms = duration_ms.0;
            runs[index].ended = ended_postings.0.unwrap_or_default();
        }
        WorkflowEvent::WorkflowFailed { run_id, error, .. } => {
            let Some(index) = find(runs, run_id.0) else { return left_out(NO_RUN) };
            runs[index].status = FAILED;
            runs[index].error = error.0;
        }
    }
    None
}

/// Of an end without a beginning.
const NO_RUN: &str = "it names no run of which the beginning can be read";

fn listed(runs: &[Row]) -> Listed {
    let header = ["run", "workflow", "began", "status", "postings", "took", "ended"];
    let mut listed = table(&header, &[4, 5]);
    for run in runs {
        let took = |ms: u64| format!("{:.1} s", std::time::Duration::from_millis(ms).as_secs_f64());
        let ended: Vec<_> =
            run.ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        listed.add_row([
            run.run_id.to_string(),
            run.workflow_id.clone(),
            run.began.to_string(),
            run.status(),
            run.postings.map_or_else(String::new, |count| count.to_string()),
            run.duration_ms.map_or_else(String::new, took),
            run.error.as_deref().map_or_else(|| ended.join(", "), str::to_owned),
        ]);
    }
    listed
}
