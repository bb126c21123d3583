//! Why no account of a run can be given.

use es_core::execution::StoreError;
use turing_domain::RunId;

use crate::left_out::{LeftOut, named};
use crate::proposal::command;

/// Why no account can be given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// There is no such run in the store.
    #[error(
        "there is no run {run_id} in this store; `{}` lists those that there are",
        command("runs")
    )]
    NoSuchRun {
        /// The run.
        run_id: RunId,
    },
    /// There is no run at all in the store.
    #[error("there is no run in this store yet")]
    NoRun,
    /// No run that is meant can be read, but there are events that may be the beginning of one.
    #[error("of the run that is meant no beginning can be read; {}", named(.0))]
    Unreadable(Vec<LeftOut>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
