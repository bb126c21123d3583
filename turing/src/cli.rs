//! The command line: what can be asked for, and how answers and errors look.
//!
//! Facts go to standard output, progress and errors to standard error. The exit code is the
//! verdict: it is certain before the answer is written, and no reader changes it.

mod actor;
mod answer;
mod arguments;
mod at_work;
mod backup;
mod bench;
mod call;
mod check;
mod command_line;
mod cutover;
mod demo;
mod events;
mod failure;
mod failures;
mod held_back;
mod ids;
mod inbox;
mod interrupts;
mod migrate;
mod migrate_run;
mod operate;
mod output;
mod place;
mod postings;
mod progress;
mod projection;
mod report;
mod resume;
mod retry;
mod run;
mod run_name;
mod runs;
mod screen;
mod show;
mod signs;
mod snapshot;
mod state;
mod telling;
mod told;
mod trace;
mod upkeep;
mod validate;
mod verdict;
mod warnings;
mod why;

use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, Subcommand};

use crate::script::{adopt_orphans, supervise_if_asked, take_name, wait_for_supervisors};
use crate::store::postgres::Role;
use crate::store::{Access, Store};
use crate::{descriptors, init, threads};

use arguments::{Common, DemoArgs, Kind, RunArgs, StreamArgs};
use command_line::{asks_for_json, explain, parse};
use failure::{Failure, exit_code, grant_lacked, tell_descriptors, tell_failure};
use interrupts::{Interrupts, outlive_large_files, outlive_questions};
use output::Output;
use telling::{causes, drain, tell, tell_error};
use verdict::{Verdict, exit_codes};

/// For how long what is told still waits for a reader when the program could end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs workflows over postings, and records every fact as an event.
#[derive(Debug, Parser)]
#[command(name = "turing", version, about, max_term_width = 100, after_help = exit_codes())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look after actors: close the circuit breaker of one whose failures have been mended, or pause one.
    Actor(actor::ActorArgs),
    /// Answer a task that waits for a person, in whatever process runs the workflow, or in none.
    Answer(answer::AnswerArgs),
    /// Copy a store in a file to another file, while it is used. For PostgreSQL there is pg_dump.
    Backup(backup::BackupArgs),
    /// Measure what steps cost on this machine: workflows that do nothing, with 2,000 postings, and one
    /// posting that makes 400 steps. This is done in stores of its own, of which nothing is left: files
    /// in the folder of --store sqlite:PATH, which must lie on the disk that is meant, or schemas in
    /// the database of --store postgres://..; what is there already is neither read nor written.
    Bench(bench::BenchArgs),
    /// Say what is wrong with a workflow definition, and where; or draw its graph. It needs no store,
    /// unless the definition is that of a run.
    Check(check::CheckArgs),
    /// Move an old system over, from a table that holds where postings stand, in phases that can each be
    /// taken back: `cutover status` says how far it is. On PostgreSQL.
    Cutover(cutover::CutoverArgs),
    /// Run the bundled example: job adverts through a small pipeline of shell scripts. One of them is
    /// refused and one runs into its limit, to be seen; the exit code is 0 all the same.
    Demo(DemoArgs),
    /// List what waits for people in all runs in progress: since when, until when, who has claimed it, and
    /// what is asked. This reads the log from where they began.
    Inbox(inbox::InboxArgs),
    /// Make a PostgreSQL database into a store, or bring a store up to date.
    Migrate(migrate::MigrateArgs),
    /// Run a workflow over postings, or continue a run that was interrupted; `run show`, `run retry`,
    /// `run resume`, `run pause` and `run cancel` look at a run, repeat what failed in it, go on with it as
    /// it began, have it wait, and give it up.
    #[command(after_help = exit_codes())]
    Run(RunArgs),
    /// Look after the read models: list, run, show, rebuild, and what they could not take.
    Projection(projection::ProjectionArgs),
    /// List the runs of all workflows.
    Runs(Common),
    /// Print the events of one stream, oldest first.
    Events(StreamArgs),
    /// Print the state of one posting, workflow, conversation, actor or cutover, folded from its events:
    /// now, at a version, at an instant, or what changed between two of these.
    State(state::StateArgs),
    /// Look at kept states, or remove old ones. They are a cache: no answer depends on them.
    Snapshot(snapshot::SnapshotArgs),
    /// Print what belongs to a correlation, over all streams, as a tree of causes and effects. On
    /// SQLite this reads the whole log.
    Trace(trace::TraceArgs),
    /// Compare what is stored with its events, and say how to repair what differs; the exit code is
    /// 1 if something has to be repaired.
    Validate(validate::ValidateArgs),
    /// Say why postings are where they are, in one sentence each: ready, worked on, held or waiting, by or
    /// for whom and until when. The exit code is 1 if one is not there, or cannot be read.
    Why(why::WhyArgs),
}

impl Command {
    /// True if the answer is all that there is of it.
    fn only_looks(&self) -> bool {
        match self {
            Self::Check(_)
            | Self::Runs(_)
            | Self::Events(_)
            | Self::State(_)
            | Self::Trace(_)
            | Self::Validate(_)
            | Self::Why(_) => true,
            Self::Run(args) => args.only_looks(),
            Self::Cutover(args) => args.only_looks(),
            Self::Inbox(args) => args.only_looks(),
            Self::Migrate(args) => args.only_looks(),
            Self::Projection(args) => args.only_looks(),
            Self::Snapshot(args) => args.only_looks(),
            Self::Actor(_) | Self::Answer(_) | Self::Backup(_) | Self::Bench(_) | Self::Demo(_) => {
                false
            }
        }
    }

    /// Whose work it is on PostgreSQL.
    fn role(&self) -> Role {
        match self {
            Self::Bench(_) | Self::Migrate(_) => Role::Owner,
            Self::Cutover(args) => args.role(),
            _ if self.only_looks() => Role::Reader,
            Self::Projection(_) => Role::Projector,
            _ => Role::Writer,
        }
    }
}

/// How long the program waits at its end for scripts that it gave up to be killed.
const UNTIL_KILLED: Duration = Duration::from_secs(2);

/// Does what the command line asks for, and answers with the exit code.
///
/// In a process that was started to supervise a script, it does that.
pub fn main() -> ExitCode {
    descriptors::keep_inherited();
    if let Some(code) = supervise_if_asked() {
        return code;
    }
    if init::is_process_one() {
        return init::main().unwrap_or_else(|error| cannot_begin(&error));
    }
    take_name();
    threads::with_room(begin).unwrap_or_else(|error| cannot_begin(&error))
}

/// Reads the command line, does what it asks for, and answers with the exit code.
fn begin() -> ExitCode {
    descriptors::raise_limit();
    adopt_orphans();
    let interrupts = Interrupts::new();
    let (command, store) = match parse() {
        Ok(parsed) => parsed,
        Err(answer) => return explain(answer),
    };
    warnings::tell_warnings();
    let (only_looks, role) = (command.only_looks(), command.role());
    let checked =
        descriptors::check().and_then(|()| if only_looks { Ok(()) } else { check_clock() });
    let runtime = match checked.and_then(|()| threads::runtime()) {
        Ok(runtime) => runtime,
        Err(error) => return cannot_begin(&error),
    };
    let mut output = Output::stdout(only_looks);
    let code = runtime.block_on(async {
        outlive_large_files();
        outlive_questions();
        let done = Box::pin(execute(command, &interrupts, &mut output)).await;
        let code = exit_code(&done);
        interrupts.over(code);
        if let Err(failure) = &done {
            tell_failure(failure, store.as_deref());
            let grant = grant_lacked(failure, store.as_deref(), role).await;
            if let Some(grant) = &grant {
                tell(format_args!("  this login needs: {grant}"));
            }
            if asks_for_json() {
                let causes = causes(failure).into_iter().chain(grant).collect::<Vec<_>>();
                output.failure(&failure.to_string(), &causes, code);
            }
        }
        code
    });
    // whoever does not read what is told gets the answer all the same
    drain(PATIENCE);
    let printed = output.finish();
    let code = match printed {
        Err(unprinted) => {
            tell_error(&unprinted);
            if only_looks && code == 0 { Verdict::Unprinted.exit_code() } else { code }
        }
        Ok(()) => code,
    };
    drain(PATIENCE);
    // calls that are in progress are given up with the runtime
    runtime.shutdown_timeout(UNTIL_KILLED);
    wait_for_supervisors(UNTIL_KILLED);
    ExitCode::from(code)
}

/// Refuses a clock that stands before what ids and events can tell of.
fn check_clock() -> io::Result<()> {
    match SystemTime::now() < SystemTime::UNIX_EPOCH {
        true => {
            Err(io::Error::other("the system's clock stands before 1970; set it, and try again"))
        }
        false => Ok(()),
    }
}

/// Tells why nothing can be begun, and answers with the exit code.
fn cannot_begin(error: &io::Error) -> ExitCode {
    let code = Verdict::NoStore.exit_code();
    tell_error(error);
    tell_descriptors(error);
    if asks_for_json() {
        let mut output = Output::stdout(true);
        output.failure(&error.to_string(), &causes(error), code);
        // the exit code is the same whoever reads it
        let _ = output.finish();
    }
    drain(PATIENCE);
    ExitCode::from(code)
}

async fn execute(
    command: Command,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    match command {
        Command::Actor(args) => actor::execute(args, output).await,
        Command::Answer(args) => answer::execute(args, output).await,
        Command::Inbox(args) => Box::pin(inbox::execute(args, output)).await,
        Command::Backup(args) => backup::execute(&args, interrupts, output).await,
        Command::Bench(args) => bench::execute(args, interrupts, output).await,
        Command::Check(args) => check::execute(&args, output).await,
        Command::Cutover(args) => Box::pin(cutover::execute(args, interrupts, output)).await,
        Command::Migrate(args) => migrate::execute(&args, output).await,
        Command::Validate(args) => validate::execute(&args, output).await,
        Command::Demo(args) => demo::execute(args, interrupts, output).await,
        Command::Run(args) => Box::pin(run::execute(args, interrupts, output)).await,
        Command::Projection(args) => projection::execute(args, interrupts, output).await,
        Command::Runs(common) => {
            let store = Store::open(&common.store()?, Access::Read).await?;
            held_back::warn(&store).await;
            let done = runs::execute(&store, common.json, output).await;
            store.close().await;
            done
        }
        Command::Events(stream) => {
            let store = Store::open(&stream.common.store()?, Access::Read).await?;
            let done = events::execute(&store, &stream, output).await;
            store.close().await;
            done
        }
        Command::State(args) => {
            let store = Store::open(&args.stream.common.store()?, Access::Read).await?;
            let done = state::execute(&store, &args, output).await;
            store.close().await;
            done
        }
        Command::Snapshot(args) => snapshot::execute(args, output).await,
        Command::Trace(args) => trace::execute(&args, output).await,
        Command::Why(args) => why::execute(args, output).await,
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
