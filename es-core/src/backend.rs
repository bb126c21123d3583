//! The contract of stores: for who writes a backend, a layer around one, or a tool.
//!
//! | a backend | implements | which is judged by |
//! |---|---|---|
//! | keeps events | [`EventStore`] | `es_testing::contract_suite!` |
//! | keeps states, too | [`SnapshotStore`] | the same |
//! | keeps models of projections, too | [`ProjectionSink`] | `es_testing::projection_suite!` |
//! | can say who holds its log back | [`LogBlockers`] | |
//!
//! The clauses of each contract stand at its trait. What all backends decide alike is in [`rules`].
//! Who only reads needs [`EventStoreExt`], [`ReadLog`] and [`ReadStream`].

pub mod rules;

pub use crate::append::{
    AppendError, AppendRequest, Appended, AppendedStream, InvalidRequest, KeyDifference,
    StreamAppend, first_result, same_request,
};
pub use crate::content::{ContentProblem, check_json};
pub use crate::envelope::{EventReceipt, EventReference, NewEvent};
pub use crate::error::{StoreError, StoreErrorKind};
pub use crate::ext::EventStoreExt;
pub use crate::limits::Limits;
pub use crate::position::{Position, PositionError};
pub use crate::projection::batch::{Batch, Content, ModelRow, RowChange};
pub use crate::projection::checkpoint::Checkpoint;
pub use crate::projection::definition::{Definition, RawKeying};
pub use crate::projection::error::SinkError;
pub use crate::projection::health::LogBlockers;
pub use crate::projection::history::{check_active_model, check_history};
pub use crate::projection::lease::{Claim, Lease, Renewal, Renewed, Slot};
pub use crate::projection::parked::ListParked;
pub use crate::projection::signal::CommitSignal;
pub use crate::projection::sink::ProjectionSink;
pub use crate::projection::table::{TableChange, TableRead};
pub use crate::read::{
    Direction, LogPage, PageBuilder, PageLimit, ReadLog, ReadStream, StreamPage,
};
pub use crate::snapshot::{
    Pruned, Snapshot, SnapshotAndTail, SnapshotStore, SnapshotSummary, prune_all,
};
pub use crate::store::{Capabilities, EventStore, StoreIdentity};
pub use crate::stream::{InvalidStreamId, StreamId};
pub use crate::timestamp::{Timestamp, TimestampError};
