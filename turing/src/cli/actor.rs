//! `turing actor`: circuit breakers and pauses, which belong to actors.

use std::convert::Infallible;

use clap::{Args, Subcommand};
use es_core::execution::{Retry, StoreError, StoreErrorKind};
use es_core::{CommandError, ExpectedVersion, Repository, transact};
use turing_domain::{ActorBreaker, ActorId};

use super::events::nothing;
use super::operate::{PauseActorArgs, UnpauseActorArgs, pause_actor, unpause_actor};
use super::output::Output;
use super::{Common, Failure, Kind, StreamArgs, Verdict};
use crate::store::{Access, Store};

#[derive(Debug, Args)]
pub(super) struct ActorArgs {
    #[command(subcommand)]
    command: ActorCommand,
}

#[derive(Debug, Subcommand)]
enum ActorCommand {
    /// Close the circuit breaker of an actor, once the cause of its failures is mended. Runs that
    /// wait for it go on within seconds.
    Reset(ResetArgs),
    /// Have nobody call an actor from now on, in any workflow of the store, for a reason and perhaps until a
    /// time. Calls in progress end, and are recorded.
    Pause(PauseActorArgs),
    /// End the pause of an actor.
    Unpause(UnpauseActorArgs),
}

#[derive(Debug, Args)]
struct ResetArgs {
    /// The actor's id, such as 64.
    #[arg(allow_negative_numbers = true)]
    id: i32,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn execute(args: ActorArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let ResetArgs { id, common } = match args.command {
        ActorCommand::Reset(args) => args,
        ActorCommand::Pause(args) => return Box::pin(pause_actor(args, output)).await,
        ActorCommand::Unpause(args) => return Box::pin(unpause_actor(args, output)).await,
    };
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let done = reset(&store, &StreamArgs { kind: Kind::Actor, id, common }, output).await;
    store.close().await;
    done
}

async fn reset(store: &Store, args: &StreamArgs, output: &mut Output) -> Result<Verdict, Failure> {
    let (id, actor) = (args.id, ActorId(args.id));
    let actors = Repository::<ActorBreaker>::new(&store.events);
    let known = actors.by_id(&actor).expecting(ExpectedVersion::StreamExists);
    let reset = transact(known, |breaker| {
        let failures = breaker.failure_count();
        breaker.record(breaker.reset());
        Ok::<_, Infallible>(failures)
    });
    let reset = reset.retry(Retry::times(20)).await.map_err(|error| match error {
        CommandError::PreconditionFailed(_) => nothing(args),
        CommandError::Store(error) => Failure::Store(error),
        CommandError::Load(error) => Failure::Load(error),
        other => {
            let text = format!("the breaker of actor {id} changes all the time");
            Failure::Store(StoreError::new(StoreErrorKind::Busy, text).caused_by(other))
        }
    })?;
    let (is_reset, failures) = (!reset.events.is_empty(), reset.reply.unwrap_or_default());
    match (args.common.json, is_reset) {
        (true, _) => output.json(&serde_json::json!({ "actor": id, "reset": is_reset })),
        (false, true) => output.line(format_args!(
            "actor {id} may be called: its circuit breaker is closed, and failures in a row are \
             counted from 0 again, not from {failures}"
        )),
        (false, false) => output.line(format_args!(
            "nothing to do: the circuit breaker of actor {id} is closed, and no failure is counted"
        )),
    }
    Ok(Verdict::Well)
}
