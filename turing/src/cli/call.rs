//! What the commands that run a workflow have in common, from their begin to their report.

use std::path::Path;

use tokio::sync::watch;

use super::arguments::{CallArgs, HowArgs, PlaceArgs};
use super::interrupts::Interrupts;
use super::output::{Output, counted};
use super::progress::Progress;
use super::report::tell_done;
use super::run_name::RunName;
use super::signs::Signs;
use super::telling::{tell, tell_times};
use super::told::Taken;
use super::upkeep::{keep_read_models, not_kept};
use super::{Failure, Verdict, exit_code, held_back};
use crate::definition::Definition;
use crate::descriptors;
use crate::lock::RunLock;
use crate::metrics::{CONNECTIONS, Metrics, Serving};
use crate::proposal::quoted;
use crate::run::{Intake, RunOptions, RunOutcome, run};
use crate::script::THIS_PROGRAM;
use crate::store::{Access, Store, StoreUrl};

/// How most calls go on.
pub(super) const GO_ON: &str = "run the same command to go on";

/// A call that runs a workflow.
pub(super) struct Call<'a> {
    pub(super) args: CallArgs,
    pub(super) url: StoreUrl,
    pub(super) definition: Definition,
    pub(super) signs: Signs,
    /// Where metrics are served, if that is asked for.
    serving: Option<Serving>,
    /// What a command for one of its runs has behind the run, if its scripts are there as well when the
    /// call is over.
    pub(super) again: Option<String>,
    /// Whether postings that are refused or fail are meant to be.
    pub(super) is_example: bool,
    interrupts: &'a Interrupts,
}

/// What a call has to run.
pub(super) struct Work {
    pub(super) intake: Intake,
    pub(super) how: HowArgs,
    /// How to go on if it stops.
    pub(super) go_on: String,
}

/// What a request to run came to.
pub(super) struct Done {
    pub(super) outcome: RunOutcome,
    pub(super) taken: Taken,
    /// What keeps read models from being up to date.
    pub(super) read_models: Vec<String>,
    /// How to go on if it stopped.
    pub(super) go_on: String,
    /// Whether it was asked to stop.
    pub(super) was_asked: bool,
}

impl<'a> Call<'a> {
    /// Looks at all that can be wrong before the store is opened.
    pub(super) fn begin(
        args: CallArgs,
        workflow: &Path,
        interrupts: &'a Interrupts,
    ) -> Result<Self, Failure> {
        let url = ready(&args, interrupts)?;
        let definition = Definition::load(workflow)?;
        let signs = Signs::new(args.pace.quiet);
        let serving = serving(&args, &definition)?;
        let again = Some(format!(" --workflow {}", quoted(workflow.display())));
        Ok(Self { args, url, definition, signs, serving, again, is_example: false, interrupts })
    }

    /// The same for a run that there is, with the definition that is given, or else with its own as the
    /// store has it. Answers which run is meant, as far as that is known.
    pub(super) async fn of_run(
        args: CallArgs,
        run: Option<RunName>,
        place: &PlaceArgs,
        interrupts: &'a Interrupts,
    ) -> Result<(Self, Option<RunName>), Failure> {
        if let Some(file) = &place.workflow {
            return Ok((Self::begin(args, file, interrupts)?, run));
        }
        let url = ready(&args, interrupts)?;
        let store = Store::open(&url, Access::Read).await?;
        let found = place.definition(&store, &run).await;
        store.close().await;
        let (run_id, definition) = found?;
        let signs = Signs::new(args.pace.quiet);
        let folder = place.folder.as_ref();
        let again = folder.map(|folder| format!(" --folder {}", quoted(folder.display())));
        let again = Some(again.unwrap_or_default());
        let serving = serving(&args, &definition)?;
        let call =
            Self { args, url, definition, signs, serving, again, is_example: false, interrupts };
        Ok((call, Some(RunName::Whole(run_id))))
    }

    /// Runs what `take` finds in the store, and prints how that ended.
    pub(super) async fn run(
        self,
        access: Access,
        output: &mut Output,
        take: impl AsyncFnOnce(&Self, &Store) -> Result<Work, Failure>,
    ) -> Result<Verdict, Failure> {
        let store = Store::open(&self.url, access).await?;
        let done = async {
            // nothing is registered before it is certain that this process may run the workflow
            let lock = store.lock_run(self.definition.workflow.id).await?;
            let work = take(&self, &store).await?;
            let done = self.run_in(&store, lock, work).await?;
            self.signs.going().phase("reading how the run ended", 0, None);
            Ok::<_, Failure>(tell_done(&store, &done, &self, output).await)
        };
        let done = done.await;
        if let Some(serving) = &self.serving {
            serving.stop();
        }
        self.interrupts.over(exit_code(&done));
        store.close().await;
        done
    }

    /// Runs, and stops cleanly when the user interrupts. The lock is given back as soon as the run has
    /// ended: whoever cancels it then ends it, as nobody here hears that any more.
    async fn run_in(&self, store: &Store, lock: RunLock, work: Work) -> Result<Done, Failure> {
        held_back::warn(store).await;
        let Work { intake, how, go_on } = work;
        let refused = intake.refused.iter().map(ToString::to_string).collect();
        let taken = Taken { read: intake.read, repeated: intake.repeated(), refused };
        let options = self.options(&how)?;
        let (stop, stopped) = watch::channel(false);
        let going = self.signs.going();
        let metrics = self.serving.as_ref().map(Serving::metrics);
        if let Some(metrics) = metrics {
            metrics.ask(store).await;
        }
        let mut progress = Progress::new(&self.definition, &self.url, going, metrics.cloned());
        let mut heard = self.interrupts.going()?;
        let definition = self.definition.clone();
        let running = run(store, &lock, definition, intake, options, stopped, &mut progress);
        let mut running = Box::pin(running);
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
        drop(running);
        drop(lock);
        let was_asked = *stop.borrow();
        if let (Some(metrics), RunOutcome::Finished(report) | RunOutcome::Stopped(report)) =
            (metrics, &outcome)
        {
            metrics.events(report.events);
        }
        going.phase("bringing the read models up to date", 0, None);
        let read_models =
            if was_asked { not_kept() } else { keep_read_models(store, &mut heard).await };
        if let RunOutcome::AlreadyCompleted(_) = outcome {
            self.interrupts.before()?;
        }
        Ok(Done { outcome, taken, read_models, go_on, was_asked })
    }

    /// How the run is carried out, with no more attempts at once than there are descriptors for.
    fn options(&self, how: &HowArgs) -> Result<RunOptions, Failure> {
        descriptors::check_attempt().map_err(Failure::NoAttempt)?;
        let mut options = RunOptions::new(THIS_PROGRAM);
        options.parallelism = self.args.pace.parallel.unwrap_or(options.parallelism);
        let connections = self.serving.as_ref().map_or(0, |_| CONNECTIONS);
        let enough_for = descriptors::enough_for(connections);
        if options.parallelism > enough_for
            && let Some(limit) = descriptors::limit()
        {
            tell(format_args!(
                "the limit of {limit} open files allows {} at a time, not {}; raise it, with `ulimit \
                 -n` or where it is set, to go faster",
                counted(enough_for.get(), "attempt"),
                options.parallelism
            ));
            options.parallelism = enough_for;
        }
        options.again = how.again;
        options.only_new = how.only_new;
        options.abandon = how.abandon;
        options.waits_out_pauses = self.args.wait;
        options.snapshot_interval = self.args.pace.snapshot_interval()?;
        Ok(options)
    }
}

/// Serves metrics, if that is asked for, from before anything else is begun.
fn serving(args: &CallArgs, definition: &Definition) -> Result<Option<Serving>, Failure> {
    let Some(address) = args.metrics else { return Ok(None) };
    let serving = Serving::begin(address, Metrics::new(&definition.workflow))
        .map_err(|source| Failure::Metrics { address, source })?;
    // nobody else knows which port the system chose
    if !args.pace.quiet || address.port() == 0 {
        tell(format_args!("metrics are at http://{}/metrics", serving.address()));
    }
    Ok(Some(serving))
}

/// Looks at all that can be wrong beside the definition, and answers which store it is about.
fn ready(args: &CallArgs, interrupts: &Interrupts) -> Result<StoreUrl, Failure> {
    tell_times();
    interrupts.before()?;
    let url = args.common.store()?;
    args.pace.snapshot_interval()?;
    Ok(url)
}
