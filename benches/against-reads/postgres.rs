//! Turing's database on PostgreSQL, and a plain connection to it.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use es_core::backend::NewEvent;
use es_pgtest::{Server, TestDatabase};
use es_postgres::PostgresConfig;
use es_postgres::sqlx::postgres::PgConnection;
use es_postgres::sqlx::types::Json;
use es_postgres::sqlx::{self, ConnectOptions, Connection, Row};
use futures_util::TryStreamExt;
use serde_json::value::RawValue;
use turing::store::postgres::migrate;
use turing::store::{Access, Store};

use crate::{Failure, models};

pub(crate) struct Postgres {
    pub(crate) store: Store,
    plain: PgConnection,
    // dropped last: it goes with its connections
    _database: TestDatabase,
}

impl Postgres {
    /// A new database with everything that Turing has there, and no events.
    pub(crate) async fn new(server: &Server) -> Result<Self, Failure> {
        let database = server.database().await;
        migrate(&PostgresConfig::new(database.options())).await?;
        let store = Store::open(&database.url().parse()?, Access::Write).await?;
        let plain = database.options().disable_statement_logging().connect().await?;
        Ok(Self { store, plain, _database: database })
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
        // the server notices in any case
        let _ = self.plain.close().await;
    }

    /// Registers postings and appends events to them, through the store; then statistics are fresh,
    /// as a server has them after a while.
    pub(crate) async fn fill(
        &mut self,
        postings: RangeInclusive<i64>,
        events: usize,
    ) -> Result<(), Failure> {
        sqlx::query(include_str!("sql/register.sql"))
            .bind(i32::try_from(*postings.start())?)
            .bind(i32::try_from(*postings.end())?)
            .execute(&mut self.plain)
            .await?;
        models::fill(&self.store, postings, events).await?;
        self.vacuum().await
    }

    pub(crate) async fn vacuum(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql(include_str!("sql/vacuum.sql")).execute(&mut self.plain).await?;
        Ok(())
    }

    /// Reads every event in one statement; of each, the position and both documents' text are taken.
    pub(crate) async fn read_log(&mut self, events: u64) -> Result<Duration, Failure> {
        let start = Instant::now();
        let mut rows = sqlx::query(include_str!("sql/read_log.sql")).fetch(&mut self.plain);
        let (mut count, mut last, mut bytes) = (0, 0, 0);
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get(0)?;
            if position <= last {
                return Err("positions grow".into());
            }
            last = position;
            for column in [6, 7] {
                bytes += row.try_get::<&RawValue, _>(column)?.get().len();
            }
            count += 1;
        }
        let took = start.elapsed();
        if count != events || bytes == 0 {
            return Err(format!("{count} events of {events} were read").into());
        }
        Ok(took)
    }

    /// Removes what programs keep beside the events.
    pub(crate) async fn forget_models(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql(include_str!("sql/forget_models.sql")).execute(&mut self.plain).await?;
        Ok(())
    }

    /// Removes the states that the database keeps, and has them made from the first event.
    pub(crate) async fn rebuild_all(&mut self, events: u64) -> Result<Duration, Failure> {
        sqlx::raw_sql(include_str!("sql/forget_states.sql")).execute(&mut self.plain).await?;
        let start = Instant::now();
        sqlx::query(include_str!("sql/rebuild_all.sql")).execute(&mut self.plain).await?;
        let took = start.elapsed();
        let found: i64 = sqlx::query_scalar(include_str!("sql/folded_events.sql"))
            .fetch_one(&mut self.plain)
            .await?;
        if u64::try_from(found)? != events {
            return Err(format!("the states hold {found} events of {events}").into());
        }
        Ok(took)
    }

    /// Has the state of one posting made from its first event.
    pub(crate) async fn rebuild(&mut self, posting: i32) -> Result<Duration, Failure> {
        let start = Instant::now();
        sqlx::query(include_str!("sql/rebuild.sql")).bind(posting).execute(&mut self.plain).await?;
        Ok(start.elapsed())
    }

    /// Reads the state of a posting as the database keeps it.
    pub(crate) async fn state(&mut self, posting: i32, events: usize) -> Result<Duration, Failure> {
        let start = Instant::now();
        let row = sqlx::query(include_str!("sql/state.sql"))
            .bind(posting)
            .fetch_one(&mut self.plain)
            .await?;
        let sequence: Vec<i32> = row.try_get(1)?;
        let outputs = row.try_get::<&RawValue, _>(2)?.get().len();
        let version: i32 = row.try_get(5)?;
        let took = start.elapsed();
        if usize::try_from(version)? != events || sequence.len() != events || outputs == 0 {
            return Err(format!("posting {posting} stands at {version}, not {events}").into());
        }
        Ok(took)
    }

    /// Appends an event by the function in SQL, which finds its version.
    pub(crate) async fn append(
        &mut self,
        posting: i32,
        event: &NewEvent,
    ) -> Result<Duration, Failure> {
        let start = Instant::now();
        let _: i32 = sqlx::query_scalar(include_str!("sql/append_event.sql"))
            .bind(event.event_type.as_str())
            .bind(posting)
            .bind(Json(event.payload.as_raw()))
            .bind(Json(&event.metadata))
            .fetch_one(&mut self.plain)
            .await?;
        Ok(start.elapsed())
    }
}
