//! Tasks of people: which are open, who has claimed them, and what is answered.
//!
//! Any process answers, whether a run goes on meanwhile or not: an answer is one append to the
//! posting's stream, with everything that follows from it by the definition that the run began with.

mod answer;
mod fields;
mod inbox;
mod standing;

use es_core::CommandError;
use es_core::event::Timestamp;
use es_core::execution::{Conflict, InvalidRequest, LoadError, StoreError, StoreErrorKind};
use turing_domain::{ConversationId, HumanTaskRejection, PostingId, RunId};

use crate::definition::RecordedError;
use crate::proposal::command;

pub use answer::{Answered, Asked, Claimed, answer, claim, release};
pub use fields::{FieldError, FormField, fields_of, from_fields};
pub use inbox::{Inbox, InboxFilter, InboxTask, inbox};
pub use standing::{Ended, EndedWith, Standing};

/// Why nothing can be answered, or said of what is open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// The posting is in no run.
    #[error("posting {posting} is in no run; `{}` lists what waits for people", command("inbox"))]
    NotInRun {
        /// The posting.
        posting: PostingId,
    },
    /// The run is over, and has not ended the posting.
    #[error(
        "posting {posting} is open in run {run_id}, which is over, so that nobody would go on with an \
         answer; the next run takes it"
    )]
    RunOver {
        /// The posting.
        posting: PostingId,
        /// The run.
        run_id: RunId,
    },
    /// The definition of the run is not in the store.
    #[error(
        "run {run_id} began before definitions were kept with runs, so that nobody can answer in it; \
         give it up with `{}`, which begins a new one",
        command("run … --abandon")
    )]
    NoDefinition {
        /// The run.
        run_id: RunId,
    },
    /// The definition of the run cannot be read.
    #[error(transparent)]
    Definition(#[from] RecordedError),
    /// The posting does not wait for it, or not any more.
    #[error("posting {posting} does not wait for conversation {conversation}: {why}")]
    Stale {
        /// The posting.
        posting: PostingId,
        /// The conversation.
        conversation: ConversationId,
        /// What happened, and by whom.
        why: String,
    },
    /// Somebody else has claimed the task.
    #[error(
        "{by} has claimed conversation {conversation} of posting {posting}{}; ask them to release it, \
         or take it over with --take-over REASON",
        since.map_or_else(String::new, |since| format!(" at {since}"))
    )]
    Claimed {
        /// The posting.
        posting: PostingId,
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        by: String,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// The answer is not as the form asks for.
    #[error("the answer is not as the form of conversation {conversation} asks for: {why}")]
    Form {
        /// The conversation.
        conversation: ConversationId,
        /// Where, and what is wrong there.
        why: String,
    },
    /// What was said is refused whatever the posting waits for.
    #[error(transparent)]
    Refused(HumanTaskRejection),
    /// The posting's events cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Somebody writes to the posting all the time.
    #[error("posting {posting} is written to by somebody else all the time; answer once more")]
    Contended {
        /// The posting.
        posting: PostingId,
        /// The last conflict.
        #[source]
        source: Conflict,
    },
    /// The answer cannot be stored.
    #[error("the answer cannot be stored")]
    Invalid(#[source] InvalidRequest),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PeopleError {
    /// What it means that a decision was not carried out; what the posting refuses is judged before.
    fn of(posting: PostingId, error: CommandError<HumanTaskRejection>) -> Self {
        match error {
            CommandError::Rejected(refused) => Self::Refused(refused),
            CommandError::Conflict(source) => Self::Contended { posting, source },
            CommandError::Invalid(source) => Self::Invalid(source),
            CommandError::Load(error) => Self::Load(error),
            CommandError::Store(error) => Self::Store(error),
            other => Self::Store(
                StoreError::new(StoreErrorKind::Other, "the store broke its contract")
                    .caused_by(other),
            ),
        }
    }
}
