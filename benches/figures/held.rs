//! The same by hand, through sqlx on a connection that is held.

use std::str::FromStr;

use es_benches::{Posting, PostingEvent};
use es_core::backend::{AppendRequest, StreamId};
use es_core::{Aggregate, ExpectedVersion};
use es_postgres::sqlx::postgres::{PgBindIterExt, PgConnectOptions, PgConnection, PgRow};
use es_postgres::sqlx::types::Json;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, Row, SqlSafeStr, SqlStr};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Failure;

/// How the store's own sessions plan, so that its statement costs here what it costs there.
const PLANS: [(&str, &str); 4] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("jit", "off"),
];

/// One connection.
pub(crate) struct Held {
    connection: PgConnection,
    /// The store's own statement that reads a page of a stream.
    page: SqlStr,
}

#[derive(Deserialize)]
struct Payload {
    output: String,
    status: String,
}

#[derive(Deserialize)]
struct Metadata {
    conversation_id: i64,
    actor_id: i64,
    duration_ms: u64,
}

impl Held {
    /// As everybody has it who sets nothing.
    pub(crate) async fn connect(url: &str) -> Result<Self, Failure> {
        Self::with(PgConnectOptions::from_str(url)?).await
    }

    /// With plans as the store has them.
    pub(crate) async fn like_the_store(url: &str) -> Result<Self, Failure> {
        Self::with(PgConnectOptions::from_str(url)?.options(PLANS)).await
    }

    async fn with(options: PgConnectOptions) -> Result<Self, Failure> {
        let page = include_str!("../../es-postgres/src/sql/read_stream_forwards.sql");
        let page = page.replace("{schema}", "public").replace("{events}", "execution_events");
        let connection = options.disable_statement_logging().connect().await?;
        Ok(Self { connection, page: AssertSqlSafe(page).into_sql_str() })
    }

    /// Statements without answers.
    pub(crate) async fn run(&mut self, statement: &'static str) -> Result<(), Failure> {
        sqlx::raw_sql(statement).execute(&mut self.connection).await?;
        Ok(())
    }

    /// Ends the session.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        Ok(self.connection.close().await?)
    }

    /// Events by their numbers, counted from 0, of so many postings from one on.
    pub(crate) async fn fill(
        &mut self,
        events: std::ops::Range<u64>,
        first: i64,
        postings: i64,
    ) -> Result<(), Failure> {
        sqlx::query(include_str!("sql/fill.sql"))
            .bind(i64::try_from(events.start)?)
            .bind(i64::try_from(events.end)? - 1)
            .bind(first)
            .bind(postings)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// All events of a request to one stream, from arrays, into the table without checks.
    pub(crate) async fn append(&mut self, request: &AppendRequest) -> Result<(), Failure> {
        let part = &request.streams()[0];
        let ExpectedVersion::Exact(version) = part.expected else {
            return Err("the benches expect exact versions".into());
        };
        let events = &part.events;
        sqlx::query(include_str!("sql/append.sql"))
            .bind(events.iter().map(|event| event.event_id.as_uuid()).bind_iter())
            .bind(part.stream.aggregate_type())
            .bind(part.stream.aggregate_id())
            .bind(i32::try_from(version.as_u64())?)
            .bind(events.iter().map(|event| event.event_type.as_str()).bind_iter())
            .bind(events.iter().map(|event| Json(event.payload.as_raw())).bind_iter())
            .bind(events.iter().map(|event| Json(&event.metadata)).bind_iter())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// The events of requests of one event each, to as many postings, from arrays, into the table without
    /// checks.
    pub(crate) async fn append_each(&mut self, requests: &[AppendRequest]) -> Result<(), Failure> {
        let parts: Vec<_> = requests.iter().map(|request| &request.streams()[0]).collect();
        let events: Vec<_> = parts.iter().map(|part| &part.events[0]).collect();
        let mut versions = Vec::with_capacity(parts.len());
        for part in &parts {
            let ExpectedVersion::Exact(version) = part.expected else {
                return Err("the benches expect exact versions".into());
            };
            versions.push(i32::try_from(version.as_u64())?);
        }
        sqlx::query(include_str!("sql/append_each.sql"))
            .bind(events.iter().map(|event| event.event_id.as_uuid()).bind_iter())
            .bind(parts[0].stream.aggregate_type())
            .bind(parts.iter().map(|part| part.stream.aggregate_id()).bind_iter())
            .bind(versions)
            .bind(events.iter().map(|event| event.event_type.as_str()).bind_iter())
            .bind(events.iter().map(|event| Json(event.payload.as_raw())).bind_iter())
            .bind(events.iter().map(|event| Json(&event.metadata)).bind_iter())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    /// The state of a posting by the store's own statement, and the number of its events.
    pub(crate) async fn load_page(
        &mut self,
        stream: &StreamId,
    ) -> Result<(Posting, usize), Failure> {
        let mut rows = sqlx::query(self.page.clone())
            .bind(stream.aggregate_type())
            .bind(stream.aggregate_id())
            .bind(1_i32)
            .bind(i32::MAX)
            .bind(501_i64)
            .bind(true)
            .fetch(&mut self.connection);
        let (mut posting, mut count) = (Posting::default(), 0);
        while let Some(row) = rows.try_next().await? {
            posting.evolve(&execution(&row)?);
            count += 1;
        }
        Ok((posting, count))
    }

    /// The state of a posting in one plain statement, folded as its rows come.
    pub(crate) async fn load(&mut self, stream: &StreamId) -> Result<(Posting, usize), Failure> {
        let mut rows = sqlx::query(include_str!("sql/read_stream.sql"))
            .bind(stream.aggregate_type())
            .bind(stream.aggregate_id())
            .fetch(&mut self.connection);
        let (mut posting, mut count) = (Posting::default(), 0);
        while let Some(row) = rows.try_next().await? {
            posting.evolve(&execution(&row)?);
            count += 1;
        }
        Ok((posting, count))
    }

    /// Reads every event of the log in one statement; of each, the position and both documents' text
    /// are taken.
    pub(crate) async fn read_log(&mut self) -> Result<u64, Failure> {
        let mut rows = sqlx::query(include_str!("sql/read_log.sql")).fetch(&mut self.connection);
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
        if bytes == 0 {
            return Err("the log is empty".into());
        }
        Ok(count)
    }
}

/// The event of a row of either statement, which have its documents in the same places.
fn execution(row: &PgRow) -> Result<PostingEvent, Failure> {
    let Json(metadata) = row.try_get::<Json<Metadata>, _>(5)?;
    let Json(payload) = row.try_get::<Json<Payload>, _>(6)?;
    Ok(PostingEvent::ScriptExecutionCompleted {
        output: payload.output,
        status: payload.status,
        conversation_id: metadata.conversation_id,
        actor_id: metadata.actor_id,
        duration_ms: metadata.duration_ms,
    })
}
