//! The way of work to a store's threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::error::closed;

/// The sending end of a bounded queue that can be closed.
///
/// The channel itself has no bound: who waits for a place holds no sender meanwhile, or a caller
/// that waits without being polled would keep the threads from ending.
pub(crate) struct Queue<T> {
    sender: Mutex<Option<mpsc::UnboundedSender<Placed<T>>>>,
    places: Arc<Semaphore>,
    path: PathBuf,
}

/// The receiving end.
pub(crate) struct Waiting<T>(mpsc::UnboundedReceiver<Placed<T>>);

/// Work, and its place in the queue.
struct Placed<T> {
    work: T,
    _place: OwnedSemaphorePermit,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize, path: PathBuf) -> (Self, Waiting<T>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(capacity.min(Semaphore::MAX_PERMITS)));
        let queue = Self { sender: Mutex::new(Some(sender)), places, path };
        (queue, Waiting(receiver))
    }

    /// Waits for a place in the queue and takes it.
    pub(crate) async fn send(&self, work: T) -> Result<(), StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let _place = place.map_err(|_| self.closed())?;
        match &*self.sender() {
            Some(sender) => sender.send(Placed { work, _place }).map_err(|_| self.closed()),
            None => Err(self.closed()),
        }
    }

    /// Refuses further work, and what waits for a place; what has one is still done, and then the
    /// threads end.
    pub(crate) fn close(&self) {
        self.sender().take();
        self.places.close();
    }

    /// The refusal after closing.
    pub(crate) fn closed(&self) -> StoreError {
        closed(&self.path)
    }

    fn sender(&self) -> MutexGuard<'_, Option<mpsc::UnboundedSender<Placed<T>>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Waiting<T> {
    /// Waits for work; `None` when the queue is closed and empty.
    pub(crate) fn next(&mut self) -> Option<T> {
        self.0.blocking_recv().map(|placed| placed.work)
    }

    /// Work that waits already.
    pub(crate) fn next_now(&mut self) -> Option<T> {
        self.0.try_recv().ok().map(|placed| placed.work)
    }
}
