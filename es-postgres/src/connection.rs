//! The store's own connections: made when needed, kept, given up when in doubt.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use es_core::backend::{StoreError, StoreErrorKind, StreamId};
use futures_util::{Stream, TryStreamExt};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, SqlStr};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

mod holder;
mod lending;

pub(crate) use holder::{Failed, Holder, Wanted};
pub(crate) use lending::{Borrowed, Connections, Rows};

use crate::config::{Patience, PostgresConfig};
use crate::error::{is_about_standby, is_lost, standby, store_error};
use crate::sql::{Judging, Statement};

/// A connection that was not used for so long is tried before it is relied on: a server that was
/// restarted meanwhile would otherwise make an append's outcome unknown.
const STALE: Duration = Duration::from_secs(1);

/// How long a server may take to be told that a connection ends.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// What a statement is for, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doing<'a>(pub(crate) &'static str, pub(crate) Option<&'a StreamId>);

impl Display for Doing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.1 {
            Some(stream) => write!(f, "{} {stream}", self.0),
            None => f.write_str(self.0),
        }
    }
}

/// A statement with its values.
pub(crate) type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// Takes a row, and says whether it wants more.
pub(crate) type Take<'a> = dyn FnMut(PgRow) -> Result<ControlFlow<()>, StoreError> + Send + 'a;

/// How the rows of a statement ended.
enum Ended {
    /// All were taken, and the server is ready for the next statement.
    Whole,
    /// No more were wanted.
    Early,
}

/// Why the rows of a statement ended.
enum RowsError {
    Sqlx(sqlx::Error),
    /// A row could not be taken.
    Store(StoreError),
}

impl From<sqlx::Error> for RowsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

async fn all_of(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    take: &mut Take<'_>,
) -> Result<Ended, RowsError> {
    while let Some(row) = rows.try_next().await? {
        match take(row).map_err(RowsError::Store)? {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return Ok(Ended::Early),
        }
    }
    Ok(Ended::Whole)
}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Connector {
    options: Secret,
    is_persistent: bool,
    /// Each statement has a transaction of its own, whose settings are those of `begin`.
    is_begun: bool,
    /// How a transaction begins.
    begin: SqlStr,
    /// What a new connection is asked first, so that its commits reach the disk of a primary.
    first: Option<SqlStr>,
    connect_timeout: Duration,
    answer_timeout: Duration,
    /// How many connections were lost, of all that lead to this place.
    losses: Arc<AtomicU64>,
    /// True when the store has waited long enough for what is under way, of all that lead there.
    is_over: watch::Sender<bool>,
    /// Tells who holds what a statement waits for.
    lock_holder: Statement,
    /// Where the connections lead to, for messages.
    pub(crate) place: String,
}

/// Options that show nothing of themselves.
struct Secret(PgConnectOptions);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Connector {
    /// For connections of the store's own.
    pub(crate) fn new(config: &PostgresConfig) -> Self {
        Self::with(config, Patience::Whole, config.own_options(Patience::Whole))
    }

    /// The same for statements that wait for a lock no longer than this, and are asked again then.
    pub(crate) fn hasty(&self, config: &PostgresConfig, most: Duration) -> Self {
        let patience = Patience::AtMost(most);
        let (losses, is_over) = (Arc::clone(&self.losses), self.is_over.clone());
        Self { losses, is_over, ..Self::with(config, patience, config.own_options(patience)) }
    }

    /// The same on connections of these, for single statements that are to wait less than others do.
    pub(crate) fn briefer(&self, config: &PostgresConfig, most: Duration) -> Self {
        let begin = config.begin(Patience::AtMost(most));
        Self { is_begun: true, begin, first: self.first.clone(), ..self.another() }
    }

    /// For connections that look at a schema or, a moment at a time, migrate it.
    pub(crate) fn migrating(config: &PostgresConfig, patience: Patience) -> Self {
        let options = config.migrating_options(patience);
        Self { first: None, ..Self::with(config, patience, options) }
    }

    fn with(config: &PostgresConfig, patience: Patience, options: PgConnectOptions) -> Self {
        let is_persistent = config.is_persistent();
        Self {
            options: Secret(options),
            is_persistent,
            is_begun: !is_persistent,
            begin: config.begin(patience),
            first: is_persistent.then(|| config.synchronous.first()),
            connect_timeout: config.connect_timeout,
            answer_timeout: config.statement_timeout.saturating_mul(2),
            losses: Arc::default(),
            is_over: watch::Sender::new(false),
            lock_holder: Judging::new(&config.layout).lock_holder,
            place: config.place(),
        }
    }

    /// The same for connections that write nothing which must survive: they wait for no disk.
    pub(crate) fn relaxed(&self) -> Self {
        let options = self.options.0.clone();
        let options = match self.is_persistent {
            true => options.options([("synchronous_commit", "off")]),
            false => options,
        };
        Self { options: Secret(options), ..self.another() }
    }

    /// The same again, but for what is asked first.
    fn another(&self) -> Self {
        Self {
            options: Secret(self.options.0.clone()),
            begin: self.begin.clone(),
            first: None,
            losses: Arc::clone(&self.losses),
            is_over: self.is_over.clone(),
            lock_holder: self.lock_holder.clone(),
            place: self.place.clone(),
            ..*self
        }
    }

    /// How a transaction begins: with all that holds in it.
    pub(crate) fn begin(&self) -> SqlStr {
        self.begin.clone()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options.0
    }

    pub(crate) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let what = "connecting";
        let connect = async {
            let mut connection = self.options.0.connect().await?;
            if let Some(first) = &self.first {
                sqlx::raw_sql(first.clone()).execute(&mut connection).await?;
            }
            Ok(connection)
        };
        match timeout(self.connect_timeout, self.unless_over(connect)).await {
            Ok(connected) => connected.map_err(|error| self.failure(what, error)),
            Err(_) => Err(self.no_answer(what)),
        }
    }

    /// All rows of a statement, after its transaction has ended: with the last row alone nothing is
    /// committed yet.
    pub(crate) async fn rows(
        &self,
        connection: &mut PgConnection,
        statement: Bound<'_>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut rows = Vec::new();
        let mut take = |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        };
        match self.each_row(connection, statement, &mut take).await {
            Ok(_) => Ok(rows),
            Err(RowsError::Sqlx(error)) => Err(error),
            Err(RowsError::Store(_)) => Err(sqlx::Error::RowNotFound),
        }
    }

    /// Hands over each row of a statement as it comes.
    async fn each_row(
        &self,
        connection: &mut PgConnection,
        statement: Bound<'_>,
        take: &mut Take<'_>,
    ) -> Result<Ended, RowsError> {
        let statement = statement.persistent(self.is_persistent);
        // in its place: whatever waits for it beside others would have room for it once more
        let answer = pin!(async {
            if !self.is_begun {
                return all_of(statement.fetch(connection), take).await;
            }
            // without, a proxy may give each message that is outside of a transaction to another server
            // connection, which does not know what the message before has prepared
            let mut transaction = connection.begin_with(self.begin()).await?;
            match all_of(statement.fetch(&mut *transaction), take).await {
                Ok(Ended::Whole) => {
                    transaction.commit().await?;
                    Ok(Ended::Whole)
                }
                // the connection is given up
                Ok(Ended::Early) => Ok(Ended::Early),
                Err(error) => {
                    // a transaction that is left to itself would keep the proxy's connection
                    if transaction.rollback().await.is_err() {
                        self.lost_one();
                    }
                    Err(error)
                }
            }
        });
        let ended = self.in_time(answer).await;
        if let Err(RowsError::Sqlx(error)) = &ended
            && is_lost(error)
        {
            self.lost_one();
        }
        ended
    }

    /// How many connections were lost so far, of all that lead to this place.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// A connection was lost, so the others may be, too: each is tried before its next use.
    pub(crate) fn lost_one(&self) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives up a server that does not answer.
    pub(crate) async fn in_time<T, E: From<sqlx::Error>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        match timeout(self.answer_timeout, self.unless_over(answer)).await {
            Ok(answer) => answer,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
        }
    }

    /// Ends what is under way, and refuses what is asked from now on.
    pub(crate) fn end(&self) {
        self.is_over.send_replace(true);
    }

    async fn unless_over<T, E: From<sqlx::Error>>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut is_over = self.is_over.subscribe();
        tokio::select! {
            answer = answer => answer,
            // the sender lives as long as this
            _ = is_over.wait_for(|is_over| *is_over) => {
                Err(sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into()).into())
            }
        }
    }

    pub(crate) fn failure(&self, what: impl Display, error: sqlx::Error) -> StoreError {
        if is_about_standby(&error) {
            return standby(&self.place).caused_by(error);
        }
        store_error(what, &self.place, error)
    }

    fn no_answer(&self, what: &str) -> StoreError {
        let text = format!("{what} to {}: no answer within {:?}", self.place, self.connect_timeout);
        StoreError::new(StoreErrorKind::Unavailable, text)
    }
}

/// A place for one connection.
#[derive(Debug)]
pub(crate) struct Slot {
    connection: Option<PgConnection>,
    used: Instant,
    /// How many losses were known when the connection was taken last.
    losses: u64,
    /// Nobody has looked yet whether the connection leads to the history of the one before.
    is_unjudged: bool,
}

impl Slot {
    pub(crate) fn empty() -> Self {
        Self { connection: None, used: Instant::now(), losses: 0, is_unjudged: true }
    }

    /// The connection, made or tried if need be. Whoever takes it puts it back with
    /// [`keep`](Self::keep) once it is certain that nothing is under way on it.
    pub(crate) async fn take(&mut self, connector: &Connector) -> Result<PgConnection, StoreError> {
        let losses = connector.losses.load(Ordering::Relaxed);
        let is_doubtful = std::mem::replace(&mut self.losses, losses) != losses;
        if let Some(mut connection) = self.connection.take() {
            if !is_doubtful && self.used.elapsed() < STALE {
                return Ok(connection);
            }
            let ping = connector.unless_over::<_, sqlx::Error>(Box::pin(connection.ping()));
            if let Ok(Ok(())) = timeout(connector.connect_timeout, ping).await {
                // a proxy may have gone on to another server meanwhile
                self.is_unjudged |= !connector.is_persistent;
                return Ok(connection);
            }
        }
        self.is_unjudged = true;
        // seldom, so that nothing else has room for it
        Box::pin(connector.connect()).await
    }

    /// True until [`judged`](Self::judged) says that the connection leads to the right history.
    pub(crate) fn is_unjudged(&self) -> bool {
        self.is_unjudged
    }

    pub(crate) fn judged(&mut self) {
        self.is_unjudged = false;
    }

    pub(crate) fn keep(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
        self.used = Instant::now();
    }

    /// True if the connection was used before, so that it may have been lost since.
    pub(crate) fn is_used(&self) -> bool {
        self.connection.is_some()
    }

    /// Says goodbye to the server; one that does not answer is left alone soon.
    pub(crate) async fn close(self) {
        if let Some(connection) = self.connection {
            // the server notices in any case
            let _ = timeout(FAREWELL, connection.close()).await;
        }
    }
}
