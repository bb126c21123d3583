//! `turing runs`: every run of every workflow.

use std::collections::BTreeMap;
use std::process::ExitCode;

use es_core::{Aggregate, EventFilter, EventStoreExt, ReadLog, RecordedEvent, Timestamp};
use futures_util::{TryStreamExt, pin_mut};
use serde::Serialize;
use turing_domain::{EndReason, RunId, WorkflowEvent, WorkflowRuns};

use super::Failure;
use super::output::{Output, rows, shown, table};
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
) -> Result<ExitCode, Failure> {
    let filter = EventFilter::all().aggregate_type(WorkflowRuns::TYPE);
    let events = store.events.log(ReadLog::from_start().filter(filter));
    pin_mut!(events);
    let (mut runs, mut unreadable): (Vec<Row>, Vec<String>) = Default::default();
    while let Some(recorded) = events.try_next().await? {
        match recorded.decode() {
            Ok(event) => take(&mut runs, &recorded, event),
            // its runs are listed as far as they can be read
            Err(_) => unreadable.push(format!("{} {}", recorded.stream, recorded.version)),
        }
    }
    if json {
        output.json(&runs)?;
    } else if runs.is_empty() {
        output.line("no run yet; `turing demo` makes one")?;
    } else {
        output.line(rows(&listed(&runs)))?;
    }
    if !json && !unreadable.is_empty() {
        let events = shown(&unreadable.join(", "), 200);
        output.line(format_args!("left out, because they cannot be read: {events}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn take(runs: &mut Vec<Row>, recorded: &RecordedEvent, event: WorkflowEvent) {
    let find = |runs: &mut Vec<Row>, run_id: Option<RunId>| {
        runs.iter().position(|run| Some(run.run_id) == run_id)
    };
    match event {
        WorkflowEvent::WorkflowStarted { run_id, posting_count, .. } => {
            let Some(run_id) = run_id.0 else { return };
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
            let Some(index) = find(runs, run_id.0) else { return };
            runs[index].status = "completed";
            runs[index].duration_ms = duration_ms.0;
            runs[index].ended = ended_postings.0.unwrap_or_default();
        }
        WorkflowEvent::WorkflowFailed { run_id, error, .. } => {
            let Some(index) = find(runs, run_id.0) else { return };
            runs[index].status = "failed";
            runs[index].error = error.0;
        }
    }
}

fn listed(runs: &[Row]) -> comfy_table::Table {
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
