//! Several connections that are lent out one statement at a time.
//!
//! What is asked of them is done by a task of the store's own: a caller that waits without being
//! polled would keep a connection, or its place in the queue for one, from everybody else.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::backend::{StoreError, StoreErrorKind};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Bound, Connector, Doing, Ended, RowsError, Slot};
use crate::error::{closed, is_lost, is_refused, is_too_large, unknown_unless_refused};

/// Takes the rows of a statement as they come.
pub(crate) trait Rows: Send + 'static {
    /// Takes a row, and says whether it wants more.
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError>;

    /// Tells that the next row is too large for the server to send; answers whether what was taken may
    /// stand without it.
    fn cut_off(&mut self) -> bool {
        false
    }
}

impl Rows for Vec<PgRow> {
    fn take(&mut self, row: PgRow) -> Result<ControlFlow<()>, StoreError> {
        self.push(row);
        Ok(ControlFlow::Continue(()))
    }
}

/// Connections for statements that write nothing, or that may be repeated; cloning gives another
/// handle to the same.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    connector: Arc<Connector>,
    runtime: Handle,
    count: usize,
    free: Arc<Semaphore>,
    places: Arc<Mutex<Places>>,
}

/// Places for connections.
#[derive(Debug)]
struct Places {
    idle: Vec<Slot>,
    /// How many are on loan with a connection that was there before.
    lent: usize,
}

impl Places {
    /// True if there are more connections than so many on loan.
    fn has_more_than(&self, lent: usize) -> bool {
        self.lent > lent || self.idle.iter().any(Slot::is_used)
    }

    /// One with a connection before one without.
    fn take(&mut self) -> Option<Slot> {
        match self.idle.iter().rposition(Slot::is_used) {
            Some(at) => Some(self.idle.remove(at)),
            None => self.idle.pop(),
        }
    }
}

/// A task that ends when this is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A slot on loan; it comes back when this is dropped, without its connection unless that was kept.
struct Loan {
    connections: Connections,
    slot: Slot,
    was_used: bool,
}

impl Loan {
    /// What was lent is not there any longer.
    fn forget(&mut self) {
        let was_used = std::mem::take(&mut self.was_used);
        self.connections.places().lent -= usize::from(was_used);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let slot = std::mem::replace(&mut self.slot, Slot::empty());
        let mut places = self.connections.places();
        places.lent -= usize::from(self.was_used);
        places.idle.push(slot);
    }
}

/// A place for a connection that comes back when this is dropped, before others may take it.
pub(crate) struct Borrowed {
    loan: Loan,
    _permit: OwnedSemaphorePermit,
}

impl Borrowed {
    /// The connection, made or tried if need be.
    pub(crate) async fn take(&mut self) -> Result<PgConnection, StoreError> {
        self.loan.slot.take(&self.loan.connections.connector).await
    }

    /// Makes sure that there is a connection, before it is decided what is sent.
    pub(crate) async fn reach(&mut self) -> Result<(), StoreError> {
        match self.take().await {
            Ok(connection) => {
                self.keep(connection);
                Ok(())
            }
            Err(error) => {
                self.loan.forget();
                Err(error)
            }
        }
    }

    /// True if there is a connection already.
    pub(crate) fn is_used(&self) -> bool {
        self.loan.slot.is_used()
    }

    /// True if another connection is there, at work or not.
    pub(crate) fn has_others(&self) -> bool {
        self.loan.connections.places().has_more_than(usize::from(self.loan.was_used))
    }

    /// Puts it back, once it is certain that nothing is under way on it.
    pub(crate) fn keep(&mut self, connection: PgConnection) {
        self.loan.slot.keep(connection);
    }
}

impl Connections {
    pub(crate) fn new(connector: Arc<Connector>, runtime: &Handle, count: usize) -> Self {
        let idle = (0..count).map(|_| Slot::empty()).collect();
        Self {
            connector,
            runtime: runtime.clone(),
            count,
            free: Arc::new(Semaphore::new(count)),
            places: Arc::new(Mutex::new(Places { idle, lent: 0 })),
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what needs a connection in a task of the store's own; it ends when the caller goes.
    pub(crate) async fn own<T: Send + 'static>(
        &self,
        what: Doing<'_>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut task = Task(self.runtime.spawn(work));
        (&mut task.0).await.map_err(|error| {
            let text = format!("{what} in {}: the store's own task ended", self.connector.place);
            StoreError::new(StoreErrorKind::Other, text).caused_by(error)
        })
    }

    /// Runs a statement that can be repeated without harm, and answers its rows. A connection that
    /// was lost since it was last used is replaced.
    pub(crate) async fn rows(
        &self,
        what: Doing<'_>,
        statement: impl FnMut() -> Bound<'static>,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.each_row(what, statement, Vec::new()).await
    }

    /// The same row by row, as they come, until `rows` has enough: then the connection is given up,
    /// because the rest would come all the same.
    pub(crate) async fn each_row<R: Rows>(
        &self,
        what: Doing<'_>,
        statement: impl FnMut() -> Bound<'static>,
        rows: R,
    ) -> Result<R, StoreError> {
        self.each_row_on(None, what, statement, rows).await
    }

    /// The same on a connection that was borrowed for it, if there is one.
    pub(crate) async fn each_row_on<R: Rows>(
        &self,
        mut borrowed: Option<Borrowed>,
        what: Doing<'_>,
        mut statement: impl FnMut() -> Bound<'static>,
        mut rows: R,
    ) -> Result<R, StoreError> {
        loop {
            let (this, on, bound) = (self.clone(), borrowed.take(), statement());
            let (name, stream) = (what.0, what.1.cloned());
            let attempt = async move {
                let doing = Doing(name, stream.as_ref());
                let is_done = this.attempt(on, doing, bound, &mut rows).await;
                (is_done, rows)
            };
            let (is_done, back) = self.own(what, attempt).await?;
            if is_done? {
                return Ok(back);
            }
            rows = back;
        }
    }

    /// Answers whether the statement was done: not if its connection had been lost since it was last
    /// used, which is found out for each only once. For a task of the store's own.
    pub(crate) async fn attempt(
        &self,
        on: Option<Borrowed>,
        what: Doing<'_>,
        statement: Bound<'static>,
        rows: &mut impl Rows,
    ) -> Result<bool, StoreError> {
        let connector = &self.connector;
        let mut borrowed = match on {
            Some(borrowed) => borrowed,
            None => self.loan(what).await?,
        };
        let was_used = borrowed.loan.slot.is_used();
        let mut connection = borrowed.take().await?;
        let mut has_row = false;
        let mut counted = |row| {
            has_row = true;
            rows.take(row)
        };
        match connector.each_row(&mut connection, statement, &mut counted).await {
            Ok(Ended::Whole) => {
                borrowed.keep(connection);
                Ok(true)
            }
            Ok(Ended::Early) => Ok(true),
            Err(RowsError::Sqlx(error)) if is_lost(&error) && was_used && !has_row => Ok(false),
            Err(RowsError::Sqlx(error)) if is_lost(&error) => Err(connector.failure(what, error)),
            Err(RowsError::Sqlx(error)) if is_too_large(&error) && rows.cut_off() => {
                borrowed.keep(connection);
                Ok(true)
            }
            Err(RowsError::Sqlx(error)) => {
                let error = connector.explained(&mut connection, what, error).await;
                borrowed.keep(connection);
                Err(error)
            }
            Err(RowsError::Store(error)) => Err(error),
        }
    }

    /// Runs a statement that must not be repeated, and answers its rows. When its answer is lost the
    /// outcome is unknown.
    pub(crate) async fn once(
        &self,
        what: Doing<'_>,
        statement: Bound<'static>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let (this, doing) = (self.clone(), what.to_string());
        let work = async move {
            let mut borrowed = this.loan(&doing).await?;
            let mut connection = borrowed.take().await?;
            match this.connector.rows(&mut connection, statement).await {
                Ok(rows) => {
                    borrowed.keep(connection);
                    Ok(rows)
                }
                Err(error) if is_refused(&error) => {
                    let error = this.connector.explained(&mut connection, &doing, error).await;
                    borrowed.keep(connection);
                    Err(error)
                }
                Err(error) => {
                    if !is_lost(&error) {
                        borrowed.keep(connection);
                    }
                    Err(unknown_unless_refused(&doing, &this.connector.place, error))
                }
            }
        };
        self.own(what, work).await?
    }

    /// A connection for several statements; for a task of the store's own.
    pub(crate) async fn loan(&self, what: impl Display) -> Result<Borrowed, StoreError> {
        Ok(self.borrowed(self.permit(what).await?))
    }

    /// A connection, if one is free and nobody waits for it.
    pub(crate) fn try_loan(&self) -> Option<Borrowed> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(self.borrowed(permit))
    }

    /// The same as soon as one is free, however long that takes.
    pub(crate) async fn next_loan(&self) -> Result<Borrowed, StoreError> {
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => Ok(self.borrowed(permit)),
            Err(_) => Err(closed(&self.connector.place)),
        }
    }

    fn borrowed(&self, permit: OwnedSemaphorePermit) -> Borrowed {
        let mut places = self.places();
        let slot = places.take().expect("there is a slot for each permit");
        let was_used = slot.is_used();
        places.lent += usize::from(was_used);
        drop(places);
        let loan = Loan { connections: self.clone(), slot, was_used };
        Borrowed { loan, _permit: permit }
    }

    /// True if there is a connection, at work or not.
    pub(crate) fn has_any(&self) -> bool {
        self.places().has_more_than(0)
    }

    /// Begins a task of the store's own. It is dropped at once if the runtime has ended.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// How many connections there may be.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The failure of a statement that wrote nothing.
    pub(crate) fn failure(&self, what: impl Display, error: sqlx::Error) -> StoreError {
        self.connector.failure(what, error)
    }

    async fn permit(&self, what: impl Display) -> Result<OwnedSemaphorePermit, StoreError> {
        let connector = &self.connector;
        let free = Arc::clone(&self.free).acquire_owned();
        match timeout(connector.connect_timeout, free).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(closed(&connector.place)),
            Err(_) => Err(self.none_in_time(what)),
        }
    }

    /// The refusal of what has waited for a connection for as long as it may.
    pub(crate) fn none_in_time(&self, what: impl Display) -> StoreError {
        let text = format!(
            "{what} in {}: no connection became free within {:?}; allow the store more readers, or \
             read less at the same time",
            self.connector.place, self.connector.connect_timeout
        );
        StoreError::new(StoreErrorKind::Busy, text)
    }

    /// Refuses further use and closes what is open, once it is free.
    pub(crate) async fn close(&self) {
        let all = self.free.acquire_many(u32::try_from(self.count).unwrap_or(u32::MAX)).await;
        if all.is_err() {
            return;
        }
        self.free.close();
        let slots = std::mem::take(&mut self.places().idle);
        for slot in slots {
            slot.close().await;
        }
    }
}
