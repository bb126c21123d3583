//! Why a posting does not go on, or by whom it does: one sentence for each, from its events, the
//! definition of its run, the lock of the run, and the circuit breakers of its actors.

mod asker;
mod groups;
mod places;
mod reason;
mod story;
mod words;

use es_core::event::{StreamId, Timestamp};
use es_core::execution::StreamVersion;
use serde::Serialize;
use turing_domain::{ConversationId, EndReason, FailureType, PostingId, RunId};

pub use asker::Asker;
pub use groups::{WhyGroup, WhyOfRun};
pub use places::{PausedWhat, Place, Whom, Worked};
pub use reason::Seen;
pub use story::{Stories, Story};

/// Why a posting, or one of the conversations at which it stands, is where it is.
///
/// Its text is a sentence without its subject, such as `ready at conversation 9101 (validate) …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Why {
    /// No posting of this id is in the store.
    Unregistered,
    /// It is in no run.
    NoRun {
        /// Whether its state was imported from another system since it was in one.
        is_imported: bool,
        /// Whether it has ended all the same.
        is_terminal: bool,
    },
    /// It is not in the run that was asked for, and never ended in it.
    NotInRun {
        /// That run.
        run_id: RunId,
        /// The run in which it is open.
        now_in: Option<RunId>,
    },
    /// An event that the answer needs cannot be read, or is missing.
    Unreadable {
        /// The stream of the event.
        stream: StreamId,
        /// Its number there.
        version: StreamVersion,
        /// Why not.
        reason: String,
    },
    /// It has ended.
    Ended {
        /// The run in which it did, if it is known.
        run_id: Option<RunId>,
        /// When that was recorded.
        at: Timestamp,
        /// The worst reason of its paths, if it was recorded.
        reason: Option<EndReason>,
        /// Where it ended.
        conversation_id: Option<ConversationId>,
        /// The rule that was taken, or that a limit kept from being taken, from 1.
        rule: Option<u32>,
        /// The conversation that a limit kept from being opened.
        to: Option<ConversationId>,
        /// Of what the last attempt there failed.
        failure_type: Option<FailureType>,
    },
    /// It is open in a run that is over, or that has no beginning.
    RunOver {
        /// The run.
        run_id: RunId,
        /// How that ended, in words.
        outcome: String,
    },
    /// An attempt ended, and what follows from that is not recorded.
    Unrouted {
        /// Where.
        place: Place,
        /// Whether a process works on the run, which records it.
        worked: Worked,
    },
    /// The definition of its run lacks the conversation, or its actor.
    Missing {
        /// Where it stands.
        place: Place,
    },
    /// The definition of its run cannot be had, so that no more is known than where it stands.
    NoDefinition {
        /// Where it stands.
        place: Place,
        /// Why not.
        reason: String,
        /// Whether a process works on the run.
        worked: Worked,
    },
    /// It waits for a group.
    Group {
        /// Where it stands.
        place: Place,
        /// The group.
        group: String,
        /// The members of the group at which it stands, too.
        open: Vec<Place>,
    },
    /// It waits for a person.
    Person {
        /// Where it stands.
        place: Place,
        /// The person.
        actor: Whom,
        /// Since when.
        since: Option<Timestamp>,
        /// When the task is overdue, if it ever is.
        due_at: Option<Timestamp>,
        /// Whether that is past, and not recorded: it can still be answered.
        is_overdue: bool,
        /// Who has claimed the task.
        claimed_by: Option<String>,
        /// Whether a process works on the run, which records that it is overdue.
        worked: Worked,
    },
    /// An attempt failed, and is repeated.
    Retry {
        /// Where it stands.
        place: Place,
        /// The number of the attempt that is next, from 1.
        attempt: u64,
        /// It is not made before then.
        due_at: Timestamp,
        /// Whether that is past.
        is_due: bool,
        /// Of what the attempt before failed.
        failure_type: Option<FailureType>,
        /// Whether a process works on the run.
        worked: Worked,
    },
    /// Somebody has cancelled its run, so that no attempt is made any more.
    Cancelling {
        /// Where it stands.
        place: Place,
        /// Who.
        by: String,
        /// Why.
        because: String,
        /// The command that ends the run if no process does.
        ends_it: String,
        /// Whether a process works on the run, which ends it.
        worked: Worked,
    },
    /// Somebody wants no attempt to be made there.
    Paused {
        /// Where it stands.
        place: Place,
        /// What is paused.
        what: PausedWhat,
        /// Who wants that.
        by: String,
        /// Why.
        because: String,
        /// Since when.
        since: Option<Timestamp>,
        /// Until when at most.
        until: Option<Timestamp>,
        /// The command that ends it.
        ends_it: String,
        /// Whether a process works on the run.
        worked: Worked,
    },
    /// The circuit breaker of its actor keeps calls from it.
    Breaker {
        /// Where it stands.
        place: Place,
        /// The actor.
        actor: Whom,
        /// Until when.
        until: Timestamp,
        /// Whether that is past, so that one call is let through.
        is_over: bool,
        /// Whether one call is under way to see whether the actor answers again.
        is_tried: bool,
        /// The failures of the actor since its last success.
        failures: u32,
        /// Whether a process works on the run.
        worked: Worked,
    },
    /// Nothing that is recorded keeps it: an attempt can be made, or is being made.
    Ready {
        /// Where it stands.
        place: Place,
        /// Since when.
        since: Option<Timestamp>,
        /// Whether its actor is a model, whose endpoint may have asked for a pause: only the process that
        /// works on the run knows that.
        may_be_paused: bool,
        /// Whether a process works on the run.
        worked: Worked,
    },
}

/// Why a posting is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostingWhy {
    /// The posting.
    pub posting_id: PostingId,
    /// The reason as a sentence without its subject.
    pub sentence: String,
    /// The reason: of several open positions that of the one that is next to go on.
    pub why: Why,
    /// The same of each open position, the one that is next to go on first.
    pub positions: Vec<PositionWhy>,
}

/// Why a posting is at one of the conversations at which it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PositionWhy {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The reason as a sentence without its subject.
    pub sentence: String,
    /// The reason.
    pub why: Why,
}

impl PostingWhy {
    /// Of a posting that stands nowhere.
    pub(crate) fn alone(posting_id: PostingId, why: Why) -> Self {
        Self { posting_id, sentence: why.to_string(), why, positions: Vec::new() }
    }

    /// True if the posting was found where it was asked for, and could be read.
    pub fn is_found(&self) -> bool {
        !matches!(self.why, Why::Unregistered | Why::NotInRun { .. } | Why::Unreadable { .. })
    }
}

impl PositionWhy {
    fn new(conversation_id: ConversationId, why: Why) -> Self {
        Self { conversation_id, sentence: why.to_string(), why }
    }
}

#[cfg(test)]
mod tests;
