//! `turing run`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use turing_domain::{ConversationId, RunId, Severity, Workflow};

use super::check::summary;
use super::output::{Output, rows, shown, table, tell};
use super::progress::Progress;
use super::retry::failed_postings;
use super::{Common, Failure, HowArgs, RetryArgs, RunArgs, RunCommand, StartArgs};
use crate::definition::{Definition, DefinitionError};
use crate::run::{Intake, Report, RunOptions, RunOutcome, run, take_in};
use crate::store::{Access, Store};

pub(super) async fn execute(args: RunArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    match args.command {
        None => start(args.start, output).await,
        Some(RunCommand::Show(args)) => {
            let store = Store::open(&args.common.store()?, Access::Read).await?;
            let done = super::show::execute(&store, args.run, args.common.json, output).await;
            store.close().await;
            done
        }
        Some(RunCommand::Retry(args)) => retry(args, output).await,
    }
}

async fn start(args: StartArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let url = args.common.store()?;
    let (workflow, postings) =
        (args.workflow.unwrap_or_default(), args.postings.unwrap_or_default());
    let definition = Definition::load(&workflow)?;
    let workflow = definition.workflow.clone();
    let store = Store::open(&url, Access::Write).await?;
    let outcome = match take_in(&*store.postings, &postings).await {
        Ok(intake) => run_in(&store, definition, intake, args.how).await,
        Err(error) => Err(error.into()),
    };
    store.close().await;
    tell_outcome(&outcome?, &workflow, &args.common, output)
}

async fn retry(mut args: RetryArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let url = args.common.store()?;
    let definition = Definition::load(&args.workflow)?;
    let workflow = definition.workflow.clone();
    let store = Store::open(&url, Access::Write).await?;
    let outcome = match failed_postings(&store, args.run).await {
        Ok((run_id, intake)) => {
            let count = intake.postings.len();
            tell(format_args!("{count} postings failed in run {run_id}; once more"));
            // the same postings through the same definition are what is asked for
            args.how.again = true;
            run_in(&store, definition, intake, args.how).await
        }
        Err(failure) => Err(failure),
    };
    store.close().await;
    tell_outcome(&outcome?, &workflow, &args.common, output)
}

/// Runs, and stops cleanly when the user interrupts.
pub(super) async fn run_in(
    store: &Store,
    definition: Definition,
    intake: Intake,
    how: HowArgs,
) -> Result<RunOutcome, Failure> {
    // what only an output could fill is no news at every run; `turing check --postings` tells it
    let errors: Vec<_> = definition
        .check_data(&intake.data_keys)
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .collect();
    if !errors.is_empty() {
        let path = definition.path.clone();
        return Err(DefinitionError::Wrong { path, findings: errors }.into());
    }
    definition.warnings.iter().for_each(tell);
    if !definition.warnings.is_empty() {
        tell(summary(&definition.warnings));
    }
    for refused in &intake.refused {
        tell(format_args!("refused: {}", shown(&refused.to_string(), 300)));
    }
    let mut options = RunOptions::default();
    options.parallelism = how.parallel.unwrap_or(options.parallelism);
    options.again = how.again;
    options.abandon = how.abandon;
    options.snapshot_interval = how.snapshot_interval;
    let (stop, stopped) = watch::channel(false);
    let mut progress = Progress::new();
    let running = run(store, definition, intake, options, stopped, &mut progress);
    tokio::pin!(running);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            outcome = &mut running => return Ok(outcome?),
            Ok(()) = tokio::signal::ctrl_c() => {}
            Some(()) = terminate.recv() => {}
        }
        if stop.send_replace(true) {
            // asked twice: the future is dropped, which ends all scripts
            return Err(Failure::Interrupted);
        }
        tell("stopping: attempts in progress finish; press Ctrl-C again to end them");
    }
}

/// Prints how the run ended; the exit code says whether anything was refused, failed or is open.
pub(super) fn tell_outcome(
    outcome: &RunOutcome,
    workflow: &Workflow,
    common: &Common,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let report = match outcome {
        RunOutcome::AlreadyCompleted(run_id) => {
            already_completed(*run_id, workflow, common, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        RunOutcome::Finished(report) | RunOutcome::Stopped(report) => report,
    };
    if common.json {
        output.json(report)?;
    } else {
        tell_report(report, workflow, output)?;
        if report.open > 0 {
            output.line("\nstopped; run the same command to go on")?;
        }
    }
    let is_clean = report.open == 0 && report.refused.is_empty() && report.failed() == 0;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn already_completed(
    run_id: RunId,
    workflow: &Workflow,
    common: &Common,
    output: &mut Output,
) -> Result<(), Failure> {
    if common.json {
        return output.json(&serde_json::json!({"already_completed": run_id, "added_events": 0}));
    }
    let Workflow { id, name, .. } = workflow;
    output.line(format_args!(
        "Nothing to do: run {run_id} of workflow {id} ({name}) has completed these postings with \
         this definition, so no event was added.\nUse --again to run them once more."
    ))?;
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
        workflow.id, workflow.name, report.events
    ))?;
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
