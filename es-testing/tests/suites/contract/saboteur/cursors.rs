//! Sins against cursors that may be of another log.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use es_core::backend::{LogPage, Position, ReadLog, StoreError};
use es_core::layer::StoreLayer;

use super::{Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_events("reads_on_from_beyond_the_end", 22, |healthy| ReadsOn(healthy.events)),
        of_events("waits_beyond_the_end", 22, |healthy| WaitsOn(healthy.events)),
        of_events("judges_cursors_by_an_old_end", 22, |healthy| JudgesByAnOldEnd {
            store: healthy.events,
            looks: AtomicU64::new(0),
            end: AtomicU64::new(0),
        }),
    ]
}

struct ReadsOn(Store);

#[async_trait]
impl StoreLayer for ReadsOn {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        if read.after > self.0.end_of_log().await? {
            return Ok(LogPage::new(Vec::new(), read.after, None, true));
        }
        self.0.read_log(read).await
    }
}

struct WaitsOn(Store);

#[async_trait]
impl StoreLayer for WaitsOn {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        if position > self.0.end_of_log().await? {
            std::future::pending::<()>().await;
        }
        self.0.wait_past(position).await
    }
}

/// Looks where the log ends only at every fourth read.
struct JudgesByAnOldEnd {
    store: Store,
    looks: AtomicU64,
    end: AtomicU64,
}

#[async_trait]
impl StoreLayer for JudgesByAnOldEnd {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        if self.looks.fetch_add(1, Ordering::SeqCst).is_multiple_of(4) {
            self.end.store(self.store.end_of_log().await?.to_sequence(), Ordering::SeqCst);
        }
        let end = Position::from_sequence(self.end.load(Ordering::SeqCst));
        if read.after > end {
            return Err(StoreError::beyond_the_end(read.after, end));
        }
        self.store.read_log(read).await
    }
}
