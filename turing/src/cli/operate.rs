//! `turing run pause`, `unpause` and `cancel`, `turing actor pause` and `unpause`: what operators ask of a
//! run, in whatever process it goes on, or in none.

mod cancel;
mod pause;

use std::time::Duration;

use clap::Args;
use es_core::environment::{Clock, SystemClock};
use es_core::event::{Metadata, Timestamp};
use es_core::execution::{Retry, StoreError, StoreErrorKind};
use es_core::{CommandError, Repository};
use serde_json::json;
use turing_domain::fields::RUN_ID;
use turing_domain::{
    ActorBreaker, ActorEvent, ActorId, ConversationId, Pause, RunId, WorkflowEvent, WorkflowId,
    WorkflowRejection, WorkflowRun, WorkflowRuns,
};

use super::output::Output;
use super::run_name::RunName;
use super::show::second;
use super::{Common, Failure, Verdict};
use crate::definition::{recorded, run_of};
use crate::proposal::command;
use crate::store::{Access, Store};

pub(super) use cancel::cancel;
pub(super) use pause::{pause, unpause};

/// How often what is asked meets another writer before it is given up: an actor that fails all the time
/// writes a lot.
const RETRY: Retry = Retry::times(20);

/// Why something is asked for, and by whom.
#[derive(Debug, Args)]
pub(super) struct BecauseArgs {
    /// Why, for everybody who asks why nothing goes on.
    #[arg(long, value_name = "TEXT")]
    because: String,
    #[command(flatten)]
    by: ByArgs,
}

/// Who speaks.
#[derive(Debug, Args)]
pub(super) struct ByArgs {
    /// Your name, as others know it [default: the login name]
    #[arg(long, value_name = "NAME", env = "TURING_BY")]
    by: Option<String>,
}

/// Until when at most.
#[derive(Debug, Args)]
pub(super) struct EndArgs {
    /// It ends by itself at this time, such as 2026-12-24T18:00:00Z [default: when somebody ends it]
    #[arg(long, value_name = "TIME", conflicts_with = "length")]
    until: Option<Timestamp>,
    /// It ends by itself after so long, such as 90s, 30m, 2h or 3d.
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    length: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The run's id, or the beginning of it.
    run: RunName,
    /// Only the attempts at this conversation.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    conversation: Option<i32>,
    #[command(flatten)]
    because: BecauseArgs,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct UnpauseArgs {
    /// The run's id, or the beginning of it.
    run: RunName,
    /// The pause of this conversation, and not that of the run.
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    conversation: Option<i32>,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// The run's id, or the beginning of it.
    run: RunName,
    #[command(flatten)]
    because: BecauseArgs,
    /// Break off the attempts in progress: their scripts are killed, their calls closed, and nothing of
    /// them is recorded. Otherwise they end by themselves, at the latest at their time limits.
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct PauseActorArgs {
    /// The actor's id, such as 64.
    #[arg(allow_negative_numbers = true)]
    id: i32,
    #[command(flatten)]
    because: BecauseArgs,
    #[command(flatten)]
    end: EndArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct UnpauseActorArgs {
    /// The actor's id, such as 64.
    #[arg(allow_negative_numbers = true)]
    id: i32,
    #[command(flatten)]
    by: ByArgs,
    #[command(flatten)]
    common: Common,
}

/// A number and the unit behind it.
fn length(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "it takes a whole number and a unit, such as 90s, 30m, 2h or 3d";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: u64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(WRONG),
    };
    let number: u64 = digits.parse().map_err(|_| WRONG)?;
    let length = number.checked_mul(seconds).filter(|length| *length > 0).ok_or(WRONG)?;
    Ok(Duration::from_secs(length))
}

impl ByArgs {
    fn name(self) -> Result<String, Failure> {
        speaker(self.by)
    }
}

/// The name of who speaks: the one that is given, or that of the login.
pub(super) fn speaker(by: Option<String>) -> Result<String, Failure> {
    let name_in = |variable: &&str| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let login = || ["USER", "LOGNAME"].iter().find_map(name_in);
    let what = match by {
        Some(_) => "--by takes a name, and TURING_BY has one, if it is set",
        None => "say who you are with --by NAME; this process has no login name",
    };
    let by = by.or_else(login).filter(|by| !by.trim().is_empty());
    by.ok_or_else(|| Failure::Usage { what: what.to_owned() })
}

impl BecauseArgs {
    /// Who asks for it, and why.
    fn said(self) -> Result<(String, String), Failure> {
        let Self { because, by } = self;
        if because.trim().is_empty() {
            let what =
                "--because takes the reason, which everybody reads who asks why nothing goes on";
            return Err(Failure::Usage { what: what.to_owned() });
        }
        Ok((by.name()?, because))
    }

    /// A pause from now on, with this end.
    fn pause(self, end: &EndArgs) -> Result<Pause, Failure> {
        let (by, because) = self.said()?;
        let now = SystemClock.now();
        let until = end.until.or_else(|| end.length.map(|length| now.plus(length)));
        if let Some(until) = until.filter(|until| *until <= now) {
            let what =
                format!("--until takes a time that is to come, and {} is past", second(until));
            return Err(Failure::Usage { what });
        }
        Ok(Pause::new(&by, &because, now, until))
    }
}

/// A run, its workflow, and its place in the store.
struct Found {
    workflow: WorkflowId,
    run: WorkflowRun,
}

impl Found {
    async fn of(store: &Store, name: &RunName) -> Result<Self, Failure> {
        let run_id = name.find(store).await?;
        let (workflow, run) = run_of(store, Some(run_id)).await?;
        Ok(Self { workflow, run })
    }

    /// Makes sure that the definition of the run has a conversation, if it can be had.
    async fn has(&self, store: &Store, conversation: ConversationId) -> Result<(), Failure> {
        let Some(digest) = &self.run.definition_digest else { return Ok(()) };
        match Box::pin(recorded(store, digest)).await {
            Ok(Some(found)) if found.workflow.conversation(conversation).is_none() => {
                let run_id = self.run.run_id;
                let what =
                    format!("the definition of run {run_id} has no conversation {conversation}");
                Err(Failure::NotFound { what })
            }
            _ => Ok(()),
        }
    }
}

/// Records what is asked of a run; true if that is new.
async fn ask(
    store: &Store,
    workflow: WorkflowId,
    run_id: RunId,
    decide: impl Fn(&WorkflowRuns) -> Result<Vec<WorkflowEvent>, WorkflowRejection> + Send + Sync,
) -> Result<bool, Failure> {
    let runs = Repository::<WorkflowRuns>::new(store.events.clone()).with_retry(RETRY);
    let metadata = Metadata::new().with(RUN_ID, run_id);
    let asked = runs.by_id(&workflow).decide(decide).metadata(metadata).await;
    match asked {
        Ok(asked) => Ok(!asked.events.is_empty()),
        Err(CommandError::Rejected(rejection)) => {
            Err(Failure::NotFound { what: rejection.to_string() })
        }
        Err(error) => Err(failed(error, &format!("workflow {workflow}"))),
    }
}

/// Why nothing was recorded of what somebody asked for.
fn failed<R>(error: CommandError<R>, what: &str) -> Failure
where
    CommandError<R>: std::error::Error + Send + Sync + 'static,
{
    match error {
        CommandError::Store(error) => Failure::Store(error),
        CommandError::Load(error) => Failure::Load(error),
        other => {
            let text = format!("{what} changes all the time");
            Failure::Store(StoreError::new(StoreErrorKind::Busy, text).caused_by(other))
        }
    }
}

/// Until when a pause lasts, in words.
fn until(pause: &Pause, ends_it: &str) -> String {
    match pause.until {
        Some(until) => format!("until {}, or until `{ends_it}`", second(until)),
        None => format!("until `{ends_it}`"),
    }
}

pub(super) async fn pause_actor(
    args: PauseActorArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let PauseActorArgs { id, because, end, common } = args;
    let pause = because.pause(&end)?;
    let asked = |actor: &ActorBreaker| actor.pause_calls(&pause);
    let is_new = ask_actor(&common, id, asked).await?;
    let ends_it = command(format_args!("actor unpause {id}"));
    match (common.json, is_new) {
        (true, _) => output.json(&json!({ "actor": id, "is_new": is_new, "pause": pause })),
        (false, true) => output.line(format_args!(
            "actor {id} is paused {}; calls in progress end, and no workflow of this store begins one",
            until(&pause, &ends_it)
        )),
        (false, false) => output.line(format_args!(
            "nothing to do: actor {id} is paused for that reason {}",
            until(&pause, &ends_it)
        )),
    }
    Ok(Verdict::Well)
}

pub(super) async fn unpause_actor(
    args: UnpauseActorArgs,
    output: &mut Output,
) -> Result<Verdict, Failure> {
    let UnpauseActorArgs { id, by, common } = args;
    let by = by.name()?;
    let asked = |actor: &ActorBreaker| actor.end_pause(&by);
    let is_new = ask_actor(&common, id, asked).await?;
    match (common.json, is_new) {
        (true, _) => output.json(&json!({ "actor": id, "is_new": is_new })),
        (false, true) => output.line(format_args!(
            "actor {id} is not paused any more; processes that work on runs go on at once"
        )),
        (false, false) => output.line(format_args!("nothing to do: actor {id} is not paused")),
    }
    Ok(Verdict::Well)
}

/// Records what is asked of an actor; true if that is new.
async fn ask_actor(
    common: &Common,
    id: i32,
    decide: impl Fn(&ActorBreaker) -> Vec<ActorEvent> + Send + Sync,
) -> Result<bool, Failure> {
    let store = Store::open(&common.store()?, Access::Existing).await?;
    let actors = Repository::<ActorBreaker>::new(&store.events).with_retry(RETRY);
    let decide = |actor: &ActorBreaker| Ok::<_, std::convert::Infallible>(decide(actor));
    let asked = actors.by_id(&ActorId(id)).decide(decide).await;
    store.close().await;
    let asked = asked.map_err(|error| failed(error, &format!("actor {id}")))?;
    Ok(!asked.events.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_a_number_and_a_unit() {
        let seconds = |text: &str| length(text).map(|length| length.as_secs());
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("3d", 259_200)] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in
            ["", "2", "h", "0s", "-1h", "1.5h", "2 h", "2w", "2hh", "99999999999999999d", "2ä"]
        {
            assert!(length(wrong).is_err(), "{wrong}");
        }
    }
}
