//! One process at a time runs a workflow in a store.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use turing_domain::WorkflowId;

/// Held for as long as this process runs the workflow; the system releases it when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct RunLock {
    workflow: WorkflowId,
    _file: Option<File>,
}

/// Why the workflow cannot be run now.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process runs it.
    #[error(
        "workflow {workflow} is being run in this store by process {process}; wait for it, or stop it"
    )]
    Held {
        /// The workflow.
        workflow: WorkflowId,
        /// The process, as it wrote into the lock file.
        process: String,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl RunLock {
    /// The lock of a store that no other process can reach.
    pub(crate) fn none(workflow: WorkflowId) -> Self {
        Self { workflow, _file: None }
    }

    /// The workflow that is locked.
    pub fn workflow(&self) -> WorkflowId {
        self.workflow
    }

    /// Locks the workflow for the store in the file at `store`, by a file beside it.
    pub(crate) fn beside(store: &Path, workflow: WorkflowId) -> Result<Self, LockError> {
        // one store has one lock, by whatever name it is reached
        let store = fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let mut name = store.into_os_string();
        name.push(format!("-run-{workflow}.lock"));
        let path = PathBuf::from(name);
        let unusable = |source| LockError::Unusable { path: path.clone(), source };
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut file = options.open(&path).map_err(unusable)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(unusable(error.into()));
            }
            let process = fs::read_to_string(&path).unwrap_or_default();
            let process = process.trim();
            let process = if process.is_empty() { "?" } else { process }.to_owned();
            return Err(LockError::Held { workflow, process });
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { workflow, _file: Some(file) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("turing.db");
        let lock = |id| RunLock::beside(&store, WorkflowId(id));
        let first = lock(1).unwrap();
        let error = lock(1).unwrap_err().to_string();
        assert!(error.contains(&format!("by process {}", std::process::id())), "{error}");
        lock(2).unwrap();
        fs::write(&store, "").unwrap();
        drop(first);
        let first = lock(1).unwrap();
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&store, &link).unwrap();
        RunLock::beside(&link, WorkflowId(1)).unwrap_err();
        drop(first);
        lock(1).unwrap();
    }
}
