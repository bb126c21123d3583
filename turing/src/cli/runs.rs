//! `turing runs`: every run of every workflow.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use es_core::event::{DecodeError, EventFilter, EventStoreExt, ReadLog, RecordedEvent, Timestamp};
use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::json;
use turing_domain::fields::WORKFLOW_NAME;
use turing_domain::{EndReason, RunId, WorkflowEvent, WorkflowRuns};

use super::output::{Output, counted, shown};
use super::show::going;
use super::{Failure, Verdict};
use crate::account::{Now, Status, account_now};
use crate::left_out::{LeftOut, named};
use crate::proposal::command;
use crate::store::Store;

/// One run as it is listed.
#[derive(Debug, Serialize)]
struct Row {
    run_id: RunId,
    workflow_id: String,
    workflow_name: Option<String>,
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

    /// What became of it, in words.
    fn outcome(&self) -> String {
        let postings = |what: &str| match self.postings {
            Some(count) => format!("{}, {what}", counted(count as usize, "posting")),
            None => what.to_owned(),
        };
        let ended: Vec<_> =
            self.ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        match &self.error {
            _ if self.status == IN_PROGRESS => postings(&going(&self.now)),
            Some(error) => format!("{}: {error}", self.status),
            None if ended.is_empty() => postings(self.status),
            None => ended.join(", "),
        }
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
    let filter = EventFilter::all().aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::from_start().filter(filter));
    let (mut runs, mut left_out): (Vec<Row>, Vec<LeftOut>) = Default::default();
    while let Some(recorded) = events.try_next().await? {
        // runs are listed as far as they can be read
        left_out.extend(take(&mut runs, &recorded, recorded.decode_one()));
    }
    for run in &mut runs {
        run.look(store).await?;
    }
    if json {
        output.json(&json!({ "runs": runs, "left_out": left_out }));
    } else if runs.is_empty() {
        // nobody tries things out where others work
        output.line(match store.database() {
            Some(_) => "no run yet".to_owned(),
            None => format!("no run yet; `{}` makes one", command("demo")),
        });
    } else {
        tell(&runs, output);
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
                workflow_name: recorded.metadata.get(WORKFLOW_NAME),
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
        WorkflowEvent::WorkflowMovedToDefinition { .. }
        | WorkflowEvent::WorkflowPaused { .. }
        | WorkflowEvent::WorkflowPauseEnded { .. }
        | WorkflowEvent::WorkflowCancellationRequested { .. } => {}
    }
    None
}

/// Of an end without a beginning.
const NO_RUN: &str = "it names no run of which the beginning can be read";

/// So many characters of an id tell runs apart that began in different milliseconds.
const DISTINCT: usize = 13;

/// A terminal that is narrower gets ids and names in short.
const WIDE: usize = 120;

fn tell(runs: &[Row], output: &mut Output) {
    let is_narrow = output.columns().is_some_and(|columns| columns < WIDE);
    let id_width = if is_narrow { distinct(runs) } else { usize::MAX };
    let cells = |run: &Row| {
        let id: String = run.run_id.to_string().chars().take(id_width).collect();
        let name = run.workflow_name.as_deref();
        let name = name.map(|name| format!(" {}", shown(name, if is_narrow { 14 } else { 60 })));
        let workflow = format!("{}{}", run.workflow_id, name.unwrap_or_default());
        let began = run.began.to_string();
        let began = began.split('.').next().unwrap_or_default();
        let took = |ms: u64| format!("{:.1} s", Duration::from_millis(ms).as_secs_f64());
        let took = run.duration_ms.map_or_else(String::new, took);
        [id, workflow, format!("{began}Z"), took, run.outcome()]
    };
    let header = ["run", "workflow", "began", "took", "ended"].map(str::to_owned);
    let lines: Vec<_> = std::iter::once(header).chain(runs.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let [id_width, name_width] = [0, 1].map(|column| width(column).unwrap_or_default());
    for [id, workflow, began, took, outcome] in &lines {
        let before = format!("{id:<id_width$}  {workflow:<name_width$}  {began:<20}  {took:>8}  ");
        output.hanging(&before, outcome);
    }
}

/// How many characters of their ids tell the runs apart.
fn distinct(runs: &[Row]) -> usize {
    let ids: BTreeSet<_> = runs.iter().map(|run| run.run_id.to_string()).collect();
    let are_distinct = |width: &usize| {
        let short: BTreeSet<String> =
            ids.iter().map(|id| id.chars().take(*width).collect()).collect();
        short.len() == ids.len()
    };
    (DISTINCT..36).find(are_distinct).unwrap_or(36)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Row {
        Row {
            run_id: id.parse().unwrap(),
            workflow_id: "3001".to_owned(),
            workflow_name: Some("job adverts of all kinds".to_owned()),
            status: COMPLETED,
            postings: Some(4),
            began: "2026-11-23T10:00:00.123456Z".parse().unwrap(),
            duration_ms: Some(1_234_567),
            ended: BTreeMap::from([(EndReason::Completed, 4)]),
            error: None,
            now: Now::default(),
        }
    }

    #[test]
    fn ids_are_as_short_as_they_can_be_told_apart() {
        let (one, other) =
            ("0193a1d4-0000-7000-8000-000000000001", "0193a1d4-0000-7100-8000-000000000001");
        assert_eq!(distinct(&[row(one)]), DISTINCT);
        assert_eq!(distinct(&[row(one), row(one)]), DISTINCT);
        assert_eq!(distinct(&[row(one), row(other)]), 16);
    }

    #[test]
    fn what_became_of_a_run_is_told_whether_it_is_over_or_not() {
        let completed = row("0193a1d4-0000-7000-8000-000000000001");
        assert_eq!(completed.outcome(), "4 completed");
        let failed = Row { status: FAILED, error: Some("abandoned".to_owned()), ..completed };
        assert_eq!(failed.outcome(), "failed: abandoned");
        let going = Row { status: IN_PROGRESS, ended: BTreeMap::new(), error: None, ..failed };
        assert_eq!(going.outcome(), "4 postings, in progress");
    }
}
