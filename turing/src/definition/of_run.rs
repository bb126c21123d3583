//! The definition that a run is carried out by, from the store alone.

use std::path::PathBuf;

use es_core::Repository;
use es_core::event::{EventFilter, EventStoreExt, ReadLog};
use es_core::execution::{LoadError, StoreError};
use futures_util::TryStreamExt;
use turing_domain::fields::DEFINITION_FOLDER;
use turing_domain::{RunId, WorkflowEvent, WorkflowId, WorkflowRun, WorkflowRuns};

use super::recorded::beginning;
use super::{Recorded, RecordedError, recorded};
use crate::account::AccountError;
use crate::store::Store;

/// A run, and the definition that it is carried out by.
#[derive(Debug, Clone)]
pub struct OfRun {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The run.
    pub run: WorkflowRun,
    /// The definition.
    pub recorded: Recorded,
}

/// Why it is not known which definition a run is carried out by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfRunError {
    /// There is no such run.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The runs of its workflow cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The definition cannot be used.
    #[error(transparent)]
    Recorded(#[from] RecordedError),
    /// The definition is not in the store.
    #[error(
        "the definition of run {run_id} is not in this store, since the run began before definitions \
         were kept there; give its file{}",
        which(digest.as_deref())
    )]
    NotRecorded {
        /// The run.
        run_id: RunId,
        /// The digest of the definition, if it was recorded.
        digest: Option<String>,
    },
}

fn which(digest: Option<&str>) -> String {
    digest.map_or_else(String::new, |digest| {
        format!(", whose SHA-256 (`sha256sum`) begins with {}", beginning(digest))
    })
}

/// The run of this id, or the one that began last, and its workflow.
///
/// # Errors
///
/// When there is none, or the store fails.
pub(crate) async fn run_of(
    store: &Store,
    run_id: Option<RunId>,
) -> Result<(WorkflowId, WorkflowRun), OfRunError> {
    let (workflow_id, run, _) = with_folder(store, run_id).await?;
    Ok((workflow_id, run))
}

/// The same, and the folder of its scripts, if that was recorded with the run: with its beginning, or
/// with its last move to another definition.
async fn with_folder(
    store: &Store,
    run_id: Option<RunId>,
) -> Result<(WorkflowId, WorkflowRun, Option<String>), OfRunError> {
    use WorkflowEvent::{WorkflowMovedToDefinition, WorkflowStarted};
    let names = [WorkflowEvent::WORKFLOW_STARTED, WorkflowEvent::WORKFLOW_MOVED_TO_DEFINITION];
    let filter = EventFilter::events(names).aggregate::<WorkflowRuns>();
    let mut events = store.events.log(ReadLog::from_start().filter(filter));
    let mut found = None;
    while let Some(event) = events.try_next().await? {
        // what cannot be read is the beginning of no run that could be named
        let Ok(workflow_id) = event.aggregate_id::<WorkflowRuns>() else { continue };
        let decoded = event.decode_one::<WorkflowEvent>();
        if let Ok(WorkflowStarted { run_id: started, .. }) = &decoded
            && let Some(started) = started.0
            && run_id.is_none_or(|run_id| run_id == started)
        {
            found = Some((workflow_id, started, event.metadata.get(DEFINITION_FOLDER)));
        }
        if let Ok(WorkflowMovedToDefinition { run_id: moved, .. }) = &decoded
            && let Some((_, run_id, folder)) = &mut found
            && moved.0 == Some(*run_id)
        {
            *folder = event.metadata.get(DEFINITION_FOLDER);
        }
    }
    let none = || match run_id {
        Some(run_id) => AccountError::NoSuchRun { run_id },
        None => AccountError::NoRun,
    };
    let (workflow_id, run_id, folder) = found.ok_or_else(none)?;
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let runs = runs.load(&workflow_id).await?.state;
    let run = runs.run(run_id).cloned().ok_or(AccountError::NoSuchRun { run_id })?;
    Ok((workflow_id, run, folder))
}

/// The run of this id, or the one that began last, with its definition as the store holds it.
///
/// # Errors
///
/// [`OfRunError`].
pub async fn definition_of(store: &Store, run_id: Option<RunId>) -> Result<OfRun, OfRunError> {
    let (workflow_id, run, folder) = with_folder(store, run_id).await?;
    let found = match &run.definition_digest {
        Some(digest) => recorded(store, digest).await?,
        None => None,
    };
    match found {
        Some(mut recorded) => {
            // the text was recorded with the folder of its first run, and may stand in several
            if let Some(folder) = folder {
                recorded.folder = (!folder.is_empty()).then(|| PathBuf::from(folder));
            }
            Ok(OfRun { workflow_id, run, recorded })
        }
        None => {
            let (run_id, digest) = (run.run_id, run.definition_digest);
            Err(OfRunError::NotRecorded { run_id, digest })
        }
    }
}
