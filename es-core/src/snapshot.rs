//! Kept states, so that long streams need not be folded from the beginning.

mod queue;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aggregate::Aggregate;
use crate::error::StoreError;
use crate::event::Event;
use crate::payload::Payload;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

pub use queue::{SnapshotQueue, SnapshotWorker};

/// An aggregate whose state can be kept as a [`Snapshot`].
///
/// `es_testing::laws` checks that snapshot + tail equals full replay at every prefix.
pub trait Snapshotted: Aggregate + Serialize + DeserializeOwned {
    /// To be raised whenever the state's shape or the meaning of `evolve` changes: kept states of
    /// other revisions are ignored and replayed over.
    const REVISION: u32;

    /// What a kept state must carry to be used: the revision, and all event types with their
    /// schema versions, so that a state that knew fewer events is not used either.
    fn fingerprint() -> String {
        let events: Vec<_> = Self::Event::TYPES.iter().map(ToString::to_string).collect();
        format!("{} r{} [{}]", Self::TYPE, Self::REVISION, events.join(", "))
    }
}

/// The state of an aggregate after the first `version` events of its stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The fingerprint of the state's type; see [`Snapshotted`].
    pub schema: String,
    /// The state as JSON.
    pub state: Payload,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// A place for snapshots: an ability that a backend may have.
///
/// Snapshots are a cache. Losing one, or all, changes no answer, so a caller treats every error of
/// this trait as "there is none".
///
/// # Contract
///
/// Each clause names the scenarios of `es_testing::contract` that check it.
///
/// 1. `latest_snapshot` returns the saved snapshot with the highest version not above `up_to`,
///    equal to what was saved. (`snapshots::the_latest_comes_back_equal`,
///    `snapshots::an_upper_bound_selects_an_older_one`)
/// 2. A snapshot saved for the same stream and version replaces the earlier one; an older version
///    saved later hides no newer one. (`snapshots::the_same_version_is_replaced`,
///    `snapshots::a_late_older_one_hides_nothing`)
/// 3. Snapshots of different streams do not mix. (`snapshots::streams_do_not_mix`)
/// 4. `delete_snapshots` removes all snapshots of one stream and no others.
///    (`snapshots::deleting_removes_those_of_one_stream`)
/// 5. Snapshots never change what `EventStore` answers. (`snapshots::events_do_not_change`)
#[async_trait]
pub trait SnapshotStore: Send + Sync + 'static {
    /// The newest snapshot of the stream at or below `up_to`.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps a snapshot.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError>;

    /// Removes all snapshots of the stream.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError>;
}
