//! The reason itself: a function of what is known, which asks nobody.

use std::collections::BTreeMap;

use es_core::event::Timestamp;
use turing_domain::posting::{Position, PostingRun};
use turing_domain::{
    Actor, ActorBreaker, ActorId, ActorKind, BreakerStatus, Cancellation, ConversationId, Pause,
    PostingId, RunId, Workflow, WorkflowRun,
};

use super::places::{PausedWhat, Place, Whom, Worked};
use super::story::{Ending, Story};
use super::{PositionWhy, PostingWhy, Why};
use crate::proposal::command;

/// What is known beside the events of a posting that is open in a run.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The definition of the run, or why it cannot be had.
    pub definition: Result<&'a Workflow, &'a str>,
    /// Whether a process works on the run.
    pub worked: &'a Worked,
    /// The circuit breakers of actors; of one that is not among them none is known.
    pub breakers: &'a BTreeMap<ActorId, ActorBreaker>,
    /// The run as its workflow has it, with what operators asked of it, if it can be read.
    pub record: Option<&'a WorkflowRun>,
    /// The time.
    pub now: Timestamp,
}

impl Story {
    /// The run in which the posting is open, if that is the one that is asked for; otherwise why it is
    /// in none.
    pub(super) fn open_run(&self, wanted: Option<RunId>) -> Result<&PostingRun, Box<Why>> {
        let run = self.run();
        if let Some(wanted) = wanted
            && run.is_none_or(|run| run.run_id() != wanted)
        {
            let now_in = run.filter(|_| !self.is_terminal()).map(PostingRun::run_id);
            return Err(Box::new(match self.ended_in(wanted) {
                Some(ending) => ended(ending, Some(wanted)),
                None => Why::NotInRun { run_id: wanted, now_in },
            }));
        }
        let (is_imported, is_terminal) = (self.is_imported(), self.is_terminal());
        match (self.ending(), run) {
            (Some(ending), run) => Err(Box::new(ended(ending, run.map(PostingRun::run_id)))),
            (None, Some(run)) => Ok(run),
            (None, None) => Err(Box::new(Why::NoRun { is_imported, is_terminal })),
        }
    }

    /// Why a posting that is open in this run of its own is where it is.
    pub fn why_in(&self, posting_id: PostingId, run: &PostingRun, seen: &Seen<'_>) -> PostingWhy {
        let positions = self.positions(run, seen);
        match positions.first() {
            Some(first) => {
                let (sentence, why) = (first.sentence.clone(), first.why.clone());
                PostingWhy { posting_id, sentence, why, positions }
            }
            // no program of ours leaves one without a position and without an end
            None => {
                let (is_imported, is_terminal) = (self.is_imported(), self.is_terminal());
                PostingWhy::alone(posting_id, Why::NoRun { is_imported, is_terminal })
            }
        }
    }

    /// The reason at each open position, the one that is next to go on first.
    pub(super) fn positions(&self, run: &PostingRun, seen: &Seen<'_>) -> Vec<PositionWhy> {
        let open = run.open().iter().map(|(id, position)| (*id, self.at(run, *id, position, seen)));
        let unrouted = run.finished().keys().map(|id| {
            let (place, worked) = (seen.place(*id), seen.worked.clone());
            (*id, Why::Unrouted { place, worked })
        });
        let told = open.chain(unrouted);
        let mut told: Vec<_> = told.map(|(id, why)| PositionWhy::new(id, why)).collect();
        told.sort_by_key(|told| (told.why.distance(), told.conversation_id));
        told
    }

    fn at(
        &self,
        run: &PostingRun,
        id: ConversationId,
        position: &Position,
        seen: &Seen<'_>,
    ) -> Why {
        let (place, worked) = (seen.place(id), seen.worked.clone());
        if let Some(cancellation) = seen.record.and_then(|record| record.cancellation.as_ref()) {
            let Cancellation { by, because, .. } = cancellation.clone();
            let ends_it = command(format_args!("run cancel {} --because TEXT", run.run_id()));
            return Why::Cancelling { place, by, because, ends_it, worked };
        }
        let repeat = |due_at: Timestamp, place, worked| Why::Retry {
            place,
            attempt: u64::from(position.retries).saturating_add(1),
            due_at,
            is_due: due_at <= seen.now,
            failure_type: self.failed(id).cloned(),
            worked,
        };
        let workflow = match (seen.definition, position.due_at) {
            (Ok(workflow), _) => workflow,
            (Err(_), Some(due_at)) => return repeat(due_at, place, worked),
            (Err(reason), None) => {
                return Why::NoDefinition { place, reason: reason.to_owned(), worked };
            }
        };
        let known = workflow.conversation(id);
        let parts = known.and_then(|known| Some((known, workflow.actor(known.actor)?)));
        let Some((conversation, actor)) = parts else { return Why::Missing { place } };
        let members = run.awaited_at(workflow, conversation);
        let open: Vec<_> = members.map(|member| seen.place(member)).collect();
        if !open.is_empty() {
            let group = conversation.wait_for_group.clone().unwrap_or_default();
            return Why::Group { place, group, open };
        }
        let since = self.since(workflow, conversation);
        let is_model = matches!(actor.kind, ActorKind::Llm(_));
        if !is_model && !matches!(actor.kind, ActorKind::Script(_)) {
            let limit = workflow.time_limit(conversation);
            let due_at = since.zip(limit).map(|(since, limit)| since.plus(limit));
            let claimed_by = self.claims.get(&id).cloned();
            let is_overdue = due_at.is_some_and(|due_at| due_at <= seen.now);
            let actor = whom(actor);
            return Why::Person { place, actor, since, due_at, is_overdue, claimed_by, worked };
        }
        if let Some((what, pause, ends_it)) = seen.paused(run.run_id(), id, actor) {
            let Pause { by, because, since, until } = pause.clone();
            return Why::Paused { place, what, by, because, since, until, ends_it, worked };
        }
        match (position.due_at, seen.breaker(actor)) {
            (Some(due_at), _) if due_at > seen.now => repeat(due_at, place, worked),
            (_, Some((breaker, until))) => Why::Breaker {
                place,
                actor: whom(actor),
                until,
                is_over: until <= seen.now,
                is_tried: matches!(breaker.status(), BreakerStatus::HalfOpen { .. }),
                failures: breaker.failure_count(),
                worked,
            },
            (Some(due_at), None) => repeat(due_at, place, worked),
            (None, None) => Why::Ready { place, since, may_be_paused: is_model, worked },
        }
    }
}

impl<'a> Seen<'a> {
    fn place(&self, id: ConversationId) -> Place {
        Place::of(id, self.definition.ok())
    }

    /// The pause that keeps attempts at a conversation from being made, and the command that ends it.
    fn paused(
        &self,
        run_id: RunId,
        id: ConversationId,
        actor: &Actor,
    ) -> Option<(PausedWhat, &'a Pause, String)> {
        let goes_on = |pause: &&Pause| !pause.is_over(self.now);
        let of_run = |at| self.record.and_then(|record| record.pause_at(at)).filter(goes_on);
        if let Some(pause) = of_run(None) {
            let ends_it = command(format_args!("run unpause {run_id}"));
            return Some((PausedWhat::Run, pause, ends_it));
        }
        if let Some(pause) = of_run(Some(id)) {
            let ends_it = command(format_args!("run unpause {run_id} --conversation {id}"));
            return Some((PausedWhat::Conversation, pause, ends_it));
        }
        let pause = self.breakers.get(&actor.id)?.pause().filter(goes_on)?;
        let ends_it = command(format_args!("actor unpause {}", actor.id));
        Some((PausedWhat::Actor { actor: whom(actor) }, pause, ends_it))
    }

    /// The breaker of an actor that is not closed, and until when it keeps calls away.
    fn breaker(&self, actor: &Actor) -> Option<(&'a ActorBreaker, Timestamp)> {
        let breaker = self.breakers.get(&actor.id)?;
        Some((breaker, breaker.status().until()?))
    }
}

fn whom(actor: &Actor) -> Whom {
    Whom { actor_id: actor.id, name: actor.name.clone() }
}

fn ended(ending: &Ending, run_id: Option<RunId>) -> Why {
    let Ending { at, reason, conversation_id, cause } = ending;
    let cause = cause.as_ref();
    Why::Ended {
        run_id,
        at: *at,
        reason: reason.clone(),
        conversation_id: cause.and_then(|cause| cause.at).or(*conversation_id),
        rule: cause.and_then(|cause| cause.rule),
        to: cause.and_then(|cause| cause.to),
        failure_type: cause.and_then(|cause| cause.failure_type.clone()),
    }
}

impl Why {
    /// How far a position is from going on, compared with the others of its posting.
    fn distance(&self) -> u8 {
        match self {
            Self::Ready { .. } | Self::Unrouted { .. } => 0,
            Self::Retry { is_due: true, .. } | Self::Person { is_overdue: true, .. } => 1,
            Self::Retry { .. } => 2,
            Self::Breaker { .. } | Self::Paused { .. } | Self::Cancelling { .. } => 3,
            Self::Person { .. } => 4,
            Self::NoDefinition { .. } => 5,
            Self::Group { .. } => 6,
            _ => 7,
        }
    }
}
