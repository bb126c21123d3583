// names and lints that careless generated code would trip over: it compiles, and there is nothing to run
#![deny(warnings, unused, missing_docs, nonstandard_style, future_incompatible, rust_2018_idioms)]
#![deny(
    unreachable_pub,
    unused_qualifications,
    single_use_lifetimes,
    missing_debug_implementations
)]
#![forbid(unsafe_code)]
#![allow(dead_code, clippy::all, reason = "nobody uses what the derives are given")]
//! A crate of events.

use es_core::{AggregateId, Event};

mod core {}
mod std {}

/// A result that is none.
pub type Result = ();
/// Names that the generated code must not catch.
#[allow(non_camel_case_types)]
pub type Ok = ();

/// Events.
#[derive(Event, Debug)]
pub enum PostingEvent {
    /// With fields named like parts of the generated code.
    PostingSaved {
        /// One.
        stored: i64,
        /// Two.
        #[event(metadata)]
        metadata: i64,
        /// Three.
        payload: String,
    },
    /// Old.
    #[deprecated]
    PostingDropped,
    /// One field.
    #[non_exhaustive]
    PostingKept(Vec<String>),
}

/// Events of something else.
#[derive(Event, Debug)]
pub enum WorkflowEvent {
    /// One.
    WorkflowStarted,
}

/// All of them.
#[derive(Event, Debug)]
#[event(union)]
pub enum AnyEvent {
    /// One.
    Posting(PostingEvent),
    /// Two.
    #[deprecated]
    #[non_exhaustive]
    Workflow(WorkflowEvent),
}

/// An id.
#[derive(AggregateId, Debug)]
pub struct PostingId(pub String);

fn main() {}
