//! The metadata fields of this domain, by which they are read where no event is at hand.

use std::collections::BTreeMap;

use es_core::event::MetadataField;

use crate::ids::{ActorId, ConversationId, RunId};

/// The conversation that an event belongs to.
pub const CONVERSATION_ID: MetadataField<ConversationId> = MetadataField::new("conversation_id");

/// The actor that caused an event.
pub const ACTOR_ID: MetadataField<ActorId> = MetadataField::new("actor_id");

/// The place of the conversation in the order of execution.
pub const EXECUTION_ORDER: MetadataField<i64> = MetadataField::new("execution_order");

/// How long the work took that an event reports, in milliseconds.
pub const DURATION_MS: MetadataField<u64> = MetadataField::new("duration_ms");

/// How many attempts preceded the one that an event reports.
pub const RETRY_COUNT: MetadataField<u32> = MetadataField::new("retry_count");

/// The run that an event belongs to.
pub const RUN_ID: MetadataField<RunId> = MetadataField::new("run_id");

/// What people call the workflow of a run that begins.
pub const WORKFLOW_NAME: MetadataField<String> = MetadataField::new("workflow_name");

/// What people call the conversations of a run that begins.
pub const CONVERSATION_NAMES: MetadataField<BTreeMap<ConversationId, String>> =
    MetadataField::new("conversation_names");

/// What people call the actors of a run that begins.
pub const ACTOR_NAMES: MetadataField<BTreeMap<ActorId, String>> = MetadataField::new("actor_names");

/// How many events of its posting were recorded when an attempt looked at it, on the events by which the
/// attempt ends; where people may answer meanwhile.
pub const SEEN_VERSION: MetadataField<u64> = MetadataField::new("seen_version");

/// The folder in which the scripts of a run are that begins, or that goes on by another definition; empty
/// if no text can say it.
pub const DEFINITION_FOLDER: MetadataField<String> = MetadataField::new("definition_folder");

#[cfg(test)]
mod tests {
    use es_core::Event;
    use es_core::event::Metadata;

    use super::*;
    use crate::{Noted, PostingEvent};

    #[test]
    fn what_events_write_is_read_by_its_field() {
        let run_id = RunId("0193a1d4-0000-7000-8000-000000000001".parse().unwrap());
        let event = PostingEvent::ScriptExecutionCompleted {
            output: None,
            status: Noted::ABSENT,
            conversation_id: ConversationId(9184).into(),
            actor_id: ActorId(74).into(),
            execution_order: 2.into(),
            duration_ms: 245.into(),
            retry_count: 1.into(),
            run_id: run_id.into(),
        };
        let mut metadata = Metadata::new();
        event.encode(&mut metadata).unwrap();
        assert_eq!(metadata.get(CONVERSATION_ID), Some(ConversationId(9184)));
        assert_eq!(metadata.get(ACTOR_ID), Some(ActorId(74)));
        assert_eq!(metadata.get(EXECUTION_ORDER), Some(2));
        assert_eq!(metadata.get(DURATION_MS), Some(245));
        assert_eq!(metadata.get(RETRY_COUNT), Some(1));
        assert_eq!(metadata.get(RUN_ID), Some(run_id));
        assert_eq!(metadata.documents().count(), 6);
        // and written as events are
        let again = Metadata::new()
            .with(CONVERSATION_ID, ConversationId(9184))
            .with(ACTOR_ID, ActorId(74))
            .with(EXECUTION_ORDER, 2)
            .with(DURATION_MS, 245)
            .with(RETRY_COUNT, 1)
            .with(RUN_ID, run_id);
        assert_eq!(again, metadata);
    }
}
