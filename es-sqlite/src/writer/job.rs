//! What is asked of the writing thread, and how it is answered.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use es_core::backend::{AppendError, Appended, StoreError, StoreErrorKind};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::history::Newest;
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

    /// Does the work within a transaction; whether it has that for itself.
    fn run(&mut self, connection: &Connection, is_only: bool) -> Outcome;

    /// The newest event that the work has appended, as far as it tells.
    fn newest(&self) -> Option<Newest>;

    /// Gives the caller the answer: the work's own, or the error that undid it.
    fn deliver(self: Box<Self>, undone: Option<StoreError>);

    /// Answers without doing the work.
    fn refuse(self: Box<Self>, error: StoreError);
}

pub(super) enum Outcome {
    Done,
    /// The work was refused or failed; with the store's error, if it was one.
    Failed(Option<StoreError>),
    Panicked,
}

/// What the writer is told of an answer.
struct About<T, E> {
    newest: fn(&T) -> Option<Newest>,
    store_error: fn(&E) -> Option<StoreError>,
}

struct Pending<T, E, W> {
    work: W,
    about: About<T, E>,
    /// There once the work is done.
    answer: Option<std::thread::Result<Result<T, E>>>,
    reply: oneshot::Sender<std::thread::Result<Result<T, E>>>,
}

impl<T, E, W> Call for Pending<T, E, W>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
    W: FnMut(&Connection, bool) -> Result<T, E> + Send,
{
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection, is_only: bool) -> Outcome {
        let work = &mut self.work;
        let answer = catch_unwind(AssertUnwindSafe(|| work(connection, is_only)));
        let outcome = match &answer {
            Ok(Ok(_)) => Outcome::Done,
            Ok(Err(error)) => Outcome::Failed((self.about.store_error)(error)),
            Err(_) => Outcome::Panicked,
        };
        self.answer = Some(answer);
        outcome
    }

    fn newest(&self) -> Option<Newest> {
        match &self.answer {
            Some(Ok(Ok(done))) => (self.about.newest)(done),
            _ => None,
        }
    }

    fn deliver(self: Box<Self>, undone: Option<StoreError>) {
        let own = self.answer.expect("work is done before it is answered");
        let answer = match undone {
            Some(error) if own.is_ok() => Ok(Err(E::from(error))),
            _ => own,
        };
        // nobody may be listening any more; what the work has in hand is let go of after it
        let _ = self.reply.send(answer);
    }

    fn refuse(self: Box<Self>, error: StoreError) {
        let _ = self.reply.send(Ok(Err(E::from(error))));
    }
}

impl Queue<Job> {
    /// Appends in a transaction that is shared with others, unless `work` is told that it has it for
    /// itself; in a shared one it must leave nothing behind when it fails.
    pub(crate) async fn append<W>(&self, bytes: usize, work: W) -> Result<Appended, AppendError>
    where
        W: FnMut(&Connection, bool) -> Result<Appended, AppendError> + Send + 'static,
    {
        self.write(bytes, None, About { newest: appended, store_error }, work).await
    }

    /// Does `work` in a transaction of its own, which is rolled back if it fails.
    pub(crate) async fn write_alone<T, E, W>(&self, flush: Flush, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let mut work = Some(work);
        let once = move |connection: &Connection, _: bool| {
            let work = work.take().expect("work is done once");
            work(connection)
        };
        let about = About { newest: |_| None, store_error: |_| None };
        self.write(0, Some(flush), about, once).await
    }

    async fn write<T, E, W>(
        &self,
        bytes: usize,
        alone: Option<Flush>,
        about: About<T, E>,
        work: W,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        W: FnMut(&Connection, bool) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let pending = Pending { work, about, answer: None, reply };
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
fn store_error(error: &AppendError) -> Option<StoreError> {
    match error {
        AppendError::Store(error) => Some(error.clone()),
        _ => None,
    }
}

/// The last event of an append, unless it was there before.
fn appended(appended: &Appended) -> Option<Newest> {
    let last = appended.streams.last().and_then(|part| part.events.last());
    last.filter(|_| !appended.repeated).map(Newest::from)
}
