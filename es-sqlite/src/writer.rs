//! The one thread that writes: it puts the appends that wait into one transaction.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use es_core::backend::{StoreError, StoreErrorKind};
use rusqlite::{Connection, Error};

use crate::append::run;
use crate::checkpoint::{Checkpoints, write_back};
use crate::config::Synchronous;
use crate::error::{Doing, Said, commit_error, has_met_damage, poisoned, store_error};
use crate::history::{History, Newest, newest};
use crate::open::WriteConnections;
use crate::projection::Inline;
use crate::queue::Waiting;
use crate::sql;
use crate::wait::Wake;

mod job;
mod turn;

use job::{Call, Outcome};
pub(crate) use job::{Flush, Job};
use turn::Turn;

/// A transaction takes no further jobs when it has this many, or that many bytes.
const BATCH_JOBS: usize = 512;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// How long to wait for another process at least, and how often to look meanwhile.
const MOMENT: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(1);

/// So soon a caller who was answered comes again who does nothing else.
const SOON: Duration = Duration::from_micros(100);

/// The thread's state.
pub(crate) struct Writer {
    pub(crate) connections: WriteConnections,
    pub(crate) path: PathBuf,
    pub(crate) synchronous: Synchronous,
    /// How the application's connection flushes at present, if that is known.
    pub(crate) flushes: Cell<Option<Synchronous>>,
    pub(crate) busy_timeout: Duration,
    pub(crate) wake: Arc<Wake>,
    pub(crate) inline: Arc<Inline>,
    /// Set when a commit's outcome is unknown: from then on everything is refused.
    pub(crate) poison: Arc<OnceLock<StoreError>>,
    pub(crate) history: Arc<History>,
    /// Whether the application has triggers on the store's tables, as of which schema.
    pub(crate) triggers: Cell<Option<(i64, bool)>>,
    pub(crate) checkpoints: Checkpoints,
}

impl Writer {
    /// Does jobs until the queue is closed and empty.
    pub(crate) fn do_jobs(&self, mut jobs: Waiting<Job>) {
        let mut kept = VecDeque::new();
        let mut turn = Turn::default();
        let mut was_alone = false;
        loop {
            let mut waiting = kept.pop_front().or_else(|| jobs.next_now());
            if waiting.is_none() {
                // of several that are answered the first to come again is not to go without the others
                if was_alone {
                    waiting = jobs.next_within(SOON);
                }
                // who comes again so soon leaves the file free for nobody
                if waiting.is_none() {
                    turn.end();
                }
            }
            let Some(first) = waiting.or_else(|| jobs.next()) else { return };
            if let Some(pause) = turn.pause(Instant::now()) {
                std::thread::sleep(pause);
            }
            let mut bytes = first.bytes;
            let alone = first.alone;
            let mut batch = vec![first];
            let mut next = VecDeque::new();
            while alone.is_none() && batch.len() + next.len() < BATCH_JOBS && bytes < BATCH_BYTES {
                match kept.pop_front().or_else(|| jobs.next_now()) {
                    // those behind it need not wait for another flush; it waits for this one
                    Some(job) if job.alone.is_some() => next.push_back(job),
                    Some(job) => {
                        bytes += job.bytes;
                        batch.push(job);
                    }
                    None => break,
                }
            }
            was_alone = batch.len() == 1;
            next.extend(self.commit(batch, alone));
            next.append(&mut kept);
            kept = next;
            if self.poison.get().is_none()
                && let Err(error) =
                    self.checkpoints.after_transaction(&self.connections.application)
            {
                self.stop(store_error("flushing", &self.path, error));
            }
        }
    }

    /// One transaction: does the jobs, commits, and only then answers. Where another process kept the
    /// file for too long, answers those who have not waited for so long.
    fn commit(&self, mut batch: Vec<Job>, alone: Option<Flush>) -> Vec<Job> {
        batch.retain(|job| !job.call.is_abandoned());
        let Some(first) = batch.first() else { return Vec::new() };
        let connection = match self.begin(alone, first.since) {
            Ok(connection) => connection,
            Err(error) => {
                let is_over = |job: &Job| job.since.elapsed() >= self.busy_timeout;
                // a refusal for another reason concerns all
                let is_late = error.kind() == StoreErrorKind::Busy && is_over(first);
                let (refused, early) =
                    batch.into_iter().partition::<Vec<_>, _>(|job| !is_late || is_over(job));
                refused.into_iter().for_each(|job| job.call.refuse(error.clone()));
                return early;
            }
        };
        // what has a transaction for itself is undone with it
        let is_only = batch.len() == 1;
        let mut done = Vec::with_capacity(batch.len());
        let mut lost = None;
        let mut culprit = None;
        let mut jobs = batch.into_iter();
        for mut job in jobs.by_ref() {
            let outcome = job.call.run(connection, is_only);
            if is_only && !matches!(outcome, Outcome::Done) {
                self.roll_back(connection);
                job.call.deliver(None);
                return Vec::new();
            }
            lost = self.loss(connection, &outcome);
            if lost.is_some() {
                culprit = Some((job.call, outcome));
                break;
            }
            done.push(job.call);
        }
        let undone = match lost {
            Some(error) => {
                self.roll_back(connection);
                Some(error)
            }
            None => self.end(connection, &done).err(),
        };
        for call in done {
            call.deliver(undone.clone());
        }
        if let Some((call, outcome)) = culprit {
            // its own failure says more
            call.deliver(undone.clone().filter(|_| matches!(outcome, Outcome::Done)));
        }
        for job in jobs {
            job.call.refuse(undone.clone().expect("jobs are left over only after a loss"));
        }
        Vec::new()
    }

    /// Begins a transaction on the connection that fits, for somebody who waits since then.
    fn begin(&self, alone: Option<Flush>, since: Instant) -> Result<&Connection, StoreError> {
        if let Some(reason) = self.poison.get() {
            return Err(reason.clone());
        }
        self.history.check_file()?;
        let seen = self.history.seen();
        let connection = self.begin_on(alone, since + self.busy_timeout)?;
        if let Err(error) = self.history.check_log(connection, seen.as_ref()) {
            self.roll_back(connection);
            return Err(error);
        }
        Ok(connection)
    }

    fn begin_on(&self, alone: Option<Flush>, until: Instant) -> Result<&Connection, StoreError> {
        let WriteConnections { checked, application, gate } = &self.connections;
        gate.watch();
        if alone.is_none() {
            self.begin_write(checked, until)?;
            match self.has_other_triggers(checked) {
                Ok(false) => return Ok(checked),
                Ok(true) => self.roll_back(checked),
                Err(error) => {
                    self.roll_back(checked);
                    return Err(error);
                }
            }
        }
        self.flush(application, alone.unwrap_or(Flush::Now))?;
        self.begin_write(application, until)?;
        Ok(application)
    }

    /// Says when the application's connection flushes what it commits, which cannot be said within a
    /// transaction. The other one is always as the store is configured.
    fn flush(&self, application: &Connection, flush: Flush) -> Result<(), StoreError> {
        let wanted = match (flush, self.synchronous) {
            (Flush::Later, Synchronous::Full) => Synchronous::Normal,
            (_, configured) => configured,
        };
        // the application may have put another in its place: `PRAGMA wal_autocheckpoint` does
        application.wal_hook(Some(write_back));
        if self.flushes.get() == Some(wanted) {
            return Ok(());
        }
        self.flushes.set(None);
        // never prepared beforehand: SQLite carries it out while it prepares it
        application
            .pragma_update(None, "synchronous", wanted.pragma())
            .doing(application, "writing to")?;
        self.flushes.set(Some(wanted));
        Ok(())
    }

    /// Waits for other processes that write to the file; for whoever has waited that long already,
    /// a moment.
    ///
    /// SQLite itself would look every 100 milliseconds, and hardly find one of the short moments at
    /// which a process that writes all the time lets others in.
    fn begin_write(&self, connection: &Connection, until: Instant) -> Result<(), StoreError> {
        let until = until.max(Instant::now() + MOMENT.min(self.busy_timeout));
        let wait = |time| connection.busy_timeout(time).doing(connection, "writing to");
        wait(Duration::ZERO)?;
        let begun = loop {
            match run(connection, sql::BEGIN_WRITE) {
                Err(error) if error.kind() == StoreErrorKind::Busy && Instant::now() < until => {
                    std::thread::sleep(PAUSE);
                }
                begun => break begun,
            }
        };
        wait(self.busy_timeout)?;
        begun
    }

    /// Whether triggers of the application must run with each append.
    fn has_other_triggers(&self, connection: &Connection) -> Result<bool, StoreError> {
        let number = |statement| {
            connection
                .prepare_cached(statement)
                .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
                .doing(connection, "writing to")
        };
        let cookie = number(sql::SCHEMA_COOKIE)?;
        match self.triggers.get() {
            Some((seen, has_triggers)) if seen == cookie => Ok(has_triggers),
            _ => {
                let has_triggers = number(sql::HAS_OTHER_TRIGGERS)? != 0;
                self.triggers.set(Some((cookie, has_triggers)));
                Ok(has_triggers)
            }
        }
    }

    /// Why the whole transaction is lost after a job, if it is.
    fn loss(&self, connection: &Connection, outcome: &Outcome) -> Option<StoreError> {
        let path = self.path.display();
        let is_ended = connection.is_autocommit() || self.connections.gate.is_ended();
        let why = match outcome {
            Outcome::Panicked => {
                format!("another append of the same transaction on {path} panicked")
            }
            // after a full disk, for instance, SQLite rolls back by itself
            Outcome::Failed(Some(error)) if is_ended || has_met_damage(error) => {
                return Some(error.clone());
            }
            Outcome::Failed(None) if is_ended => {
                format!("another append of the same transaction on {path} ended it; try again")
            }
            Outcome::Done if is_ended => {
                format!("a statement ended the transaction on {path}, nothing of it was written")
            }
            _ => return None,
        };
        Some(StoreError::new(StoreErrorKind::Other, why))
    }

    /// Commits what was done; wakes those who wait for the log to grow.
    fn end(&self, connection: &Connection, done: &[Box<dyn Call>]) -> Result<(), StoreError> {
        let newest = if std::ptr::eq(connection, &self.connections.checked) {
            done.iter().rev().find_map(|call| call.newest())
        } else {
            // what the application has a hand in appends by itself, too
            newest(connection).inspect_err(|_| self.roll_back(connection))?
        };
        let committed = connection
            .prepare_cached(sql::COMMIT)
            .and_then(|mut statement| self.connections.gate.open(|| statement.execute([])));
        if let Err(error) = committed {
            let error = commit_error(&self.path, error);
            self.roll_back(connection);
            if error.is_outcome_unknown() {
                self.stop(error.clone());
            }
            return Err(error);
        }
        // between the look before and the commit the file may have gone
        self.history.check_file().map_err(|error| {
            let path = self.path.display();
            let text = format!(
                "it was committed to a file that is not {path} any more; open the store again to see \
                 whether it is there"
            );
            StoreError::new(StoreErrorKind::OutcomeUnknown, text).caused_by(error)
        })?;
        let end = Newest::end(newest.as_ref());
        self.history.advance(newest);
        self.wake.advance(end);
        if !self.inline.is_empty() {
            self.wake.commits().give();
        }
        Ok(())
    }

    /// Undoes the transaction, if SQLite has not done so itself.
    fn roll_back(&self, connection: &Connection) {
        if connection.is_autocommit() {
            return;
        }
        let undone = connection
            .prepare_cached(sql::ROLLBACK)
            .and_then(|mut statement| statement.execute([]));
        if let Err(error) = undone
            && !connection.is_autocommit()
        {
            self.stop(rollback_error(error));
        }
    }

    /// Closing must not write the log into a file that may be another one, nor try a flush again.
    pub(crate) fn leave_log(&self) {
        self.connections.leave_log(true);
    }

    fn stop(&self, cause: StoreError) {
        let reason = poisoned(&self.path, cause);
        tracing::error!(path = %self.path.display(), "the store stopped after a failed commit");
        let _ = self.poison.set(reason.clone());
        self.leave_log();
        self.wake.stop(reason);
    }
}

fn rollback_error(error: Error) -> StoreError {
    StoreError::new(StoreErrorKind::Other, "a rollback failed").caused_by(Said(error))
}
