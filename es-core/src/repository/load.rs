//! Folding a stream into a state, from a kept state where there is a good one.

use std::sync::Arc;

use crate::aggregate::Aggregate;
use crate::envelope::RecordedEvent;
use crate::error::StoreError;
use crate::event::{DecodeError, Event, decode_recorded};
use crate::payload::Payload;
use crate::read::ReadStream;
use crate::snapshot::{Snapshot, SnapshotQueue, SnapshotStore, Snapshotted};
use crate::store::EventStore;
use crate::stream::{InvalidStreamId, StreamId};
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

/// An aggregate as it was loaded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Loaded<A> {
    /// Its stream.
    pub stream: StreamId,
    /// How many events are in the state.
    pub version: StreamVersion,
    /// The fold of those events.
    pub state: A,
}

impl<A: Default> Loaded<A> {
    pub(crate) fn absent(stream: StreamId) -> Self {
        Self { stream, version: StreamVersion::EMPTY, state: A::default() }
    }
}

impl<A> Loaded<A> {
    /// The state, if anything ever happened to the aggregate.
    pub fn existing(&self) -> Option<&A> {
        (!self.version.is_empty()).then_some(&self.state)
    }
}

/// Why an aggregate could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The id cannot name a stream.
    #[error(transparent)]
    InvalidId(#[from] InvalidStreamId),
    /// An event of the stream cannot be read.
    #[error("event {version} of {stream} cannot be read")]
    Decode {
        /// The stream.
        stream: StreamId,
        /// The version of the event.
        version: StreamVersion,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a repository reads and keeps states; the functions know the state's serde traits, so that
/// the repository's own bounds need not.
pub(crate) struct Snapshots<A> {
    store: Arc<dyn SnapshotStore>,
    queue: SnapshotQueue,
    every: u64,
    fingerprint: Arc<str>,
    encode: fn(&A) -> Result<Payload, serde_json::Error>,
    decode: fn(&Payload) -> Option<A>,
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            queue: self.queue.clone(),
            fingerprint: self.fingerprint.clone(),
            ..*self
        }
    }
}

impl<A: Aggregate> Snapshots<A> {
    pub(crate) fn new(store: Arc<dyn SnapshotStore>, queue: SnapshotQueue, every: u64) -> Self
    where
        A: Snapshotted,
    {
        Self {
            store,
            queue,
            every,
            fingerprint: A::fingerprint().into(),
            encode: Payload::of,
            decode: |payload| payload.decode().ok(),
        }
    }

    /// The newest usable state at or below `up_to`.
    async fn latest(&self, stream: &StreamId, up_to: StreamVersion) -> Option<(A, StreamVersion)> {
        let found = self.store.latest_snapshot(stream, up_to).await;
        let snapshot = found
            .inspect_err(|error| tracing::warn!(%stream, %error, "snapshot not read"))
            .ok()
            .flatten()
            .filter(|found| {
                found.stream == *stream
                    && *found.schema == *self.fingerprint
                    && found.version <= up_to
            })?;
        Some(((self.decode)(&snapshot.state)?, snapshot.version))
    }

    /// Has the state kept if the stream went past a multiple of `every` since `before`.
    pub(crate) fn keep(
        &self,
        stream: &StreamId,
        before: StreamVersion,
        now: StreamVersion,
        state: &A,
        taken_at: Timestamp,
    ) {
        let step = |version: StreamVersion| version.as_u64().checked_div(self.every).unwrap_or(0);
        if step(now) == step(before) || !self.queue.has_room() {
            return;
        }
        match (self.encode)(state) {
            Ok(state) => {
                let schema = self.fingerprint.to_string();
                let stream = stream.clone();
                self.queue.offer(Snapshot { stream, version: now, schema, state, taken_at });
            }
            Err(error) => tracing::warn!(%stream, %error, "state cannot be kept: it is no JSON"),
        }
    }
}

/// Reads an event; an error names it.
pub(crate) fn decode<E: Event>(event: &RecordedEvent) -> Result<E, LoadError> {
    decode_recorded(event).map_err(|source| {
        let (stream, version) = (event.stream.clone(), event.version);
        LoadError::Decode { stream, version, source }
    })
}

/// Folds what `read` selects of a stream, with the memory of one page.
pub(crate) async fn load_stream<A: Aggregate>(
    store: &dyn EventStore,
    snapshots: Option<&Snapshots<A>>,
    mut read: ReadStream,
) -> Result<Loaded<A>, LoadError> {
    let stream = read.stream.clone();
    // an instant is a prefix of unknown length, so no kept state is known to lie within it
    let usable = snapshots.filter(|_| read.until.is_none());
    let kept = match usable {
        Some(snapshots) => snapshots.latest(&stream, read.to).await,
        None => None,
    };
    let from_kept = kept.is_some();
    let (mut state, mut version) = kept.unwrap_or_default();
    read.from = version.next();
    let mut page = store.read_stream(&read).await?;
    if from_kept && page.stream_version < version {
        // the kept state is of another history: a store that was restored, for example
        tracing::warn!(%stream, %version, "snapshot newer than its stream ignored");
        read.from = StreamVersion::FIRST;
        return Box::pin(load_stream(store, None, read)).await;
    }
    loop {
        for event in &page.events {
            state.evolve(&decode(event)?);
            version = event.version;
        }
        let Some(next) = read.after(&page) else { break };
        page = store.read_stream(&next).await?;
        read = next;
    }
    Ok(Loaded { stream, version, state })
}
