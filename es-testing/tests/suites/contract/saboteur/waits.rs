//! Sins of waiting for the next event, and of letting others wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Position, ReadStream, StoreError, StreamPage,
};
use es_core::layer::StoreLayer;
use tokio::sync::{Notify, Semaphore};
use tokio::task::yield_now;

use super::{Healthy, Saboteur, Store, of_events};

pub(super) fn saboteurs() -> Vec<Saboteur> {
    vec![
        of_events("never_waits", 21, |healthy| NeverWaits(healthy.events)),
        of_events("never_wakes", 21, |healthy| NeverWakes(healthy.events)),
        of_events("waits_for_the_next_append_always", 21, |healthy| WaitsForNext {
            appended: Arc::default(),
            store: healthy.events,
        }),
        of_events("wakes_one_waiter", 21, |healthy| {
            waking(healthy, |notify| notify.notify_one(), false)
        }),
        of_events("wakes_on_a_refused_append", 21, |healthy| {
            waking(healthy, |notify| notify.notify_waiters(), true)
        }),
        of_events("loses_its_waiters_when_one_is_dropped", 21, |healthy| LosesWaiters {
            store: healthy.events,
            dropped: AtomicUsize::new(0),
        }),
        of_events("appends_in_the_turn_of_its_caller", 23, |healthy| CallersTurn {
            store: healthy.events,
            appends: Semaphore::new(2),
            reads: Semaphore::new(Semaphore::MAX_PERMITS),
        }),
        of_events("reads_in_the_turn_of_its_caller", 23, |healthy| CallersTurn {
            store: healthy.events,
            appends: Semaphore::new(Semaphore::MAX_PERMITS),
            reads: Semaphore::new(2),
        }),
    ]
}

struct NeverWaits(Store);

#[async_trait]
impl StoreLayer for NeverWaits {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn wait_past(&self, _: Position) -> Result<(), StoreError> {
        Ok(())
    }
}

struct NeverWakes(Store);

#[async_trait]
impl StoreLayer for NeverWakes {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        if self.0.end_of_log().await? > position {
            return Ok(());
        }
        std::future::pending().await
    }
}

/// Does not look whether there is something already.
struct WaitsForNext {
    store: Store,
    appended: Arc<Notify>,
}

#[async_trait]
impl StoreLayer for WaitsForNext {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let answer = self.store.append(request).await;
        self.appended.notify_waiters();
        answer
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        self.appended.notified().await;
        self.store.wait_past(position).await
    }
}

fn waking(healthy: Healthy, wake: fn(&Notify), also_refused: bool) -> Wakes {
    Wakes { store: healthy.events, appended: Notify::new(), wake, also_refused }
}

/// Wakes its waiters in its own way, and lets them go without another look.
struct Wakes {
    store: Store,
    appended: Notify,
    wake: fn(&Notify),
    also_refused: bool,
}

#[async_trait]
impl StoreLayer for Wakes {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let answer = self.store.append(request).await;
        if self.also_refused || answer.is_ok() {
            (self.wake)(&self.appended);
        }
        answer
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let next = self.appended.notified();
        if self.store.end_of_log().await? > position {
            return Ok(());
        }
        next.await;
        Ok(())
    }
}

/// Has so many turns, which a caller keeps until it is polled to the end.
struct CallersTurn {
    store: Store,
    appends: Semaphore,
    reads: Semaphore,
}

#[async_trait]
impl StoreLayer for CallersTurn {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let _turn = self.appends.acquire().await;
        yield_now().await;
        self.store.append(request).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let _turn = self.reads.acquire().await;
        yield_now().await;
        self.store.read_stream(read).await
    }
}

/// Once a wait was dropped, those that wait are never woken.
struct LosesWaiters {
    store: Store,
    dropped: AtomicUsize,
}

#[async_trait]
impl StoreLayer for LosesWaiters {
    fn inner(&self) -> &Store {
        &self.store
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        struct Waiting<'a>(&'a AtomicUsize, bool);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                if !self.1 {
                    self.0.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
        let mut waiting = Waiting(&self.dropped, false);
        let answer = self.store.wait_past(position).await;
        waiting.1 = true;
        if self.dropped.load(Ordering::SeqCst) > 0 {
            std::future::pending::<()>().await;
        }
        answer
    }
}
