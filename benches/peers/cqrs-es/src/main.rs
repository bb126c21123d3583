//! cqrs-es with postgres-es, and in memory with its `MemStore`: `CqrsFramework::execute_with_metadata`,
//! which loads each time.

use std::collections::HashMap;
use std::process::ExitCode;

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::mem_store::MemStore;
use cqrs_es::persist::PersistedEventStore;
use cqrs_es::{
    Aggregate, AggregateError, CqrsFramework, DomainEvent, EventEnvelope, EventStore, Query,
};
use peers_harness::{Execution, Failure, Follows, InMemory, Outcome, Peer, Posting, Ready, Seen};
use postgres_es::{PostgresCqrs, PostgresEventRepository, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// The event; what else is known of it is in the crate's metadata, but for the conversation, because
/// an aggregate does not see its metadata here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum PostingEvent {
    ScriptExecutionCompleted { output: String, status: String, conversation_id: i64 },
}

impl DomainEvent for PostingEvent {
    fn event_type(&self) -> String {
        "ScriptExecutionCompleted".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

#[derive(Default, Serialize, Deserialize)]
struct PostingAggregate(Posting);

#[derive(Debug, thiserror::Error)]
#[error("the posting is terminal")]
struct PostingClosed;

impl Aggregate for PostingAggregate {
    const TYPE: &'static str = "posting";
    type Command = Vec<Execution>;
    type Event = PostingEvent;
    type Error = PostingClosed;
    type Services = ();

    async fn handle(
        &mut self,
        command: Vec<Execution>,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), PostingClosed> {
        if self.0.is_terminal() {
            return Err(PostingClosed);
        }
        for Execution { output, status, conversation_id, .. } in command {
            let event = PostingEvent::ScriptExecutionCompleted { output, status, conversation_id };
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: PostingEvent) {
        let PostingEvent::ScriptExecutionCompleted { output, conversation_id, .. } = event;
        self.0.evolve(conversation_id, &output);
    }
}

/// The documented way to read models: called by the process that wrote, after its commit.
struct Told(Seen);

#[async_trait]
impl Query<PostingAggregate> for Told {
    async fn dispatch(&self, _: &str, events: &[EventEnvelope<PostingAggregate>]) {
        for EventEnvelope { payload, metadata, .. } in events {
            let PostingEvent::ScriptExecutionCompleted { output, status, conversation_id } =
                payload.clone();
            let field = |name: &str| metadata.get(name).map_or("", String::as_str);
            let (Ok(actor_id), Ok(duration_ms)) =
                (field("actor_id").parse(), field("duration_ms").parse())
            else {
                continue;
            };
            let execution = Execution {
                output,
                status,
                conversation_id,
                actor_id,
                duration_ms,
                causation_id: String::new(),
                correlation_id: String::new(),
            };
            // nobody listens any more when the run is over
            let _ = self.0.send(execution);
        }
    }
}

struct CqrsEs {
    cqrs: PostgresCqrs<PostingAggregate>,
    store: PersistedEventStore<PostgresEventRepository, PostingAggregate>,
}

fn metadata(executions: &[Execution]) -> HashMap<String, String> {
    let Some(first) = executions.first() else { return HashMap::new() };
    let fields = [
        ("actor_id", first.actor_id.to_string()),
        ("duration_ms", first.duration_ms.to_string()),
        ("causation_id", first.causation_id.clone()),
        ("correlation_id", first.correlation_id.clone()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A whole command, on whichever store.
async fn execute<S: EventStore<PostingAggregate>>(
    cqrs: &CqrsFramework<PostingAggregate, S>,
    aggregate: u64,
    executions: Vec<Execution>,
) -> Result<Outcome, Failure> {
    let (id, metadata) = (aggregate.to_string(), metadata(&executions));
    match cqrs.execute_with_metadata(&id, executions, metadata).await {
        Ok(()) => Ok(Outcome::Stored),
        Err(AggregateError::AggregateConflict) => Ok(Outcome::Conflict),
        Err(error) => Err(error.into()),
    }
}

impl Peer for CqrsEs {
    const FOLLOWS: Follows = Follows::Handler;

    async fn prepare(url: &str) -> Result<(), Failure> {
        let pool = PgPool::connect(url).await?;
        sqlx::raw_sql(include_str!("../sql/create_events.sql")).execute(&pool).await?;
        Ok(())
    }

    async fn open(url: &str, seen: Option<Seen>) -> Result<Self, Failure> {
        // what its `default_postgress_pool` sets, and connections made before the clock starts
        let pool =
            PgPoolOptions::new().max_connections(10).min_connections(10).connect(url).await?;
        let told = seen.map(|seen| Box::new(Told(seen)) as Box<dyn Query<PostingAggregate>>);
        let repository = PostgresEventRepository::new(pool.clone());
        Ok(Self {
            cqrs: postgres_cqrs(pool, told.into_iter().collect(), ()),
            store: PersistedEventStore::new_event_store(repository),
        })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        execute(&self.cqrs, aggregate, executions).await
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let loaded = self.store.load_aggregate(&aggregate.to_string()).await?;
        Ok(loaded.aggregate.0.events)
    }

    async fn follow(&self, _: Seen, _: Ready) -> Result<(), Failure> {
        Err("its queries are called by the writer".into())
    }
}

/// The same in memory.
struct Memory(CqrsFramework<PostingAggregate, MemStore<PostingAggregate>>);

impl InMemory for Memory {
    fn open() -> Result<Self, Failure> {
        Ok(Self(CqrsFramework::new(MemStore::default(), Vec::new(), ())))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        execute(&self.0, aggregate, executions).await
    }
}

fn main() -> ExitCode {
    peers_harness::main_with_memory::<CqrsEs, Memory>()
}
