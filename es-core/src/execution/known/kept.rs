//! Kept states: where a load may begin, and what a command leaves behind.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Known, load_stream};
use crate::aggregate::Aggregate;
use crate::environment::{Runtime, within};
use crate::limits::Limits;
use crate::payload::{Payload, RoundTripError};
use crate::read::{ReadStream, StreamPage};
use crate::repository::Sampling;
use crate::snapshot::{Snapshot, SnapshotAndTail, SnapshotQueue, SnapshotStore, Snapshotted};
use crate::store::{Capabilities, EventStore};
use crate::time_travel::differences;
use crate::timestamp::Timestamp;
use crate::version::StreamVersion;

/// How a repository reads and keeps states; the functions know the state's serde traits, so that
/// the repository's own bounds need not.
pub(crate) struct Snapshots<A> {
    store: Arc<dyn SnapshotStore>,
    /// Whether it answers with the events that follow a state.
    reads_tails: bool,
    queue: SnapshotQueue,
    every: u64,
    fingerprint: Arc<str>,
    encode: fn(&A) -> Result<Payload, RoundTripError>,
    decode: fn(&Payload) -> Option<A>,
    pub(crate) sampling: Option<Sampling>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pause: Pause,
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            queue: self.queue.clone(),
            fingerprint: self.fingerprint.clone(),
            sampling: self.sampling.clone(),
            runtime: self.runtime.clone(),
            pause: self.pause.clone(),
            ..*self
        }
    }
}

/// How long a load waits for a kept state: replay does without.
const PATIENCE: Duration = Duration::from_secs(2);

/// For how long loads do without, so that not each of them waits.
const PAUSE: Duration = Duration::from_secs(10);

/// Until when loads do without kept states; a clone is the same pause.
#[derive(Clone, Default)]
struct Pause(Arc<Mutex<Option<Instant>>>);

impl Pause {
    fn begin(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + PAUSE);
    }

    fn is_on(&self, now: Instant) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| now < until)
    }
}

/// The state in the form that every store may give back; what would not come back is not kept.
fn encoded<A: Snapshotted>(state: &A) -> Result<Payload, RoundTripError> {
    let (stored, _) = Payload::round_trip(state, Limits::STATE_BYTES)?;
    Ok(stored)
}

/// A kept state that fits; it need not be what replay gives.
pub(super) struct Kept<A> {
    pub(super) known: Known<A>,
    pub(super) taken_at: Timestamp,
}

/// What a load begins with.
pub(super) struct Beginning<A> {
    pub(super) kept: Option<Kept<A>>,
    /// The first page of what follows, if it came along.
    pub(super) page: Option<StreamPage>,
}

impl<A> Beginning<A> {
    /// The first event.
    pub(super) fn of_stream() -> Self {
        Self { kept: None, page: None }
    }
}

impl<A: Aggregate> Snapshots<A> {
    /// Those of a store, if it keeps any.
    pub(crate) fn of(store: &Capabilities, every: u64, runtime: Arc<dyn Runtime>) -> Option<Self>
    where
        A: Snapshotted,
    {
        let snapshots = store.snapshots.clone()?;
        Some(Self {
            queue: SnapshotQueue::new(snapshots.clone()),
            store: snapshots,
            reads_tails: store.reads_tails,
            every,
            fingerprint: A::fingerprint().into(),
            encode: encoded,
            decode: |payload| payload.decode().ok(),
            sampling: None,
            runtime,
            pause: Pause::default(),
        })
    }

    /// The newest usable state that `read` may begin at.
    pub(super) async fn beginning(&self, read: &ReadStream) -> Beginning<A> {
        if self.pause.is_on(self.runtime.now()) {
            return Beginning::of_stream();
        }
        let found = within(&*self.runtime, PATIENCE, self.found(read)).await;
        found.unwrap_or_else(|| {
            let stream = &read.stream;
            tracing::warn!(%stream, "snapshot not read within {PATIENCE:?}; loading without any");
            self.pause.begin(self.runtime.now());
            Beginning::of_stream()
        })
    }

    async fn found(&self, read: &ReadStream) -> Beginning<A> {
        let stream = &read.stream;
        if self.reads_tails {
            match self.store.latest_with_tail(stream, read.to, read.limit).await {
                Ok(Some(SnapshotAndTail { snapshot: None, tail })) => {
                    return Beginning { kept: None, page: Some(tail) };
                }
                Ok(Some(SnapshotAndTail { snapshot: Some(snapshot), tail })) => {
                    let kept = self.usable(snapshot, read);
                    // what follows a state that cannot be used is not the whole stream
                    let page = kept.is_some().then_some(tail);
                    return Beginning { kept, page };
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%stream, %error, "snapshot not read");
                    return Beginning::of_stream();
                }
            }
        }
        let found = self.store.latest_snapshot(stream, read.to).await;
        let found = found
            .inspect_err(|error| tracing::warn!(%stream, %error, "snapshot not read"))
            .unwrap_or_default();
        let kept = found.and_then(|snapshot| self.usable(snapshot, read));
        Beginning { kept, page: None }
    }

    fn usable(&self, snapshot: Snapshot, read: &ReadStream) -> Option<Kept<A>> {
        let fits = snapshot.stream == read.stream
            && *snapshot.schema == *self.fingerprint
            && !snapshot.version.is_empty()
            && snapshot.version <= read.to;
        let state = Arc::new(fits.then(|| (self.decode)(&snapshot.state)).flatten()?);
        let Snapshot { stream, version, last_event, taken_at, .. } = snapshot;
        let last_event = Some(last_event);
        Some(Kept { known: Known { stream, version, last_event, is_own: false, state }, taken_at })
    }

    /// The kept state, or what replay gives instead if this is a load to be checked.
    pub(super) async fn checked(
        &self,
        events: &dyn EventStore,
        read: &ReadStream,
        kept: Known<A>,
        taken_at: Timestamp,
    ) -> Known<A> {
        let Some(sampling) = self.sampling.as_ref().filter(|sampling| sampling.is_due()) else {
            return kept;
        };
        let (stream, version) = (&read.stream, kept.version);
        let whole = ReadStream::new(stream.clone()).to_version(version).limit(read.limit);
        let replayed: Known<A> = match Box::pin(load_stream(events, None, None, whole)).await {
            Ok(replayed) => replayed,
            Err(error) => {
                tracing::warn!(%stream, %version, %error, "snapshot not checked");
                return kept;
            }
        };
        let (Ok(ours), Ok(theirs)) = ((self.encode)(&replayed.state), (self.encode)(&kept.state))
        else {
            return kept;
        };
        let is_different = ours != theirs;
        sampling.record(is_different);
        if !is_different {
            return kept;
        }
        let paths: Vec<_> =
            differences(&theirs, &ours).into_iter().map(|difference| difference.path).collect();
        tracing::error!(%stream, %version, ?paths, "snapshot is not what its events say; replaced");
        self.offer(&replayed, ours, taken_at);
        replayed
    }

    pub(crate) async fn flush(&self) -> bool {
        self.queue.flush(&*self.runtime).await
    }

    /// Has the state kept if the stream went past a multiple of `every` since `before`.
    pub(crate) fn keep(&self, before: StreamVersion, known: &Known<A>, taken_at: Timestamp) {
        let step = |version: StreamVersion| version.as_u64().checked_div(self.every).unwrap_or(0);
        if step(known.version) == step(before) || !self.queue.has_room() {
            return;
        }
        match (self.encode)(&known.state) {
            Ok(state) => self.offer(known, state, taken_at),
            Err(error) => {
                let (stream, error) = (&known.stream, &error as &(dyn std::error::Error + 'static));
                tracing::warn!(%stream, error, "state cannot be kept: it would not be read back");
            }
        }
    }

    fn offer(&self, known: &Known<A>, state: Payload, taken_at: Timestamp) {
        let Some(last_event) = known.last_event else { return };
        let (stream, version) = (known.stream.clone(), known.version);
        let schema = self.fingerprint.to_string();
        let snapshot = Snapshot { stream, version, last_event, schema, state, taken_at };
        // a full queue costs a longer replay
        self.queue.offer(&self.runtime, snapshot);
    }
}
