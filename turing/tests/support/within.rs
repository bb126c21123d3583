//! Runs within the process of the test, on a store that the test has made.

use std::num::NonZeroUsize;

use tokio::sync::watch;
use turing::definition::Definition;
use turing::postings::PostingSource;
use turing::run::{Observer, RunError, RunOptions, RunOutcome, run, take_in};
use turing::store::Store;

use super::Workspace;

/// Somebody who is told everything and says nothing.
pub(crate) struct Quiet;

impl Observer for Quiet {}

/// The usual way, with this program as the supervisor of scripts.
pub(crate) fn options() -> RunOptions {
    RunOptions::new(env!("CARGO_BIN_EXE_turing"))
}

/// The same, with one posting after the other.
pub(crate) fn one_by_one() -> RunOptions {
    RunOptions { parallelism: NonZeroUsize::MIN, ..options() }
}

impl Workspace {
    /// Runs the definition over the postings, or goes on.
    pub(crate) async fn run_within(
        &self,
        store: &Store,
        options: RunOptions,
        stopped: watch::Receiver<bool>,
        observer: &mut dyn Observer,
    ) -> Result<RunOutcome, RunError> {
        let definition = Definition::load(&self.path().join("workflow.toml")).unwrap();
        let postings = PostingSource::Path(self.path().join("postings"));
        let intake = take_in(&*store.postings, &postings).await.unwrap();
        let lock = store.lock_run(definition.workflow.id).await.unwrap();
        run(store, &lock, definition, intake, options, stopped, observer).await
    }
}
