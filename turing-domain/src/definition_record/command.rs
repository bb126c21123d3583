//! What is told of a definition that is to be recorded.

use crate::ids::WorkflowId;

/// A definition as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionRecording {
    /// The workflow that it defines.
    pub workflow_id: WorkflowId,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub digest: String,
    /// The name of its file, without folders.
    pub file_name: String,
    /// The folder of its file, in which its scripts are; `None` if no text can say it.
    pub folder: Option<String>,
    /// Its text, word for word.
    pub text: String,
}
