//! What is known of an aggregate, and the only way to learn the rest.

mod kept;

use std::sync::Arc;

use futures_util::future::try_join;

use crate::aggregate::Aggregate;
use crate::append::Appended;
use crate::envelope::{EventId, RecordedEvent};
use crate::environment::breathe;
use crate::read::{ReadStream, StreamPage};
use crate::repository::{LoadError, Loaded, decode};
use crate::store::EventStore;
use crate::stream::StreamId;
use crate::version::StreamVersion;

use kept::Beginning;
pub(crate) use kept::Snapshots;

/// An aggregate after the first `version` events of its stream: a place to begin a load at, whether it
/// comes from a snapshot, from the cache or from the attempt before.
#[derive(Debug, Clone)]
pub struct Known<A> {
    pub(crate) stream: StreamId,
    pub(crate) version: StreamVersion,
    /// The last event in the state. A stream that has another one there is another history.
    pub(crate) last_event: Option<EventId>,
    /// That event is of an append of this repository's own, which the store has acknowledged.
    pub(crate) is_own: bool,
    /// Copied only if somebody else still holds it when an event is added.
    pub(crate) state: Arc<A>,
}

/// So many events are folded before others have a turn.
const CHUNK: usize = 256;

impl<A: Aggregate> Known<A> {
    /// Nothing has happened yet.
    pub(crate) fn absent(stream: StreamId) -> Self {
        let (version, state) = (StreamVersion::EMPTY, Arc::default());
        Self { stream, version, last_event: None, is_own: false, state }
    }

    /// Whether the state ends with this very event, and so is of its history.
    fn ends_with(&self, event: &RecordedEvent) -> bool {
        (self.version, self.last_event) == (event.version, Some(event.event_id))
    }

    /// Takes in what follows; a page that was read from `begun` on has the event there, too.
    async fn take_in(&mut self, page: &StreamPage, begun: StreamVersion) -> Result<(), LoadError> {
        let mut chunks = page.events.chunks(CHUNK);
        if let Some(first) = chunks.next() {
            self.evolve(first, begun)?;
        }
        for chunk in chunks {
            breathe().await;
            self.evolve(chunk, begun)?;
        }
        Ok(())
    }

    fn evolve(&mut self, events: &[RecordedEvent], begun: StreamVersion) -> Result<(), LoadError> {
        let mut news = events.iter().filter(|event| event.version > begun).peekable();
        if news.peek().is_none() {
            return Ok(());
        }
        let state = Arc::make_mut(&mut self.state);
        for recorded in news {
            if recorded.version != self.version.next() {
                let (version, next) = (self.version.next(), recorded.version);
                return Err(LoadError::Gap { stream: self.stream.clone(), version, next });
            }
            for event in decode::<A::Event>(recorded)? {
                state.evolve(&event);
            }
            (self.version, self.last_event) = (recorded.version, Some(recorded.event_id));
            self.is_own = false;
        }
        Ok(())
    }

    /// Takes in what was appended just now.
    pub(crate) fn append(&mut self, events: &[A::Event], appended: &Appended) {
        let part = appended.stream(&self.stream);
        let Some(last) = part.and_then(|part| part.events.last()) else { return };
        let state = Arc::make_mut(&mut self.state);
        for event in events {
            state.evolve(event);
        }
        (self.version, self.last_event) = (last.version, Some(last.event_id));
        self.is_own = true;
    }

    pub(crate) fn into_loaded(self) -> Loaded<A> {
        let Self { stream, version, state, .. } = self;
        Loaded { stream, version, state: Arc::unwrap_or_clone(state) }
    }
}

/// Folds what `read` selects of a stream, with the memory of two pages: on from what is known, else
/// from a kept state where there is a good one.
pub(crate) async fn load_stream<A: Aggregate>(
    store: &dyn EventStore,
    snapshots: Option<&Snapshots<A>>,
    known: Option<Known<A>>,
    mut read: ReadStream,
) -> Result<Known<A>, LoadError> {
    // an instant is a prefix of unknown length, so no kept state is known to lie within it
    let usable = snapshots.filter(|_| read.until.is_none() && known.is_none());
    let Beginning { kept, page } = match usable {
        Some(snapshots) => snapshots.beginning(&read).await,
        None => Beginning::of_stream(),
    };
    let taken_at = kept.as_ref().map(|kept| kept.taken_at);
    let known = known.or(kept.map(|kept| kept.known));
    let mut known = known.unwrap_or_else(|| Known::absent(read.stream.clone()));
    // from the last known event on, which tells whether what is known is of this history
    read.from = known.version.max(StreamVersion::FIRST);
    let mut page = match page {
        Some(page) => page,
        None => store.read_stream(&read).await?,
    };
    if !known.version.is_empty() {
        if !page.events.first().is_some_and(|event| known.ends_with(event)) {
            let Known { stream, version, .. } = &known;
            tracing::warn!(%stream, %version, "state of another history ignored");
            read.from = StreamVersion::FIRST;
            return Box::pin(load_stream(store, None, None, read)).await;
        }
        if let (Some(snapshots), Some(taken_at)) = (usable, taken_at) {
            known = snapshots.checked(store, &read, known, taken_at).await;
        }
    }
    let begun = known.version;
    while let Some(next) = read.after(&page) {
        // the store reads on while this page is folded; what is wrong with the page is told before what
        // is wrong behind it, and waits for nothing
        let following = async { Ok::<_, LoadError>(store.read_stream(&next).await) };
        let (following, ()) = try_join(following, known.take_in(&page, begun)).await?;
        page = following?;
        read = next;
    }
    known.take_in(&page, begun).await?;
    Ok(known)
}
