//! Why an append is refused.

use std::convert::Infallible;

use super::IdempotencyKey;
use crate::content::ContentProblem;
use crate::envelope::EventId;
use crate::error::{ErrorKind, StoreError};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::{Conflict, ExpectedVersion};

/// A request that no backend would take; nothing was written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The append names no stream.
    #[error("an append needs at least one stream")]
    NoStreams,
    /// The append has no event for a stream that it names.
    #[error("the append has no event for stream {stream}; leave the stream out")]
    NoEvents {
        /// The stream.
        stream: StreamId,
    },
    /// The append, or the decision, names a stream twice.
    #[error("stream {stream} is named twice; put what concerns it together")]
    StreamTwice {
        /// The stream.
        stream: StreamId,
    },
    /// A reaction decides twice about one event on a stream under one key: the second decision would
    /// be answered as a repeat of the first, and never be carried out.
    #[error(
        "the reaction has decided on stream {stream} under the same key already; name each further \
         decision with `reacting_to_step`, and leave it to the next call to repeat one"
    )]
    KeyTwice {
        /// The stream.
        stream: StreamId,
    },
    /// A member of a decision is of a repository with another store than the first of them, whose
    /// events, snapshots and versions are not those that the decision reads and writes; or a decision
    /// was prepared for another store, or for a tenant of it, than the one that is to append it.
    #[error(
        "stream {stream} is of a repository with another store than the one that is written; open \
         the store once, and make all repositories with handles of it, a tenant's with that tenant's"
    )]
    OtherStore {
        /// The stream.
        stream: StreamId,
    },
    /// Two events of the append have the same id.
    #[error("event id {event_id} stands twice in the append")]
    EventIdTwice {
        /// The id.
        event_id: EventId,
    },
    /// The append has more events than allowed.
    #[error("{count} events in one append, more than the limit of {limit}; split it")]
    TooManyEvents {
        /// The number of events.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The append is larger than allowed.
    #[error("{bytes} bytes in one append, more than the limit of {limit}; split it")]
    TooLarge {
        /// The size of all payloads and metadata in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The name of an event is not snake_case or too long.
    #[error("`{event_type}` is no event type; use a snake_case name of at most {max} bytes")]
    EventType {
        /// The name as given, shortened and escaped.
        event_type: String,
        /// The longest allowed name, in bytes.
        max: usize,
    },
    /// An event contains something that cannot be kept.
    #[error("the {part} of event `{event_type}` ({event_id}) cannot be stored: {problem}")]
    Content {
        /// The stored name of the event.
        event_type: String,
        /// The event.
        event_id: EventId,
        /// `payload` or `metadata`.
        part: &'static str,
        /// What is wrong with it.
        problem: ContentProblem,
    },
    /// The idempotency key is empty, too long or contains a control character.
    #[error("`{key}` is no idempotency key; use 1 to {max} bytes without control characters")]
    Key {
        /// The key as given, shortened and escaped.
        key: String,
        /// The longest allowed key, in bytes.
        max: usize,
    },
    /// The idempotency key begins as those of reactions do: one that comes from elsewhere would keep a
    /// reaction from doing anything.
    #[error(
        "`{key}` begins as the keys of reactions do; put a word of your own before it, or use \
         `reacting_to`"
    )]
    KeyOfReactions {
        /// The key as given, shortened and escaped.
        key: String,
    },
    /// Imported events are of a time that is still to come.
    #[error(
        "the events are to be recorded as of {original}, and the store's clock shows {now}; import \
         what has happened, at the time when it did"
    )]
    TimeAhead {
        /// The time that the import says.
        original: Timestamp,
        /// The time by the store's clock.
        now: Timestamp,
    },
    /// An import goes on after whatever is there, so that nobody could tell it from its repeat.
    #[error(
        "an import to stream {stream} goes on after whatever is there; expect the version after which \
         it begins, or that the stream does not exist"
    )]
    ImportWithoutVersion {
        /// The stream.
        stream: StreamId,
    },
    /// The header `If-Match` is neither `*` nor a version.
    #[error(
        "`{header}` is no version; send `*`, or the entity tag that was answered, such as \"3\""
    )]
    IfMatch {
        /// The header as given, shortened and escaped.
        header: String,
    },
    /// A decision put a draft into the place of another one, or one of its own making; then nobody
    /// knows to which stream its events belong.
    #[error("the decision moved its drafts; record events in each where it stands")]
    DraftsMoved,
    /// A decision over drafts answers with events, alone, several, or in a `Result`; nobody writes what is
    /// answered.
    #[error(
        "the decision answers with events; record them in the drafts, and answer something else"
    )]
    EventsAnswered,
    /// The store keeps ids of another kind only.
    #[error("stream {stream} cannot be kept here: this store's aggregate ids are {wanted}")]
    IdOfOtherType {
        /// The stream.
        stream: StreamId,
        /// What ids the store keeps.
        wanted: &'static str,
    },
    /// The name of the stream is none.
    #[error(transparent)]
    Stream(#[from] crate::stream::InvalidStreamId),
}

impl InvalidRequest {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::TooManyEvents { .. }
            | Self::TooLarge { .. }
            | Self::Content { problem: ContentProblem::TooLarge { .. }, .. } => ErrorKind::TooLarge,
            // what no caller can help
            Self::OtherStore { .. }
            | Self::KeyTwice { .. }
            | Self::ImportWithoutVersion { .. }
            | Self::EventIdTwice { .. }
            | Self::EventType { .. }
            | Self::DraftsMoved
            | Self::EventsAnswered => ErrorKind::Broken,
            Self::NoStreams
            | Self::NoEvents { .. }
            | Self::StreamTwice { .. }
            | Self::Content { .. }
            | Self::Key { .. }
            | Self::KeyOfReactions { .. }
            | Self::TimeAhead { .. }
            | Self::IfMatch { .. }
            | Self::IdOfOtherType { .. }
            | Self::Stream(_) => ErrorKind::Invalid,
        }
    }
}

impl From<Infallible> for InvalidRequest {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Why an append wrote nothing, or is not known to have written.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A stream was not as expected; nothing was written.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// An event with this id is in the store already; nothing was written.
    #[error("event id {event_id} is in the store already; make a new id for each event")]
    DuplicateEvent {
        /// The id.
        event_id: EventId,
    },
    /// The idempotency key was used for another request; nothing was written.
    #[error(
        "idempotency key `{key}` was used on stream {stream} for another request: {difference}"
    )]
    KeyReused {
        /// The key.
        key: IdempotencyKey,
        /// The stream under which the key was found.
        stream: StreamId,
        /// What differs.
        difference: KeyDifference,
    },
    /// The request is one that no backend takes; nothing was written.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// The store failed; see [`StoreError::is_outcome_unknown`].
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AppendError {
    /// What it means for whoever asked.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict(conflict) => match conflict.expected {
                ExpectedVersion::NoStream | ExpectedVersion::StreamExists => conflict.kind(),
                // the version is what the writer has seen, so others were faster
                ExpectedVersion::Any | ExpectedVersion::Exact(_) => ErrorKind::Conflict,
            },
            Self::DuplicateEvent { .. } => ErrorKind::Broken,
            Self::KeyReused { .. } => ErrorKind::KeyReused,
            Self::Invalid(invalid) => invalid.kind(),
            Self::Store(error) => error.kind().into(),
        }
    }
}

/// In what a request differs from the one that first used its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDifference {
    /// It names other streams.
    #[error("it names other streams")]
    Streams,
    /// It has another number of events for a stream.
    #[error("it has another number of events")]
    EventCount,
    /// An event has another type.
    #[error("an event has another type")]
    EventType,
    /// An event has another payload.
    #[error("an event has another payload")]
    Payload,
}
