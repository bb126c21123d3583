//! Now and then, a kept state is folded again.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the checks of kept states have found, over all clones of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SnapshotChecks {
    /// How many kept states were folded again.
    pub checked: u64,
    /// How many of them were not what the events say.
    pub different: u64,
}

/// Which loads are checked, and what was found.
#[derive(Debug, Clone)]
pub(crate) struct Sampling {
    one_in: NonZeroU64,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    loads: AtomicU64,
    checked: AtomicU64,
    different: AtomicU64,
}

impl Sampling {
    pub(crate) fn new(one_in: NonZeroU64) -> Self {
        Self { one_in, counts: Arc::default() }
    }

    /// Counts a load from a kept state, and answers whether it is one to be checked.
    pub(crate) fn is_due(&self) -> bool {
        let before = self.counts.loads.fetch_add(1, Ordering::Relaxed);
        before % self.one_in == self.one_in.get() - 1
    }

    pub(crate) fn record(&self, is_different: bool) {
        self.counts.checked.fetch_add(1, Ordering::Relaxed);
        self.counts.different.fetch_add(u64::from(is_different), Ordering::Relaxed);
    }

    pub(crate) fn checks(&self) -> SnapshotChecks {
        SnapshotChecks {
            checked: self.counts.checked.load(Ordering::Relaxed),
            different: self.counts.different.load(Ordering::Relaxed),
        }
    }
}
