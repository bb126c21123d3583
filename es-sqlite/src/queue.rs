//! The way of work to a store's threads.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use es_core::backend::StoreError;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

use crate::error::closed;

/// The sending end of a bounded queue that can be closed.
///
/// The channel itself has no bound: who waits for a place holds no sender meanwhile, or a caller
/// that waits without being polled would keep the threads from ending.
pub(crate) struct Queue<T> {
    sender: Mutex<Option<mpsc::UnboundedSender<Placed<T>>>>,
    places: Arc<Places>,
    path: PathBuf,
}

/// The receiving end.
pub(crate) struct Waiting<T> {
    receiver: mpsc::UnboundedReceiver<Placed<T>>,
    places: Arc<Places>,
}

/// What bounds a queue.
///
/// A place is nobody's until it is taken: who waits for one may be a future that nobody polls, and
/// would keep it from those behind. So each that gets free wakes one of those who wait, the first
/// first, and an empty queue wakes all: some of those who were woken may not have looked.
struct Places {
    free: Arc<Semaphore>,
    freed: Notify,
}

/// Work, and its place in the queue.
struct Placed<T> {
    work: T,
    _place: OwnedSemaphorePermit,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize, path: PathBuf) -> (Self, Waiting<T>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let free = Arc::new(Semaphore::new(capacity.min(Semaphore::MAX_PERMITS)));
        let places = Arc::new(Places { free, freed: Notify::new() });
        let queue = Self { sender: Mutex::new(Some(sender)), places: Arc::clone(&places), path };
        (queue, Waiting { receiver, places })
    }

    /// Waits for a place in the queue and takes it.
    pub(crate) async fn send(&self, work: T) -> Result<(), StoreError> {
        let Places { free, freed } = &*self.places;
        let mut is_full = false;
        loop {
            let mut freed = pin!(freed.notified());
            if is_full {
                // a place that gets free from now on is told
                freed.as_mut().enable();
            }
            match Arc::clone(free).try_acquire_owned() {
                Ok(_place) => {
                    return match &*self.sender() {
                        Some(sender) => {
                            sender.send(Placed { work, _place }).map_err(|_| self.closed())
                        }
                        None => Err(self.closed()),
                    };
                }
                Err(TryAcquireError::NoPermits) if is_full => freed.await,
                Err(TryAcquireError::NoPermits) => is_full = true,
                Err(TryAcquireError::Closed) => return Err(self.closed()),
            }
        }
    }

    /// Refuses further work, and what waits for a place; what has one is still done, and then the
    /// threads end.
    pub(crate) fn close(&self) {
        self.sender().take();
        self.places.free.close();
        self.places.freed.notify_waiters();
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
        if let Some(work) = self.next_now() {
            return Some(work);
        }
        let placed = self.receiver.blocking_recv()?;
        Some(self.out(placed))
    }

    /// Work that comes within so long. Gives way to whoever wants the processor, and does not sleep:
    /// to wake up takes longer than much of what is waited for.
    pub(crate) fn next_within(&mut self, patience: Duration) -> Option<T> {
        let until = Instant::now() + patience;
        loop {
            match self.receiver.try_recv() {
                Ok(placed) => return Some(self.out(placed)),
                Err(TryRecvError::Empty) if Instant::now() < until => std::thread::yield_now(),
                Err(_) => return None,
            }
        }
    }

    /// Work that waits already.
    pub(crate) fn next_now(&mut self) -> Option<T> {
        match self.receiver.try_recv() {
            Ok(placed) => Some(self.out(placed)),
            Err(_) => {
                self.places.freed.notify_waiters();
                None
            }
        }
    }

    fn out(&self, placed: Placed<T>) -> T {
        let Placed { work, _place } = placed;
        drop(_place);
        self.places.freed.notify_one();
        work
    }
}
