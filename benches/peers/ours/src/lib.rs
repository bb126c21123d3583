//! This repository's framework with the settings that it has by itself, on PostgreSQL and in memory.

mod posting;
mod store;

pub use posting::{PostingAggregate, PostingClosed, PostingEvent, event, metadata};
pub use store::{decide, follow, load, open, prepare};
