//! How a store is reached and what it is called.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{Limits, StoreError};
use es_core::environment::{Clock, SystemClock};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection};

use crate::connection::Connector;
use crate::identifier::Identifier;

mod address;
mod encryption;
mod session;
mod snapshot_table;

pub use address::ConfigError;
pub(crate) use session::Patience;
pub use session::Synchronous;
pub use snapshot_table::SnapshotTable;

/// The type of the column `aggregate_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdType {
    /// Any id that es-core allows.
    #[default]
    Text,
    /// Whole numbers of 32 bits, written in the usual way: `12345`, not `012345`.
    Int,
}

impl IdType {
    pub(crate) fn sql_type(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Int => "INT",
        }
    }

    /// The type as PostgreSQL's catalogues name it.
    pub(crate) fn catalogue_name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "integer",
        }
    }

    /// The id as a number, if it is written in the usual way.
    pub(crate) fn number(id: &str) -> Option<i32> {
        id.parse().ok().filter(|number: &i32| number.to_string() == id)
    }
}

/// What a store's tables are called. A schema holds one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The schema.
    pub schema: Identifier,
    /// The table of events; the names of everything else in the schema begin with it.
    pub events: Identifier,
    /// The type of the ids.
    pub ids: IdType,
    /// A table of the application's for the snapshots of one aggregate type; without, the store's
    /// own has those of all.
    pub snapshots: Option<SnapshotTable>,
}

impl Default for Layout {
    /// `public.execution_events` with ids of any kind, and all snapshots in the store's own table.
    fn default() -> Self {
        let name = |text| Identifier::new(text).expect("the name keeps the rule");
        Self {
            schema: name("public"),
            events: name("execution_events"),
            ids: IdType::Text,
            snapshots: None,
        }
    }
}

/// What is between the store and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Session {
    /// The store has its connections for itself: statements are prepared once, time-outs are set
    /// when a connection is made, and other processes are told of appends.
    #[default]
    Own,
    /// A proxy lends a connection for each transaction: nothing is prepared or set for longer than
    /// a transaction, and other processes' appends are noticed by polling only.
    Pooled,
}

/// How a PostgreSQL store is opened. Nothing is connected yet.
///
/// `Debug` shows no password.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(crate) options: PgConnectOptions,
    pub(crate) layout: Layout,
    pub(crate) session: Session,
    pub(crate) writers: usize,
    pub(crate) readers: usize,
    pub(crate) projectors: usize,
    pub(crate) queue: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) lock_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) synchronous: Synchronous,
    pub(crate) poll_interval: Duration,
    pub(crate) notifies: bool,
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<dyn Clock>,
}

impl PostgresConfig {
    /// The store in the database that `options` lead to.
    ///
    /// Options with the mode `Prefer`, which is what sqlx takes when nobody says one, get
    /// `VerifyFull` unless they lead to this machine or `PGSSLMODE` is `prefer`; any other mode is
    /// kept, and [`ssl_mode`](Self::ssl_mode) sets each. sqlx's `Require` verifies nothing, whatever
    /// authority is named.
    pub fn new(options: PgConnectOptions) -> Self {
        let environment = std::env::var(encryption::VARIABLE).ok();
        let options = encryption::by_default(options, environment.as_deref());
        Self {
            // statements are told of by this crate, with what they are for
            options: options.disable_statement_logging(),
            layout: Layout::default(),
            session: Session::Own,
            writers: 2,
            readers: 2,
            projectors: 2,
            queue: 4096,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(20),
            synchronous: Synchronous::default(),
            poll_interval: Duration::from_millis(125),
            notifies: true,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// What the server lists the connections under, unless the address says it.
    #[must_use]
    pub fn application_name(mut self, name: &str) -> Self {
        if self.options.get_application_name().is_none() {
            self.options = self.options.application_name(name);
        }
        self
    }

    /// Says whether connections are encrypted, and whether the server must prove who it is. Of no
    /// effect on a Unix socket.
    ///
    /// `Disable`, `Allow` and `Prefer` do without encryption where the server, or somebody in
    /// between, wants it so; `Require` lets everybody answer in the server's place.
    #[must_use]
    pub fn ssl_mode(mut self, mode: PgSslMode) -> Self {
        self.options = encryption::with_mode(self.options, mode);
        self
    }

    /// Names the tables.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Says what is between the store and the server; [`Session::Own`] by default.
    #[must_use]
    pub fn session(mut self, session: Session) -> Self {
        self.session = session;
        self
    }

    /// How many connections write; 2 by default, at least 1. Appends that wait share a statement,
    /// so that more bring little.
    #[must_use]
    pub fn writers(mut self, writers: usize) -> Self {
        self.writers = writers.max(1);
        self
    }

    /// How many connections read; 2 by default, at least 1. Loads that wait share a statement, so that
    /// more bring little unless the server is far away or pages are large.
    ///
    /// As many more are for snapshots. With the writers, the projectors and three more, one to follow
    /// the log, one to tell other processes and one for appends that others hold up, these are all
    /// connections of a store. Each is made when it is first needed.
    #[must_use]
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// How many connections projections use; 2 by default, at least 1.
    ///
    /// Each call of the sink takes one, and none while it holds one, so that one is enough; as many
    /// as a rebuild has workers keep them all busy.
    #[must_use]
    pub fn projectors(mut self, projectors: usize) -> Self {
        self.projectors = projectors.max(1);
        self
    }

    /// How many of the appends that wait for a connection are looked at for the next statement, of those
    /// for streams that are not written to; 4,096 by default. Further ones wait behind them.
    ///
    /// What waits for streams that other transactions hold is not among them. If that is more than
    /// 16,384 appends or 256 MiB of events, further appends to such streams are refused as
    /// [`Busy`](es_core::backend::StoreErrorKind::Busy).
    #[must_use]
    pub fn queue(mut self, appends: usize) -> Self {
        self.queue = appends.max(1);
        self
    }

    /// How long to wait for a new connection, and for one of the store's own to become free; 10 s
    /// by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a statement may take; 30 s by default. The server ends it then; if the server does
    /// not answer for twice as long, the connection is given up.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// How long an append may wait for another transaction that writes to the same stream, from its
    /// call on and whoever waits before it; 10 s by default. Appends to other streams do not wait
    /// with it.
    ///
    /// [`Migrations::apply`](crate::Migrations::apply) tries for so long to have the tables for
    /// itself, a moment at a time.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// How long the server keeps a transaction of the store's own open that waits for this program's
    /// next statement; 20 s by default, at least 1 ms. When the program, its host or the network has
    /// stopped in the middle of one, the log goes on after that.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// When an append is acknowledged; [`Synchronous::Full`] by default.
    #[must_use]
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How often to look for appends that nobody tells of, while somebody waits for one; 125 ms by
    /// default, at least 1 ms.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// Whether to tell other processes of appends and to be told of theirs; true by default. Needs
    /// [`Session::Own`]. Without, both sides notice by polling.
    #[must_use]
    pub fn notifications(mut self, notifies: bool) -> Self {
        self.notifies = notifies;
        self
    }

    /// Upper bounds of what one append may carry.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Replaces the clock that says when events were recorded.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The database, the server and the user, without the password.
    pub fn place(&self) -> String {
        let options = &self.options;
        let host = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None if options.get_host().contains(':') => format!("[{}]", options.get_host()),
            None => options.get_host().to_owned(),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        format!("database {database} on {host}:{}", options.get_port())
    }

    /// What the tables are called.
    pub fn names(&self) -> &Layout {
        &self.layout
    }

    /// How to connect, for a pool of an application's own connections to the same database; each
    /// transaction there begins with [`begin_pinned`](Self::begin_pinned). Its `Debug` shows the
    /// password.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.plain_options()
    }

    /// A connection for an application's own transactions in the same database, which begin with
    /// [`begin_pinned`](Self::begin_pinned).
    ///
    /// # Errors
    ///
    /// When the server does not answer within the time-out, or refuses.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        Connector::migrating(self, Patience::Whole).connect().await
    }

    /// The options of a connection on which the application's own settings hold.
    fn plain_options(&self) -> PgConnectOptions {
        match self.session {
            // a proxy that was not configured for it refuses this parameter; without it floats are
            // exact just so
            Session::Pooled => {
                self.options.clone().statement_cache_capacity(0).extra_float_digits(None)
            }
            Session::Own => self.options.clone(),
        }
    }

    /// True if statements may be prepared for longer than a transaction.
    pub(crate) fn is_persistent(&self) -> bool {
        self.session == Session::Own
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("place", &self.place())
            .field("layout", &self.layout)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_the_password() {
        let address = "postgres://user:canary@example.org:5433/turing?sslmode=require";
        let config: PostgresConfig = address.parse().unwrap();
        assert_eq!(config.place(), "database turing on example.org:5433");
        assert!(!format!("{config:?} {config:#?}").contains("canary"));
        let config: PostgresConfig = "postgres://user@[::1]:5433/turing".parse().unwrap();
        assert_eq!(config.place(), "database turing on [::1]:5433");
    }

    #[test]
    fn numbers_are_ids_in_one_way_of_writing_only() {
        for (id, number) in [("0", 0), ("-7", -7), ("2147483647", i32::MAX)] {
            assert_eq!(IdType::number(id), Some(number));
        }
        for id in ["", "+7", "007", "-0", "2147483648", "7 ", "0x7", "7.0", "a"] {
            assert_eq!(IdType::number(id), None, "{id}");
        }
    }
}
