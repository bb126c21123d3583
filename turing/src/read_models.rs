//! What is derived from the events for people who ask often: where each posting stands, how each
//! run goes, how each conversation does.
//!
//! | read model | a row for each | key |
//! |---|---|---|
//! | [`PostingStates`] | posting | `posting/12345` |
//! | [`RunProgress`] | run | the run's id |
//! | [`ConversationStatistics`] | conversation, over all runs | the conversation's id |
//!
//! They are projections of es-core, which a [`Runner`](es_core::projection::Runner) keeps up to date
//! in the store beside the events. In a PostgreSQL database the state of postings is kept by the
//! database itself, in the table `posting_state_projection`.

mod conversation_statistics;
mod durations;
mod posting_states;
mod run_progress;

pub use conversation_statistics::{ConversationRow, ConversationStatistics, Tokens};
pub use durations::Durations;
pub use posting_states::{PostingRow, PostingStates};
pub use run_progress::{RunProgress, RunRow, RunStatus};

use es_core::RecordedEvent;
use turing_domain::RunId;

/// The run that an event belongs to: as its metadata say, or else its payload.
fn run_of(event: &RecordedEvent) -> Option<RunId> {
    let noted = event.metadata.get("run_id");
    let noted = noted.as_ref().and_then(|value| value.as_str()?.parse().ok());
    noted.or_else(|| {
        #[derive(serde::Deserialize)]
        struct Payload {
            #[serde(default)]
            run_id: turing_domain::Noted<RunId>,
        }
        event.payload.decode::<Payload>().ok()?.run_id.0
    })
}
