//! Where each posting stands.

use es_core::projection::{ApplyError, Projection};
use es_core::{Aggregate, EventFilter, RecordedEvent, StreamVersion, Timestamp};
use serde::{Deserialize, Serialize};
use turing_domain::{Posting, PostingEvent};

/// The state of each posting after its last event, as a row under the name of its stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostingStates;

/// The row of one posting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostingRow {
    /// How many events are in the state.
    pub version: StreamVersion,
    /// When the last of them was recorded.
    pub last_updated: Timestamp,
    /// The fold of these events; its first four fields are the columns of the specification.
    pub state: Posting,
}

impl Projection for PostingStates {
    const NAME: &'static str = "posting_state";
    const VERSION: u32 = 1;
    const ROW_REVISION: u32 = <Posting as es_core::Snapshotted>::REVISION;
    type Row = PostingRow;

    fn selection(&self) -> EventFilter {
        EventFilter::all().aggregate::<Posting>()
    }

    fn apply(
        &self,
        _key: &str,
        row: Option<PostingRow>,
        event: &RecordedEvent,
    ) -> Result<Option<PostingRow>, ApplyError> {
        let mut state = row.map(|row| row.state).unwrap_or_default();
        for event in event.decode::<PostingEvent>()? {
            state.evolve(&event);
        }
        let (version, last_updated) = (event.version, event.recorded_at);
        Ok(Some(PostingRow { version, last_updated, state }))
    }
}
