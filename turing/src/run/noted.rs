//! What the events of a run carry beside their payloads.

use std::time::Instant;

use es_core::event::{EventId, Metadata};
use es_core::execution::StreamVersion;
use turing_domain::fields::{RUN_ID, SEEN_VERSION};
use turing_domain::{PostingId, RunId, correlation_id};

use super::Shared;

/// When a posting was looked at for an attempt, and how many events it had then.
#[derive(Clone, Copy)]
pub(super) struct Looked {
    pub(super) at: Instant,
    pub(super) version: StreamVersion,
}

impl Shared {
    /// What every event of the posting carries in this run.
    pub(super) fn metadata(&self, posting: PostingId, cause: Option<EventId>) -> Metadata {
        let mut metadata = Metadata::new().with(RUN_ID, self.run_id);
        metadata.correlation_id = Some(correlation_id(self.definition.workflow.id, posting));
        metadata.causation_id = cause;
        metadata
    }

    /// The same, of the events by which an attempt ends.
    pub(super) fn attempt_metadata(
        &self,
        posting: PostingId,
        cause: Option<EventId>,
        looked: Looked,
    ) -> Metadata {
        let metadata = self.metadata(posting, cause);
        // where nobody else writes, the attempt has seen what stands before its end
        match self.has_people {
            true => metadata.with(SEEN_VERSION, looked.version.as_u64()),
            false => metadata,
        }
    }

    /// What events that concern no single posting carry in this run.
    pub(super) fn run_metadata(&self) -> Metadata {
        run_metadata(self.run_id, self.started_by)
    }
}

/// What events that concern no single posting carry in a run that this event began.
pub(super) fn run_metadata(run_id: RunId, started_by: Option<EventId>) -> Metadata {
    let mut metadata = Metadata::new().with(RUN_ID, run_id);
    metadata.causation_id = started_by;
    // the event that began the run begins its correlation, too
    metadata.correlation_id = started_by.map(|event| event.to_string());
    metadata
}
