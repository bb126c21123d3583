//! What was done to a store and what it answered, as plain data.

use es_core::backend::{
    AppendError, AppendRequest, Appended, LogPage, Position, ReadLog, ReadStream, StreamId,
    StreamPage,
};
use es_core::event::{EventFilter, RecordedEvent};
use es_core::execution::IdempotencyKey;

/// When a call began and ended, by a counter that all calls share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub began: u64,
    /// When it was answered; `None` if it never was.
    pub ended: Option<u64>,
}

impl Span {
    /// The moment by which the call had its effect, if it had any.
    pub(super) fn deadline(self) -> u64 {
        self.ended.unwrap_or(u64::MAX)
    }
}

/// How the positions of a store's events are related to the order in which appends take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WriteOrder {
    /// Appends take effect one after the other, in the order of their positions: what is
    /// acknowledged can at once be read everywhere.
    #[default]
    Serial,
    /// An append draws its positions during its call and takes effect later in it, so that appends
    /// to different streams may take effect in another order than that of their positions. The log
    /// is shown up to a place below which nothing can appear any more: an append that is under way
    /// may hold back what others were acknowledged.
    Overlapping,
}

/// Everything that was done to one store, and its log in the end.
///
/// The store was empty in the beginning, and all appends to it are in here.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the store promises of its positions.
    pub write_order: WriteOrder,
    /// The appends, in any order.
    pub appends: Vec<AppendCall>,
    /// The reads, in any order.
    pub reads: Vec<ReadCall>,
    /// Who followed the log.
    pub followers: Vec<Follower>,
    /// The whole log as it was when all was over, in the order in which the store returned it.
    pub log: Vec<RecordedEvent>,
}

/// One append.
#[derive(Debug, Clone)]
pub struct AppendCall {
    /// When.
    pub span: Span,
    /// What was asked for.
    pub request: AppendRequest,
    /// What was answered.
    pub outcome: AppendOutcome,
}

/// How an append ended.
#[derive(Debug, Clone)]
pub enum AppendOutcome {
    /// The store said that it is written, or was written before.
    Acknowledged(Appended),
    /// The store said that nothing was written.
    Refused(AppendError),
    /// Nobody knows: the caller went away or the answer was lost.
    Unknown,
}

impl From<Result<Appended, AppendError>> for AppendOutcome {
    fn from(answer: Result<Appended, AppendError>) -> Self {
        match answer {
            Ok(appended) => Self::Acknowledged(appended),
            Err(AppendError::Store(error)) if error.is_outcome_unknown() => Self::Unknown,
            Err(error) => Self::Refused(error),
        }
    }
}

/// One read that was answered.
#[derive(Debug, Clone)]
pub struct ReadCall {
    /// When.
    pub span: Span,
    /// What was asked for and answered.
    pub seen: Seen,
}

/// What a reader saw.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A page of a stream.
    Stream(ReadStream, StreamPage),
    /// A page of the log.
    Log(ReadLog, LogPage),
    /// The end of the log.
    End(Position),
    /// What is recorded under a key.
    Append(StreamId, IdempotencyKey, Option<Appended>),
}

/// Somebody who followed the log from a place on.
#[derive(Debug, Clone)]
pub struct Follower {
    /// Who, for the report.
    pub name: String,
    /// Where it began.
    pub after: Position,
    /// What it wanted.
    pub filter: EventFilter,
    /// What it was given, in the order in which it came.
    pub seen: Vec<RecordedEvent>,
    /// True if it went on until the end of the log, false if it stopped somewhere.
    pub to_the_end: bool,
}
