//! What the suite of projections runs over, for each mode of the store.

use std::any::Any;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::backend::{
    Batch, Claim, Definition, EventStore, Lease, ProjectionSink, Renewal, Renewed, SinkError, Slot,
    Timestamp,
};
use es_core::environment::Clock;
use es_core::event::Payload;
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::projection::{ParkedId, ProjectionStatus};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, Connection, PgConnection};
use es_postgres::{PostgresConfig, PostgresStore};
use es_testing::ManualClock;
use es_testing::projections::ProjectionFixture;

use super::run;

/// The server's clock is replaced by a row.
const SETUP: &str = "
    CREATE TABLE public.manual_clock (now TIMESTAMPTZ NOT NULL);
    INSERT INTO public.manual_clock VALUES ('2000-01-01');
    CREATE OR REPLACE FUNCTION public.execution_events_projection_now() RETURNS TIMESTAMPTZ
    LANGUAGE sql VOLATILE AS 'SELECT now FROM public.manual_clock'";

/// A store with models in a database of its own.
pub(crate) struct Projected {
    open: Mutex<PostgresStore>,
    config: PostgresConfig,
    clock: Arc<ServerClock>,
    database: TestDatabase,
    /// What must live as long as the store, such as a proxy.
    _kept: Box<dyn Any + Send + Sync>,
}

impl Projected {
    pub(crate) async fn open(
        database: TestDatabase,
        config: PostgresConfig,
        kept: impl Any + Send + Sync,
    ) -> Self {
        run(&database, SETUP).await;
        let connection = PgConnection::connect_with(&database.options()).await.unwrap();
        let manual = ManualClock::new();
        let config = config.clock(Arc::new(manual.clone()));
        let clock = ServerClock {
            clock: manual,
            server: tokio::sync::Mutex::new((connection, Timestamp::EPOCH)),
        };
        let open = Mutex::new(PostgresStore::open(config.clone()).await.unwrap());
        Self { open, config, clock: Arc::new(clock), database, _kept: Box::new(kept) }
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.database
    }

    fn open_now(&self) -> PostgresStore {
        self.open.lock().unwrap().clone()
    }
}

#[async_trait]
impl ProjectionFixture for Projected {
    fn store(&self) -> Arc<dyn EventStore> {
        Arc::new(self.open_now())
    }

    fn sink(&self) -> Arc<dyn ProjectionSink> {
        let sink = Arc::new(self.open_now());
        Arc::new(LayeredSink(Clocked { sink, clock: self.clock.clone() }))
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        Some(self.clock.clock.clone())
    }

    fn takes_sql(&self) -> bool {
        true
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        if Payload::parse(value.to_owned()).is_err() {
            return false;
        }
        let mut connection = PgConnection::connect_with(&self.database.options()).await.unwrap();
        let update = "UPDATE execution_events_projection_rows r SET value = $3::text::jsonb
                      FROM execution_events_projection_models m
                      WHERE r.generation = m.generation AND m.projection = $1
                          AND m.slot = 'active' AND r.key = $2";
        let update = sqlx::query(update).bind(projection).bind(key).bind(value);
        update.execute(&mut connection).await.unwrap().rows_affected() == 1
    }

    async fn reopen(&self) -> bool {
        self.open_now().close().await;
        let reopened = PostgresStore::open(self.config.clone()).await.unwrap();
        *self.open.lock().unwrap() = reopened;
        true
    }
}

/// Brings the server's clock to where the scenario's is.
struct ServerClock {
    clock: ManualClock,
    server: tokio::sync::Mutex<(PgConnection, Timestamp)>,
}

impl ServerClock {
    async fn set(&self) {
        let mut server = self.server.lock().await;
        let now = self.clock.now();
        if server.1 != now {
            sqlx::query(
                "UPDATE public.manual_clock SET now = 'epoch'::timestamptz + $1 * interval '1 us'",
            )
            .bind(now.as_micros())
            .execute(&mut server.0)
            .await
            .unwrap();
            server.1 = now;
        }
    }
}

/// The sink on a server whose clock is the scenario's.
struct Clocked {
    sink: Arc<dyn ProjectionSink>,
    clock: Arc<ServerClock>,
}

#[async_trait]
impl SinkLayer for Clocked {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.sink
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        self.clock.set().await;
        self.sink.acquire(claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.clock.set().await;
        self.sink.renew(lease, renewal).await
    }

    async fn report(&self, lease: &Lease, trouble: Option<&str>) -> Result<(), SinkError> {
        self.clock.set().await;
        self.sink.report(lease, trouble).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.clock.set().await;
        self.sink.commit(lease, batch).await
    }

    async fn abandon(&self, projection: &str) -> Result<(), SinkError> {
        self.clock.set().await;
        self.sink.abandon(projection).await
    }

    async fn keep_inline(&self, definition: Definition) -> Result<(), SinkError> {
        self.clock.set().await;
        self.sink.keep_inline(definition).await
    }

    async fn discard(
        &self,
        projection: &str,
        slot: Slot,
        entry: &ParkedId,
        reason: &str,
    ) -> Result<(), SinkError> {
        self.clock.set().await;
        self.sink.discard(projection, slot, entry, reason).await
    }

    async fn status(&self, projection: Option<&str>) -> Result<Vec<ProjectionStatus>, SinkError> {
        self.clock.set().await;
        self.sink.status(projection).await
    }
}
