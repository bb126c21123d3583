//! Reading a workflow definition from its file, and everything that must be right before a run.

mod actors;
mod draft;
mod finding;
mod lines;
mod of_run;
mod recorded;
mod words;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use turing_domain::{DefinitionRecording, Script, Severity, Workflow};

pub use draft::Draft;
pub use finding::{Finding, FindingKind};
pub(crate) use lines::LineNumbers;
pub(crate) use of_run::run_of;
pub use of_run::{OfRun, OfRunError, definition_of};
pub use recorded::{Recorded, RecordedError, recorded};
pub(crate) use words::in_words;

use crate::script::StartError;
use lines::Lines;

/// The largest definition, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The most bytes that its text may take as JSON, in an event: all of what a payload may have, but for the
/// names beside it.
const MAX_STORED_BYTES: usize = (16 * 1024 - 64) * 1024;

/// How many bytes a text takes in an event.
fn stored_bytes(text: &str) -> usize {
    // no character that a definition may have takes more than twice its bytes
    match text.len().saturating_mul(2) < MAX_STORED_BYTES {
        true => text.len(),
        false => serde_json::to_string(text).map_or(usize::MAX, |text| text.len()),
    }
}

/// A workflow that is ready to be run.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The workflow.
    pub workflow: Workflow,
    /// The file that it was read from; of one that a store has, its name.
    pub path: PathBuf,
    /// Whether a store has it, and no file was read.
    pub is_recorded: bool,
    /// The folder of the file, absolute, or another one that was given: scripts are looked for and run there.
    pub folder: PathBuf,
    /// The text of the file.
    pub text: Arc<str>,
    /// SHA-256 of the text.
    pub digest: String,
    /// What may be a mistake, but does not keep the workflow from running.
    pub warnings: Vec<Finding>,
    lines: Lines,
}

/// Why a definition cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The file cannot be read.
    #[error("cannot read the workflow definition {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a definition.
    #[error("{} is larger than {MAX_BYTES} bytes, the most a definition has", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The text takes too much in an event.
    #[error(
        "{} takes {bytes} bytes in the store, where line feeds, tabs, quotation marks and backslashes count \
         twice, and a definition may take {MAX_STORED_BYTES}; shorten it",
        path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// What it takes.
        bytes: usize,
    },
    /// The text is not a definition.
    #[error("{} is no workflow definition:{}", path.display(), list(findings))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why, at least one.
        findings: Vec<Finding>,
    },
    /// The definition has errors.
    #[error("{} cannot be run:{}", path.display(), list(findings))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The errors, at least one.
        findings: Vec<Finding>,
    },
}

fn list(findings: &[impl Display]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

impl Definition {
    /// Reads and checks the definition in `path`.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`], with all errors of the definition at once.
    pub fn load(path: &Path) -> Result<Self, DefinitionError> {
        Self::of_draft(Draft::read(path)?, false)
    }

    /// The definition that a store has, with its scripts in this folder.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn of_recorded(recorded: &Recorded, folder: PathBuf) -> Result<Self, DefinitionError> {
        Self::of_draft(Draft::of_recorded(recorded, folder)?, true)
    }

    fn of_draft(draft: Draft, is_recorded: bool) -> Result<Self, DefinitionError> {
        let Draft { workflow, path, folder, text, digest, findings, lines } = draft;
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let (errors, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_error);
        match errors.is_empty() {
            true => Ok(Self { workflow, path, is_recorded, folder, text, digest, warnings, lines }),
            false => Err(DefinitionError::Wrong { path, findings: errors }),
        }
    }

    /// What is recorded of it with the runs that it carries out.
    pub(crate) fn recording(&self) -> DefinitionRecording {
        let file_name = self.path.file_name().unwrap_or(self.path.as_os_str());
        DefinitionRecording {
            workflow_id: self.workflow.id,
            digest: self.digest.clone(),
            file_name: file_name.to_string_lossy().into_owned(),
            folder: self.folder.to_str().map(str::to_owned),
            text: self.text.to_string(),
        }
    }

    /// What more is found for postings whose data has these keys: placeholders that nothing, or
    /// perhaps nothing, fills.
    pub fn check_data(&self, keys: &BTreeSet<String>) -> Vec<Finding> {
        let file = self.path.display().to_string();
        draft::data_findings(&self.workflow, keys, |problem| self.lines.finding(&file, problem))
    }

    /// Where the program of a script is.
    ///
    /// # Errors
    ///
    /// As [`resolve_program`](crate::script::resolve_program).
    pub fn program(&self, script: &Script) -> Result<PathBuf, StartError> {
        actors::program(script, &self.folder)
    }
}
