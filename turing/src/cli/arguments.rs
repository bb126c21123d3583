//! What the commands take.

use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use es_core::Aggregate;
use turing_domain::{
    ActorBreaker, ConversationId, ConversationWaves, Cutover, EndReason, FailureType, Posting,
    PostingId, WorkflowRuns,
};

use super::Failure;
use super::operate::{CancelArgs, PauseArgs, UnpauseArgs};
use super::output::shown;
use super::retry::{Field, StandardInput};
use super::run_name::RunName;
use crate::metrics::address;
use crate::run::DEFAULT_SNAPSHOT_INTERVAL;
use crate::store::StoreUrl;

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(super) struct Common {
    /// Where the events are: sqlite:PATH, postgres://USER@HOST:PORT/DATABASE or memory:
    // a text here, because the parser repeats what it refuses, and an address may hold a password
    #[arg(
        long,
        value_name = "URL",
        env = "TURING_STORE",
        hide_env_values = true,
        default_value = "sqlite:turing.db"
    )]
    pub(super) store: String,
    /// Print JSON instead of text: an object, a list (check, validate, projection) or an object a line
    /// (events, why, snapshot list).
    #[arg(long)]
    pub(super) json: bool,
}

/// What every command takes that runs a workflow.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    #[command(flatten)]
    pub(super) common: Common,
    /// Serve metrics for Prometheus at this address while it runs, such as 127.0.0.1:9464; with port 0 at
    /// one that is free, which is told.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub(super) metrics: Option<SocketAddr>,
    /// Wait for somebody to end a pause that has no end, instead of ending the call when nothing but such
    /// pauses keeps the run from going on.
    #[arg(long)]
    pub(super) wait: bool,
    #[command(flatten)]
    pub(super) pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Write the example's files into this folder and keep them, to read and to change. Nothing that
    /// is there is overwritten: where a file of this name is another one, nothing is done.
    #[arg(long, value_name = "FOLDER")]
    pub(super) files: Option<PathBuf>,
    #[command(flatten)]
    pub(super) call: CallArgs,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct RunArgs {
    #[command(subcommand)]
    pub(super) command: Option<RunCommand>,
    #[command(flatten)]
    pub(super) start: StartArgs,
}

impl RunArgs {
    /// True if the answer is all that there is of it.
    pub(super) fn only_looks(&self) -> bool {
        match &self.command {
            Some(RunCommand::Show(_)) => true,
            Some(RunCommand::Retry(args)) => args.dry_run,
            None
            | Some(
                RunCommand::Resume(_)
                | RunCommand::Migrate(_)
                | RunCommand::Pause(_)
                | RunCommand::Unpause(_)
                | RunCommand::Cancel(_),
            ) => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// Print the account of a run: by conversation what is done, failed and open, and how fast.
    Show(ShowArgs),
    /// Run the postings that failed in a run once more, as a run of their own.
    Retry(Box<RetryArgs>),
    /// Go on with a run that was interrupted, with the postings that it began with; a `run retry`,
    /// too.
    Resume(OneRunArgs),
    /// Have a run that is in progress, and that no process carries out now, go on by another definition:
    /// its open postings stay where they stand, and what was counted stays.
    Migrate(MigrateRunArgs),
    /// Have no attempt of a run begin from now on, or none at one of its conversations, for a reason and
    /// perhaps until a time. Attempts in progress end, and are recorded.
    Pause(PauseArgs),
    /// End a pause of a run. Whoever works on it goes on at once.
    Unpause(UnpauseArgs),
    /// Give a run up: no attempt begins any more, and every posting that is open in it ends as abandoned.
    /// It is done by whoever works on the run, or else by this call.
    Cancel(CancelArgs),
}

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The workflow definition, a TOML file.
    #[arg(long, value_name = "FILE", required = true)]
    pub(super) workflow: Option<PathBuf>,
    /// The postings: a .json, .jsonl, .ndjson, .txt or .md file, a folder of them, or - for JSON
    /// lines on standard input.
    #[arg(long, value_name = "PATH", required = true)]
    pub(super) postings: Option<PathBuf>,
    /// Take only the postings that no run of this workflow has completed; if one was interrupted, go
    /// on with that one instead.
    #[arg(long)]
    pub(super) new: bool,
    #[command(flatten)]
    pub(super) call: CallArgs,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run's id, or the beginning of it [default: the run that began last]
    pub(super) run: Option<RunName>,
    /// List the postings that ended otherwise than as completed instead, each with its error; with
    /// --failed=TYPE those only that failed so, such as timeout, or ended for that reason.
    #[arg(
        long,
        value_name = "TYPE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(super) failed: Option<String>,
    /// Print ids of postings only, one a line: of all that have entered the run, or with --failed, --open
    /// or --waiting of those.
    #[arg(long, conflicts_with = "definition")]
    pub(super) ids: bool,
    /// Of the postings that have not ended.
    #[arg(long, requires = "ids", conflicts_with_all = ["failed", "waiting"])]
    pub(super) open: bool,
    /// Of the postings of which a failed attempt waits to be repeated.
    #[arg(long, requires = "ids", conflicts_with = "failed")]
    pub(super) waiting: bool,
    /// Print the definition that the run is carried out by instead, word for word as its file had it.
    #[arg(long, conflicts_with = "failed")]
    pub(super) definition: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct MigrateRunArgs {
    /// The run's id, or the beginning of it.
    pub(super) run: RunName,
    /// The definition by which it is to go on, a TOML file.
    #[arg(long, value_name = "FILE")]
    pub(super) definition: PathBuf,
    /// Write nothing: say which postings would be moved, from where, and which could not be.
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// Where the definition of a run that there is comes from.
#[derive(Debug, Default, Args)]
pub(super) struct PlaceArgs {
    /// The workflow definition, a TOML file; to go on, the one that the run began with or was moved to
    /// [default: that one, as the store has it]
    #[arg(long, value_name = "FILE")]
    pub(super) workflow: Option<PathBuf>,
    /// Where the scripts of the definition in the store are [default: the folder of its file]
    #[arg(long, value_name = "DIR", conflicts_with = "workflow")]
    pub(super) folder: Option<PathBuf>,
}

/// A run that there is.
#[derive(Debug, Args)]
pub(super) struct OneRunArgs {
    /// The run's id, or the beginning of it [default: the run that began last, of the workflow if its
    /// definition is given]
    pub(super) run: Option<RunName>,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    pub(super) call: CallArgs,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    #[command(flatten)]
    pub(super) of: OneRunArgs,
    #[command(flatten)]
    pub(super) which: WhichArgs,
    /// Begin nothing: print which postings would be run, by how they failed, what is left out, and what
    /// they cost in that run.
    #[arg(long, conflicts_with = "metrics")]
    pub(super) dry_run: bool,
    /// Print the ids of all that would be run only, one a line.
    #[arg(long, requires = "dry_run")]
    pub(super) ids: bool,
    #[command(flatten)]
    pub(super) how: HowArgs,
}

/// Which of the postings that failed are meant: those that have one of each kind that is given.
#[derive(Debug, Default, Args)]
pub(super) struct WhichArgs {
    /// Only postings that failed so, such as timeout; give it more than once for several kinds.
    #[arg(long, value_name = "TYPE", value_parser = failure_type)]
    pub(super) failed: Vec<FailureType>,
    /// Only postings of this id, or of one of these.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(super) posting: Vec<PostingId>,
    /// Only postings that failed at this conversation, or at one of these.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    pub(super) conversation: Vec<ConversationId>,
    /// Only postings that ended for this reason, such as run_budget, or for one of these.
    #[arg(long, value_name = "END_REASON", value_parser = end_reason)]
    pub(super) reason: Vec<EndReason>,
    /// Only postings with this value in their data, which is JSON, or else a text: `/place/country=AT`,
    /// `/pay=100`; several of one field are alternatives, and of several fields each must fit.
    #[arg(long = "where", value_name = "JSONPOINTER=VALUE")]
    pub(super) fields: Vec<Field>,
    /// Only postings whose ids stand on standard input, one a line.
    #[arg(value_name = "-")]
    pub(super) standard_input: Option<StandardInput>,
    /// Leave ids out that are not in the run, or did not fail there; without it nothing is begun then.
    #[arg(long)]
    pub(super) ignore_others: bool,
}

#[derive(Debug, Default, Args)]
pub(super) struct HowArgs {
    /// Run the same postings through the same definition once more.
    #[arg(long)]
    pub(super) again: bool,
    /// Give up a run of this workflow that is in progress with other postings or definition.
    #[arg(long)]
    pub(super) abandon: bool,
    /// As `--new` asks, unless a run goes on instead.
    #[arg(skip)]
    pub(super) only_new: bool,
}

#[derive(Debug, Args)]
pub(super) struct PaceArgs {
    /// How many postings are attempted side by side [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub(super) parallel: Option<NonZeroUsize>,
    /// Keep a posting's state each time it passes a multiple of so many events.
    // a text here, because a wrong one in the environment must not stop `run show`
    #[arg(
        long,
        value_name = "EVENTS",
        env = "EVENT_SNAPSHOT_INTERVAL",
        default_value_t = DEFAULT_SNAPSHOT_INTERVAL.to_string()
    )]
    pub(super) snapshot_interval: String,
    /// Tell only what is wrong: no progress, no warnings about the definition, and no report if all
    /// is well, unless it is asked for with --json.
    #[arg(long)]
    pub(super) quiet: bool,
}

fn failure_type(text: &str) -> Result<FailureType, &'static str> {
    match text {
        "" => Err("give a kind of failure, such as timeout"),
        _ => Ok(text.into()),
    }
}

fn end_reason(text: &str) -> Result<EndReason, &'static str> {
    match text {
        "" => Err("give the reason of an end, such as run_budget"),
        _ => Ok(text.into()),
    }
}

/// So many of something, and not none.
pub(super) fn at_least_one(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "it takes a whole number from 1")
}

impl PaceArgs {
    pub(super) fn snapshot_interval(&self) -> Result<NonZeroU64, Failure> {
        let text = &self.snapshot_interval;
        text.trim().parse().map_err(|_| Failure::SnapshotInterval { text: shown(text, 40) })
    }
}

#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// What it is.
    #[arg(value_enum)]
    pub(super) kind: Kind,
    /// Its id, such as 12345.
    #[arg(allow_negative_numbers = true)]
    pub(super) id: i32,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Common {
    pub(super) fn store(&self) -> Result<StoreUrl, Failure> {
        Ok(self.store.parse()?)
    }
}

/// What has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Posting,
    Workflow,
    Conversation,
    Actor,
    Cutover,
}

impl Kind {
    /// The name of what it is, which is also the first part of its stream's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Posting => Posting::TYPE,
            Self::Workflow => WorkflowRuns::TYPE,
            Self::Conversation => ConversationWaves::TYPE,
            Self::Actor => ActorBreaker::TYPE,
            Self::Cutover => Cutover::TYPE,
        }
    }
}
