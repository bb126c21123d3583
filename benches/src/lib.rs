//! What the benches share: events as the specification shows them, stores, and ways to time calls.
//!
//! See `README.md` for how to run them and what they found.

pub mod chart;
pub mod cpu;
pub mod harness;
mod posting;
pub mod rounds;
mod run;
mod stores;
mod workload;

pub use posting::{Posting, PostingClosed, PostingEvent};
pub use run::{
    CALLERS, Calls, concurrently, criterion, is_measured, on_new_stores, runtime, sizes, timed,
};
pub use stores::{Backend, Opened, filled, server};
pub use workload::Workload;
