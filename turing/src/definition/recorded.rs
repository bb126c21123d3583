//! Definitions as a store has them: what runs were carried out by, without their files.

use std::path::{Path, PathBuf};

use es_core::Repository;
use es_core::execution::{LoadError, StoreError};
use turing_domain::{DefinitionId, RecordedDefinitions, Workflow, definition_digest};

use super::DefinitionError;
use super::draft::parse;
use crate::store::Store;

/// A definition as a store has it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The workflow.
    pub workflow: Workflow,
    /// The text, word for word.
    pub text: String,
    /// SHA-256 of the text.
    pub digest: String,
    /// The name of its file, without folders.
    pub file_name: String,
    /// The folder of that file, absolute, if it was recorded; of a run's definition, that of the run.
    pub folder: Option<PathBuf>,
}

/// Why a definition that a store has cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordedError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event that recorded it cannot be read.
    #[error(
        "the recorded definition {} cannot be read; restore the store from a backup, or give the \
         definition's file",
        beginning(digest)
    )]
    Unreadable {
        /// The digest.
        digest: String,
        /// Why not.
        #[source]
        source: Box<LoadError>,
    },
    /// What is recorded under the digest has another one.
    #[error(
        "the text that is recorded as definition {} has the SHA-256 {}, so somebody has changed or \
         forged it; restore the store from a backup, or give the definition's file",
        beginning(digest),
        beginning(found)
    )]
    Tampered {
        /// The digest.
        digest: String,
        /// That of the text.
        found: String,
    },
    /// The text was a definition when it was recorded, and is none for this program.
    #[error(
        "the recorded definition {} is none for this version of turing; use the one that recorded it",
        beginning(digest)
    )]
    Malformed {
        /// The digest.
        digest: String,
        /// Why not.
        #[source]
        source: Box<DefinitionError>,
    },
}

/// As many digits as people compare.
pub(super) fn beginning(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

/// The definition of this digest as the store holds it; `None` for one of a run that began before
/// definitions were kept.
///
/// # Errors
///
/// [`RecordedError`].
pub async fn recorded(events: &Store, digest: &str) -> Result<Option<Recorded>, RecordedError> {
    // what is no digest of this program's is recorded nowhere
    let Some(id) = DefinitionId::of_digest(digest) else { return Ok(None) };
    let definitions = Repository::<RecordedDefinitions>::new(events.events.clone());
    let loaded = definitions.load(&id).await.map_err(|error| match error {
        LoadError::Store(error) => RecordedError::Store(error),
        other => RecordedError::Unreadable { digest: digest.to_owned(), source: Box::new(other) },
    })?;
    let Some(known) = loaded.state.get(digest) else { return Ok(None) };
    let (digest, found) = (digest.to_owned(), definition_digest(&known.text));
    if found != digest {
        return Err(RecordedError::Tampered { digest, found });
    }
    let parsed = parse(Path::new(&known.file_name), known.text.clone().into_bytes());
    let (text, workflow, _) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Err(RecordedError::Malformed { digest, source: Box::new(error) }),
    };
    let (file_name, folder) = (known.file_name.clone(), known.folder.clone().map(PathBuf::from));
    Ok(Some(Recorded { workflow, text, digest, file_name, folder }))
}

#[cfg(test)]
mod tests {
    use turing_domain::{DefinitionEvent, DefinitionRecording, WorkflowId};

    use super::*;

    const TEXT: &str = "[workflow]\nid = 3001\nname = \"w\"\nentry = 1\n\n";

    fn event(digest: &str, text: &str) -> DefinitionEvent {
        DefinitionEvent::WorkflowDefinitionRecorded {
            workflow_id: WorkflowId(3001),
            digest: digest.to_owned(),
            file_name: "workflow.toml".to_owned(),
            folder: None,
            text: text.to_owned(),
        }
    }

    /// What is read of a definition under this digest when this was recorded.
    async fn read(digest: &str, text: &str) -> Result<Option<Recorded>, RecordedError> {
        let store = Store::in_memory();
        let definitions = Repository::<RecordedDefinitions>::new(store.events.clone());
        let id = DefinitionId::of_digest(digest).unwrap();
        let event = event(digest, text);
        definitions.by_id(&id).decide(|_| vec![event.clone()]).await.unwrap();
        recorded(&store, digest).await
    }

    #[tokio::test]
    async fn what_was_recorded_is_read_word_for_word() {
        let (store, digest) = (Store::in_memory(), definition_digest(TEXT));
        let definitions = Repository::<RecordedDefinitions>::new(store.events.clone());
        let recording = DefinitionRecording {
            workflow_id: WorkflowId(3001),
            digest: digest.clone(),
            file_name: "workflow.toml".to_owned(),
            folder: Some("/srv".to_owned()),
            text: TEXT.to_owned(),
        };
        assert!(recorded(&store, &digest).await.unwrap().is_none());
        let id = DefinitionId::of_digest(&digest).unwrap();
        definitions.by_id(&id).decide(|known| known.record_once(&recording)).await.unwrap();
        let found = recorded(&store, &digest).await.unwrap().unwrap();
        assert_eq!((&*found.text, &found.digest), (TEXT, &digest));
        assert_eq!((found.workflow.id, found.folder), (WorkflowId(3001), Some("/srv".into())));
        // of the same stream, and not recorded
        let other = format!("{}{}", &digest[..7], "0".repeat(57));
        assert!(recorded(&store, &other).await.unwrap().is_none());
        assert!(recorded(&store, "sha256:77aa").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_text_that_was_changed_is_told_with_both_digests() {
        let (digest, other) = (definition_digest(TEXT), definition_digest("forged"));
        let told = read(&digest, "forged").await.unwrap_err().to_string();
        for part in [&digest[..16], &other[..16], "restore the store from a backup"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[tokio::test]
    async fn a_text_that_is_no_definition_any_more_is_told() {
        let text = "[workflow]\nid = 3001\nname = \"w\"\nentry = 1\nunheard_of = 1\n";
        let error = read(&definition_digest(text), text).await.unwrap_err();
        assert!(matches!(error, RecordedError::Malformed { .. }), "{error}");
    }
}
