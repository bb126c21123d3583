//! The in-memory reference store: the shortest one that keeps the whole contract.
//!
//! Use it in tests and property tests of a domain: it refuses, conflicts and orders exactly as the
//! durable stores do, because it passes the same contract suite. Nothing survives the process.
//!
//! ```
//! use std::sync::Arc;
//! use es_core::{AppendRequest, Environment, EventStore, ExpectedVersion, NewEvent, Payload};
//! use es_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let event_id = Environment::default().event_ids.next_id();
//! let event = NewEvent::new(event_id, "posting_saved", Payload::of("Berlin")?);
//! let request = AppendRequest::to("posting/12345".parse()?, ExpectedVersion::NoStream, vec![event]);
//! let appended = store.append(request).await?;
//! assert_eq!(appended.streams[0].version().as_u64(), 1);
//! # Ok(())
//! # }
//! ```

mod inline;
mod log;
mod projections;
mod sink;
mod store;
mod tables;

pub use store::MemoryStore;
