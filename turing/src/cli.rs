//! The command line: what can be asked for, and how answers and errors look.
//!
//! Facts go to standard output, progress and errors to standard error. Exit codes: 0 all is well,
//! 1 something was found or refused, 2 the request is wrong, 3 the store cannot be used.

mod backup;
mod check;
mod demo;
mod events;
mod held_back;
mod migrate;
mod output;
mod progress;
mod projection;
mod retry;
mod run;
mod runs;
mod show;
mod snapshot;
mod state;
mod trace;
mod validate;
mod warnings;

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use es_core::{Aggregate, StoreError};
use turing_domain::{ActorBreaker, ConversationWaves, Posting, RunId, WorkflowRuns};

use crate::run::DEFAULT_SNAPSHOT_INTERVAL;
use crate::store::{Access, Store, StoreUrl, StoreUrlError};

use output::{Output, shown};

/// Runs workflows over postings, and records every fact as an event.
#[derive(Debug, Parser)]
#[command(name = "turing", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Copy a store in a file to another file, while it is used. For PostgreSQL there is pg_dump.
    Backup(backup::BackupArgs),
    /// Say what is wrong with a workflow definition, and where; or draw its graph.
    Check(check::CheckArgs),
    /// Run the bundled example: job adverts through a small pipeline of shell scripts.
    Demo(DemoArgs),
    /// Make a PostgreSQL database into a store, or bring a store up to date.
    Migrate(migrate::MigrateArgs),
    /// Run a workflow over postings, or continue a run that was interrupted; `run show` and `run
    /// retry` look at a run and repeat what failed in it.
    Run(RunArgs),
    /// Look after the read models: list, run, show, rebuild, repair.
    Projection(projection::ProjectionArgs),
    /// List the runs of all workflows.
    Runs(Common),
    /// Print the events of one stream, oldest first.
    Events(StreamArgs),
    /// Print the state of one posting, workflow, conversation or actor, folded from its events: now,
    /// at a version, at an instant, or what changed between two of these.
    State(state::StateArgs),
    /// Look at kept states, or remove old ones. They are a cache: no answer depends on them.
    Snapshot(snapshot::SnapshotArgs),
    /// Print what belongs to a correlation, over all streams, as a tree of causes and effects. On
    /// SQLite this reads the whole log.
    Trace(trace::TraceArgs),
    /// Compare what is stored with its events, and say how to repair what differs; the exit code is
    /// 1 if something has to be repaired.
    Validate(Common),
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Where the events are: sqlite:PATH, postgres://USER@HOST:PORT/DATABASE or memory:
    // a text here, because the parser repeats what it refuses, and an address may hold a password
    #[arg(
        long,
        value_name = "URL",
        env = "TURING_STORE",
        hide_env_values = true,
        default_value = "sqlite:turing.db"
    )]
    store: String,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    common: Common,
    /// Write the example's files into this folder and keep them, to read and to change.
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct RunArgs {
    #[command(subcommand)]
    command: Option<RunCommand>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, Subcommand)]
enum RunCommand {
    /// Print the account of a run: by conversation what is done, failed and open, and how fast.
    Show(ShowArgs),
    /// Run the postings that failed in a run once more, as a run of their own.
    Retry(RetryArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    /// The workflow definition, a TOML file.
    #[arg(long, value_name = "FILE", required = true)]
    workflow: Option<PathBuf>,
    /// The postings: a .json, .jsonl, .txt or .md file, or a folder of them.
    #[arg(long, value_name = "PATH", required = true)]
    postings: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The run's id [default: the run that began last]
    run: Option<RunId>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct RetryArgs {
    /// The run's id [default: the run that began last]
    run: Option<RunId>,
    /// The workflow definition, a TOML file.
    #[arg(long, value_name = "FILE")]
    workflow: PathBuf,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
struct HowArgs {
    /// How many postings are attempted side by side [default: the number of processors]
    #[arg(long, value_name = "N")]
    parallel: Option<NonZeroUsize>,
    /// Run the same postings through the same definition once more.
    #[arg(long)]
    again: bool,
    /// Give up a run of this workflow that is in progress with other postings or definition.
    #[arg(long)]
    abandon: bool,
    /// Keep a posting's state each time it passes a multiple of so many events.
    // a text here, because a wrong one in the environment must not stop `run show`
    #[arg(
        long,
        value_name = "EVENTS",
        env = "EVENT_SNAPSHOT_INTERVAL",
        default_value_t = DEFAULT_SNAPSHOT_INTERVAL.to_string()
    )]
    snapshot_interval: String,
}

impl HowArgs {
    fn snapshot_interval(&self) -> Result<NonZeroU64, Failure> {
        let text = &self.snapshot_interval;
        text.trim().parse().map_err(|_| Failure::SnapshotInterval { text: shown(text, 40) })
    }
}

#[derive(Debug, Args)]
struct StreamArgs {
    /// What it is.
    #[arg(value_enum)]
    kind: Kind,
    /// Its id, such as 12345.
    #[arg(allow_negative_numbers = true)]
    id: i32,
    #[command(flatten)]
    common: Common,
}

impl Common {
    fn store(&self) -> Result<StoreUrl, Failure> {
        Ok(self.store.parse()?)
    }
}

/// What has a stream of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Posting,
    Workflow,
    Conversation,
    Actor,
}

impl Kind {
    /// The name of what it is, which is also the first part of its stream's name.
    fn name(self) -> &'static str {
        match self {
            Self::Posting => Posting::TYPE,
            Self::Workflow => WorkflowRuns::TYPE,
            Self::Conversation => ConversationWaves::TYPE,
            Self::Actor => ActorBreaker::TYPE,
        }
    }
}

/// Why a command ends without its answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--store: {0}")]
    StoreUrl(#[from] StoreUrlError),
    #[error(transparent)]
    Definition(#[from] crate::definition::DefinitionError),
    #[error(transparent)]
    Intake(#[from] crate::run::IntakeError),
    #[error(transparent)]
    Run(#[from] crate::run::RunError),
    #[error(transparent)]
    Lock(#[from] crate::lock::LockError),
    #[error(transparent)]
    Account(#[from] crate::account::AccountError),
    #[error(transparent)]
    Load(#[from] es_core::LoadError),
    #[error(transparent)]
    Difference(#[from] es_core::DifferenceError),
    #[error("--diff: the range ends before it begins: {from}, and {to}")]
    Reversed { from: String, to: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Postings(#[from] crate::postings::PostingsError),
    #[error(
        "no posting could be read from {}, so nothing says which keys their data has",
        path.display()
    )]
    NoPostings { path: PathBuf },
    #[error(
        "--snapshot-interval and EVENT_SNAPSHOT_INTERVAL take a whole number of events from 1, such \
         as 10, not `{text}`"
    )]
    SnapshotInterval { text: String },
    #[error("{what}")]
    NotFound { what: String },
    #[error("{what}")]
    Usage { what: String },
    #[error(
        "the database itself keeps {name}, in the table posting_state_projection: ask that table; \
         `turing validate` checks it and `turing projection rebuild {name}` mends it"
    )]
    KeptByDatabase { name: &'static str },
    #[error(transparent)]
    Projection(#[from] es_core::projection::RunnerError),
    #[error(transparent)]
    Repair(#[from] crate::read_models::RepairError),
    #[error(transparent)]
    Rebuild(#[from] es_core::projection::RebuildError),
    #[error(transparent)]
    Sink(#[from] es_core::projection::SinkError),
    #[error("ended before the attempts in progress were; run the same command to go on")]
    Interrupted,
    #[error("cannot write the demo's files to {}", folder.display())]
    DemoFiles {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{store} has nothing to be made so: name a PostgreSQL database, --store postgres://…")]
    NothingToMigrate { store: String },
    #[error(transparent)]
    Backup(#[from] es_sqlite::BackupError),
    #[error("the answer cannot be printed")]
    Output(#[from] std::io::Error),
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        use crate::account::AccountError;
        use crate::read_models::RepairError;
        use crate::run::{IntakeError, RunError, StepError};
        use es_core::projection::{RebuildError, SinkError};
        use es_sqlite::BackupError;
        match self {
            Self::Account(AccountError::NoRun | AccountError::NoSuchRun { .. }) => 1,
            Self::Account(_) => 3,
            Self::NotFound { .. } | Self::Interrupted => 1,
            Self::Backup(BackupError::GivenUp { .. }) => 1,
            Self::Backup(BackupError::Store(_)) => 3,
            Self::Sink(SinkError::Store(_))
            | Self::Rebuild(RebuildError::Sink(SinkError::Store(_))) => 3,
            Self::Repair(RepairError::Sink(SinkError::Store(_))) => 3,
            Self::Sink(_) | Self::Rebuild(_) | Self::Projection(_) | Self::Repair(_) => 1,
            Self::Store(_)
            | Self::Load(_)
            | Self::Difference(es_core::DifferenceError::Load(_))
            | Self::Lock(crate::lock::LockError::Store(_))
            | Self::Intake(IntakeError::Store(_))
            | Self::Run(RunError::Store(_) | RunError::Record(_))
            | Self::Run(RunError::Step(StepError::Store(_) | StepError::Load { .. })) => 3,
            Self::Run(RunError::Step(_) | RunError::Broken(_)) => 1,
            _ => 2,
        }
    }

    /// Printing to a reader that has gone, such as `head`, is no failure.
    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// Reads the command line, does what it asks for, and answers with the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    warnings::tell_warnings();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::tell_error(&error);
            return ExitCode::from(3);
        }
    };
    match runtime.block_on(execute(cli.command)) {
        Ok(code) => code,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            output::tell_error(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn execute(command: Command) -> Result<ExitCode, Failure> {
    let mut output = Output::stdout();
    match command {
        Command::Backup(args) => backup::execute(&args, &mut output).await,
        Command::Check(args) => check::execute(&args, &mut output),
        Command::Migrate(args) => migrate::execute(&args, &mut output).await,
        Command::Validate(common) => validate::execute(&common, &mut output).await,
        Command::Demo(args) => demo::execute(args, &mut output).await,
        Command::Run(args) => run::execute(args, &mut output).await,
        Command::Projection(args) => projection::execute(args, &mut output).await,
        Command::Runs(common) => {
            let store = Store::open(&common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = runs::execute(&store, common.json, &mut output).await;
            store.close().await;
            done
        }
        Command::Events(stream) => {
            let store = Store::open(&stream.common.store()?, Access::Read).await?;
            let done = events::execute(&store, &stream, &mut output).await;
            store.close().await;
            done
        }
        Command::State(args) => {
            let store = Store::open(&args.stream.common.store()?, Access::Read).await?;
            let done = state::execute(&store, &args, &mut output).await;
            store.close().await;
            done
        }
        Command::Snapshot(args) => snapshot::execute(args, &mut output).await,
        Command::Trace(args) => trace::execute(&args, &mut output).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
