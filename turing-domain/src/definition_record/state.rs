//! The definitions of a stream, made of its events.

use std::collections::BTreeMap;

use es_core::Aggregate;
use es_core::execution::Snapshotted;
use serde::{Deserialize, Serialize};

use crate::definition_record::event::DefinitionEvent;
use crate::ids::{DefinitionId, WorkflowId};

/// The definitions whose digests begin alike; nearly always one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecordedDefinitions {
    by_digest: BTreeMap<String, RecordedDefinition>,
}

/// A definition as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDefinition {
    /// The workflow that it defines.
    pub workflow_id: WorkflowId,
    /// The name of its file, without folders.
    pub file_name: String,
    /// The folder of its file, if it was recorded.
    pub folder: Option<String>,
    /// Its text. That it has the digest under which it stands was seen when it was recorded; whoever
    /// uses it looks again.
    pub text: String,
}

impl RecordedDefinitions {
    /// The definition with this digest.
    pub fn get(&self, digest: &str) -> Option<&RecordedDefinition> {
        self.by_digest.get(digest)
    }

    /// All of them, by their digests.
    pub fn all(&self) -> &BTreeMap<String, RecordedDefinition> {
        &self.by_digest
    }
}

impl Aggregate for RecordedDefinitions {
    const TYPE: &'static str = "definition";
    type Id = DefinitionId;
    type Event = DefinitionEvent;

    fn evolve(&mut self, event: &DefinitionEvent) {
        let DefinitionEvent::WorkflowDefinitionRecorded {
            workflow_id,
            digest,
            file_name,
            folder,
            text,
        } = event;
        // what came first is what runs were carried out by
        self.by_digest.entry(digest.clone()).or_insert_with(|| RecordedDefinition {
            workflow_id: *workflow_id,
            file_name: file_name.clone(),
            folder: folder.clone(),
            text: text.clone(),
        });
    }
}

impl Snapshotted for RecordedDefinitions {
    const REVISION: u32 = 1;
}
