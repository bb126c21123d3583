//! Writers of every kind, whose failures are part of the matter.

use std::sync::Arc;

use es_core::ExpectedVersion;
use es_core::backend::{AppendError, AppendRequest, EventStore, NewEvent, StreamId};
use es_core::environment::{EventIds, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::IdempotencyKey;
use es_postgres::sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use es_postgres::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use es_postgres::{PostgresConfig, PostgresStore};

use super::Tally;

pub(crate) struct Writer {
    number: u64,
    chance: fastrand::Rng,
    /// Events to be written by it.
    wanted: u64,
    tally: Arc<Tally>,
    /// The next version of its own stream, for SQL by hand.
    version: u64,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The ids of events.
type Events = Vec<String>;

fn ids(request: &AppendRequest) -> Events {
    let events = request.streams().iter().flat_map(|part| &part.events);
    events.map(|event| event.event_id.to_string()).collect()
}

fn is_lost(error: &AppendError) -> bool {
    let AppendError::Store(error) = error else { return false };
    error.is_outcome_unknown() || error.is_transient()
}

impl Writer {
    pub(crate) fn new(number: u64, seed: u64, wanted: u64, tally: Arc<Tally>) -> Self {
        let chance = fastrand::Rng::with_seed(seed.wrapping_add(number));
        Self { number, chance, wanted, tally, version: 1 }
    }

    /// Writes until its share is committed.
    pub(crate) async fn write(mut self, options: PgConnectOptions) {
        let mut written = 0;
        while written < self.wanted {
            // a store or pool lasts for some rounds
            let Ok(store) = PostgresStore::open(PostgresConfig::new(options.clone())).await else {
                continue;
            };
            let pool = PgPoolOptions::new().max_connections(2).connect_lazy_with(options.clone());
            for _ in 0..200 {
                if written >= self.wanted {
                    break;
                }
                let answer = match self.number {
                    0..=3 => self.append(&store).await,
                    4..=6 => self.within(&store, &pool).await,
                    7 => self.prepared(&store, &pool).await,
                    _ => self.by_hand(&pool).await,
                };
                self.tally.add(&self.tally.transactions, 1);
                match answer {
                    Ok(events) => {
                        written += events.len() as u64;
                        self.tally.acknowledged.lock().unwrap().extend(events);
                    }
                    Err(_) => {
                        self.tally.add(&self.tally.failed, 1);
                        while self.decide_what_is_left(&pool).await.is_err() {}
                    }
                }
            }
            store.close().await;
            pool.close().await;
        }
    }

    /// Appends to a store that others append to, until its share is committed.
    pub(crate) async fn write_to(mut self, store: PostgresStore) {
        let mut written = 0;
        while written < self.wanted {
            self.tally.add(&self.tally.transactions, 1);
            match self.append(&store).await {
                Ok(events) => {
                    written += events.len() as u64;
                    self.tally.acknowledged.lock().unwrap().extend(events);
                }
                Err(_) => self.tally.add(&self.tally.failed, 1),
            }
        }
    }

    fn event(&mut self) -> NewEvent {
        let event_type =
            if self.chance.u8(..4) == 0 { "amount_paid_in" } else { "amount_paid_out" };
        let text = format!("{{\"writer\":{}}}", self.number);
        NewEvent::new(UuidV7Ids.next_id(), event_type, Payload::parse(text).unwrap())
    }

    fn events(&mut self) -> Vec<NewEvent> {
        (0..self.chance.usize(1..5)).map(|_| self.event()).collect()
    }

    /// One of a few streams that all writers share.
    fn stream(&mut self) -> StreamId {
        format!("account/{}", self.chance.u8(..20)).parse().unwrap()
    }

    fn request(&mut self) -> AppendRequest {
        let (stream, events) = (self.stream(), self.events());
        let mut request = AppendRequest::to(stream.clone(), ExpectedVersion::Any, events);
        if self.chance.u8(..3) == 0 {
            let other = self.stream();
            if other != stream {
                request = request.and(other, ExpectedVersion::Any, self.events());
            }
        }
        if self.chance.u8(..3) == 0 {
            let key = IdempotencyKey::new(&UuidV7Ids.next_id().to_string()).unwrap();
            request = request.with_key(key);
        }
        request
    }

    async fn append(&mut self, store: &PostgresStore) -> Result<Events, Failure> {
        let request = self.request();
        let mut answer = store.append(request.clone()).await;
        // with a key it can be sent again, whatever became of it
        while request.idempotency_key().is_some() && answer.as_ref().is_err_and(is_lost) {
            self.tally.add(&self.tally.repeated, 1);
            answer = store.append(request.clone()).await;
        }
        answer?;
        Ok(ids(&request))
    }

    /// The server pauses for up to so many milliseconds, half of the times.
    async fn pause(&mut self, connection: &mut PgConnection, most: u64) -> Result<(), Failure> {
        if self.chance.bool() {
            let statement = format!("SELECT pg_sleep({}::float / 1000)", self.chance.u64(0..=most));
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
        }
        Ok(())
    }

    /// Appends within transactions, some of which got their id long before.
    async fn within(&mut self, store: &PostgresStore, pool: &PgPool) -> Result<Events, Failure> {
        let mut transaction = pool.begin().await?;
        if self.chance.u8(..3) == 0 {
            sqlx::raw_sql("SELECT pg_current_xact_id()").execute(&mut *transaction).await?;
        }
        self.pause(&mut transaction, 8).await?;
        let mut events = Vec::new();
        for _ in 0..self.chance.u8(1..3) {
            if self.chance.u8(..5) == 0 {
                let mut savepoint = transaction.begin().await?;
                let request = self.request();
                self.undone(ids(&request));
                store.append_in(&mut savepoint, request).await?;
                savepoint.rollback().await?;
            }
            let request = self.request();
            events.extend(ids(&request));
            store.append_in(&mut transaction, request).await?;
            self.pause(&mut transaction, 8).await?;
        }
        self.end(transaction, events).await
    }

    /// Appends within transactions that are prepared first, and decided by another session.
    async fn prepared(&mut self, store: &PostgresStore, pool: &PgPool) -> Result<Events, Failure> {
        // if this fails the session goes, and with it what was not prepared
        let mut session = pool.acquire().await?.detach();
        sqlx::raw_sql("BEGIN").execute(&mut session).await?;
        let request = self.request();
        store.append_in(&mut session, request.clone()).await?;
        let name = format!("{}{}", self.prefix(pool), self.chance.u64(..));
        let prepare = format!("PREPARE TRANSACTION '{name}'");
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut session).await?;
        self.pause(&mut session, 8).await?;
        session.close().await?;
        let is_kept = self.chance.u8(..4) > 0;
        decide(pool, &name, is_kept).await?;
        if is_kept {
            return Ok(ids(&request));
        }
        self.undone(ids(&request));
        self.tally.add(&self.tally.rolled_back, 1);
        Ok(Events::new())
    }

    /// With what the names of its prepared transactions begin.
    fn prefix(&self, pool: &PgPool) -> String {
        let options = pool.connect_options();
        format!("{} {} ", options.get_database().unwrap_or_default(), self.number)
    }

    /// Decides its prepared transactions whose session was ended: nobody else will, and all who
    /// write to the same streams wait.
    async fn decide_what_is_left(&mut self, pool: &PgPool) -> Result<(), Failure> {
        let left: Vec<String> =
            sqlx::query_scalar("SELECT gid FROM pg_prepared_xacts WHERE starts_with(gid, $1)")
                .bind(self.prefix(pool))
                .fetch_all(pool)
                .await?;
        for name in left {
            decide(pool, &name, self.chance.bool()).await?;
        }
        Ok(())
    }

    /// Remembers events that must never be seen.
    fn undone(&self, events: Events) {
        self.tally.undone.lock().unwrap().extend(events);
    }

    /// INSERTs as at psql, into a stream of its own.
    async fn by_hand(&mut self, pool: &PgPool) -> Result<Events, Failure> {
        let mut transaction = pool.begin().await?;
        // what an answer that was lost has left
        let version = format!(
            "SELECT coalesce(max(aggregate_version), 0) + 1 FROM execution_events
             WHERE aggregate_type = 'by_hand' AND aggregate_id = '{}'",
            self.number
        );
        let version: i32 =
            sqlx::query_scalar(AssertSqlSafe(version)).fetch_one(&mut *transaction).await?;
        self.version = u64::try_from(version)?;
        self.pause(&mut transaction, 8).await?;
        let mut events = Vec::new();
        for is_kept in [self.chance.bool(), true] {
            let mut savepoint = transaction.begin().await?;
            let rows = self.chance.u64(1..4);
            let (number, first) = (self.number, self.version);
            let insert = format!(
                "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
                 SELECT 'by_hand', '{number}', {first} + n, 'amount_paid_in', '{{}}'
                 FROM generate_series(0, {rows} - 1) n
                 RETURNING event_id::text"
            );
            let inserted: Events =
                sqlx::query_scalar(AssertSqlSafe(insert)).fetch_all(&mut *savepoint).await?;
            self.pause(&mut savepoint, 8).await?;
            if is_kept {
                savepoint.commit().await?;
                self.version += rows;
                events.extend(inserted);
            } else {
                self.undone(inserted);
                savepoint.rollback().await?;
            }
        }
        self.end(transaction, events).await
    }

    async fn end(
        &mut self,
        transaction: sqlx::Transaction<'_, sqlx::Postgres>,
        events: Events,
    ) -> Result<Events, Failure> {
        if self.chance.u8(..12) == 0 {
            self.undone(events);
            transaction.rollback().await?;
            self.tally.add(&self.tally.rolled_back, 1);
            return Ok(Events::new());
        }
        transaction.commit().await?;
        Ok(events)
    }
}

/// Ends a prepared transaction, from any session.
async fn decide(pool: &PgPool, name: &str, is_kept: bool) -> Result<(), Failure> {
    let decision = if is_kept { "COMMIT" } else { "ROLLBACK" };
    let statement = format!("{decision} PREPARED '{name}'");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await?;
    Ok(())
}
