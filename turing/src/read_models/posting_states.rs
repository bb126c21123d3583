//! Where each posting stands.

use es_core::event::{EventFilter, RecordedEvent, Timestamp};
use es_core::execution::StreamVersion;
use es_core::projection::{FailurePolicy, Keying};
use es_core::{Aggregate, BoxError, Envelope, Projection};
use serde::{Deserialize, Serialize};
use turing_domain::{Posting, PostingEvent, PostingId};

use super::POLICY;

/// The state of a posting after its last event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostingRow {
    /// How many events are in the state.
    pub version: StreamVersion,
    /// When the last of them was recorded.
    pub last_updated: Timestamp,
    /// The fold of these events; its first four fields are the columns of the specification.
    pub state: Posting,
}

impl Projection for PostingRow {
    const NAME: &'static str = "posting_state";
    const ROW_REVISION: u32 = <Posting as es_core::execution::Snapshotted>::REVISION;
    const ON_FAILURE: FailurePolicy = POLICY;
    type Event = PostingEvent;
    type Key = PostingId;

    fn selection() -> EventFilter {
        EventFilter::all().aggregate::<Posting>()
    }

    fn keying() -> Keying<Self> {
        Keying::per_stream::<Posting>()
    }

    fn evolve(
        _: &PostingId,
        row: &mut Option<Self>,
        event: &Envelope<'_, PostingEvent>,
    ) -> Result<(), BoxError> {
        let mut state = row.take().map(|row| row.state).unwrap_or_default();
        state.evolve(&event.data);
        let (version, last_updated) = (event.version, event.recorded_at);
        *row = Some(Self { version, last_updated, state });
        Ok(())
    }
}

impl PostingRow {
    /// Takes an event as it is recorded into the row of a posting, as a runner does.
    pub(crate) fn take(
        row: &mut Option<Self>,
        posting: PostingId,
        recorded: &RecordedEvent,
    ) -> Result<(), BoxError> {
        for event in Envelope::read(recorded)? {
            Self::evolve(&posting, row, &event)?;
        }
        Ok(())
    }
}
