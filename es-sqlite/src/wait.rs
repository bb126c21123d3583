//! Waking those who wait for the log to grow, or for projections to go on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use es_core::backend::{CommitSignal, Position, StoreError};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::error::Doing;
use crate::history::{History, Newest, newest};
use crate::sql;

/// Knows how far the log goes, as far as this store has seen, and tells those who wait.
pub(crate) struct Wake {
    log: watch::Sender<Log>,
    /// Given whenever a projection may have gone on, or cannot any more.
    commits: CommitSignal,
    polling: Mutex<Polling>,
    changed: Condvar,
}

#[derive(Default)]
struct Log {
    end: u64,
    /// Set once, when no further wake-up can come.
    stopped: Option<StoreError>,
    /// How often looking for other processes' appends has failed, and the last failure.
    failures: u64,
    failure: Option<StoreError>,
}

#[derive(Default)]
struct Polling {
    waiters: usize,
    is_parked: bool,
    is_closed: bool,
}

impl Wake {
    pub(crate) fn new(end: Position) -> Self {
        let log = Log { end: end.to_sequence(), ..Log::default() };
        Self {
            log: watch::Sender::new(log),
            commits: CommitSignal::new(),
            polling: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Wakes those who wait for projections.
    pub(crate) fn commits(&self) -> &CommitSignal {
        &self.commits
    }

    /// The log goes at least so far.
    pub(crate) fn advance(&self, end: Position) {
        let end = end.to_sequence();
        self.log.send_if_modified(|log| {
            let is_later = end > log.end;
            log.end = log.end.max(end);
            is_later
        });
    }

    /// Wakes everybody with `reason`, now and whoever waits later.
    pub(crate) fn stop(&self, reason: StoreError) {
        self.log.send_modify(|log| {
            log.stopped.get_or_insert(reason);
        });
        self.commits.give();
        self.polling().is_closed = true;
        self.changed.notify_all();
    }

    fn fail(&self, failure: StoreError) {
        self.log.send_modify(|log| {
            log.failures += 1;
            log.failure = Some(failure);
        });
        self.commits.give();
    }

    /// Whether the log is known to go past `position`; an error if the store has stopped.
    pub(crate) fn is_past(&self, position: Position) -> Result<bool, StoreError> {
        let log = self.log.borrow();
        match &log.stopped {
            Some(reason) => Err(reason.clone()),
            None => Ok(log.end > position.to_sequence()),
        }
    }

    /// Counts as waiting until dropped: only then other processes' appends are looked for.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        let mut polling = self.polling();
        polling.waiters += 1;
        if polling.is_parked {
            self.changed.notify_all();
        }
        Waiting { wake: self, log: self.log.subscribe() }
    }

    fn polling(&self) -> MutexGuard<'_, Polling> {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until somebody waits; false if the store was closed instead.
    fn park(&self) -> bool {
        let mut polling = self.polling();
        while polling.waiters == 0 && !polling.is_closed {
            polling.is_parked = true;
            polling = self.changed.wait(polling).unwrap_or_else(PoisonError::into_inner);
        }
        polling.is_parked = false;
        !polling.is_closed
    }

    /// Sleeps between two looks, also when nobody waits any more, so that short waits one after
    /// the other make no more looks than a long one.
    fn pause(&self, interval: Duration) {
        let polling = self.polling();
        let slept =
            self.changed.wait_timeout_while(polling, interval, |polling| !polling.is_closed);
        drop(slept);
    }
}

/// Somebody who waits.
pub(crate) struct Waiting<'a> {
    wake: &'a Wake,
    log: watch::Receiver<Log>,
}

impl Waiting<'_> {
    pub(crate) async fn past(&mut self, position: Position) -> Result<(), StoreError> {
        let failures = self.log.borrow().failures;
        let log = self
            .log
            .wait_for(|log| {
                log.stopped.is_some()
                    || log.end > position.to_sequence()
                    || log.failures != failures
            })
            .await
            .expect("the sender lives in the store that is waited on");
        if log.end > position.to_sequence() {
            return Ok(());
        }
        match log.stopped.as_ref().or(log.failure.as_ref()) {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.wake.polling().waiters -= 1;
    }
}

/// Looks for commits of other processes while somebody waits; ends when the store is closed.
pub(crate) fn watch_file(
    connection: &Connection,
    wake: &Wake,
    history: &History,
    interval: Duration,
) {
    let (mut seen, mut has_failed) = (None, false);
    while wake.park() {
        let looked = look(connection, history, &mut seen);
        let failed_before = std::mem::replace(&mut has_failed, looked.is_err());
        match looked {
            Ok(Some(end)) => {
                wake.advance(end);
                wake.commits.give();
            }
            Ok(None) => {}
            Err(error) => {
                // those who wait are told each time
                if !failed_before {
                    tracing::warn!(%error, "looking for new events failed");
                }
                wake.fail(error);
            }
        }
        wake.pause(interval);
    }
}

/// The end of the log, if anything was committed since `seen`.
fn look(
    connection: &Connection,
    history: &History,
    seen: &mut Option<i64>,
) -> Result<Option<Position>, StoreError> {
    history.check_file()?;
    let known = history.seen();
    let version: i64 = connection
        .prepare_cached(sql::DATA_VERSION)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .doing(connection, "looking for new events in")?;
    if *seen == Some(version) {
        return Ok(None);
    }
    history.check_log(connection, known.as_ref())?;
    let newest = newest(connection)?;
    let end = Newest::end(newest.as_ref());
    history.advance(newest);
    *seen = Some(version);
    Ok(Some(end))
}
