//! What is wrong with a mapping, with the line on which it is.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use super::MAX_BYTES;

/// Something in a mapping file that is wrong. Its text is one line that editors can follow: the file,
/// the line, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MappingFinding {
    /// The file, as it was named.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

impl MappingFinding {
    pub(super) fn new(
        file: &str,
        line: usize,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), line, message: message.into(), cure: cure.into() }
    }
}

impl fmt::Display for MappingFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message, cure } = self;
        // names may hold line feeds and what terminals obey
        for c in format!("{file}:{line}: {message}; {cure}").chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The file cannot be read.
    #[error("cannot read the mapping {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large to be a mapping.
    #[error("{} is larger than {MAX_BYTES} bytes, the most a mapping has", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The mapping is wrong, by itself or for this database.
    #[error("{} is no mapping that can be used:{}", path.display(), list(findings))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where and why, at least one.
        findings: Vec<MappingFinding>,
    },
}

fn list(findings: &[MappingFinding]) -> String {
    findings.iter().map(|finding| format!("\n  {finding}")).collect()
}
