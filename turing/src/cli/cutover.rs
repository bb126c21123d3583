//! `turing cutover`: the move of an old system to events, phase by phase, and the way back.

mod backfill;
mod phases;
mod plan;
mod progress;
mod status;
mod validate;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use turing_domain::{CutoverPhase, PostingId, Resolution, Who};

use super::interrupts::Interrupts;
use super::output::{Output, counted, shown};
use super::{Common, Failure, Verdict};
use crate::cutover::{BackfillOptions, CutoverError, Intent, MappingFile, Mover, Resolving};
use crate::store::postgres::Role;
use crate::store::{Access, Store, StoreUrl};

#[derive(Debug, Args)]
pub(super) struct CutoverArgs {
    #[command(subcommand)]
    command: CutoverCommand,
}

#[derive(Debug, Subcommand)]
enum CutoverCommand {
    /// Say how far it is, who took which step, and what the next command is.
    Status(Common),
    /// Begin: a mapping file says which column of the old table means what. Nothing is written to it yet.
    Create(CreateArgs),
    /// Have both sides written from now on, whoever writes one of them.
    DualWrite(StepArgs),
    /// Import what the old table had before; the exit code is 1 if rows were refused. A call that was
    /// interrupted is gone on with by the next.
    Backfill(BackfillArgs),
    /// Compare both sides; the exit code is 1 if something differs. Once all is imported, a round that
    /// finds nothing ends the phase. With --resolve, decide which side counts.
    Validate(ValidateArgs),
    /// Show the state that is folded from events under the old name; both sides are written as before.
    SwitchReads(StepArgs),
    /// Take the old table out of use under another name; write it to a file; drop it after 60 days.
    Deprecate(DeprecateArgs),
    /// Take a phase back, or several, without losing what was written meanwhile.
    Rollback(RollbackArgs),
}

/// What every step takes.
#[derive(Debug, Args)]
struct StepArgs {
    #[command(flatten)]
    common: Common,
    /// Why; it is recorded with the step.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who takes the step; it is recorded, too.
    #[arg(
        long,
        value_name = "NAME",
        env = "USER",
        hide_env_values = true,
        default_value = "unknown"
    )]
    by: String,
    /// Print the statements that it would send, and how many there are of what it is about; change
    /// nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Which column of the old table means what, a TOML file.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    #[command(flatten)]
    step: StepArgs,
}

#[derive(Debug, Args)]
struct BackfillArgs {
    /// How many postings a second at most, such as 500 or 500/s [default: as many as go]
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<NonZeroU32>,
    /// How many postings are imported in one transaction at most, which ends after about 40 ms as well.
    #[arg(long, value_name = "N", default_value_t = BackfillOptions::default().batch)]
    batch: NonZeroU32,
    #[command(flatten)]
    step: StepArgs,
}

#[derive(Debug, Args)]
struct ValidateArgs {
    /// Go on until interrupted, with so many seconds between two rounds, and print only what changes.
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        conflicts_with_all = ["resolve", "dry_run"]
    )]
    watch: Option<u64>,
    /// Which side counts where both differ: it is written to the other one, or both stay as they are.
    #[arg(long, value_enum, requires = "reason")]
    resolve: Option<Side>,
    /// Resolve only what is open of this posting.
    #[arg(long, value_name = "N", requires = "resolve", allow_negative_numbers = true)]
    posting: Option<i32>,
    /// Resolve only what is open of this kind, such as current_differs.
    #[arg(long, value_name = "KIND", requires = "resolve")]
    kind: Option<String>,
    #[command(flatten)]
    step: StepArgs,
}

/// Which side counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    /// What the old table has is imported
    FromOld,
    /// What the events say is written to the old table
    FromEvents,
    /// Both stay as they are
    Accept,
}

#[derive(Debug, Args)]
struct DeprecateArgs {
    /// Write the old table to this file, as CSV, which first takes it out of use unless it is; with
    /// --drop, the file that holds it.
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Drop the old table, from which no way leads back. It must have been out of use for 60 days.
    #[arg(long, requires = "confirm", requires = "archive")]
    drop: bool,
    /// The name of the table that is dropped, as `cutover status` tells it.
    #[arg(long, value_name = "NAME", requires = "drop")]
    confirm: Option<String>,
    #[command(flatten)]
    step: StepArgs,
}

#[derive(Debug, Args)]
struct RollbackArgs {
    /// The phase that is to hold again: none, created, dual-write, validated or reads-switched
    /// [default: the one before]
    #[arg(long, value_name = "PHASE")]
    to: Option<CutoverPhase>,
    #[command(flatten)]
    step: StepArgs,
}

/// So many a second, and not none.
fn rate(text: &str) -> Result<NonZeroU32, &'static str> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number.parse().map_err(|_| "it takes a whole number from 1, such as 500/s")
}

impl CutoverArgs {
    pub(super) fn only_looks(&self) -> bool {
        self.command.step().is_none_or(|step| step.dry_run)
    }

    /// Whose work it is: who only asks how far it is needs to read, and whoever takes a step owns both
    /// sides.
    pub(super) fn role(&self) -> Role {
        if self.command.step().is_none() { Role::Reader } else { Role::Owner }
    }
}

impl CutoverCommand {
    /// What the step takes, if it is one.
    fn step(&self) -> Option<&StepArgs> {
        match self {
            Self::Status(_) => None,
            Self::Create(args) => Some(&args.step),
            Self::DualWrite(step) | Self::SwitchReads(step) => Some(step),
            Self::Backfill(args) => Some(&args.step),
            Self::Validate(args) => Some(&args.step),
            Self::Deprecate(args) => Some(&args.step),
            Self::Rollback(args) => Some(&args.step),
        }
    }

    fn common(&self) -> &Common {
        match self {
            Self::Status(common) => common,
            _ => &self.step().expect("every other command is a step").common,
        }
    }

    /// Who takes the step, and why.
    fn who(&self) -> Who {
        let step = self.step();
        Who {
            by: step.map_or_else(String::new, |step| shown(&step.by, 200)),
            reason: step.and_then(|step| step.reason.as_deref()).map(|why| shown(why, 2_000)),
        }
    }
}

impl ValidateArgs {
    /// What is to be resolved, if something is.
    fn resolving(&self) -> Option<Resolving> {
        let resolution = match self.resolve? {
            Side::FromOld => Resolution::FromOld,
            Side::FromEvents => Resolution::FromEvents,
            Side::Accept => Resolution::Accepted,
        };
        let (posting, kind) = (self.posting.map(PostingId), self.kind.clone());
        Some(Resolving { posting, kind, resolution })
    }
}

/// What holds of a cutover that is to be created.
const MAPPED: &str = "the mapping of a cutover that is created is read before";

pub(super) async fn execute(
    args: CutoverArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let command = &args.command;
    let url = command.common().store()?;
    if !matches!(url, StoreUrl::Postgres(_)) {
        let what = format!(
            "a cutover is of PostgreSQL, in the database that has the old table, and {url} is not there; \
             name the database, --store postgres://…"
        );
        return Err(Failure::Usage { what });
    }
    // what is wrong with the file itself needs no database
    let mapping = match command {
        CutoverCommand::Create(args) => {
            Some(MappingFile::load(&args.mapping).map_err(CutoverError::from)?)
        }
        _ => None,
    };
    let access = if args.only_looks() { Access::Read } else { Access::Existing };
    let store = Store::open(&url, access).await?;
    let done = Box::pin(carry_out(&store, command, mapping.as_ref(), interrupts, output)).await;
    store.close().await;
    done
}

async fn carry_out(
    store: &Store,
    command: &CutoverCommand,
    mapping: Option<&MappingFile>,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    use CutoverCommand as Sub;
    let mover = Mover::new(store, command.who())?;
    let json = command.common().json;
    if command.step().is_some_and(|step| step.dry_run) {
        return dry_run(&mover, command, mapping, output).await;
    }
    match command {
        Sub::Status(_) => status::execute(&mover, json, output).await,
        Sub::Create(_) => {
            let mapping = mapping.expect(MAPPED);
            phases::create(&mover, mapping, json, output).await
        }
        Sub::DualWrite(_) => phases::dual_write(&mover, json, output).await,
        Sub::Backfill(args) => backfill::execute(&mover, args, interrupts, output).await,
        Sub::Validate(args) => validate::execute(&mover, args, interrupts, output).await,
        Sub::SwitchReads(_) => phases::switch_reads(&mover, json, interrupts, output).await,
        Sub::Deprecate(args) => phases::deprecate(&mover, args, interrupts, output).await,
        Sub::Rollback(args) => phases::roll_back(&mover, args, interrupts, output).await,
    }
}

/// So many of something.
fn many(count: u64, what: &str) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), what)
}

/// Prints what a step would do.
async fn dry_run(
    mover: &Mover,
    command: &CutoverCommand,
    mapping: Option<&MappingFile>,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    use CutoverCommand as Sub;
    let json = command.common().json;
    let is_archived = match command {
        Sub::Deprecate(args) if args.archive.is_some() => {
            mover.status().await?.phase == CutoverPhase::Deprecated
        }
        _ => false,
    };
    let resolving;
    let intent = match command {
        // it takes no step
        Sub::Status(_) => return status::execute(mover, json, output).await,
        Sub::Create(_) => Intent::Create(mapping.expect(MAPPED)),
        Sub::DualWrite(_) => Intent::DualWrite,
        Sub::Backfill(_) => Intent::Backfill,
        Sub::Validate(args) => match args.resolving() {
            Some(found) => {
                resolving = found;
                Intent::Resolve(&resolving)
            }
            None => Intent::Validate,
        },
        Sub::SwitchReads(_) => Intent::SwitchReads,
        Sub::Deprecate(DeprecateArgs { drop: true, confirm, archive, .. }) => Intent::Drop {
            confirm: confirm.as_deref().unwrap_or_default(),
            archive: archive.as_deref().unwrap_or(Path::new("")),
        },
        Sub::Deprecate(_) if is_archived => Intent::Archive,
        Sub::Deprecate(args) if args.archive.is_some() => Intent::DeprecateAndArchive,
        Sub::Deprecate(_) => Intent::Deprecate,
        Sub::Rollback(args) => Intent::RollBack(args.to),
    };
    plan::tell(&Box::pin(mover.plan(intent)).await?, json, output);
    Ok(Verdict::Well)
}

#[cfg(test)]
mod tests;
