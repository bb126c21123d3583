//! Reading a workflow definition from its file, and everything that must be right before a run.

mod actors;
mod draft;
mod finding;
mod lines;
mod recorded;
mod words;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use turing_domain::{Script, Severity, Workflow};

pub use draft::Draft;
pub use finding::{Finding, FindingKind};
pub(crate) use lines::LineNumbers;
pub use recorded::{Recorded, RecordedError, recorded};
pub(crate) use words::in_words;

use crate::script::StartError;
use lines::Lines;

/// The largest definition, in bytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A workflow that is ready to be run.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The workflow.
    pub workflow: Workflow,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The folder of that file, absolute: scripts are looked for and run there.
    pub folder: PathBuf,
    /// SHA-256 of the file's text.
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
        let draft = Draft::read(path)?;
        let Draft { workflow, path, folder, digest, findings, lines } = draft;
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
        let (errors, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_error);
        match errors.is_empty() {
            true => Ok(Self { workflow, path, folder, digest, warnings, lines }),
            false => Err(DefinitionError::Wrong { path, findings: errors }),
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
