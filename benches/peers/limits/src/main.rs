//! What the server can do: rows from arrays and one stream's rows, by sqlx on held connections.
//! Nothing is checked, so it is a limit and no peer.

use std::process::ExitCode;

use futures_util::TryStreamExt;
use peers_harness::{Execution, Failure, Follows, Outcome, Peer, Posting, Ready, Seen};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
struct Payload {
    output: String,
    status: String,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    conversation_id: i64,
    actor_id: i64,
    duration_ms: u64,
    causation_id: String,
    correlation_id: String,
}

/// Two connections, of which one caller uses the first alone.
struct Limits([Mutex<PgConnection>; 2]);

impl Limits {
    async fn connection(&self) -> MutexGuard<'_, PgConnection> {
        match self.0[0].try_lock() {
            Ok(first) => first,
            Err(_) => self.0[1].lock().await,
        }
    }
}

impl Peer for Limits {
    const FOLLOWS: Follows = Follows::Nothing;

    async fn prepare(url: &str) -> Result<(), Failure> {
        let pool = PgPool::connect(url).await?;
        sqlx::raw_sql(include_str!("../sql/create_events.sql")).execute(&pool).await?;
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let first = PgConnection::connect(url).await?;
        Ok(Self([first, PgConnection::connect(url).await?].map(Mutex::new)))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        let (mut ids, mut versions) = (Vec::new(), Vec::new());
        let (mut payloads, mut documents) = (Vec::new(), Vec::new());
        for execution in executions {
            let Execution { output, status, conversation_id, actor_id, duration_ms, .. } =
                execution;
            let Execution { causation_id, correlation_id, .. } = execution;
            ids.push(Uuid::now_v7());
            versions.push(i32::try_from(duration_ms)? + 1);
            payloads.push(Json(Payload { output, status }));
            documents.push(Json(Metadata {
                conversation_id,
                actor_id,
                duration_ms,
                causation_id,
                correlation_id,
            }));
        }
        let mut connection = self.connection().await;
        sqlx::query(include_str!("../sql/append.sql"))
            .bind(ids)
            .bind(aggregate.to_string())
            .bind(versions)
            .bind(payloads)
            .bind(documents)
            .execute(&mut *connection)
            .await?;
        Ok(Outcome::Stored)
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let mut connection = self.connection().await;
        let query = sqlx::query(include_str!("../sql/read_stream.sql")).bind(aggregate.to_string());
        let mut rows = query.fetch(&mut *connection);
        let mut posting = Posting::default();
        while let Some(row) = rows.try_next().await? {
            let Json(payload) = row.try_get::<Json<Payload>, _>(0)?;
            let Json(metadata) = row.try_get::<Json<Metadata>, _>(1)?;
            posting.evolve(metadata.conversation_id, &payload.output);
        }
        Ok(posting.events)
    }

    async fn follow(&self, _: Seen, _: Ready) -> Result<(), Failure> {
        Err("it has no log to follow".into())
    }
}

fn main() -> ExitCode {
    peers_harness::main::<Limits>()
}
