//! `turing run`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use es_core::StoreErrorKind;
use es_core::projection::SinkError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use turing_domain::{ConversationId, Severity, Workflow};

use super::check::summary;
use super::held_back;
use super::output::{Output, rows, shown, table, tell};
use super::progress::Progress;
use super::retry::{FailedPostings, failed_postings};
use super::{Common, Failure, HowArgs, RetryArgs, RunArgs, RunCommand, StartArgs};
use crate::account::{RunAccount, account_of};
use crate::definition::{Definition, DefinitionError};
use crate::descriptors;
use crate::lock::RunLock;
use crate::read_models::{claim, definitions, runner};
use crate::run::{
    Intake, IntakeError, Left, Report, RunOptions, RunOutcome, data_keys, run, take_in,
};
use crate::script::THIS_PROGRAM;
use crate::store::{Access, Store};

pub(super) async fn execute(args: RunArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    match args.command {
        None => start(args.start, output).await,
        Some(RunCommand::Show(args)) => {
            let store = Store::open(&args.common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = super::show::execute(&store, args.run, args.common.json, output).await;
            store.close().await;
            done
        }
        Some(RunCommand::Retry(args)) => retry(args, output).await,
    }
}

async fn start(args: StartArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let url = args.common.store()?;
    args.how.snapshot_interval()?;
    let (file, postings) = (args.workflow.unwrap_or_default(), args.postings.unwrap_or_default());
    let definition = Definition::load(&file)?;
    check_placeholders(&definition, &data_keys(&postings).map_err(IntakeError::from)?)?;
    let store = Store::open(&url, Access::Write).await?;
    let done = async {
        // nothing is registered before it is certain that this process may run the workflow
        let lock = store.lock_run(definition.workflow.id).await?;
        let intake = take_in(&*store.postings, &postings).await?;
        let done = run_in(&store, &lock, &definition, intake, args.how).await?;
        tell_done(&store, &done, &definition.workflow, &args.common, output).await
    };
    let done = done.await;
    store.close().await;
    done
}

async fn retry(mut args: RetryArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let url = args.common.store()?;
    args.how.snapshot_interval()?;
    let definition = Definition::load(&args.workflow)?;
    let store = Store::open(&url, Access::Write).await?;
    let done = async {
        let lock = store.lock_run(definition.workflow.id).await?;
        let FailedPostings { run_id, intake, data_keys } =
            failed_postings(&store, args.run, definition.workflow.id).await?;
        check_placeholders(&definition, &data_keys)?;
        let count = intake.postings.len();
        tell(format_args!("{count} postings failed in run {run_id}; once more"));
        // the same postings through the same definition are what is asked for
        args.how.again = true;
        let mut done = run_in(&store, &lock, &definition, intake, args.how).await?;
        let file = args.workflow.display();
        done.go_on = format!("to go on: turing run retry {run_id} --workflow {file}");
        tell_done(&store, &done, &definition.workflow, &args.common, output).await
    };
    let done = done.await;
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
    refused: usize,
    /// How to go on if it stopped.
    go_on: String,
}

/// Runs, and stops cleanly when the user interrupts.
pub(super) async fn run_in(
    store: &Store,
    lock: &RunLock,
    definition: &Definition,
    intake: Intake,
    how: HowArgs,
) -> Result<Done, Failure> {
    held_back::warn(store).await;
    definition.warnings.iter().for_each(tell);
    if !definition.warnings.is_empty() {
        tell(summary(&definition.warnings));
    }
    for refused in &intake.refused {
        tell(format_args!("refused: {}", shown(&refused.to_string(), 300)));
    }
    let refused = intake.refused.len();
    let go_on = "run the same command to go on".to_owned();
    let mut options = RunOptions::new(THIS_PROGRAM);
    options.parallelism = how.parallel.unwrap_or(options.parallelism);
    let enough_for = descriptors::enough_for();
    if options.parallelism > enough_for {
        tell(format_args!(
            "{enough_for} postings are attempted side by side and not {}: the limit of open files \
             allows no more; raise it with `ulimit -Hn`",
            options.parallelism
        ));
        options.parallelism = enough_for;
    }
    options.again = how.again;
    options.abandon = how.abandon;
    options.snapshot_interval = how.snapshot_interval()?;
    let (stop, stopped) = watch::channel(false);
    let mut progress = Progress::new();
    let running = run(store, lock, definition.clone(), intake, options, stopped, &mut progress);
    tokio::pin!(running);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            outcome = &mut running => {
                let outcome = outcome?;
                tokio::select! {
                    () = keep_read_models(store) => {}
                    Ok(()) = tokio::signal::ctrl_c() => {}
                    Some(()) = terminate.recv() => {}
                }
                return Ok(Done { outcome, refused, go_on });
            }
            Ok(()) = tokio::signal::ctrl_c() => {}
            Some(()) = terminate.recv() => {}
        }
        if stop.send_replace(true) {
            // asked twice: the future is dropped, which ends all scripts
            return Err(Failure::Interrupted);
        }
        tell("stopping: attempts in progress finish; interrupt again to end them");
    }
}

/// Brings the read models up to date that nobody else keeps, if this user may write them. They can
/// be made at any time, so their failure is told and fails no run.
async fn keep_read_models(store: &Store) {
    let kept = async {
        let (mut free, mut left) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
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
                    let name = definition.name();
                    tell(format_args!("{error}: `turing projection rebuild {name} --switch`"));
                }
                // whoever runs workflows need not be whoever keeps models
                Err(SinkError::Store(error)) if error.kind() == StoreErrorKind::ReadOnly => {}
                Err(error) => return Err(error.into()),
            }
        }
        for ((holder, until), models) in left {
            tell(format_args!(
                "left to `{}`, whose lease lasts until {until} at least: {}; if it has been \
                 killed, `turing projection run --once` brings them up to date after that",
                shown(&holder, 80),
                models.join(", ")
            ));
        }
        let mut runner = runner(store, free);
        let done = runner.catch_up().await;
        runner.release().await;
        done.map_err(Failure::from)
    };
    if let Err(error) = kept.await {
        tell(format_args!("the read models are not up to date: {error}"));
        tell("`turing projection list` says more; the run is not concerned");
    }
}

/// Prints how the run ended; the exit code says whether anything was refused, failed or is open.
pub(super) async fn tell_done(
    store: &Store,
    done: &Done,
    workflow: &Workflow,
    common: &Common,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let is_clean = match &done.outcome {
        RunOutcome::AlreadyCompleted(run_id) => {
            let account = account_of(store, Some(*run_id), None).await?;
            already_completed(&account, workflow, common, output)?;
            done.refused == 0 && account.failed() == 0
        }
        RunOutcome::Finished(report) | RunOutcome::Stopped(report) => {
            match common.json {
                true => output.json(report)?,
                false => tell_report(report, workflow, output)?,
            }
            if report.open > 0 && !common.json {
                tell_left(&report.left, output)?;
                output.line(format_args!("\nstopped; {}", done.go_on))?;
            }
            report.open == 0 && report.refused.is_empty() && report.failed() == 0
        }
    };
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What keeps postings open that the run went on without.
fn tell_left(left: &[Left], output: &mut Output) -> Result<(), Failure> {
    if !left.is_empty() {
        output.line(format_args!("\n{} of the open postings cannot go on:", left.len()))?;
    }
    for Left { posting, reason } in left {
        output.line(format_args!("  {posting}: {}", shown(reason, 1000)))?;
    }
    Ok(())
}

fn already_completed(
    account: &RunAccount,
    workflow: &Workflow,
    common: &Common,
    output: &mut Output,
) -> Result<(), Failure> {
    let RunAccount { run_id, ended, .. } = account;
    if common.json {
        return output.json(&serde_json::json!({
            "already_completed": run_id, "added_events": 0, "ended": ended,
        }));
    }
    let (id, name) = (workflow.id, shown(&workflow.name, 60));
    let reasons: Vec<_> = ended.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    output.line(format_args!(
        "Nothing to do: run {run_id} of workflow {id} ({name}) has completed these postings with \
         this definition ({}), so no event was added.\nUse --again to run them once more.",
        reasons.join(", ")
    ))?;
    if account.failed() > 0 {
        output.line("`turing run retry` repeats only those that failed.")?;
    }
    Ok(())
}

fn tell_report(report: &Report, workflow: &Workflow, output: &mut Output) -> Result<(), Failure> {
    let name_of = |id: ConversationId| match workflow.conversation(id) {
        Some(conversation) => format!("{id} {}", shown(&conversation.name, 40)),
        None => id.to_string(),
    };
    let Report { run_id, read, repeated, postings, open, .. } = report;
    let refused = report.refused.len();
    let (ended, seconds) = (postings - open, report.elapsed.as_secs_f64());
    let rate = report.events as f64 / seconds.max(f64::MIN_POSITIVE);
    output.line(format_args!(
        "\nrun {run_id} of workflow {} ({}): {seconds:.1} s, {} events, {rate:.0} a second\n",
        workflow.id,
        shown(&workflow.name, 60),
        report.events
    ))?;
    if report.is_continued {
        output.line(
            "  time, events and attempts are those since the run was continued; `turing run show` \
             has all\n",
        )?;
    }
    output.line(format_args!(
        "  {read} read = {postings} postings + {refused} refused + {repeated} repeated"
    ))?;
    output.line(format_args!("  {postings} postings = {ended} ended + {open} open\n"))?;

    let mut endings = table(&["ended", "at", "postings"], &[2]);
    let mut sorted: Vec<_> = report.ended.iter().collect();
    sorted.sort_by_key(|ending| (&ending.reason, ending.conversation));
    for ending in sorted {
        let at = ending.conversation.map_or_else(|| "-".to_owned(), name_of);
        endings.add_row([ending.reason.to_string(), at, ending.postings.to_string()]);
    }
    output.line(rows(&endings))?;

    let mut work = table(&["\nconversation", "\ncompleted", "\nfailed", "\nmean time"], &[1, 2, 3]);
    for (id, done) in &report.conversations {
        let attempts = u32::try_from(done.completed + done.failures()).unwrap_or(u32::MAX);
        let mean = done.worked.checked_div(attempts).unwrap_or(Duration::ZERO);
        let failed: BTreeMap<_, _> = done.failed.iter().collect();
        let failed: Vec<_> = failed.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let failed = if failed.is_empty() { "0".to_owned() } else { failed.join(", ") };
        let mean = format!("{:.0} ms", mean.as_secs_f64() * 1000.0);
        work.add_row([name_of(*id), done.completed.to_string(), failed, mean]);
    }
    output.line(rows(&work))?;
    Ok(())
}
