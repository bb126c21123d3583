//! Judges what was done to a store, call by call, against what its log holds in the end.
//!
//! A [`Recorder`] watches a store while writers, readers and followers use it, from any number of
//! tasks and with any faults; [`Recorder::finish`] reads the whole log and gives the [`History`],
//! and [`History::check`] says whether the store kept its word:
//!
//! - what was acknowledged is in the log exactly once, as told; what was refused is not there; what
//!   has an unknown outcome is there whole or not at all;
//! - versions are dense, positions grow and follow the versions, each append stands together in its
//!   stream and met its expectation, each key was written under once;
//! - there is one order of all calls, consistent with when they began and ended, that explains
//!   every answer: each page, each conflict's version, each repeat; how the log follows that order
//!   is told by the [`WriteOrder`];
//! - each follower saw the log, every event once, in order.
//!
//! The log tells the order of the writes, of all or at least within each stream, so nothing is
//! searched: the check takes about linear time.
//!
//! ```
//! # use es_core::ExpectedVersion;
//! # use es_core::backend::{AppendRequest, NewEvent};
//! # use es_core::environment::{EventIds, UuidV7Ids};
//! # use es_core::event::Payload;
//! use es_testing::checker::Recorder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = Recorder::new();
//! let store = es_memory::MemoryStore::new();
//! let watched = recorder.over(store.clone());
//! let event = NewEvent::new(UuidV7Ids.next_id(), "amount_paid_in", Payload::of(&100)?);
//! watched
//!     .append(AppendRequest::to("account/1".parse()?, ExpectedVersion::NoStream, vec![event]))
//!     .await?;
//! let summary = recorder.finish(store).await?.check()?;
//! assert_eq!((summary.acknowledged, summary.refused), (1, 0));
//! # Ok(())
//! # }
//! ```

mod check;
mod fresh;
mod history;
mod order;
mod overlapping;
mod recorder;
mod seen;
mod serial;
mod writes;

pub use check::{Rule, Summary, Violation, Violations};
pub use history::{AppendCall, AppendOutcome, Follower, History, ReadCall, Seen, Span, WriteOrder};
pub use recorder::Recorder;
