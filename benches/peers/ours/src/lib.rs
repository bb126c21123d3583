//! This repository's framework on PostgreSQL, with the settings that it has by itself.

mod posting;
mod store;

pub use posting::{PostingAggregate, PostingClosed, PostingEvent, event, metadata};
pub use store::{decide, follow, load, open, prepare};
