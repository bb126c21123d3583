//! The same by hand, through sqlx on one connection.

use es_benches::{Posting, PostingEvent};
use es_core::backend::{AppendRequest, StreamId};
use es_core::{Aggregate, ExpectedVersion};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::postgres::{PgBindIterExt, PgConnection};
use es_postgres::sqlx::types::Json;
use es_postgres::sqlx::{self, ConnectOptions, Row};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Failure;

pub(crate) struct Bare(PgConnection);

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

impl Bare {
    pub(crate) async fn connect(database: &TestDatabase) -> Result<Self, Failure> {
        Ok(Self(database.options().disable_statement_logging().connect().await?))
    }

    /// Fresh statistics, as a server has them after a while.
    pub(crate) async fn analyze(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql("ANALYZE").execute(&mut self.0).await?;
        Ok(())
    }

    /// All events of a request to one stream, from arrays; no version is checked.
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
            .execute(&mut self.0)
            .await?;
        Ok(())
    }

    /// The state of a posting, in one statement, folded as its rows come.
    pub(crate) async fn load(&mut self, stream: &StreamId) -> Result<(Posting, usize), Failure> {
        let mut rows = sqlx::query(include_str!("sql/read_stream.sql"))
            .bind(stream.aggregate_type())
            .bind(stream.aggregate_id())
            .fetch(&mut self.0);
        let (mut posting, mut count) = (Posting::default(), 0);
        while let Some(row) = rows.try_next().await? {
            let Json(payload) = row.try_get::<Json<Payload>, _>(0)?;
            let Json(metadata) = row.try_get::<Json<Metadata>, _>(1)?;
            posting.evolve(&PostingEvent::ScriptExecutionCompleted {
                output: payload.output,
                status: payload.status,
                conversation_id: metadata.conversation_id,
                actor_id: metadata.actor_id,
                duration_ms: metadata.duration_ms,
            });
            count += 1;
        }
        Ok((posting, count))
    }

    /// Reads every event of the other side's log in one statement; nothing is decoded but the
    /// position and the payload's text.
    pub(crate) async fn read_log(&mut self) -> Result<u64, Failure> {
        let mut rows = sqlx::query(include_str!("sql/read_log.sql")).fetch(&mut self.0);
        let (mut count, mut last, mut bytes) = (0, 0, 0);
        while let Some(row) = rows.try_next().await? {
            let position: i64 = row.try_get(0)?;
            if position <= last {
                return Err("positions grow".into());
            }
            last = position;
            bytes += row.try_get::<&RawValue, _>(6)?.get().len();
            count += 1;
        }
        if bytes == 0 {
            return Err("the log is empty".into());
        }
        Ok(count)
    }
}
