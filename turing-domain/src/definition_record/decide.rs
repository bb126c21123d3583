//! When a definition is recorded.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::definition_record::command::DefinitionRecording;
use crate::definition_record::event::DefinitionEvent;
use crate::definition_record::rejection::DefinitionRejection;
use crate::definition_record::state::RecordedDefinitions;

/// What tells the text of a definition from another: its SHA-256, in hexadecimal digits.
pub fn definition_digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut digits, byte| {
        // a String takes whatever is written into it
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

impl RecordedDefinitions {
    /// Records a definition. Nothing happens if it is recorded already.
    ///
    /// # Errors
    ///
    /// When the text is another one than the digest says, or no store keeps it.
    pub fn record_once(
        &self,
        recording: &DefinitionRecording,
    ) -> Result<Vec<DefinitionEvent>, DefinitionRejection> {
        let DefinitionRecording { workflow_id, digest, file_name, folder, text } = recording;
        let found = definition_digest(text);
        if found != *digest {
            return Err(DefinitionRejection::OtherText { digest: digest.clone(), found });
        }
        if text.contains('\0') {
            return Err(DefinitionRejection::Unstorable);
        }
        if self.get(digest).is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![DefinitionEvent::WorkflowDefinitionRecorded {
            workflow_id: *workflow_id,
            digest: digest.clone(),
            file_name: file_name.replace('\0', "\u{fffd}"),
            folder: folder.as_ref().map(|folder| folder.replace('\0', "\u{fffd}")),
            text: text.clone(),
        }])
    }
}
