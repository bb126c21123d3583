//! What a retry would run: its dry run.

use serde_json::{Value, json};
use turing_domain::{EndReason, PostingId, RunId};

use super::{Failed, Selection, Wanted, selected};
use crate::account::Cost;
use crate::cli::call::Call;
use crate::cli::ids::first_of;
use crate::cli::output::{Output, counted, shown};
use crate::cli::resume::open_run;
use crate::cli::run::check_placeholders;
use crate::cli::run_name::{self, RunName};
use crate::cli::telling::tell;
use crate::cli::{Failure, Verdict, held_back};
use crate::store::{Access, Store};

/// How a dry run is asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Asked {
    /// Ids only.
    pub(in crate::cli) ids: bool,
    /// Whether those that were named and did not fail are no reason to stop.
    pub(in crate::cli) ignore_others: bool,
    /// Whether another run that is in progress would be given up.
    pub(in crate::cli) abandon: bool,
}

/// What a run in progress means for the retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    /// It is this very retry, which was interrupted.
    Same(RunId),
    Other(RunId),
}

/// Prints what would be run once more, and begins nothing.
pub(in crate::cli) async fn preview(
    call: &Call<'_>,
    run: &Option<RunName>,
    wanted: Wanted,
    asked: Asked,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let store = Store::open(&call.url, Access::Read).await?;
    let found = Box::pin(foreseen(call, &store, run, wanted)).await;
    store.close().await;
    let (selection, open) = found?;
    let is_json = call.args.common.json;
    let told = selection.others();
    if selection.intake.postings.is_empty() || (asked.ids && !is_json) {
        told.iter().for_each(tell);
    }
    if !asked.ignore_others && selection.intake.postings.is_empty() {
        selection.refuse_others()?;
    }
    selection.refuse_nothing()?;
    check_placeholders(&call.definition, &selection.data_keys)?;
    match (is_json, asked.ids) {
        (true, _) => output.json(&selection.as_json(open)),
        (false, true) => selection.intake.postings.keys().for_each(|id| output.text(id)),
        (false, false) => selection.print(open, asked.abandon, output),
    }
    Ok(match open {
        _ if !(told.is_empty() || asked.ignore_others) => Verdict::Found,
        Open::Other(_) if !asked.abandon => Verdict::InTheWay,
        _ => Verdict::Well,
    })
}

/// What would be run, and which run is in progress now.
async fn foreseen(
    call: &Call<'_>,
    store: &Store,
    run: &Option<RunName>,
    wanted: Wanted,
) -> Result<(Selection, Open), Failure> {
    held_back::warn(store).await;
    let run_id = run_name::find(store, run).await?;
    let selection = selected(call, store, run_id, wanted).await?;
    let digest = selection.intake.digest();
    let open = match open_run(store, call.definition.workflow.id).await? {
        None => Open::Nothing,
        Some(run)
            if run.input_digest.as_ref() == Some(&digest)
                && run.definition_digest.as_ref() == Some(&call.definition.digest) =>
        {
            Open::Same(run.run_id)
        }
        Some(run) => Open::Other(run.run_id),
    };
    Ok((selection, open))
}

impl Selection {
    fn as_json(&self, open: Open) -> Value {
        let kinds = self.kinds.iter().map(|((conversation, reason, failure_type), postings)| {
            json!({
                "conversation_id": conversation,
                "reason": reason,
                "failure_type": failure_type,
                "postings": postings,
            })
        });
        let others = self.others.iter().flat_map(|(why, ids)| {
            ids.iter().map(move |id| json!({ "posting_id": id, "why": why }))
        });
        let (goes_on_with, in_the_way) = match open {
            Open::Nothing => (None, None),
            Open::Same(run_id) => (Some(run_id), None),
            Open::Other(run_id) => (None, Some(run_id)),
        };
        json!({
            "run_id": self.run_id,
            "workflow_id": self.workflow_id,
            "failed": self.failed,
            "posting_ids": self.intake.postings.keys().collect::<Vec<_>>(),
            "kinds": kinds.collect::<Vec<_>>(),
            "filtered": self.wanted.sieves,
            "others": others.collect::<Vec<_>>(),
            "cost": self.cost,
            "goes_on_with": goes_on_with,
            "in_the_way": in_the_way,
            "left_out": self.left_out,
        })
    }

    fn print(&self, open: Open, abandons: bool, output: &mut Output) {
        let Self { run_id, failed, intake, .. } = self;
        let count = intake.postings.len();
        let of_all = if count < *failed { format!(" of {failed}") } else { String::new() };
        let postings = if count == 1 && of_all.is_empty() { "posting" } else { "postings" };
        output.line(format_args!(
            "{count}{of_all} {postings} that failed in run {run_id} would be run once more:"
        ));
        for (kind, count) in &self.kinds {
            output.hanging(&format!("  {count} "), &self.kind(kind));
        }
        let ids: Vec<PostingId> = intake.postings.keys().copied().collect();
        let postings = if count == 1 { "posting" } else { "postings" };
        output.hanging(&format!("  {postings} "), &first_of(&ids));
        for sieve in self.wanted.sieves.iter().filter(|sieve| sieve.left_out > 0) {
            let left_out = sieve.found().unwrap_or_else(|| counted(sieve.left_out, "posting"));
            output.hanging(&format!("left out by {}: ", sieve.name()), &left_out);
        }
        for other in self.others() {
            output.hanging("", &format!("left out: {other}"));
        }
        if let Some(cost) = cost(&self.cost) {
            output.line(format_args!("in that run this took {cost}"));
        }
        match open {
            Open::Nothing => {}
            Open::Same(open) => output.line(format_args!("run {open} is this retry, and goes on")),
            Open::Other(open) if abandons => {
                output.line(format_args!("run {open} is in progress, and would be given up"));
            }
            Open::Other(open) => output.line(format_args!(
                "run {open} of this workflow is in progress, and must be finished first, or given up \
                 with --abandon"
            )),
        }
    }

    /// How postings failed, in words.
    fn kind(&self, (conversation, reason, failure_type): &Failed) -> String {
        let place = conversation.map(|id| match self.names.get(&id) {
            Some(name) => format!("at {id} {}", shown(name, 40)),
            None => format!("at {id}"),
        });
        // a failure says more than that an actor failed
        let reason = match (reason, failure_type) {
            (EndReason::ActorFailed, Some(failure_type)) => failure_type.to_string(),
            (reason, Some(failure_type)) => format!("{reason}, {failure_type}"),
            (reason, None) => reason.to_string(),
        };
        place.map_or_else(|| reason.clone(), |place| format!("{place}: {reason}"))
    }
}

/// What was done for postings, in words; nothing if nothing is known.
fn cost(cost: &Cost) -> Option<String> {
    let many = |count: u64, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {more}")),
    };
    let parts = [
        many(cost.attempts, "attempt", "attempts"),
        many(cost.tasks, "task of people", "tasks of people"),
        many(cost.tokens.unwrap_or_default(), "token", "tokens"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
