#![allow(clippy::test_attr_in_doctest, reason = "the front page shows a test, too")]
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]
//!
//! # I want to …
//!
//! | I want to … | look at |
//! |---|---|
//! | define an aggregate and its events | [`Aggregate`], [`derive@Event`], [`derive@AggregateId`] |
//! | read names of the past, import history with its times | [`derive@Event`], [`Member::import`] |
//! | decide over one aggregate | [`Repository::by_id`], [`Member::decide`] |
//! | decide over several, see what was just recorded, answer a value | [`transact`], [`Draft`] |
//! | say what I know of an aggregate: that it is new, that it exists, its version (optimistic concurrency) | [`Member::expecting`], [`Member::if_match`] |
//! | send a command twice safely, retry conflicts otherwise | [`Decision::idempotency_key`], [`Decision::retry`] |
//! | write my own rows and what was decided in one transaction | [`Decision::prepare`] |
//! | answer HTTP | [`CommandError::kind`], [`ErrorKind::http_status`], [`Member::if_match`], [`Decision::client_key`], [`StreamVersion::etag`] |
//! | let one event cause the next command | [`Decision::caused_by`], [`Decided::cause`] |
//! | record who asked, for which tenant | [`Decision::metadata`], [`MetadataField`], [`derive@Event`] |
//! | load a state, now or in the past | [`Repository::load`], [`Repository::load_at`] |
//! | see what changed between two moments | [`Repository::difference`], [`Moment`] |
//! | try other logic on all of history, without writing | [`Replay`] |
//! | read what happened | [`Repository::history`], [`EventStoreExt::events`], [`Envelope`] |
//! | select events of the log | [`EventFilter`] |
//! | follow everything that happens | [`EventStoreExt::tail`], [`EventStoreExt::tail_pages`] |
//! | load long streams quickly | [`Repository::snapshot_every`], [`Repository::with_cache`] |
//! | keep read models (CQRS) | [`projection`] |
//! | do something when something happened: commands, effects outside (saga, process manager, outbox) | [`Reaction`] |
//! | replace time, ids, chance, or what waits and runs beside | [`environment`] |
//! | give a store to all of these | [`Store`] |
//! | put something around a store | [`layer`] |
//! | write a backend | [`backend`] |
//!
//! [`Decision::caused_by`]: execution::Decision::caused_by
//! [`Decision::client_key`]: execution::Decision::client_key
//! [`Decision::idempotency_key`]: execution::Decision::idempotency_key
//! [`Decision::metadata`]: execution::Decision::metadata
//! [`Decision::prepare`]: execution::Decision::prepare
//! [`Decision::retry`]: execution::Decision::retry
//! [`EventFilter`]: event::EventFilter
//! [`EventStoreExt::events`]: event::EventStoreExt::events
//! [`EventStoreExt::tail_pages`]: event::EventStoreExt::tail_pages
//! [`EventStoreExt::tail`]: event::EventStoreExt::tail
//! [`Member::decide`]: execution::Member::decide
//! [`Member::expecting`]: execution::Member::expecting
//! [`Member::if_match`]: execution::Member::if_match
//! [`Member::import`]: execution::Member::import
//! [`MetadataField`]: event::MetadataField
//! [`Moment`]: execution::Moment
//! [`Replay`]: replay::Replay
//! [`StreamVersion::etag`]: execution::StreamVersion::etag

// the derives name their crate from outside
extern crate self as es_core;

#[cfg(feature = "derive")]
#[cfg_attr(not(doctest), doc = include_str!("derive/aggregate_id.md"))]
#[doc(inline)]
pub use es_macros::AggregateId;
#[cfg(feature = "derive")]
#[cfg_attr(not(doctest), doc = include_str!("derive/event.md"))]
#[doc(inline)]
pub use es_macros::Event;

// the programming model
mod aggregate;
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
mod text;
mod timestamp;
mod version;

// the contract
mod append;
pub mod backend;
mod error;
mod read;
mod snapshot;
mod store;

// the engine
pub mod environment;
pub mod execution;
mod ext;
pub mod layer;
mod measure;
pub mod projection;
pub mod reaction;
pub mod replay;
mod repository;
mod retry;
mod subscription;
mod time_travel;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use aggregate::{Aggregate, AggregateId};
pub use event::{Envelope, Event};
pub use execution::{
    CommandError, Decided, Draft, ErrorKind, ExpectedVersion, Repository, transact,
};
pub use projection::{BoxError, Projection, Runner, TableProjection};
pub use reaction::Reaction;
pub use store::Store;

// not where they are shown, so that they run once
#[cfg(doctest)]
mod derive_examples {
    #[doc = include_str!("derive/event.md")]
    struct Event;
    #[doc = include_str!("derive/aggregate_id.md")]
    struct AggregateId;
    #[doc = include_str!("derive/table_row.md")]
    struct TableRow;
}
