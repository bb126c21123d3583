//! Where the definition of a run that there is comes from: a file, or the store.

use std::path::PathBuf;

use turing_domain::RunId;

use super::arguments::PlaceArgs;
use super::run_name::RunName;
use super::{Failure, run_name};
use crate::definition::{Definition, DefinitionError, Recorded, definition_of};
use crate::store::Store;

impl PlaceArgs {
    /// The definition of a run as the store has it, with its scripts where they are looked for.
    pub(super) async fn definition(
        &self,
        store: &Store,
        run: &Option<RunName>,
    ) -> Result<(RunId, Definition), Failure> {
        let found = definition_of(store, run_name::find(store, run).await?).await?;
        let folder = folder_of(&self.folder, &found.recorded)?;
        Ok((found.run.run_id, Definition::of_recorded(&found.recorded, folder)?))
    }
}

/// Where the scripts of a recorded definition are: in the folder that is given, or in that of its file;
/// where nobody knows that, in the working folder.
pub(super) fn folder_of(given: &Option<PathBuf>, recorded: &Recorded) -> Result<PathBuf, Failure> {
    let folder = given.clone().or_else(|| recorded.folder.clone());
    let folder = folder.unwrap_or_else(|| ".".into());
    let found = std::path::absolute(&folder);
    Ok(found.map_err(|source| DefinitionError::Unreadable { path: folder, source })?)
}
