//! Of what a reason speaks: conversations, actors, and whoever works on a run.

use std::fmt;

use es_core::event::Timestamp;
use serde::Serialize;
use turing_domain::{ActorId, ConversationId, RunId, Workflow};

use super::words::second;
use crate::account::{Now, may_return};
use crate::lock::Holder;
use crate::proposal::command;

/// A conversation, by its number and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The conversation.
    pub conversation_id: ConversationId,
    /// What people call it, if the definition is known.
    pub name: Option<String>,
}

impl Place {
    pub(super) fn of(conversation_id: ConversationId, definition: Option<&Workflow>) -> Self {
        let conversation = definition.and_then(|workflow| workflow.conversation(conversation_id));
        Self { conversation_id, name: conversation.map(|known| known.name.clone()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conversation {}", self.conversation_id)?;
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}

/// An actor, by its number and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Whom {
    /// The actor.
    pub actor_id: ActorId,
    /// What people call it.
    pub name: String,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {} ({})", self.actor_id, self.name)
    }
}

/// What somebody has paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PausedWhat {
    /// The run.
    Run,
    /// The conversation, in the run.
    Conversation,
    /// The actor, in all workflows.
    Actor {
        /// The actor.
        actor: Whom,
    },
}

impl fmt::Display for PausedWhat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("its run is"),
            Self::Conversation => f.write_str("the conversation is"),
            Self::Actor { actor } => write!(f, "{actor} is"),
        }
    }
}

/// Whether a process works on a run now, as far as its lock shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Worked {
    /// A process does.
    Process {
        /// As it names itself: its number, and where that does not say enough, its host or session.
        process: String,
    },
    /// Nobody does: the run was interrupted.
    Nobody {
        /// The command that goes on.
        go_on: String,
    },
    /// Nobody has the lock, and whoever had it may have lost it because the server began anew.
    Perhaps {
        /// When the server began.
        server_began: Timestamp,
        /// The command that goes on if nobody does.
        go_on: String,
    },
    /// That cannot be seen from here.
    Unknown,
}

impl Worked {
    /// By who holds the lock of the run; `last_event` is the newest that is known of it.
    pub fn of(holder: &Holder, run_id: RunId, last_event: Timestamp, now: Timestamp) -> Self {
        match holder {
            Holder::Process(process) => Self::Process { process: process.clone() },
            Holder::NobodySince(began) if may_return(*began, last_event, now) => {
                Self::Perhaps { server_began: *began, go_on: go_on(run_id) }
            }
            Holder::Nobody | Holder::NobodySince(_) => Self::Nobody { go_on: go_on(run_id) },
            Holder::Unknown => Self::Unknown,
        }
    }

    /// By what an account says of a run in progress.
    pub(super) fn of_account(now: &Now, run_id: RunId) -> Self {
        match (&now.process, now.is_interrupted, now.server_began) {
            (Some(process), ..) => Self::Process { process: process.clone() },
            (None, Some(true), _) => Self::Nobody { go_on: go_on(run_id) },
            (None, _, Some(server_began)) => Self::Perhaps { server_began, go_on: go_on(run_id) },
            (None, _, None) => Self::Unknown,
        }
    }
}

/// The command that goes on with a run.
fn go_on(run_id: RunId) -> String {
    command(format_args!("run resume {run_id}"))
}

impl fmt::Display for Worked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { process } => write!(f, "process {process} works on this run"),
            Self::Nobody { go_on } => write!(f, "nobody works on this run: `{go_on}` goes on"),
            Self::Perhaps { server_began, go_on } => write!(
                f,
                "nobody works on this run, unless whoever did lost its lock when the server began at {} \
                 and takes it again before its next attempt; if nobody does, `{go_on}` goes on",
                second(*server_began)
            ),
            Self::Unknown => f.write_str("whether anybody works on this run cannot be seen here"),
        }
    }
}
