//! Kept states, so that long streams need not be folded from the beginning.

mod prune;
mod queue;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aggregate::Aggregate;
use crate::content::ContentProblem;
use crate::envelope::{EventId, RecordedEvent};
use crate::error::{StoreError, StoreErrorKind};
use crate::event::Event;
use crate::limits::Limits;
use crate::payload::Payload;
use crate::read::{PageLimit, StreamPage};
use crate::stream::StreamId;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

pub use prune::{Pruned, prune_all};
pub(crate) use queue::SnapshotQueue;

/// An aggregate whose state can be kept as a [`Snapshot`].
///
/// `es_testing::laws` checks that snapshot + tail equals full replay at every prefix.
pub trait Snapshotted: Aggregate + Serialize + DeserializeOwned {
    /// To be raised whenever the state's shape or the meaning of `evolve` changes, and whenever a stored
    /// event is read as another one than before: by a changed upcaster or function that splits, or as
    /// an alias of another kind. Kept states of other revisions are ignored and replayed over.
    const REVISION: u32;

    /// What a kept state must carry to be used: the revision, all event types with their schema
    /// versions, so that a state that knew fewer events is not used either, and the names that are
    /// retired or were split, if there are any.
    fn fingerprint() -> String {
        let kinds = Self::Event::TYPES;
        let list = |names: Vec<String>| format!("[{}]", names.join(", "));
        let events = list(kinds.iter().map(ToString::to_string).collect());
        let mut fingerprint = format!("{} r{} {events}", Self::TYPE, Self::REVISION);
        let retired = Self::Event::RETIRED;
        if !retired.is_empty() {
            fingerprint += " retired ";
            fingerprint += &list(retired.iter().map(ToString::to_string).collect());
        }
        let mut split = BTreeMap::<_, Vec<_>>::new();
        for kind in kinds {
            for name in kind.part_of {
                split.entry(*name).or_default().push(kind.name);
            }
        }
        if !split.is_empty() {
            let split =
                split.into_iter().map(|(name, parts)| format!("{name} = {}", parts.join(" + ")));
            fingerprint += " split ";
            fingerprint += &list(split.collect());
        }
        fingerprint
    }
}

/// The state of an aggregate after the first `version` events of its stream.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The last of these events. Where the stream's event of that version is another one, the state
    /// is of another history, and is not used.
    pub last_event: EventId,
    /// The fingerprint of the state's type; see [`Snapshotted`].
    pub schema: String,
    /// The state as JSON.
    pub state: Payload,
    /// When it was taken.
    pub taken_at: Timestamp,
}

impl Snapshot {
    /// A state of the stream's first `version` events, of which `last_event` is the last.
    pub fn new(
        stream: StreamId,
        version: StreamVersion,
        last_event: EventId,
        schema: impl Into<String>,
        state: Payload,
        taken_at: Timestamp,
    ) -> Self {
        Self { stream, version, last_event, schema: schema.into(), state, taken_at }
    }

    /// Whether the state ends with this very event, and so is of its history.
    pub fn ends_with(&self, event: &RecordedEvent) -> bool {
        (&self.stream, self.version, self.last_event)
            == (&event.stream, event.version, event.event_id)
    }

    /// For backends: refuses what no backend can keep, before anything is written; see clause 10 of
    /// [`SnapshotStore`].
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Other`], with the [`ContentProblem`] as its cause.
    pub fn check(&self) -> Result<(), StoreError> {
        let refused = |problem: ContentProblem| {
            let text = format!("a snapshot of {} at {} cannot be kept", self.stream, self.version);
            StoreError::new(StoreErrorKind::Other, text).caused_by(problem)
        };
        if self.schema.contains('\0') {
            return Err(refused(ContentProblem::NulCharacter { path: "schema".to_owned() }));
        }
        let depth = Limits::default().depth;
        self.state.stored_form(Limits::STATE_BYTES, depth).map(drop).map_err(refused)
    }
}

/// What is known of a kept snapshot without reading its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotSummary {
    /// The stream.
    pub stream: StreamId,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The last of these events; `None` for what an older program kept, which is not used.
    pub last_event: Option<EventId>,
    /// The fingerprint of the state's type.
    pub schema: String,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// About how much room the state takes, in bytes, as the store measures it.
    pub bytes: u64,
}

/// A snapshot, and its stream from the last event in it on.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotAndTail {
    /// The newest snapshot, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The first page from the event that it should end with on, which tells whether it is of this
    /// history; of the whole stream if there is none.
    pub tail: StreamPage,
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
///    equal to what was saved, its last event included. (`snapshots::the_latest_comes_back_equal`,
///    `snapshots::an_upper_bound_selects_an_older_one`)
/// 2. A snapshot saved for the same stream and version replaces the earlier one; an older version
///    saved later hides no newer one. (`snapshots::the_same_version_is_replaced`,
///    `snapshots::a_late_older_one_hides_nothing`)
/// 3. Snapshots of different streams do not mix: whatever is kept, replaced or removed, a state that
///    is loaded from a snapshot equals the fold of its stream.
///    (`snapshots::streams_do_not_mix`, `snapshots::what_is_loaded_equals_replay_at_every_version`)
/// 4. `delete_snapshots` removes all snapshots of one stream and no others.
///    (`snapshots::deleting_removes_those_of_one_stream`)
/// 5. Snapshots never change what `EventStore` answers. (`snapshots::events_do_not_change`)
/// 6. `prune_snapshots` removes, of one stream, all but those with the highest versions, as many as
///    are to stay, and answers how many it removed. (`snapshots::pruning_keeps_the_newest`)
/// 7. `list_snapshots` names every snapshot once, whatever the size of its pages: those of a stream
///    one after the other, in the order of their versions. (`snapshots::every_one_is_listed_once`)
/// 8. Where `latest_with_tail` answers, it is with what `latest_snapshot` and then `read_stream` from
///    its version, or from the first, would answer; both are of the same moment.
///    (`snapshots::the_tail_comes_with_the_latest`)
/// 9. Snapshots of another history, as of a stream that was restored, emptied or is another store's,
///    come back with the last event that they were saved with, so that what is loaded is the fold of
///    the stream's own events. (`snapshots::those_of_another_history_are_not_used`)
/// 10. A state that some backend could not keep is refused by every one, as [`Snapshot::check`] says,
///     and any other comes back as the same JSON value.
///     (`snapshots::generated_states_come_back_or_are_refused`)
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

    /// Removes all snapshots of the stream but the newest `keep`, and answers how many it removed.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError>;

    /// Up to `limit` of the snapshots of all streams, in an order of the store's own: those that
    /// come after `after`, which need not be there any more, or from the beginning. An answer that
    /// is shorter than `limit` is the last.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError>;

    /// The newest snapshot of the stream at or below `up_to` and the first page of the events from
    /// its version on, up to `up_to`, for the price of one read; `None` if this store cannot do so.
    ///
    /// The events are those of the object that this method is called on, so it is asked only of
    /// [a store's own snapshots](crate::backend::Capabilities::snapshots()), and never through a
    /// store around it.
    ///
    /// # Errors
    ///
    /// When the store fails.
    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError>;
}
