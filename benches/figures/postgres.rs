//! The server that all are measured on, over TCP, and its databases.

use std::str::FromStr;
use std::time::{Duration, Instant};

use es_benches::cpu::Busy;
use es_core::Store;
use es_pgtest::Server;
use es_postgres::sqlx::postgres::{PgConnectOptions, PgConnection};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions};
use es_postgres::{Migrations, PostgresConfig, PostgresStore};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::Failure;
use crate::samples::Sample;

/// A server with every safety switched on, which listens at a port of this machine.
pub(crate) struct Postgres {
    server: Server,
    administrator: Mutex<PgConnection>,
    /// The process to which its processor time belongs, with its children's.
    postmaster: u32,
    pub(crate) version: String,
}

/// The database that each measurement gets anew.
const BENCH: &str = "bench";
/// What a new database is made of: nothing, or a store without events.
const EMPTY: &str = "template0";
const EMPTY_STORE: &str = "empty_store";

impl Postgres {
    pub(crate) async fn start() -> Result<Self, Failure> {
        // starting it blocks a thread for seconds
        let server = spawn_blocking(es_benches::server).await?;
        let options = PgConnectOptions::from_str(&url(&server, "postgres"))?;
        let mut administrator = options.disable_statement_logging().connect().await?;
        let postmaster: i32 = sqlx::query_scalar(include_str!("sql/postmaster.sql"))
            .fetch_one(&mut administrator)
            .await?;
        let version = sqlx::query_scalar(include_str!("sql/version.sql"))
            .fetch_one(&mut administrator)
            .await?;
        let postmaster = u32::try_from(postmaster)?;
        let administrator = Mutex::new(administrator);
        let started = Self { server, administrator, postmaster, version };
        let config: PostgresConfig = started.copy(EMPTY_STORE, EMPTY).await?.parse()?;
        Box::pin(Migrations::of_store(config.names()).apply(&config)).await?;
        Ok(started)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        url(&self.server, database)
    }

    async fn run(&self, statement: String) -> Result<(), Failure> {
        let mut administrator = self.administrator.lock().await;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *administrator).await?;
        Ok(())
    }

    /// Makes a database anew, as a copy of another, and answers its address.
    async fn copy(&self, name: &str, template: &str) -> Result<String, Failure> {
        self.forget(name).await?;
        let create = include_str!("sql/create_database.sql");
        self.run(create.replace("{name}", name).replace("{template}", template)).await?;
        Ok(self.url(name))
    }

    /// Removes a database, and ends whoever is connected to it.
    pub(crate) async fn forget(&self, name: &str) -> Result<(), Failure> {
        self.run(include_str!("sql/drop_database.sql").replace("{name}", name)).await
    }

    /// An empty database.
    pub(crate) async fn fresh(&self) -> Result<String, Failure> {
        self.copy(BENCH, EMPTY).await
    }

    /// A database that equals one that nobody is connected to.
    pub(crate) async fn fresh_like(&self, template: &str) -> Result<String, Failure> {
        self.copy(BENCH, template).await
    }

    /// A database of this name with an empty store.
    pub(crate) async fn with_store(&self, name: &str) -> Result<String, Failure> {
        self.copy(name, EMPTY_STORE).await
    }

    /// An empty store in a fresh database.
    pub(crate) async fn fresh_store(&self) -> Result<Opened, Failure> {
        Opened::at(&self.with_store(BENCH).await?).await
    }

    /// Writes out what others left in memory, and begins to measure.
    pub(crate) async fn meter(&self) -> Result<Meter, Failure> {
        self.run(include_str!("sql/checkpoint.sql").to_owned()).await?;
        self.meter_as_it_is()
    }

    /// Begins to measure what does not concern the server.
    pub(crate) fn meter_as_it_is(&self) -> Result<Meter, Failure> {
        let before = Busy::now(self.postmaster)?;
        Ok(Meter { postmaster: self.postmaster, before, begun: Instant::now() })
    }
}

fn url(server: &Server, database: &str) -> String {
    server.port_url("127.0.0.1", "postgres", database)
}

/// A store that is to be closed.
pub(crate) struct Opened {
    pub(crate) store: Store,
    postgres: PostgresStore,
}

impl Opened {
    pub(crate) async fn at(url: &str) -> Result<Self, Failure> {
        let config: PostgresConfig = url.parse()?;
        let postgres = Box::pin(PostgresStore::open(config)).await?;
        Ok(Self { store: postgres.clone().into(), postgres })
    }

    pub(crate) async fn close(self) {
        Box::pin(self.postgres.close()).await;
    }
}

/// A measurement that has begun.
pub(crate) struct Meter {
    postmaster: u32,
    before: Busy,
    begun: Instant,
}

impl Meter {
    /// So many operations took so long, or as long as since the beginning.
    pub(crate) fn stop(self, operations: u64, took: Option<Duration>) -> Result<Sample, Failure> {
        let passed = self.begun.elapsed();
        let spent = Busy::now(self.postmaster)?.since(&self.before, passed);
        Ok(Sample::of(operations, took.unwrap_or(passed), spent))
    }
}
