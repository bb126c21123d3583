//! The definition of a run, in the store: with the run's first event, or when the run goes on.

use es_core::event::Metadata;
use es_core::execution::{LoadError, Member};
use es_core::{Aggregate, CommandError, Repository};
use turing_domain::{DefinitionId, DefinitionRejection, RecordedDefinitions, WorkflowRejection};

use super::RunError;
use super::error::told;
use crate::definition::Definition;
use crate::store::Store;

/// Why what concerns a run and its definition is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Workflow(#[from] WorkflowRejection),
    #[error(transparent)]
    Definition(#[from] DefinitionRejection),
}

/// Where the definition is recorded: it belongs to no run alone, so its events have a correlation of
/// their own.
pub(super) fn place_of(store: &Store, definition: &Definition) -> Member<RecordedDefinitions> {
    let digest = &definition.digest;
    let mut metadata = Metadata::new();
    metadata.correlation_id = Some(format!("definition_{digest}"));
    // a digest is one wherever a definition was read
    let id = DefinitionId::of_digest(digest).unwrap_or(DefinitionId(0));
    Repository::new(store.events.clone()).with_metadata(metadata).by_id(&id)
}

/// The longest folder that is recorded with a run, in bytes: no path that the system opens is longer.
const FOLDER_BYTES: usize = 4096;

/// Where the scripts of a run are from its beginning on, or from its move to this definition on, for the
/// event of that: the same text may stand in several folders.
pub(super) fn folder_of(definition: &Definition) -> &str {
    let folder = definition.folder.to_str().unwrap_or_default();
    if folder.len() > FOLDER_BYTES { "" } else { folder }
}

/// Why a definition cannot be recorded, if that is because what stands in its stream cannot be read: who
/// has its file needs no record of it.
pub(super) fn unkept<R>(error: &CommandError<R>) -> Option<String> {
    match error {
        CommandError::Load(error @ LoadError::Decode { stream, .. })
            if stream.aggregate_type() == RecordedDefinitions::TYPE =>
        {
            Some(told(error))
        }
        _ => None,
    }
}

/// Records the definition of a run that goes on, unless it is recorded already, as that of a run is
/// that began before definitions were kept. Answers how many events that took, and why it cannot be
/// recorded, if so.
pub(super) async fn keep(
    store: &Store,
    definition: &Definition,
) -> Result<(usize, Option<String>), RunError> {
    let recording = definition.recording();
    let kept = place_of(store, definition).decide(|known| known.record_once(&recording)).await;
    match kept {
        Ok(kept) => Ok((kept.events.len(), None)),
        Err(error) => match unkept(&error) {
            Some(reason) => Ok((0, Some(reason))),
            None => Err(RunError::record(error)),
        },
    }
}
