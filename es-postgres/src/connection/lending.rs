//! Several connections that are lent out one statement at a time.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use es_core::{StoreError, StoreErrorKind};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{Bound, Connector, Doing, Ended, RowsError, Slot, Take};
use crate::error::{closed, is_lost, unknown_unless_refused};

/// Connections for statements that write nothing, or that may be repeated.
#[derive(Debug)]
pub(crate) struct Connections {
    connector: Arc<Connector>,
    free: Semaphore,
    slots: Mutex<Vec<Slot>>,
}

/// A slot on loan; it comes back when this is dropped, without its connection unless that was kept.
struct Loan<'a> {
    connections: &'a Connections,
    slot: Option<Slot>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let slot = self.slot.take().unwrap_or_else(Slot::empty);
        self.connections.slots().push(slot);
    }
}

/// A place for a connection that comes back when this is dropped, before others may take it.
pub(crate) struct Borrowed<'a> {
    loan: Loan<'a>,
    _permit: SemaphorePermit<'a>,
}

impl Borrowed<'_> {
    /// The connection, made or tried if need be.
    pub(crate) async fn take(&mut self) -> Result<PgConnection, StoreError> {
        // it comes back empty if this is dropped meanwhile
        let mut slot = self.loan.slot.take().unwrap_or_else(Slot::empty);
        slot.take(&self.loan.connections.connector).await
    }

    /// Puts it back, once it is certain that nothing is under way on it.
    pub(crate) fn keep(&mut self, connection: PgConnection) {
        let mut slot = Slot::empty();
        slot.keep(connection);
        self.loan.slot = Some(slot);
    }
}

impl Connections {
    pub(crate) fn new(connector: Arc<Connector>, count: usize) -> Self {
        let slots = (0..count).map(|_| Slot::empty()).collect();
        Self { connector, free: Semaphore::new(count), slots: Mutex::new(slots) }
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a statement that can be repeated without harm, and answers its rows. A connection that
    /// was lost since it was last used is replaced once.
    pub(crate) async fn rows(
        &self,
        what: Doing<'_>,
        statement: impl FnMut() -> Bound<'static>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut rows = Vec::new();
        let mut take = |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        };
        self.each_row(what, statement, &mut take).await?;
        Ok(rows)
    }

    /// The same row by row, as they come, until `take` has enough: then the connection is given up,
    /// because the rest would come all the same.
    pub(crate) async fn each_row(
        &self,
        what: Doing<'_>,
        mut statement: impl FnMut() -> Bound<'static>,
        take: &mut Take<'_>,
    ) -> Result<(), StoreError> {
        let connector = &self.connector;
        let _permit = self.permit(what).await?;
        let slot = self.slots().pop().expect("there is a slot for each permit");
        let mut loan = Loan { connections: self, slot: None };
        let mut slot = slot;
        let mut has_row = false;
        let answer = loop {
            let was_used = slot.is_used();
            let mut connection = match slot.take(connector).await {
                Ok(connection) => connection,
                Err(error) => break Err(error),
            };
            let mut counted = |row| {
                has_row = true;
                take(row)
            };
            match connector.each_row(&mut connection, statement(), &mut counted).await {
                Ok(Ended::Whole) => {
                    slot.keep(connection);
                    break Ok(());
                }
                Ok(Ended::Early) => break Ok(()),
                Err(RowsError::Sqlx(error)) if is_lost(&error) && was_used && !has_row => {}
                Err(RowsError::Sqlx(error)) => {
                    if !is_lost(&error) {
                        slot.keep(connection);
                    }
                    break Err(connector.failure(what, error));
                }
                Err(RowsError::Store(error)) => break Err(error),
            }
        };
        loan.slot = Some(slot);
        answer
    }

    /// Runs a statement that must not be repeated, and answers its rows. When its answer is lost the
    /// outcome is unknown.
    pub(crate) async fn once(
        &self,
        what: Doing<'_>,
        statement: Bound<'_>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let mut loan = self.loan(what).await?;
        let mut connection = loan.take().await?;
        let answer = self.connector.rows(&mut connection, statement).await;
        if answer.as_ref().err().is_none_or(|error| !is_lost(error)) {
            loan.keep(connection);
        }
        answer.map_err(|error| unknown_unless_refused(what, &self.connector.place, error))
    }

    /// A connection for several statements.
    pub(crate) async fn loan<'a>(&'a self, what: Doing<'_>) -> Result<Borrowed<'a>, StoreError> {
        let permit = self.permit(what).await?;
        let slot = self.slots().pop().expect("there is a slot for each permit");
        let loan = Loan { connections: self, slot: Some(slot) };
        Ok(Borrowed { loan, _permit: permit })
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The failure of a statement that wrote nothing.
    pub(crate) fn failure(&self, what: impl Display, error: sqlx::Error) -> StoreError {
        self.connector.failure(what, error)
    }

    async fn permit(&self, what: Doing<'_>) -> Result<SemaphorePermit<'_>, StoreError> {
        let connector = &self.connector;
        match timeout(connector.connect_timeout, self.free.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(closed(&connector.place)),
            Err(_) => {
                let text = format!(
                    "{what} in {}: no connection became free within {:?}; allow the store more \
                     readers, or read less at the same time",
                    connector.place, connector.connect_timeout
                );
                Err(StoreError::new(StoreErrorKind::Busy, text))
            }
        }
    }

    /// Refuses further use and closes what is open, once it is free.
    pub(crate) async fn close(&self, count: usize) {
        let all = self.free.acquire_many(u32::try_from(count).unwrap_or(u32::MAX)).await;
        if all.is_err() {
            return;
        }
        self.free.close();
        let slots = std::mem::take(&mut *self.slots());
        for slot in slots {
            slot.close().await;
        }
    }
}
