//! Stores around stores: what differs is written down, and the rest is forwarded.
//!
//! A layer is a function from one [`Store`](crate::Store) to another, or a [`StoreLayer`] of one's
//! own, which [`Layered`] makes a store of. What goes past the handle goes past the layer: a
//! transaction of a backend's own, such as that of `SqliteStore::write`, is the backend's.

mod scoped;
mod sink;
mod snapshot;
mod store;
mod traced;

pub use scoped::scoped;
pub use sink::{LayeredSink, SinkLayer};
pub use snapshot::{LayeredSnapshots, SnapshotLayer};
pub use store::{Layered, StoreLayer};
pub use traced::traced;
