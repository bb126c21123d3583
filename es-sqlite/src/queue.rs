//! The way of work to a store's threads.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use es_core::StoreError;
use tokio::sync::mpsc;

use crate::error::closed;

/// The sending end of a bounded queue that can be closed.
pub(crate) struct Queue<T> {
    sender: Mutex<Option<mpsc::Sender<T>>>,
    path: PathBuf,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize, path: PathBuf) -> (Self, mpsc::Receiver<T>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let queue = Self { sender: Mutex::new(Some(sender)), path };
        (queue, receiver)
    }

    /// Waits for a place in the queue and takes it.
    pub(crate) async fn send(&self, work: T) -> Result<(), StoreError> {
        let sender = self.sender().clone().ok_or_else(|| self.closed())?;
        sender.send(work).await.map_err(|_| self.closed())
    }

    /// Refuses further work; what waits already is still done, and then the threads end.
    pub(crate) fn close(&self) {
        self.sender().take();
    }

    /// The refusal after closing.
    pub(crate) fn closed(&self) -> StoreError {
        closed(&self.path)
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<T>>> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
