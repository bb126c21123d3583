//! Which reads are open, and since when: each keeps the write-ahead log from being cut back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A read of this store that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenRead {
    /// The call that reads, such as `read_log`; `read` is a closure of the application's.
    pub call: &'static str,
    /// How long it has lasted.
    pub lasts: Duration,
}

/// The reads of a store, by when they began.
#[derive(Default)]
pub(crate) struct OpenReads {
    reads: Mutex<Reads>,
}

#[derive(Default)]
struct Reads {
    next: u64,
    open: BTreeMap<u64, (&'static str, Instant)>,
}

impl OpenReads {
    /// A read begins; it is open until the answer is dropped.
    pub(crate) fn begin(&self, call: &'static str) -> Reading<'_> {
        let mut reads = self.reads();
        let number = reads.next;
        reads.next += 1;
        reads.open.insert(number, (call, Instant::now()));
        Reading { reads: self, number }
    }

    /// The read that has lasted longest, with a number that no other has.
    pub(crate) fn oldest(&self) -> Option<(u64, OpenRead)> {
        let reads = self.reads();
        let (number, (call, since)) = reads.open.first_key_value()?;
        Some((*number, OpenRead { call, lasts: since.elapsed() }))
    }

    fn reads(&self) -> MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open read.
pub(crate) struct Reading<'a> {
    reads: &'a OpenReads,
    number: u64,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.reads.reads().open.remove(&self.number);
    }
}
