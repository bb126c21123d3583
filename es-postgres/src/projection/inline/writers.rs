//! The writers whose events may stand before those of an append.

use std::fmt::{self, Display};
use std::time::Duration;

use es_core::backend::{SinkError, StoreError, StoreErrorKind};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::super::Projections;
use super::{CHANGING, Undone};

/// For how long the models are held while others are waited for. What is longer is waited for
/// without them: those others may wait for what is held, and no detector of deadlocks would see it.
const HOLD: Duration = Duration::from_millis(50);

const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Transactions that may have drawn positions and have not ended.
#[derive(Debug)]
pub(crate) struct Writers(Vec<Writer>);

#[derive(Debug)]
struct Writer {
    /// Its name while it lives.
    transaction: String,
    pid: Option<i32>,
    application: Option<String>,
    /// It waits for the transaction that asks.
    is_waiting: bool,
}

impl Writer {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            transaction: row.try_get(0)?,
            pid: row.try_get(1)?,
            application: row.try_get(2)?,
            is_waiting: row.try_get(3)?,
        })
    }
}

impl Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.application.as_deref()) {
            (Some(pid), None | Some("")) => write!(f, "session {pid}"),
            (Some(pid), Some(name)) => write!(f, "session {pid} ({name})"),
            (None, _) => write!(f, "prepared transaction {}", self.transaction),
        }
    }
}

impl Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, writer) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{writer}")?;
        }
        Ok(())
    }
}

/// How long others are waited for, in pauses that grow.
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn of(time: Duration) -> Self {
        // what no clock can tell is a very long time
        let until = Instant::now().checked_add(time);
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
        Self { until, pause: SHORTEST_PAUSE }
    }

    /// False if it is at its end.
    async fn pause(&mut self) -> bool {
        if Instant::now() >= self.until {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

impl Projections {
    pub(crate) fn patience(&self) -> Patience {
        Patience::of(self.patience)
    }

    /// Waits within the transaction until everything at or below the highest visible position is
    /// decided, or what this transaction has drawn.
    ///
    /// An INSERT holds its lock on the table since before it draws a position, and until its rows
    /// are to be seen. So whoever has drawn a lower one has ended or is among those who are seen
    /// first; who comes later draws a higher one. A transaction that is prepared keeps its name until
    /// the server is started again.
    pub(super) async fn outlast_writers(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), Undone> {
        let mut writers = self.writers_within(connection).await?;
        let mut patience = Patience::of(HOLD);
        while !writers.0.is_empty() {
            let is_waited_for = writers.0.iter().any(|writer| writer.is_waiting);
            if is_waited_for || !patience.pause().await {
                return Err(Undone::Behind(writers));
            }
            let mut left = self.writers_within(connection).await?;
            left.0.retain(|writer| writers.has(writer));
            writers = left;
        }
        Ok(())
    }

    /// Waits, outside of the transaction that was in their way, until these have ended, or all
    /// patience is spent: answers false then.
    pub(crate) async fn is_over(
        &self,
        connection: &mut PgConnection,
        writers: &Writers,
        patience: &mut Patience,
    ) -> Result<bool, SinkError> {
        let connector = self.connections.connector();
        patience.pause = SHORTEST_PAUSE;
        while patience.pause().await {
            let statement = sqlx::query(self.statements.inline_writers.sql());
            let rows = connector.rows(connection, statement).await;
            let rows = rows.map_err(|error| connector.failure(CHANGING, error))?;
            if !self.read_writers(&rows)?.0.iter().any(|writer| writers.has(writer)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same within a transaction of the application.
    pub(crate) async fn is_over_in(
        &self,
        connection: &mut PgConnection,
        writers: &Writers,
        patience: &mut Patience,
    ) -> Result<bool, SinkError> {
        patience.pause = SHORTEST_PAUSE;
        while patience.pause().await {
            let statement = sqlx::query(self.statements.inline_writers.sql());
            let rows = self.rows_within(connection, statement).await?;
            if !self.read_writers(&rows)?.0.iter().any(|writer| writers.has(writer)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn writers_within(&self, connection: &mut PgConnection) -> Result<Writers, Undone> {
        let statement = sqlx::query(self.statements.inline_writers.sql());
        let rows = self.rows_within(connection, statement).await.map_err(Undone::Failed)?;
        self.read_writers(&rows).map_err(Undone::Failed)
    }

    fn read_writers(&self, rows: &[PgRow]) -> Result<Writers, SinkError> {
        let read = || rows.iter().map(Writer::read).collect();
        Ok(Writers(self.read(CHANGING, read)?))
    }

    /// The refusal of what these were not passed for.
    pub(super) fn blocked(&self, what: impl Display, writers: &Writers) -> StoreError {
        let text = format!(
            "{what} in {}: {writers} has written events and did not end its transaction within \
             {:?}, and inline projections cannot pass them; end it, or try again; nothing was \
             written",
            self.connections.connector().place,
            self.patience,
        );
        StoreError::new(StoreErrorKind::Busy, text)
    }
}

impl Writers {
    fn has(&self, other: &Writer) -> bool {
        self.0.iter().any(|writer| writer.transaction == other.transaction)
    }
}
