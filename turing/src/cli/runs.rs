//! `turing runs`: every run of every workflow.

use std::collections::BTreeMap;

use es_core::{
    Aggregate, DecodeError, EventFilter, EventStoreExt, ReadLog, RecordedEvent, Timestamp,
};
use futures_util::{TryStreamExt, pin_mut};
use serde::Serialize;
use serde_json::json;
use turing_domain::{EndReason, RunId, WorkflowEvent, WorkflowRuns};

use super::output::{Listed, Output, rows, shown, table};
use super::{Failure, Verdict};
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
}

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
    if json {
        output.json(&json!({ "runs": runs, "left_out": left_out }));
    } else if runs.is_empty() {
        // nobody tries things out where others work
        output.line(match store.database() {
            Some(_) => "no run yet",
            None => "no run yet; `turing demo` makes one",
        });
    } else {
        output.line(rows(&listed(&runs)));
    }
    if !json && !left_out.is_empty() {
        output.line(shown(&named(&left_out), 240));
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
                status: "in progress",
                postings: posting_count.0,
                began: recorded.recorded_at,
                duration_ms: None,
                ended: BTreeMap::new(),
                error: None,
            });
        }
        WorkflowEvent::WorkflowCompleted { run_id, ended_postings, duration_ms, .. } => {
            let Some(index) = find(runs, run_id.0) else { return left_out(NO_RUN) };
            runs[index].status = "completed";
            runs[index].duration_ms = duration_ms.0;
            runs[index].ended = ended_postings.0.unwrap_or_default();
        }
        WorkflowEvent::WorkflowFailed { run_id, error, .. } => {
            let Some(index) = find(runs, run_id.0) else { return left_out(NO_RUN) };
            runs[index].status = "failed";
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
            run.status.to_owned(),
            run.postings.map_or_else(String::new, |count| count.to_string()),
            run.duration_ms.map_or_else(String::new, took),
            run.error.as_deref().map_or_else(|| ended.join(", "), |error| shown(error, 60)),
        ]);
    }
    listed
}
