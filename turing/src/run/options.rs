//! How a run is carried out.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use es_core::environment::{Environment, Runtime, SystemRuntime};

/// How often the state of a posting is kept unless told otherwise, in events.
pub const DEFAULT_SNAPSHOT_INTERVAL: NonZeroU64 = NonZeroU64::new(10).expect("10 is not 0");

/// How a run is carried out.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The program that supervises scripts, as in [`Supervisors::new`](crate::script::Supervisors::new).
    pub supervisor: PathBuf,
    /// How many postings are attempted side by side.
    pub parallelism: NonZeroUsize,
    /// Run the same postings through the same definition once more.
    pub again: bool,
    /// Leave out the postings that some run of this workflow has completed, and run the others
    /// whatever came before.
    pub only_new: bool,
    /// Give up a run of this workflow that is in progress with other postings or another
    /// definition.
    pub abandon: bool,
    /// Wait until somebody ends a pause that has no end; otherwise the run stops when nothing but such
    /// pauses keeps it.
    pub waits_out_pauses: bool,
    /// A posting's state is kept each time it passes a multiple of so many events.
    pub snapshot_interval: NonZeroU64,
    /// Call no actor: each attempt succeeds at once, and its output is its input. So it can be seen
    /// what a run costs beside its actors.
    pub calls_nobody: bool,
    /// Where time, ids and chance come from.
    pub environment: Environment,
    /// What the run itself waits by, and takes lengths of time from. What commands and snapshots wait
    /// by is the environment's.
    pub timer: Arc<dyn Runtime>,
}

impl RunOptions {
    /// The usual way, with this program as the supervisor of scripts.
    pub fn new(supervisor: impl Into<PathBuf>) -> Self {
        let parallelism = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            supervisor: supervisor.into(),
            parallelism,
            again: false,
            only_new: false,
            abandon: false,
            waits_out_pauses: false,
            snapshot_interval: DEFAULT_SNAPSHOT_INTERVAL,
            calls_nobody: false,
            environment: Environment::default(),
            timer: Arc::new(SystemRuntime),
        }
    }
}
