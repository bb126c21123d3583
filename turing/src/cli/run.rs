//! `turing run`: a run that begins, one that repeats what failed, and one that goes on.

use std::collections::BTreeSet;

use turing_domain::Severity;

use super::arguments::{HowArgs, OneRunArgs, RetryArgs, RunArgs, RunCommand, StartArgs};
use super::call::{Call, GO_ON, Work};
use super::ids::listed;
use super::interrupts::Interrupts;
use super::output::{Output, counted};
use super::postings::{Seen, tell_refused};
use super::resume::{interrupted, open_run};
use super::retry::{Asked, Selection, Wanted, preview, selected};
use super::run_name::{self, RunName};
use super::telling::tell;
use super::{Failure, Verdict, held_back, operate};
use crate::definition::{Definition, DefinitionError};
use crate::postings::PostingSource;
use crate::proposal::command;
use crate::run::{Intake, take_in_telling};
use crate::store::{Access, Store, StoreUrl};

pub(super) async fn execute(
    args: RunArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    match args.command {
        None => start(args.start, interrupts, output).await,
        Some(RunCommand::Show(args)) => {
            let store = Store::open(&args.common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = super::show::execute(&store, &args, output).await;
            store.close().await;
            done
        }
        Some(RunCommand::Retry(args)) => retry(*args, interrupts, output).await,
        Some(RunCommand::Resume(args)) => resume(args, interrupts, output).await,
        Some(RunCommand::Migrate(args)) => super::migrate_run::execute(&args, output).await,
        Some(RunCommand::Pause(args)) => Box::pin(operate::pause(args, output)).await,
        Some(RunCommand::Unpause(args)) => Box::pin(operate::unpause(args, output)).await,
        Some(RunCommand::Cancel(args)) => Box::pin(operate::cancel(args, output)).await,
    }
}

/// What is done with postings before the run begins.
const REGISTERING: &str = "registering postings";

async fn start(
    args: StartArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let StartArgs { workflow, postings, new, call, mut how } = args;
    if new && how.again {
        let what = "--new leaves out what has completed, and --again runs it once more: give the one \
                    that is meant";
        return Err(Failure::Usage { what: what.to_owned() });
    }
    let (file, postings) = (workflow.unwrap_or_default(), postings.unwrap_or_default());
    let call = Call::begin(call, &file, interrupts)?;
    let reads = |count| call.signs.going().phase("reading postings", count, None);
    reads(0);
    let postings = PostingSource::named(&postings)?;
    let seen = Seen::of(&postings, reads)?;
    let has_none = seen.is_nothing() || seen.keys().is_err();
    // a run that goes on first needs no posting that is new
    let goes_on =
        has_none && new && !how.abandon && has_open_run(&call.url, &call.definition).await?;
    if seen.is_nothing() && !goes_on {
        let is_json = call.args.common.json;
        if is_json || !call.args.pace.quiet {
            seen.print_nothing(is_json, output);
        }
        return Ok(Verdict::Well);
    }
    if !goes_on {
        check_placeholders(&call.definition, seen.keys()?)?;
    }
    call.signs.going().phase(REGISTERING, 0, Some(seen.count()));
    let take = async |call: &Call<'_>, store: &Store| -> Result<Work, Failure> {
        let going = call.signs.going();
        let mut registers = |count| going.phase(REGISTERING, count, Some(seen.count()));
        let mut intake = take_in_telling(&*store.postings, &postings, &mut registers).await?;
        let refused = intake.refused.iter();
        refused.filter(|refused| !seen.has_told(refused)).for_each(tell_refused);
        how.only_new = new;
        if new && !how.abandon {
            prefer_interrupted(call, store, &mut intake, &mut how).await?;
        }
        let go_on = match &postings {
            PostingSource::Kept(_) => format!("{GO_ON}, with the same postings on standard input"),
            PostingSource::Path(_) => GO_ON.to_owned(),
        };
        Ok(Work { intake, how, go_on })
    };
    call.run(Access::Write, output, take).await
}

/// True if the workflow has a run in progress in the store, which need not be there.
async fn has_open_run(url: &StoreUrl, definition: &Definition) -> Result<bool, Failure> {
    if matches!(url, StoreUrl::Sqlite(path) if !path.exists()) {
        return Ok(false);
    }
    let store = Store::open(url, Access::Existing).await?;
    let open = open_run(&store, definition.workflow.id).await;
    store.close().await;
    Ok(open?.is_some())
}

/// Takes the postings of the run that was interrupted, if there is one. One that nothing was done in,
/// because not all of its postings had entered it, is given up for those that are new now.
async fn prefer_interrupted(
    call: &Call<'_>,
    store: &Store,
    intake: &mut Intake,
    how: &mut HowArgs,
) -> Result<(), Failure> {
    let workflow = call.definition.workflow.id;
    let Some(open) = open_run(store, workflow).await? else { return Ok(()) };
    let run_id = open.run_id;
    let is_same = open.definition_digest.as_ref() == Some(&call.definition.digest);
    let interrupted = interrupted(call, store, Some(run_id)).await?;
    if is_same && interrupted.is_lost(intake) {
        how.abandon = true;
        return Ok(());
    }
    // who gives what it began with goes on with it, and everybody else is told what differs
    if !(is_same && interrupted.is_whole() || intake.postings.is_empty()) {
        return Ok(());
    }
    let begun = interrupted.intake()?;
    if is_same {
        tell(format_args!(
            "run {run_id} was interrupted and goes on first, with the postings that it began with; \
             the next call takes what is new"
        ));
    }
    how.only_new = false;
    let given = std::mem::replace(intake, begun);
    intake.read += given.refused.len();
    intake.refused = given.refused;
    Ok(())
}

async fn retry(
    args: RetryArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let RetryArgs { of: OneRunArgs { run, place, call }, which, dry_run, ids, how } = args;
    // whoever names no run may list ids all the same
    let is_dash = matches!(&run, Some(RunName::Beginning(text)) if text == "-");
    let run = run.filter(|_| !is_dash);
    let is_listed = is_dash || which.standard_input.is_some();
    let (call, run) = Box::pin(Call::of_run(call, run, &place, interrupts)).await?;
    let wanted = Wanted::new(&which, if is_listed { Some(listed()?) } else { None });
    let ignore_others = which.ignore_others;
    if dry_run {
        let asked = Asked { ids, ignore_others, abandon: how.abandon };
        return Box::pin(preview(&call, &run, wanted, asked, output)).await;
    }
    let mut words = wanted.words();
    if ignore_others {
        words += " --ignore-others";
    }
    let take = async |call: &Call<'_>, store: &Store| -> Result<Work, Failure> {
        let run = run_name::find(store, &run).await?;
        let selection = Box::pin(selected(call, store, run, wanted)).await?;
        selection.others().iter().for_each(tell);
        if !ignore_others {
            selection.refuse_others()?;
        }
        selection.refuse_nothing()?;
        check_placeholders(&call.definition, &selection.data_keys)?;
        let Selection { run_id, failed, intake, .. } = selection;
        if !call.args.pace.quiet {
            let all = counted(failed, "posting");
            match intake.postings.len() {
                count if count < failed => tell(format_args!(
                    "{count} of the {failed} postings that failed in run {run_id}, once more"
                )),
                _ => tell(format_args!("{all} failed in run {run_id}; once more")),
            }
        }
        // the same postings through the same definition are what is asked for
        let how = HowArgs { again: true, ..how };
        let again = call.again.as_deref().unwrap_or_default();
        let again = command(format_args!("run retry {run_id}{words}{again}"));
        let listed = if is_listed { ", with the same ids on standard input" } else { "" };
        Ok(Work { intake, how, go_on: format!("to go on{listed}: {again}") })
    };
    call.run(Access::Existing, output, take).await
}

async fn resume(
    args: OneRunArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let OneRunArgs { run, place, call } = args;
    let (call, run) = Box::pin(Call::of_run(call, run, &place, interrupts)).await?;
    let take = async |call: &Call<'_>, store: &Store| -> Result<Work, Failure> {
        let run = run_name::find(store, &run).await?;
        let intake = interrupted(call, store, run).await?.intake()?;
        Ok(Work { intake, how: HowArgs::default(), go_on: GO_ON.to_owned() })
    };
    call.run(Access::Existing, output, take).await
}

/// Refuses a definition with placeholders that nothing can fill for postings with these keys.
pub(super) fn check_placeholders(
    definition: &Definition,
    data_keys: &BTreeSet<String>,
) -> Result<(), Failure> {
    // what only an output could fill is no news at every run; `turing check --postings` tells it
    let errors: Vec<_> = definition
        .check_data(data_keys)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(DefinitionError::Wrong { path: definition.path.clone(), findings: errors }.into())
}
