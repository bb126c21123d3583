//! What is asked of the writing thread, and how it is answered.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use es_core::backend::{AppendError, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::queue::Queue;

/// When a transaction is flushed to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// Before it is answered, if the store is configured so.
    Now,
    /// With the next one that is. For what is made from the log again if it is lost: of the
    /// write-ahead log a beginning is left, so that whatever it was made from is there.
    Later,
}

/// Something to write, and somebody who waits for the answer.
pub(crate) struct Job {
    /// About how much it writes.
    pub(super) bytes: usize,
    /// Set if it needs a transaction for itself, which is rolled back if it fails. Others share
    /// one, and leave nothing behind in it if they fail.
    pub(super) alone: Option<Flush>,
    /// When it began to wait.
    pub(super) since: Instant,
    pub(super) call: Box<dyn Call>,
}

pub(super) trait Call: Send {
    /// True if nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;

    /// Does the work within a transaction.
    fn run(self: Box<Self>, connection: &Connection) -> Ran;

    /// Answers without doing the work.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// Work that was done, but is not yet committed.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    /// Gives the caller the answer: the work's own, or the error that undid it.
    pub(super) deliver: Box<dyn FnOnce(Result<(), StoreError>)>,
}

pub(super) enum Outcome {
    Done,
    /// The work was refused or failed; with the store's error, if it was one.
    Failed(Option<StoreError>),
    Panicked,
}

struct Pending<T, E, W> {
    work: W,
    reply: oneshot::Sender<std::thread::Result<Result<T, E>>>,
    store_error: fn(&E) -> Option<StoreError>,
}

impl<T, E, W> Call for Pending<T, E, W>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    W: FnOnce(&Connection) -> Result<T, E> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, connection: &Connection) -> Ran {
        let Self { work, reply, store_error } = *self;
        let answer = catch_unwind(AssertUnwindSafe(|| work(connection)));
        let outcome = match &answer {
            Ok(Ok(_)) => Outcome::Done,
            Ok(Err(error)) => Outcome::Failed(store_error(error)),
            Err(_) => Outcome::Panicked,
        };
        let deliver = Box::new(move |committed: Result<(), StoreError>| {
            let answer = match (committed, answer) {
                (Err(error), Ok(_)) => Ok(Err(E::from(error))),
                (_, answer) => answer,
            };
            // nobody may be listening any more
            let _ = reply.send(answer);
        });
        Ran { outcome, deliver }
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Ok(Err(E::from(error))));
    }
}

impl Queue<Job> {
    /// Does `work` in a transaction that it shares with others; when it fails it must leave nothing
    /// behind.
    pub(crate) async fn write_shared<T, E, W>(
        &self,
        bytes: usize,
        store_error: fn(&E) -> Option<StoreError>,
        work: W,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.write(bytes, None, store_error, work).await
    }

    /// Does `work` in a transaction of its own, which is rolled back if it fails.
    pub(crate) async fn write_alone<T, E, W>(&self, flush: Flush, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.write(0, Some(flush), |_| None, work).await
    }

    async fn write<T, E, W>(
        &self,
        bytes: usize,
        alone: Option<Flush>,
        store_error: fn(&E) -> Option<StoreError>,
        work: W,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { work, reply, store_error };
        let since = Instant::now();
        self.send(Job { bytes, alone, since, call: Box::new(pending) }).await?;
        match answer.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(E::from(StoreError::new(
                StoreErrorKind::OutcomeUnknown,
                "the writing thread ended without an answer",
            ))),
        }
    }
}

/// The store's error in an append's, if it is one.
pub(crate) fn append_failure(error: &AppendError) -> Option<StoreError> {
    match error {
        AppendError::Store(error) => Some(error.clone()),
        _ => None,
    }
}
