//! Event sourcing: the typed programming model, the store contract and the engine.
//!
//! ```text
//! command ─► Repository ─► decide ─► append ─► EventStore ─► tail ─► whoever follows
//!                ▲  load: snapshot + events + upcasters
//!                └──────── conflict: load again, decide again
//! ```
//!
//! | I want to … | look at |
//! |---|---|
//! | define an aggregate and its events | [`Aggregate`], [`derive@Event`], [`derive@AggregateId`] |
//! | run commands | [`Repository::update`], [`Repository::execute`] with [`Decide`], [`Repository::create`], [`Repository::record`] |
//! | retry conflicts, send a command twice safely, expect a version | [`Command::retries`], [`Command::idempotency_key`], [`Command::expecting`] |
//! | let one event cause the next command | [`Command::caused_by`], [`Executed::cause`] |
//! | record who asked, for which tenant | [`Command::metadata`], [`MetadataField`], [`derive@Event`] |
//! | decide over several aggregates | [`UnitOfWork`] |
//! | load a state, now or in the past | [`Repository::load`], [`Repository::load_at_version`], [`Repository::load_at`] |
//! | see what changed between two moments | [`Repository::difference`], [`Moment`] |
//! | try other logic on all of history, without writing | [`Replay`] |
//! | read what happened | [`Repository::history`], [`EventStoreExt::events`], [`Envelope`] |
//! | select events of the log | [`EventFilter`] |
//! | follow everything that happens | [`EventStoreExt::tail`], [`EventStoreExt::tail_pages`] |
//! | load long streams quickly | [`Repository::with_snapshots`] |
//! | keep read models | [`projection`] |
//! | write a backend | [`EventStore`], [`SnapshotStore`], [`ProjectionSink`](projection::ProjectionSink) |
//!
//! A whole aggregate with its test is in the repository's README. This crate knows no database:
//! stores are crates of their own, such as es-memory and es-sqlite.

// the derives name their crate from outside
extern crate self as es_core;

pub use es_macros::{AggregateId, Event};

// the programming model
pub mod aggregate;
pub mod event;
mod upcast;

// what is stored
mod canonical;
mod content;
mod envelope;
mod finite;
mod limits;
mod metadata;
mod payload;
mod position;
mod stream;
mod timestamp;
mod version;

// the contract
pub mod append;
mod error;
pub mod read;
pub mod snapshot;
mod store;

// the engine
pub mod environment;
mod ext;
pub mod projection;
#[expect(dead_code, unreachable_pub, reason = "nothing calls reactions yet")]
mod reaction;
pub mod replay;
pub mod repository;
mod retry;
mod time_travel;
mod unit_of_work;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use aggregate::{Aggregate, AggregateId, Decide, IntoEvents, fold, stream_of};
pub use append::{AppendError, AppendRequest, Appended, AppendedStream, IdempotencyKey};
pub use append::{InvalidRequest, StreamAppend};
pub use content::{ContentProblem, check_json};
pub use envelope::{
    Cause, Envelope, EventId, EventName, EventReceipt, EventReference, NewEvent, RecordedEvent,
};
pub use environment::{Clock, Environment, EventIds, Jitter};
pub use error::{StoreError, StoreErrorKind};
pub use event::{DecodeError, Decoded, EncodeError, Event, EventType, StoredEvent};
pub use ext::EventStoreExt;
pub use limits::Limits;
pub use metadata::{EventVersion, Metadata, MetadataField};
pub use payload::{Payload, RoundTripError};
pub use position::{Position, PositionError};
pub use read::{Direction, EventFilter, LogPage, PageLimit, ReadLog, ReadStream, StreamPage};
pub use replay::{Replay, ReplayError, ReplayReport, Verdict};
pub use repository::SnapshotChecks;
pub use repository::{Command, ExecuteError, Executed, LoadError, Loaded, Repository};
pub use retry::Retry;
pub use snapshot::{Snapshot, SnapshotAndTail, SnapshotQueue, SnapshotStore, SnapshotSummary};
pub use snapshot::{SnapshotWorker, Snapshotted};
pub use store::EventStore;
pub use stream::{InvalidStreamId, StreamId};
pub use time_travel::{Difference, DifferenceError, Moment, StateDifference, differences};
pub use timestamp::{Timestamp, TimestampError};
pub use unit_of_work::{Decision, ExecutedUnit, Member, Members, UnitOfWork};
pub use upcast::Fields;
pub use version::{Conflict, ExpectedVersion, StreamVersion};

#[cfg(doctest)]
mod derive_examples {
    #[doc = include_str!("../../macros/src/event.md")]
    struct Event;
    #[doc = include_str!("../../macros/src/aggregate_id.md")]
    struct AggregateId;
}
