//! Removing old snapshots of all streams.

use super::{SnapshotStore, SnapshotSummary};
use crate::error::StoreError;

/// How many snapshots are listed at once.
const PAGE: usize = 500;

/// What a pruning came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// How many streams had more snapshots than were to stay.
    pub streams: u64,
    /// How many snapshots were removed.
    pub removed: u64,
}

/// Removes all but the newest `keep` snapshots of every stream, one stream after the other, so that
/// nobody waits for long.
///
/// Answers stay as they are, but states of the past take longer to load. Snapshots that are saved
/// meanwhile may stay.
///
/// # Errors
///
/// When the store fails; what was removed before stays removed, and doing it again goes on.
pub async fn prune_all(store: &dyn SnapshotStore, keep: u64) -> Result<Pruned, StoreError> {
    let mut pruned = Pruned::default();
    let mut last: Option<SnapshotSummary> = None;
    // of the stream of `last`
    let mut count = 0;
    loop {
        let page = store.list_snapshots(last.as_ref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        for snapshot in page {
            let is_same = last.as_ref().is_some_and(|last| last.stream == snapshot.stream);
            count = if is_same { count + 1 } else { 1 };
            // one that is too many: the stream's last ones are met later, and are not needed
            if count == keep.saturating_add(1) {
                pruned.streams += 1;
                pruned.removed += store.prune_snapshots(&snapshot.stream, keep).await?;
            }
            last = Some(snapshot);
        }
        if is_last {
            return Ok(pruned);
        }
    }
}
