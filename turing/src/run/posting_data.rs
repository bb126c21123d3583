//! The data of postings, which never change once they are registered: what is read is kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use turing_domain::PostingId;

use crate::postings::memory_of;

/// About how many bytes of memory they may take.
const ROOM: usize = 16 * 1024 * 1024;

/// The data of the postings that were attempted, as far as there is room.
///
/// What is there stays until its posting ends, and what finds no room is read again: waves go
/// through all postings in turn, so whoever made room for the next would never find one.
#[derive(Debug, Default)]
pub(super) struct PostingData(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    data: HashMap<PostingId, Arc<Map<String, Value>>>,
    bytes: usize,
}

impl PostingData {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data of a posting, if they are kept.
    pub(super) fn get(&self, posting: PostingId) -> Option<Arc<Map<String, Value>>> {
        self.kept().data.get(&posting).cloned()
    }

    /// Keeps the data of a posting if there is room for them.
    pub(super) fn keep(
        &self,
        posting: PostingId,
        data: Map<String, Value>,
    ) -> Arc<Map<String, Value>> {
        let (bytes, data) = (memory_of(&data), Arc::new(data));
        let mut kept = self.kept();
        // fan-outs of a posting may read them side by side
        if kept.bytes + bytes <= ROOM && !kept.data.contains_key(&posting) {
            kept.bytes += bytes;
            kept.data.insert(posting, data.clone());
        }
        data
    }

    /// Lets go of the data of a posting that has ended.
    pub(super) fn forget(&self, posting: PostingId) {
        let mut kept = self.kept();
        if let Some(data) = kept.data.remove(&posting) {
            kept.bytes -= memory_of(&data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: usize) -> Map<String, Value> {
        let value = Value::String("x".repeat(bytes));
        [("text".to_owned(), value)].into_iter().collect()
    }

    #[test]
    fn what_is_kept_stays_until_its_posting_ends_and_what_finds_no_room_is_not_kept() {
        let kept = PostingData::default();
        let [first, second, small] = [1, 2, 3].map(PostingId);
        kept.keep(first, data(ROOM / 2));
        kept.keep(first, data(ROOM / 2));
        assert_eq!(*kept.keep(second, data(ROOM / 2)), data(ROOM / 2));
        kept.keep(small, data(1));
        let is_kept = |posting| kept.get(posting).is_some();
        assert_eq!([first, second, small].map(is_kept), [true, false, true]);
        kept.forget(first);
        kept.forget(second);
        kept.keep(second, data(ROOM / 2));
        assert_eq!([first, second, small].map(is_kept), [false, true, true]);
        kept.forget(second);
        kept.forget(small);
        assert_eq!(kept.kept().bytes, 0);
    }
}
