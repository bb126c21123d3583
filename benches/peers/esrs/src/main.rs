//! esrs: `AggregateManager::load` and `handle_command` over `PgStore`, without its advisory lock.

use std::process::ExitCode;

use esrs::handler::EventHandler;
use esrs::manager::AggregateManager;
use esrs::store::StoreEvent;
use esrs::store::postgres::{PgStore, PgStoreBuilder, PgStoreError, UuidFormat};
use esrs::{Aggregate, AggregateState};
use peers_harness::{Execution, Failure, Follows, Outcome, Peer, Posting, Ready, Seen};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// The event with what is known of it: the crate keeps no metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum PostingEvent {
    ScriptExecutionCompleted(Execution),
}

struct PostingAggregate;

#[derive(Debug, thiserror::Error)]
#[error("the posting is terminal")]
struct PostingClosed;

impl Aggregate for PostingAggregate {
    const NAME: &'static str = "posting";
    type State = Posting;
    type Command = Vec<Execution>;
    type Event = PostingEvent;
    type Error = PostingClosed;

    fn handle_command(
        state: &Posting,
        command: Vec<Execution>,
    ) -> Result<Vec<PostingEvent>, PostingClosed> {
        if state.is_terminal() {
            return Err(PostingClosed);
        }
        Ok(command.into_iter().map(PostingEvent::ScriptExecutionCompleted).collect())
    }

    fn apply_event(mut state: Posting, event: PostingEvent) -> Posting {
        let PostingEvent::ScriptExecutionCompleted(execution) = event;
        state.evolve(execution.conversation_id, &execution.output);
        state
    }
}

/// The documented way to read models that need no transaction: called after the commit.
struct Told(Seen);

#[async_trait::async_trait]
impl EventHandler<PostingAggregate> for Told {
    async fn handle(&self, event: &StoreEvent<PostingEvent>) {
        let PostingEvent::ScriptExecutionCompleted(execution) = event.payload();
        // nobody listens any more when the run is over
        let _ = self.0.send(execution.clone());
    }
}

struct Esrs(AggregateManager<PgStore<PostingAggregate>>);

fn id(aggregate: u64) -> Uuid {
    // spread as ids of version 4 are
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &aggregate.to_be_bytes())
}

fn is_unique_violation(error: &PgStoreError) -> bool {
    let PgStoreError::Sqlx(sqlx::Error::Database(error)) = error else { return false };
    error.is_unique_violation()
}

impl Peer for Esrs {
    const FOLLOWS: Follows = Follows::Handler;

    async fn prepare(url: &str) -> Result<(), Failure> {
        let pool = PgPool::connect(url).await?;
        PgStoreBuilder::<PostingAggregate>::new(pool).try_build().await?;
        Ok(())
    }

    async fn open(url: &str, seen: Option<Seen>) -> Result<Self, Failure> {
        let pool =
            PgPoolOptions::new().max_connections(10).min_connections(10).connect(url).await?;
        let mut builder = PgStoreBuilder::<PostingAggregate>::new(pool)
            .with_event_id_format(UuidFormat::V7)
            .without_running_migrations();
        if let Some(seen) = seen {
            builder = builder.add_event_handler(Told(seen));
        }
        Ok(Self(AggregateManager::new(builder.try_build().await?)))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        let id = id(aggregate);
        let state = self.0.load(id).await?.unwrap_or_else(|| AggregateState::with_id(id));
        match self.0.handle_command(state, executions).await {
            Ok(decided) => decided.map(|_| Outcome::Stored).map_err(Failure::from),
            // it has no conflict of its own: the unique key's error is what a user sees
            Err(error) if is_unique_violation(&error) => Ok(Outcome::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let state = self.0.load(id(aggregate)).await?;
        Ok(state.map_or(0, |state| state.inner().events))
    }

    async fn follow(&self, _: Seen, _: Ready) -> Result<(), Failure> {
        Err("its handlers are called by the writer".into())
    }
}

fn main() -> ExitCode {
    peers_harness::main::<Esrs>()
}
