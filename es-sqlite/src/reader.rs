//! The threads that read, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use es_core::backend::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::append::run;
use crate::open_reads::OpenReads;
use crate::queue::{Queue, Waiting};
use crate::sql;

/// How many reads may wait for a thread, at most, before further ones wait for a place.
pub(crate) const QUEUE: usize = 256;

/// One read: work on a reading thread's connection.
pub(crate) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A read that was asked for.
pub(crate) struct Asked<T, E>(oneshot::Receiver<thread::Result<Result<T, E>>>);

impl Queue<Read> {
    /// Runs `work` on a reading thread, as the read that `call` names.
    pub(crate) async fn ask<T, E, W>(
        &self,
        reads: Arc<OpenReads>,
        call: &'static str,
        work: W,
    ) -> Result<Asked<T, E>, StoreError>
    where
        T: Send + 'static,
        E: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            if !reply.is_closed() {
                let reading = reads.begin(call);
                let done = catch_unwind(AssertUnwindSafe(|| work(connection)));
                drop(reading);
                let _ = reply.send(done);
            }
        });
        self.send(read).await?;
        Ok(Asked(answer))
    }

    /// What the work answers. A panic of it goes on here.
    pub(crate) async fn answer<T, E: From<StoreError>>(&self, asked: Asked<T, E>) -> Result<T, E> {
        match asked.0.await.map_err(|_| self.closed())? {
            Ok(done) => done,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Does `work` in one transaction, so that all its statements see the same state.
pub(crate) fn in_transaction<T, E: From<StoreError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, sql::BEGIN_READ)?;
    let done = catch_unwind(AssertUnwindSafe(|| work(connection)));
    if !connection.is_autocommit() {
        run(connection, sql::ROLLBACK)?;
    }
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Does reads until the queue is closed and empty.
pub(crate) fn do_reads(reads: &Mutex<Waiting<Read>>, connection: &Connection) {
    loop {
        // of the idle threads one waits here for work, the others for the lock
        let read = reads.lock().unwrap_or_else(PoisonError::into_inner).next();
        match read {
            Some(read) => read(connection),
            None => return,
        }
    }
}
