//! What the events of a run carry beside their payloads.

use es_core::event::{EventId, Metadata};
use turing_domain::fields::RUN_ID;
use turing_domain::{PostingId, RunId, correlation_id};

use super::Shared;

impl Shared {
    /// What every event of the posting carries in this run.
    pub(super) fn metadata(&self, posting: PostingId, cause: Option<EventId>) -> Metadata {
        let mut metadata = Metadata::new().with(RUN_ID, self.run_id);
        metadata.correlation_id = Some(correlation_id(self.definition.workflow.id, posting));
        metadata.causation_id = cause;
        metadata
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
