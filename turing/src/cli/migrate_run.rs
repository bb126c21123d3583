//! `turing run migrate`: a run in progress goes on by another definition.

use turing_domain::RunStatus;

use super::arguments::MigrateRunArgs;
use super::ids::first_of;
use super::output::{Output, counted, shown};
use super::{Failure, Verdict};
use crate::definition::{Definition, run_of};
use crate::run::{RunMove, move_run};
use crate::store::{Access, Store};

pub(super) async fn execute(
    args: &MigrateRunArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let url = args.common.store()?;
    let definition = Definition::load(&args.definition)?;
    let store = Store::open(&url, Access::Existing).await?;
    let moved = Box::pin(moved(&store, args, &definition)).await;
    store.close().await;
    let moved = moved?;
    match args.common.json {
        true => output.json(&moved),
        false => tell(&moved, &definition, args.dry_run, output),
    }
    Ok(if moved.refused.is_empty() { Verdict::Well } else { Verdict::Found })
}

async fn moved(
    store: &Store,
    args: &MigrateRunArgs,
    definition: &Definition,
) -> Result<RunMove, Failure> {
    let run_id = args.run.find(store).await?;
    let (workflow, run) = run_of(store, Some(run_id)).await?;
    if workflow != definition.workflow.id {
        let what = format!(
            "run {run_id} is of workflow {workflow}, and {} defines workflow {}; give a definition of \
             workflow {workflow}",
            definition.path.display(),
            definition.workflow.id
        );
        return Err(Failure::Usage { what });
    }
    if run.status != RunStatus::Open {
        let what = format!("run {run_id} is over; nothing is left of it to go on by a definition");
        return Err(Failure::NotFound { what });
    }
    let lock = store.lock_run(workflow).await?;
    Ok(move_run(store, &lock, run_id, definition, args.dry_run).await?)
}

fn tell(moved: &RunMove, definition: &Definition, is_dry_run: bool, output: &mut Output) {
    let RunMove { run_id, workflow_id, to_digest, open, postings, refused, .. } = moved;
    let to_digest = to_digest.get(..16).unwrap_or(to_digest);
    let postings = counted(*postings, "open posting");
    let done = match (moved.is_done, is_dry_run && refused.is_empty()) {
        (true, _) => format!("goes on by definition {to_digest}"),
        (false, true) => format!("would go on by definition {to_digest}"),
        (false, false) => format!("stays as it is, and does not go on by definition {to_digest}"),
    };
    output.line(format_args!("run {run_id} of workflow {workflow_id} {done}; it has {postings}"));
    for (conversation, postings) in open {
        let name = definition.workflow.conversation(*conversation);
        let name = name.map_or_else(String::new, |one| format!(" {}", shown(&one.name, 40)));
        output.hanging(&format!("  at {conversation}{name}: "), &first_of(postings));
    }
    for refusal in refused {
        let reason = shown(&refusal.reason, 300);
        output.hanging(&format!("  posting {} cannot be moved: ", refusal.posting), &reason);
    }
}
