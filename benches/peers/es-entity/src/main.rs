//! es-entity: a repository's `maybe_find_by_id`, then `create` or `update`.

mod entity;

use std::process::ExitCode;

use es_entity::{Fail, Fault, TransientKind};
use peers_harness::{Execution, Failure, Follows, Outcome, Peer, Ready, Seen};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use crate::entity::{NewPosting, PostingId, Postings};

struct EsEntity(Postings);

fn id(aggregate: u64) -> PostingId {
    // spread as ids of version 4 are
    PostingId::from(Uuid::new_v5(&Uuid::NAMESPACE_OID, &aggregate.to_be_bytes()))
}

impl Peer for EsEntity {
    const FOLLOWS: Follows = Follows::Nothing;

    async fn prepare(url: &str) -> Result<(), Failure> {
        let pool = PgPool::connect(url).await?;
        sqlx::raw_sql(include_str!("../migrations/0001_postings.sql")).execute(&pool).await?;
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let pool =
            PgPoolOptions::new().max_connections(10).min_connections(10).connect(url).await?;
        Ok(Self(Postings::new(pool)))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        let id = id(aggregate);
        let Some(mut posting) = self.0.maybe_find_by_id(id).await? else {
            return match self.0.create(NewPosting { id, executions }).await {
                Ok(_) => Ok(Outcome::Stored),
                // the id is taken, which the crate rejects with a violation of its key
                Err(Fail::Rejected(_)) => Ok(Outcome::Conflict),
                Err(error) => Err(error.into()),
            };
        };
        posting.record(executions)?;
        match self.0.update(&mut posting).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(Fault::Transient(error)) if error.kind == TransientKind::OptimisticConflict => {
                Ok(Outcome::Conflict)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let found = self.0.maybe_find_by_id(id(aggregate)).await?;
        Ok(found.map_or(0, |posting| posting.count()))
    }

    async fn follow(&self, _: Seen, _: Ready) -> Result<(), Failure> {
        Err("it has no log to follow".into())
    }
}

fn main() -> ExitCode {
    peers_harness::main::<EsEntity>()
}
