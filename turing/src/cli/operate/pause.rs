//! `turing run pause` and `turing run unpause`.

use serde_json::json;
use turing_domain::{ConversationId, WorkflowRuns};

use super::{Found, PauseArgs, UnpauseArgs, ask, until};
use crate::cli::output::Output;
use crate::cli::{Failure, Verdict};
use crate::proposal::command;
use crate::store::{Access, Store};

pub(in crate::cli) async fn pause(
    args: PauseArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let PauseArgs { run, conversation, because, end, common } = args;
    let pause = because.pause(&end)?;
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let done = Box::pin(async {
        let found = Found::of(&store, &run).await?;
        let at = conversation.map(ConversationId);
        if let Some(at) = at {
            found.has(&store, at).await?;
        }
        let (workflow, run_id) = (found.workflow, found.run.run_id);
        let decide = |runs: &WorkflowRuns| runs.pause(workflow, run_id, at, &pause);
        Ok::<_, Failure>((run_id, ask(&store, workflow, run_id, decide).await?))
    });
    let done = done.await;
    store.close().await;
    let (run_id, is_new) = done?;
    if common.json {
        output.json(&json!({
            "run_id": run_id,
            "conversation_id": conversation,
            "is_new": is_new,
            "pause": pause,
        }));
        return Ok(Verdict::Well);
    }
    let (what, at) = match conversation {
        Some(id) => (format!("conversation {id} of run {run_id}"), format!(" --conversation {id}")),
        None => (format!("run {run_id}"), String::new()),
    };
    let ends_it = command(format_args!("run unpause {run_id}{at}"));
    let until = until(&pause, &ends_it);
    match is_new {
        true => output.line(format_args!(
            "{what} is paused {until}; attempts in progress end, and none begins"
        )),
        false => {
            output.line(format_args!("nothing to do: {what} is paused for that reason {until}"))
        }
    }
    Ok(Verdict::Well)
}

pub(in crate::cli) async fn unpause(
    args: UnpauseArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let UnpauseArgs { run, conversation, by, common } = args;
    let by = by.name()?;
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let done = Box::pin(async {
        let found = Found::of(&store, &run).await?;
        let (workflow, run_id) = (found.workflow, found.run.run_id);
        let at = conversation.map(ConversationId);
        let decide = |runs: &WorkflowRuns| runs.end_pause(workflow, run_id, at, &by);
        Ok::<_, Failure>((found, ask(&store, workflow, run_id, decide).await?))
    });
    let done = done.await;
    store.close().await;
    let (Found { run, .. }, is_new) = done?;
    let run_id = run.run_id;
    if common.json {
        output.json(&json!({
            "run_id": run_id,
            "conversation_id": conversation,
            "is_new": is_new,
        }));
        return Ok(Verdict::Well);
    }
    let what = match conversation {
        Some(id) => format!("conversation {id} of run {run_id}"),
        None => format!("run {run_id}"),
    };
    match is_new {
        true => output.line(format_args!(
            "{what} is not paused any more; a process that works on it goes on at once, and if none \
             does, `{}` goes on",
            command(format_args!("run resume {run_id}"))
        )),
        false => output.line(format_args!("nothing to do: {what} is not paused")),
    }
    // who ends one pause may have meant the others
    if !run.conversation_pauses.is_empty() && conversation.is_none() {
        let ids: Vec<_> = run.conversation_pauses.keys().map(ToString::to_string).collect();
        output.line(format_args!(
            "conversations of it that are paused by themselves: {}",
            ids.join(", ")
        ));
    }
    Ok(Verdict::Well)
}
