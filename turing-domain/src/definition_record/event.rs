//! What happens to a definition, under the name that is stored.

use es_core::Event;

use crate::ids::WorkflowId;

/// What happens to a definition.
#[derive(Event, Debug, Clone, PartialEq)]
pub enum DefinitionEvent {
    /// A run began with it, or was moved to it, for the first time.
    WorkflowDefinitionRecorded {
        /// The workflow that it defines.
        workflow_id: WorkflowId,
        /// The SHA-256 of the text, in hexadecimal digits.
        digest: String,
        /// The name of its file, without folders.
        file_name: String,
        /// The folder of its file, absolute, in which its scripts are; `null`: no text can say it.
        #[serde(default)]
        folder: Option<String>,
        /// The text of the file, word for word.
        text: String,
    },
}
