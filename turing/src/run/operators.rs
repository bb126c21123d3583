//! What operators ask of a run while it goes on: that it, a conversation or an actor pauses, or that it
//! comes to nothing.
//!
//! All of that is in the store. A pause with an end is over by a clock that nobody sets, after what was
//! left of it when it was first met, and after its own length at most.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};
use es_core::Repository;
use es_core::environment::SystemRuntime;
use es_core::event::Timestamp;
use serde::Serialize;
use tokio::sync::watch;
use turing_domain::{
    ActorId, Cancellation, ConversationId, Pause, RunId, WorkflowId, WorkflowRun, WorkflowRuns,
};

use super::agenda::Gate;
use super::begin::{fail, runs_of};
use super::clocks::Moment;
use super::ears::Heard;
use super::error::unless_stopped;
use super::give_up::{GivenUp, give_up};
use super::notices::Notices;
use super::patience::Patience;
use super::{RETRY, Run, RunError, Shared};
use crate::lock::RunLock;
use crate::store::Store;

/// A pause, and when it is over by the clock that nobody sets.
#[derive(Debug, Clone)]
pub(super) struct Met {
    pub(super) pause: Pause,
    until: Option<Instant>,
}

impl Met {
    /// A pause as the store has it; one that was met before goes on.
    pub(super) fn at(pause: Pause, before: Option<&Self>, seen: Moment) -> Self {
        if let Some(before) = before.filter(|before| before.pause == pause) {
            return before.clone();
        }
        let until = pause.until.map(|until| seen.deadline(until, pause.longest()));
        Self { pause, until }
    }

    /// What it lets through.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match self.until {
            None => Gate::Full,
            Some(until) if now < until => Gate::Shut { until },
            Some(_) => Gate::Wide,
        }
    }

    fn goes_on(&self, now: Instant) -> bool {
        self.gate(now) != Gate::Wide
    }
}

/// What operators asked of the run, as the store last answered.
#[derive(Debug, Default)]
pub(super) struct Operators(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    run: Option<Met>,
    conversations: BTreeMap<ConversationId, Met>,
    cancellation: Option<Cancellation>,
}

impl Operators {
    fn locked(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the store answered, and that it was met at this moment.
    fn remember(&self, run: &WorkflowRun, seen: Moment) {
        let mut asked = self.locked();
        let met = |pause: &Pause, before: Option<&Met>| Met::at(pause.clone(), before, seen);
        let of_run = run.pause.as_ref().map(|pause| met(pause, asked.run.as_ref()));
        let conversations = run.conversation_pauses.iter();
        let of_conversations =
            conversations.map(|(id, pause)| (*id, met(pause, asked.conversations.get(id))));
        let conversations = of_conversations.collect();
        *asked = Asked { run: of_run, conversations, cancellation: run.cancellation.clone() };
    }

    /// That somebody wants the run to come to nothing.
    pub(super) fn cancellation(&self) -> Option<Cancellation> {
        self.locked().cancellation.clone()
    }

    /// What pauses of the run and of the conversation let through.
    pub(super) fn gate(&self, conversation: ConversationId, now: Instant) -> Gate {
        let asked = self.locked();
        let met = asked.run.iter().chain(asked.conversations.get(&conversation));
        met.fold(Gate::Wide, |gate, met| gate.and(met.gate(now)))
    }

    fn run_pause(&self, now: Instant) -> Option<Pause> {
        self.locked().run.as_ref().filter(|met| met.goes_on(now)).map(|met| met.pause.clone())
    }

    fn conversation_pause(&self, conversation: ConversationId, now: Instant) -> Option<Pause> {
        let asked = self.locked();
        let met = asked.conversations.get(&conversation).filter(|met| met.goes_on(now));
        met.map(|met| met.pause.clone())
    }
}

/// What is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "what", content = "id", rename_all = "snake_case")]
pub enum Paused {
    /// The run.
    Run,
    /// A conversation of it.
    Conversation(ConversationId),
    /// An actor, in all workflows of the store.
    Actor(ActorId),
}

/// A pause that attempts of a run wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PausedNow {
    /// What is paused.
    #[serde(flatten)]
    pub paused: Paused,
    /// Who wants that, why, since when and until when.
    #[serde(flatten)]
    pub pause: Pause,
}

impl fmt::Display for PausedNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pause { by, because, since, until } = &self.pause;
        match self.paused {
            Paused::Run => f.write_str("the run is paused")?,
            Paused::Conversation(id) => write!(f, "conversation {id} is paused")?,
            Paused::Actor(id) => write!(f, "actor {id} is paused")?,
        }
        write!(f, " by {by}")?;
        if let Some(since) = since {
            write!(f, " since {}", second(*since))?;
        }
        if let Some(until) = until {
            write!(f, " until {}", second(*until))?;
        }
        write!(f, ": {because}")
    }
}

/// An instant to the second, for people.
fn second(time: Timestamp) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// That a run was cancelled, and what was done in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cancelled {
    /// Who wanted that, and why.
    #[serde(flatten)]
    pub cancellation: Cancellation,
    /// How its postings ended.
    pub gave_up: GivenUp,
}

impl Shared {
    /// What keeps attempts at a conversation from beginning because somebody wants that: the pause
    /// that lasts longest, if one has no end.
    pub(super) fn paused_at(
        &self,
        conversation: ConversationId,
        now: Instant,
    ) -> Option<PausedNow> {
        let run = self.operators.run_pause(now);
        let here = self.operators.conversation_pause(conversation, now);
        let actor = self.actor_of(conversation);
        let of_actor = actor.and_then(|actor| Some((actor, self.breakers.pause(actor, now)?)));
        let pauses = [
            run.map(|pause| PausedNow { paused: Paused::Run, pause }),
            here.map(|pause| PausedNow { paused: Paused::Conversation(conversation), pause }),
            of_actor.map(|(actor, pause)| PausedNow { paused: Paused::Actor(actor), pause }),
        ];
        let mut pauses = pauses.into_iter().flatten().collect::<Vec<_>>();
        // one without an end outlasts the others
        pauses.sort_by_key(|now| now.pause.until.is_some());
        pauses.into_iter().next()
    }

    /// The conversations at which somebody wants no attempt to begin.
    pub(super) fn paused(&self, now: Instant) -> BTreeSet<ConversationId> {
        let conversations = self.definition.workflow.conversations.iter().map(|one| one.id);
        conversations.filter(|id| self.paused_at(*id, now).is_some()).collect()
    }

    async fn reload_operators(&self) -> Result<(), RunError> {
        let runs = Repository::<WorkflowRuns>::new(self.store.events.clone());
        let seen = self.clocks.moment();
        let state = runs_of(&runs, self.definition.workflow.id).await?;
        if let Some(run) = state.run(self.run_id) {
            self.operators.remember(run, seen);
        }
        Ok(())
    }
}

impl Run<'_> {
    /// Looks at what operators asked of the run, and tells what is new.
    pub(super) async fn load_operators(&mut self) -> Result<(), RunError> {
        let shared = self.shared.clone();
        unless_stopped(self.telling(shared.patience.persist(|| shared.reload_operators())).await)?;
        self.tell_operators();
        Ok(())
    }

    /// Takes what was heard, and looks at what concerns the run as a whole.
    pub(super) async fn hear(&mut self) -> Result<(), RunError> {
        if !self.hears() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let workflow = &shared.definition.workflow;
        let (mut is_of_run, mut actors) = (false, BTreeSet::new());
        for heard in self.people.ears.take() {
            match heard {
                Heard::Posting(posting) => self.people.look_again_at(posting),
                Heard::Actor(actor) => {
                    actors.extend(workflow.actor(actor).map(|actor| actor.id));
                }
                Heard::Workflow => is_of_run = true,
            }
        }
        if is_of_run {
            self.load_operators().await?;
        }
        let has_heard_of_actors = !actors.is_empty();
        for actor in actors {
            let looking = shared.patience.persist(|| shared.breakers.reload(actor));
            unless_stopped(self.telling(looking).await)?;
        }
        if has_heard_of_actors {
            self.tell_operators();
        }
        Ok(())
    }

    /// Tells which pauses have begun and ended since this was told last, and that the run is cancelled.
    fn tell_operators(&mut self) {
        let shared = self.shared.clone();
        let now = shared.clocks.timer.now();
        let conversations = shared.definition.workflow.conversations.iter();
        let paused: BTreeMap<_, _> = conversations
            .filter_map(|one| shared.paused_at(one.id, now))
            .map(|paused| (paused.paused, paused))
            .collect();
        for (what, pause) in &paused {
            if self.paused_told.get(what) != Some(pause) {
                self.observer.pause_begins(pause);
            }
        }
        for (what, pause) in &self.paused_told {
            // what the pause of the run hides may go on
            if !paused.contains_key(what) && !paused.contains_key(&Paused::Run) {
                self.observer.pause_ends(pause);
            }
        }
        self.paused_told = paused;
        if let Some(cancellation) = shared.operators.cancellation()
            && self.cancellation_told.as_ref() != Some(&cancellation)
        {
            self.observer.run_cancelled(&cancellation);
            self.cancellation_told = Some(cancellation);
        }
    }

    /// The pauses that ready or repeated attempts wait for.
    pub(super) fn waits_for_pauses(&self) -> Vec<PausedNow> {
        let now = self.shared.clocks.timer.now();
        let is_waited_for = |id: ConversationId| {
            self.agenda.at(id) > 0
                || (self.agenda.waiting() > 0 && self.shared.operators.run_pause(now).is_some())
        };
        let conversations = self.shared.definition.workflow.conversations.iter();
        let waiting = conversations.filter(|one| is_waited_for(one.id));
        let paused = waiting.filter_map(|one| self.shared.paused_at(one.id, now));
        let paused: BTreeMap<_, _> = paused.map(|paused| (paused.paused, paused)).collect();
        paused.into_values().collect()
    }

    /// True if the whole run is paused until somebody ends that.
    pub(super) fn is_paused_for_good(&self, now: Instant) -> bool {
        self.shared.operators.run_pause(now).is_some_and(|pause| pause.until.is_none())
    }
}

/// Ends what is open in a run that was cancelled, and records that it came to nothing.
pub(super) async fn end_cancelled(
    store: &Store,
    workflow_id: WorkflowId,
    run: &WorkflowRun,
    cancellation: Cancellation,
    patience: &Patience,
) -> Result<Cancelled, RunError> {
    let runs = Repository::<WorkflowRuns>::new(store.events.clone()).with_retry(RETRY);
    let gave_up = give_up(store, run, patience).await?;
    let reason = cancellation.to_string();
    patience.persist(|| fail(&runs, workflow_id, run.run_id, &reason)).await?;
    Ok(Cancelled { cancellation, gave_up })
}

/// Carries out the cancellation of a run that no process carries out; `lock` is what
/// [`Store::lock_run`] gave for its workflow. `None` if there is nothing to be carried out any more.
///
/// # Errors
///
/// [`RunError`]; the same call goes on.
pub async fn carry_out_cancellation(
    store: &Store,
    lock: &RunLock,
    run_id: RunId,
) -> Result<Option<Cancelled>, RunError> {
    let (_never, stop) = watch::channel(false);
    let patience = Patience::new(stop, Arc::new(SystemRuntime), Notices::new().0);
    patience.hold(lock).await?;
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let state = patience.persist(|| runs_of(&runs, lock.workflow())).await?;
    // another run may have begun since
    let run = state.open_run().filter(|run| run.run_id == run_id);
    match run.and_then(|run| Some((run, run.cancellation.clone()?))) {
        Some((run, cancellation)) => {
            let ending = end_cancelled(store, lock.workflow(), run, cancellation, &patience);
            ending.await.map(Some)
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_was_to_whatever_the_clock_says() {
        let begin = Timestamp::EPOCH.plus(seconds(1_000));
        let pause = Pause::new("anna", "why", begin, Some(begin.plus(seconds(60))));
        let at = Instant::now();
        let seen = |wall: u64| Moment { wall: Timestamp::EPOCH.plus(seconds(wall)), at };
        let left = |wall| Met::at(pause.clone(), None, seen(wall)).until.unwrap() - at;
        assert_eq!(left(1_020), seconds(40));
        assert_eq!(left(0), seconds(60), "a clock that was set back makes it no longer");
        assert_eq!(left(2_000), seconds(0));
        // what was met goes on, whatever the clock says by then
        let met = Met::at(pause.clone(), None, seen(1_000));
        assert_eq!(Met::at(pause.clone(), Some(&met), seen(0)).until, met.until);
        let other = Pause { because: "other".to_owned(), ..pause };
        assert_eq!(Met::at(other, Some(&met), seen(1_050)).until, Some(at + seconds(10)));
        assert_eq!(met.gate(at), Gate::Shut { until: at + seconds(60) });
        assert_eq!(met.gate(at + seconds(60)), Gate::Wide);
    }

    #[test]
    fn a_pause_without_an_end_lets_nothing_through() {
        let pause = Pause::new("anna", "why", Timestamp::EPOCH, None);
        let now = Instant::now();
        let met = Met::at(pause, None, Moment { wall: Timestamp::EPOCH, at: now });
        assert_eq!(met.gate(now + seconds(1_000_000)), Gate::Full);
        let shut = Gate::Shut { until: now };
        let later = Gate::Shut { until: now + seconds(1) };
        assert_eq!(shut.and(Gate::Full), Gate::Full);
        assert_eq!(shut.and(later), later);
        assert_eq!(Gate::One.and(shut), shut);
        assert_eq!(Gate::Wide.and(Gate::One), Gate::One);
    }
}
