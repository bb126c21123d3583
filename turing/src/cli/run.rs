//! `turing run`.

use std::collections::{BTreeMap, BTreeSet};

use es_core::StoreErrorKind;
use es_core::projection::SinkError;
use tokio::sync::watch;
use turing_domain::Severity;

use super::arguments::ResumeArgs;
use super::held_back;
use super::interrupts::Interrupts;
use super::output::{Output, counted, shown};
use super::postings::{Seen, tell_refused};
use super::progress::Progress;
use super::report::tell_done;
use super::resume::{interrupted, open_run};
use super::retry::{FailedPostings, failed_postings};
use super::telling::{tell, tell_times};
use super::{
    Failure, HowArgs, RetryArgs, RunArgs, RunCommand, StartArgs, Verdict, exit_code, run_name,
};
use crate::definition::{Definition, DefinitionError};
use crate::descriptors;
use crate::lock::RunLock;
use crate::postings::PostingSource;
use crate::proposal::{command, quoted};
use crate::read_models::{claim, definitions, runner};
use crate::run::{Intake, RunOptions, RunOutcome, run, take_in};
use crate::script::THIS_PROGRAM;
use crate::store::postgres::{Role, missing_grant};
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
        Some(RunCommand::Retry(args)) => retry(args, interrupts, output).await,
        Some(RunCommand::Resume(args)) => resume(args, interrupts, output).await,
    }
}

async fn start(
    mut args: StartArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    tell_times();
    interrupts.before()?;
    let url = args.common.store()?;
    args.how.pace.snapshot_interval()?;
    let (file, postings) = (args.workflow.unwrap_or_default(), args.postings.unwrap_or_default());
    let definition = Definition::load(&file)?;
    let postings = PostingSource::named(&postings)?;
    let seen = Seen::of(&postings)?;
    let has_none = seen.is_nothing() || seen.keys().is_err();
    // a run that goes on first needs no posting that is new
    let goes_on =
        has_none && args.new && !args.how.abandon && has_open_run(&url, &definition).await?;
    if seen.is_nothing() && !goes_on {
        if args.common.json || !args.how.pace.quiet {
            seen.print_nothing(args.common.json, output);
        }
        return Ok(Verdict::Well);
    }
    if !goes_on {
        check_placeholders(&definition, seen.keys()?)?;
    }
    let store = Store::open(&url, Access::Write).await?;
    let done = async {
        // nothing is registered before it is certain that this process may run the workflow
        let lock = store.lock_run(definition.workflow.id).await?;
        let mut intake = take_in(&*store.postings, &postings).await?;
        let refused = intake.refused.iter();
        refused.filter(|refused| !seen.has_told(refused)).for_each(tell_refused);
        args.how.only_new = args.new;
        if args.new && !args.how.abandon {
            prefer_interrupted(&store, &definition, &mut intake, &mut args.how).await?;
        }
        let mut done =
            run_in(&store, &url, &lock, &definition, intake, args.how, interrupts).await?;
        if let PostingSource::Kept(_) = &postings {
            done.go_on += ", with the same postings on standard input";
        }
        Ok::<_, Failure>(tell_done(&store, &done, &definition.workflow, &args.common, output).await)
    };
    let done = done.await;
    interrupts.over(exit_code(&done));
    store.close().await;
    done
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
    store: &Store,
    definition: &Definition,
    intake: &mut Intake,
    how: &mut HowArgs,
) -> Result<(), Failure> {
    let workflow = definition.workflow.id;
    let Some(open) = open_run(store, workflow).await? else { return Ok(()) };
    let run_id = open.run_id;
    let is_same = open.definition_digest.as_ref() == Some(&definition.digest);
    let interrupted = interrupted(store, Some(run_id), workflow).await?;
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
    mut args: RetryArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    tell_times();
    interrupts.before()?;
    let url = args.common.store()?;
    args.how.pace.snapshot_interval()?;
    let definition = Definition::load(&args.workflow)?;
    let store = Store::open(&url, Access::Write).await?;
    let done = async {
        let lock = store.lock_run(definition.workflow.id).await?;
        let run = run_name::find(&store, &args.run).await?;
        let FailedPostings { run_id, intake, data_keys } =
            failed_postings(&store, run, definition.workflow.id).await?;
        check_placeholders(&definition, &data_keys)?;
        let count = intake.postings.len();
        if !args.how.pace.quiet {
            let count = counted(count, "posting");
            tell(format_args!("{count} failed in run {run_id}; once more"));
        }
        // the same postings through the same definition are what is asked for
        args.how.again = true;
        let mut done =
            run_in(&store, &url, &lock, &definition, intake, args.how, interrupts).await?;
        let words = format!("run retry {run_id} --workflow {}", quoted(args.workflow.display()));
        done.go_on = format!("to go on: {}", command(words));
        Ok::<_, Failure>(tell_done(&store, &done, &definition.workflow, &args.common, output).await)
    };
    let done = done.await;
    interrupts.over(exit_code(&done));
    store.close().await;
    done
}

async fn resume(
    args: ResumeArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    tell_times();
    interrupts.before()?;
    let url = args.common.store()?;
    args.pace.snapshot_interval()?;
    let definition = Definition::load(&args.workflow)?;
    let store = Store::open(&url, Access::Existing).await?;
    let done = async {
        let lock = store.lock_run(definition.workflow.id).await?;
        let run = run_name::find(&store, &args.run).await?;
        let intake = interrupted(&store, run, definition.workflow.id).await?.intake()?;
        let how = HowArgs { pace: args.pace, again: false, abandon: false, only_new: false };
        let done = run_in(&store, &url, &lock, &definition, intake, how, interrupts).await?;
        Ok::<_, Failure>(tell_done(&store, &done, &definition.workflow, &args.common, output).await)
    };
    let done = done.await;
    interrupts.over(exit_code(&done));
    store.close().await;
    done
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

/// What a request to run came to.
pub(super) struct Done {
    pub(super) outcome: RunOutcome,
    /// How many postings were refused.
    pub(super) refused: usize,
    /// What keeps read models from being up to date.
    pub(super) read_models: Vec<String>,
    /// How to go on if it stopped.
    pub(super) go_on: String,
    /// Whether it was asked to stop.
    pub(super) was_asked: bool,
    /// Whether nothing is to be told of what went well.
    pub(super) is_quiet: bool,
}

/// Runs, and stops cleanly when the user interrupts.
pub(super) async fn run_in(
    store: &Store,
    url: &StoreUrl,
    lock: &RunLock,
    definition: &Definition,
    intake: Intake,
    how: HowArgs,
    interrupts: &Interrupts,
) -> Result<Done, Failure> {
    held_back::warn(store).await;
    let refused = intake.refused.len();
    let go_on = "run the same command to go on".to_owned();
    let mut options = RunOptions::new(THIS_PROGRAM);
    options.parallelism = how.pace.parallel.unwrap_or(options.parallelism);
    let enough_for = descriptors::enough_for();
    if options.parallelism > enough_for
        && let Some(limit) = descriptors::limit()
    {
        tell(format_args!(
            "the limit of {limit} open files allows {} at a time, not {}; raise it, with `ulimit -n` \
             or where it is set, to go faster",
            counted(enough_for.get(), "attempt"),
            options.parallelism
        ));
        options.parallelism = enough_for;
    }
    options.again = how.again;
    options.only_new = how.only_new;
    options.abandon = how.abandon;
    options.snapshot_interval = how.pace.snapshot_interval()?;
    let (stop, stopped) = watch::channel(false);
    let mut progress = Progress::new(definition, url, how.pace.quiet);
    let going = progress.going();
    let mut heard = interrupts.going()?;
    let running = run(store, lock, definition.clone(), intake, options, stopped, &mut progress);
    tokio::pin!(running);
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome?,
            Ok(()) = heard.changed() => {}
        }
        if *heard.borrow() > 1 {
            // asked twice: the future is dropped, which ends all scripts
            return Err(Failure::Interrupted);
        }
        stop.send_replace(true);
        tell(format_args!("stopping: {}; interrupt again to end at once", going.stopping()));
    };
    let was_asked = *stop.borrow();
    let read_models =
        if was_asked { not_kept() } else { keep_read_models(store, &mut heard).await };
    if let RunOutcome::AlreadyCompleted(_) = outcome {
        interrupts.before()?;
    }
    Ok(Done { outcome, refused, read_models, go_on, was_asked, is_quiet: how.pace.quiet })
}

/// What is said of read models where somebody does not want to wait for them.
fn not_kept() -> Vec<String> {
    vec![format!(
        "the read models were not brought up to date, because the run was interrupted: `{}` does it",
        command("projection run --once")
    )]
}

/// What is said of read models that this login may not write.
async fn not_allowed(store: &Store, models: &[String]) -> String {
    let models = models.join(", ");
    let grant = match store.database() {
        Some(database) => missing_grant(database, Role::Projector).await,
        None => None,
    };
    let way = grant.map_or_else(String::new, |grant| format!("{grant}; or "));
    format!(
        "not brought up to date, because this login may not write them: {models}; {way}`{}` by a \
         login that may does it",
        command("projection run --once")
    )
}

/// Brings the read models up to date that nobody else keeps, if this user may write them. They can
/// be made at any time, so their failure fails no run: answers what keeps them from it.
async fn keep_read_models(store: &Store, heard: &mut watch::Receiver<u32>) -> Vec<String> {
    let mut told = Vec::new();
    let kept = async {
        let (mut free, mut left) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
        let mut denied = Vec::new();
        for definition in definitions(store) {
            match store.models.acquire(&claim(&definition)).await {
                Ok(lease) => {
                    store.models.release(&lease).await?;
                    free.push(definition);
                }
                Err(SinkError::Held { projection, holder, expires_at }) => {
                    left.entry((holder, expires_at)).or_default().push(projection);
                }
                // a model of an older program keeps no other from its place
                Err(error @ SinkError::Changed { .. }) => {
                    let words = format!("projection rebuild {} --switch", definition.name());
                    told.push(format!("{error}: `{}`", command(words)));
                }
                // whoever runs workflows need not be whoever keeps models
                Err(SinkError::Store(error)) if error.kind() == StoreErrorKind::ReadOnly => {
                    denied.push(definition.name().to_owned());
                }
                Err(error) => return Err(error.into()),
            }
        }
        for ((holder, until), models) in left {
            told.push(format!(
                "left to `{}`, whose lease lasts until {until} at least: {}; if it has been \
                 killed, `{}` brings them up to date after that",
                shown(&holder, 80),
                models.join(", "),
                command("projection run --once")
            ));
        }
        if !denied.is_empty() {
            told.push(not_allowed(store, &denied).await);
        }
        let mut runner = runner(store, free);
        let done = tokio::select! {
            done = runner.catch_up() => done.map(|_| true),
            Ok(()) = heard.changed() => Ok(false),
        };
        // or whoever is told to bring them up to date would wait for our lease
        runner.release().await;
        done.map_err(Failure::from)
    };
    let kept = kept.await;
    if let Ok(false) = kept {
        told.extend(not_kept());
    }
    if let Err(error) = kept {
        told.push(format!(
            "the read models are not up to date: {error}; `{}` says more, and the run is not \
             concerned",
            command("projection list")
        ));
    }
    told
}
