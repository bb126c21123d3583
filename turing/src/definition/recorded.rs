//! The definition of a run as the store holds it.

use std::path::PathBuf;

use turing_domain::Workflow;

use crate::store::Store;

/// A definition as it was recorded with the first run that began with it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The workflow.
    pub workflow: Workflow,
    /// The text that it was read from.
    pub text: String,
    /// SHA-256 of the text.
    pub digest: String,
    /// The name of the file.
    pub file_name: String,
    /// The folder of the file, where that is known.
    pub folder: Option<PathBuf>,
}

/// Why a definition cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the definition cannot be read")]
pub struct RecordedError;

/// The definition of this digest as the store holds it; `None` for one of a run that began before
/// definitions were kept.
///
/// # Errors
///
/// [`RecordedError`].
#[allow(clippy::todo, unused_variables, clippy::unused_async, reason = "a stand-in")]
pub async fn recorded(events: &Store, digest: &str) -> Result<Option<Recorded>, RecordedError> {
    todo!()
}
