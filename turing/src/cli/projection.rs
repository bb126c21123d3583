//! `turing projection`: the read models, their health and their repair.

mod list;
mod parked;
mod rebuild;
mod run;
mod show;

use clap::{Args, Subcommand, ValueEnum};
use es_core::Projection;
use es_core::backend::Definition;
use es_core::event::Position;
use es_core::projection::Subscription;
use turing_domain::PostingId;

use super::interrupts::Interrupts;
use super::output::Output;
use super::{Common, Failure, Verdict};
use crate::read_models::{ConversationRow, PostingRow, RunRow, definitions};
use crate::store::{Access, Store};

#[derive(Debug, Args)]
pub(super) struct ProjectionArgs {
    #[command(subcommand)]
    command: ProjectionCommand,
}

#[derive(Debug, Subcommand)]
enum ProjectionCommand {
    /// List the read models: how far they are, who runs them, what is wrong.
    List(Common),
    /// Keep the read models up to date until interrupted.
    Run(RunArgs),
    /// Print the rows of a read model.
    Show(ShowArgs),
    /// Make a read model anew beside the one that is served, and say what would change.
    Rebuild(RebuildArgs),
    /// Serve the rebuilt model instead of the old one.
    Switch(OneArgs),
    /// Leave a read model to `projection run` that a program has kept within its appends.
    Release(OneArgs),
    /// List the events that a read model could not take.
    Parked(OneArgs),
    /// Try once more what waits under a key.
    Retry(KeyArgs),
    /// Decide that a read model goes without an event; the reason is kept.
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Which read models; all unless some are named.
    #[arg(value_enum)]
    names: Vec<Name>,
    /// End as soon as all that is there now has been taken.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The read model.
    #[arg(value_enum)]
    name: Name,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The read model.
    #[arg(value_enum)]
    name: Name,
    /// Only the row with this key: a posting's, a run's or a conversation's id.
    key: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct RebuildArgs {
    /// The read model.
    #[arg(value_enum)]
    name: Name,
    /// Only the row of this posting, in the model that is served; for posting_state.
    #[arg(long, value_name = "ID", conflicts_with_all = ["slices", "switch"])]
    posting: Option<i32>,
    /// Among how many workers the streams are divided [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    slices: Option<u32>,
    /// Serve the rebuilt model as soon as it is complete.
    #[arg(long)]
    switch: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// The read model.
    #[arg(value_enum)]
    name: Name,
    /// The key, as `projection parked` lists it.
    key: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct DiscardArgs {
    #[command(flatten)]
    of: KeyArgs,
    /// The place of the event, as `projection parked` lists it.
    #[arg(long)]
    position: Position,
    /// Why the model is right without it.
    #[arg(long)]
    reason: String,
}

/// The read models by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// How each conversation does: attempts, durations, failures, tokens
    #[value(name = ConversationRow::NAME)]
    ConversationStatistics,
    /// Where each posting stands
    #[value(name = PostingRow::NAME)]
    PostingState,
    /// How each run goes: postings, rates, failures
    #[value(name = RunRow::NAME)]
    RunProgress,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::ConversationStatistics => ConversationRow::NAME,
            Self::PostingState => PostingRow::NAME,
            Self::RunProgress => RunRow::NAME,
        }
    }

    /// The projection, if it is one that programs keep in this store.
    fn definition(self, store: &Store) -> Result<Definition, Failure> {
        let found = definitions(store).into_iter().find(|it| it.name() == self.as_str());
        found.ok_or(Failure::KeptByDatabase { name: self.as_str() })
    }

    /// The same, to watch and mend it.
    fn subscription(self, store: &Store) -> Result<Subscription, Failure> {
        Ok(Subscription::definition(&store.events, self.definition(store)?))
    }
}

impl ProjectionArgs {
    pub(super) fn only_looks(&self) -> bool {
        self.command.asks_for().1 == Access::Read
    }
}

impl ProjectionCommand {
    /// Of which store, and for what.
    fn asks_for(&self) -> (&Common, Access) {
        match self {
            Self::List(common) => (common, Access::Read),
            Self::Show(args) => (&args.common, Access::Read),
            Self::Parked(args) => (&args.common, Access::Read),
            Self::Switch(args) => (&args.common, Access::Existing),
            Self::Release(args) => (&args.common, Access::Existing),
            Self::Run(args) => (&args.common, Access::Existing),
            Self::Rebuild(args) => (&args.common, Access::Existing),
            Self::Retry(args) => (&args.common, Access::Existing),
            Self::Discard(args) => (&args.of.common, Access::Existing),
        }
    }
}

pub(super) async fn execute(
    args: ProjectionArgs,
    interrupts: &Interrupts,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    use ProjectionCommand as Sub;
    let (common, access) = args.command.asks_for();
    let store = Store::open(&common.store()?, access).await?;
    let json = common.json;
    let done = match &args.command {
        Sub::List(_) => list::execute(&store, json, output).await,
        Sub::Run(args) => run::execute(&store, args, interrupts, output).await,
        Sub::Show(args) => show::execute(&store, args, output).await,
        Sub::Rebuild(RebuildArgs { name: Name::PostingState, posting: Some(id), .. }) => {
            rebuild::one_posting(&store, PostingId(*id), json, output).await
        }
        Sub::Rebuild(args) => rebuild::execute(&store, args, output).await,
        Sub::Switch(args) => rebuild::switch(&store, args, output).await,
        Sub::Release(args) => run::release(&store, args, output).await,
        Sub::Parked(args) => parked::list(&store, args, output).await,
        Sub::Retry(args) => parked::retry(&store, args, output).await,
        Sub::Discard(args) => parked::discard(&store, args, output).await,
    };
    store.close().await;
    done
}

/// Who has the model that is served.
async fn holder(model: &Subscription) -> Result<Option<String>, Failure> {
    let active = model.status().await?.and_then(|status| status.active);
    let holder = active.and_then(|active| active.holder);
    Ok(holder.map(|holder| holder.name))
}
