//! Running decisions: load, decide, append, and again after a conflict.

mod known;

pub(crate) use known::{Known, Snapshots, load_stream};
