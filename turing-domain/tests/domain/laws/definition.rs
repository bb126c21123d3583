//! Events, commands and examples of recorded definitions.

use proptest::option;
use proptest::prelude::*;
use turing_domain::{
    DefinitionEvent, DefinitionRecording, DefinitionRejection, RecordedDefinitions, WorkflowId,
    definition_digest,
};

use super::shared::{WORKFLOW, texts};

pub(crate) fn decide(
    definitions: &RecordedDefinitions,
    command: &DefinitionRecording,
) -> Result<Vec<DefinitionEvent>, DefinitionRejection> {
    definitions.record_once(command)
}

/// Few texts, so that some are recorded already; and digests of others.
pub(crate) fn commands() -> impl Strategy<Value = DefinitionRecording> {
    let digests = prop_oneof![4 => Just(None), 1 => texts().prop_map(Some)];
    ("[ab]", digests, texts(), option::of(texts())).prop_map(|(text, digest, file_name, folder)| {
        DefinitionRecording {
            workflow_id: WORKFLOW,
            digest: digest.unwrap_or_else(|| definition_digest(&text)),
            file_name,
            folder,
            text,
        }
    })
}

pub(crate) fn events() -> impl Strategy<Value = DefinitionEvent> {
    (any::<i32>(), "[0-9a-f]{1,2}", texts(), option::of(texts()), texts()).prop_map(
        |(workflow, digest, file_name, folder, text)| DefinitionEvent::WorkflowDefinitionRecorded {
            workflow_id: WorkflowId(workflow),
            digest,
            file_name,
            folder,
            text,
        },
    )
}

/// One whose folder is known, and one of a folder that no text can say.
pub(crate) fn examples() -> [DefinitionEvent; 2] {
    let text = "[workflow]\nid = 3001\nname = \"Stellen\"\nentry = 1\n";
    [Some("/srv/adverts".to_owned()), None].map(|folder| {
        DefinitionEvent::WorkflowDefinitionRecorded {
            workflow_id: WORKFLOW,
            digest: definition_digest(text),
            file_name: "workflow.toml".to_owned(),
            folder,
            text: text.to_owned(),
        }
    })
}
