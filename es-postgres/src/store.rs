//! The store: a handle to its connections.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use es_core::backend::{
    AppendError, AppendRequest, Appended, Capabilities, EventStore, InvalidRequest, LogPage,
    PageLimit, Position, ReadLog, ReadStream, Snapshot, SnapshotAndTail, SnapshotStore,
    SnapshotSummary, StoreError, StoreIdentity, StreamId, StreamPage,
};
use es_core::execution::{IdempotencyKey, StreamVersion};
use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::append::Appender;
use crate::config::{IdType, PostgresConfig, Session};
use crate::connection::{Connections, Connector};
use crate::inspect::check_store;
use crate::log::{Announcer, Log};
use crate::projection::Projections;
use crate::read::Reader;
use crate::sql::{Statements, TableTemplates};
use crate::writer::{Lane, Writer, lane};

/// An event store in a PostgreSQL database; cloning gives another handle to the same store.
///
/// It must be used within the tokio runtime in which it was opened. When the last handle is dropped
/// its connections are closed; [`close`](Self::close) waits for that.
#[derive(Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

struct Shared {
    identity: StoreIdentity,
    config: PostgresConfig,
    writer: Arc<Writer>,
    /// What appends within other people's transactions need.
    appender: Appender,
    announcer: Option<Announcer>,
    reader: Reader,
    log: Arc<Log>,
    projections: Arc<Projections>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.config().place())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.log.close();
    }
}

impl PostgresStore {
    /// Opens the store, after a look at its schema: [`Migrations`](crate::Migrations) make it.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached, the database is not there or holds no store
    /// ([`NotAStore`](es_core::backend::StoreErrorKind::NotAStore)), or one of a newer program
    /// ([`NewerSchema`](es_core::backend::StoreErrorKind::NewerSchema)).
    pub async fn open(config: PostgresConfig) -> Result<Self, StoreError> {
        let connector = Arc::new(Connector::new(&config));
        let mut connection = connector.connect().await?;
        let events_oid = check_store(&connector, &mut connection, &config.layout).await?;
        // the server notices in any case
        let _ = connection.close().await;

        let statements = Arc::new(Statements::new(&config.layout));
        let runtime = Handle::current();
        let notifies = config.notifies && config.session == Session::Own;
        let channel = notifies.then(|| format!("es_events_{events_oid}"));
        let relaxed = Arc::new(connector.relaxed());
        let log = Arc::new(Log::start(
            &runtime,
            Arc::clone(&relaxed),
            Arc::clone(&statements),
            config.poll_interval,
            channel.clone(),
        ));
        let announcer = channel
            .map(|channel| Announcer::start(&runtime, relaxed, Arc::clone(&statements), channel));
        let projections = Arc::new(Projections::new(
            Connections::new(Arc::clone(&connector), &runtime, config.projectors),
            config.begin_making(),
            Arc::clone(&statements),
            TableTemplates::new(&config.layout),
            config.is_persistent(),
            config.lock_timeout,
        ));
        let appender = |connector: &Arc<Connector>, briefer, announcer| Appender {
            briefer: Arc::new(connector.briefer(&config, briefer)),
            connector: Arc::clone(connector),
            statements: Arc::clone(&statements),
            layout: config.layout.clone(),
            clock: Arc::clone(&config.clock),
            log: Arc::clone(&log),
            announcer,
            projections: Arc::clone(&projections),
            is_persistent: config.is_persistent(),
        };
        let [moment, longer] =
            [lane::MOMENT, lane::LONGER].map(|most| Arc::new(connector.hasty(&config, most)));
        let lane = Lane {
            appender: appender(&longer, lane::MOMENT, announcer.clone()),
            patience: config.lock_timeout,
        };
        let quick = appender(&moment, lane::LEAST, announcer.clone());
        let appends_within = appender(&connector, config.lock_timeout, None);
        let reading = || Connections::new(Arc::clone(&connector), &runtime, config.readers);
        let reader = Reader::new(
            [reading(), reading()],
            Arc::clone(&statements),
            &config.layout,
            Arc::clone(&log),
            &connector.place,
        );
        let writer = Writer::new(quick, lane, runtime, config.writers, config.queue);
        let writer = Arc::new(writer);
        Ok(Self {
            shared: Arc::new(Shared {
                identity: StoreIdentity::new(),
                config,
                writer,
                appender: appends_within,
                announcer,
                reader,
                log,
                projections,
            }),
        })
    }

    /// How the store was opened.
    pub fn config(&self) -> &PostgresConfig {
        &self.shared.config
    }

    pub(crate) fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    pub(crate) fn projections(&self) -> &Arc<Projections> {
        &self.shared.projections
    }

    pub(crate) fn appender(&self) -> &Appender {
        &self.shared.appender
    }

    pub(crate) fn identity(&self) -> &StoreIdentity {
        &self.shared.identity
    }

    /// Writes what waits, closes all connections and refuses every other call from now on, on every
    /// handle.
    ///
    /// What is under way has [`connect_timeout`](PostgresConfig::connect_timeout) to end; then its
    /// connections are given up, and an append among it has an unknown outcome.
    pub async fn close(&self) {
        let shared = &*self.shared;
        let connector = shared.projections.connections.connector();
        let close = async {
            shared.writer.close().await;
            shared.log.settle().await;
            shared.reader.close().await;
            shared.projections.close().await;
        };
        let mut close = std::pin::pin!(close);
        let patience = self.config().connect_timeout;
        if timeout(patience, &mut close).await.is_err() {
            connector.end();
            // only code of the application's that blocks its thread takes longer
            let _ = timeout(patience, close).await;
        }
        shared.log.close();
        if let Some(announcer) = &shared.announcer {
            announcer.close().await;
        }
        connector.end();
    }

    /// The request in the form in which it is written, if it is within the limits and the columns can
    /// hold it.
    pub(crate) fn checked(&self, request: AppendRequest) -> Result<AppendRequest, InvalidRequest> {
        let config = self.config();
        let request = request.checked(&config.limits)?;
        request.recording_time(config.clock.now())?;
        if config.layout.ids == IdType::Int {
            for part in request.streams() {
                if IdType::number(part.stream.aggregate_id()).is_none() {
                    return Err(InvalidRequest::IdOfOtherType {
                        stream: part.stream.clone(),
                        wanted: "whole numbers from -2147483648 to 2147483647",
                    });
                }
            }
        }
        Ok(request)
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(&self, request: AppendRequest) -> Result<Appended, AppendError> {
        let request = self.checked(request)?;
        self.shared.log.check()?;
        self.shared.writer.append(request).await
    }

    async fn find_append(
        &self,
        stream: &StreamId,
        key: &IdempotencyKey,
    ) -> Result<Option<Appended>, StoreError> {
        self.shared.log.check()?;
        self.shared.reader.find_append(stream, key).await
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        self.shared.log.check()?;
        self.shared.reader.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        self.shared.log.check()?;
        self.shared.reader.read_log(read).await
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        self.shared.log.look().await
    }

    async fn wait_past(&self, position: Position) -> Result<(), StoreError> {
        let log = &self.shared.log;
        if log.known().to_sequence() < position.to_sequence() {
            let end = log.look().await?;
            self.shared.reader.check_cursor(position, end).await?;
        }
        log.wait_past(position).await
    }

    fn capabilities(self: Arc<Self>) -> Capabilities {
        let capabilities = Capabilities::of(self.identity().clone(), "postgresql");
        capabilities.snapshots(self.clone()).models(self.clone()).blockers(self)
    }
}

#[async_trait]
impl SnapshotStore for PostgresStore {
    async fn latest_snapshot(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.shared.reader.latest_snapshot(stream, up_to).await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        self.shared.reader.save_snapshot(&snapshot).await
    }

    async fn delete_snapshots(&self, stream: &StreamId) -> Result<(), StoreError> {
        self.shared.reader.delete_snapshots(stream).await
    }

    async fn prune_snapshots(&self, stream: &StreamId, keep: u64) -> Result<u64, StoreError> {
        self.shared.reader.prune_snapshots(stream, keep).await
    }

    async fn list_snapshots(
        &self,
        after: Option<&SnapshotSummary>,
        limit: usize,
    ) -> Result<Vec<SnapshotSummary>, StoreError> {
        self.shared.reader.list_snapshots(after, limit).await
    }

    async fn latest_with_tail(
        &self,
        stream: &StreamId,
        up_to: StreamVersion,
        limit: PageLimit,
    ) -> Result<Option<SnapshotAndTail>, StoreError> {
        self.shared.reader.latest_with_tail(stream, up_to, limit).await.map(Some)
    }
}
