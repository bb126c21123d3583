//! disintegrate on PostgreSQL: `DecisionMaker::make` without snapshots, `PgEventListener`.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{
    Decision, Event, EventListener, EventSourcedStateStore, LoadState, NoSnapshot, PersistedEvent,
    StateMutate, StateQuery, StreamQuery, query,
};
use disintegrate_postgres::{
    Migrator, PgDecisionMaker, PgEventId, PgEventListener, PgEventListenerConfig, PgEventStore,
    decision_maker,
};
use peers_harness::{Execution, Failure, Outcome, Peer, Posting, Ready, Seen};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// The event with what is known of it: the crate keeps no metadata.
#[derive(Debug, Clone, PartialEq, Event, Serialize, Deserialize)]
enum PostingEvent {
    ScriptExecutionCompleted {
        #[id]
        posting_id: i64,
        execution: Execution,
    },
}

#[derive(Debug, Clone, Default, StateQuery, Serialize, Deserialize)]
#[state_query(PostingEvent)]
struct PostingState {
    #[id]
    posting_id: i64,
    posting: Posting,
}

impl PostingState {
    fn new(aggregate: u64) -> Self {
        Self { posting_id: aggregate.cast_signed(), ..Self::default() }
    }
}

impl StateMutate for PostingState {
    fn mutate(&mut self, event: Self::Event) {
        let PostingEvent::ScriptExecutionCompleted { execution, .. } = event;
        self.posting.evolve(execution.conversation_id, &execution.output);
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the posting is terminal")]
struct PostingClosed;

struct Record {
    aggregate: u64,
    executions: Vec<Execution>,
}

impl Decision for Record {
    type Event = PostingEvent;
    type StateQuery = PostingState;
    type Error = PostingClosed;

    fn state_query(&self) -> PostingState {
        PostingState::new(self.aggregate)
    }

    fn process(&self, state: &PostingState) -> Result<Vec<PostingEvent>, PostingClosed> {
        if state.posting.is_terminal() {
            return Err(PostingClosed);
        }
        let posting_id = self.aggregate.cast_signed();
        let events = self.executions.iter().cloned();
        Ok(events
            .map(|execution| PostingEvent::ScriptExecutionCompleted { posting_id, execution })
            .collect())
    }
}

type Serde = Json<PostingEvent>;
type EventStore = PgEventStore<PostingEvent, Serde>;

struct Disintegrate {
    store: EventStore,
    decisions: PgDecisionMaker<PostingEvent, Serde, NoSnapshot>,
    states: EventSourcedStateStore<PgEventId, PostingEvent, EventStore, NoSnapshot>,
}

/// Whether somebody else was faster: the crate's own error, or the server's where it passes that on.
fn is_conflict(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(disintegrate_postgres::Error::Concurrency) = error.downcast_ref() {
            return true;
        }
        let database = match error.downcast_ref() {
            Some(disintegrate_postgres::Error::Database(sqlx::Error::Database(error))) => {
                error.code()
            }
            _ => None,
        };
        if database.as_deref() == Some("40001") {
            return true;
        }
        next = error.source();
    }
    false
}

/// Tells what it is given.
struct Told {
    query: StreamQuery<PgEventId, PostingEvent>,
    seen: Seen,
}

#[async_trait]
impl EventListener<PgEventId, PostingEvent> for Told {
    type Error = Infallible;

    fn id(&self) -> &'static str {
        "told"
    }

    fn query(&self) -> &StreamQuery<PgEventId, PostingEvent> {
        &self.query
    }

    async fn handle(
        &self,
        event: PersistedEvent<PgEventId, PostingEvent>,
    ) -> Result<(), Infallible> {
        let PostingEvent::ScriptExecutionCompleted { execution, .. } = event.into_inner();
        // nobody listens any more when the run is over
        let _ = self.seen.send(execution);
        Ok(())
    }
}

impl Peer for Disintegrate {
    async fn prepare(url: &str) -> Result<(), Failure> {
        let pool = PgPool::connect(url).await?;
        let store = EventStore::new_uninitialized(pool.clone(), Serde::default());
        let migrator = Migrator::new(store);
        // it fails before PostgreSQL 16, and then the rest is done by hand
        if migrator.init_event_store().await.is_err() {
            let rest = [
                include_str!("../sql/begin_epoch.sql"),
                include_str!("../sql/add_posting_id.sql"),
                include_str!("../sql/index_posting_id.sql"),
            ];
            for statement in rest {
                sqlx::raw_sql(statement).execute(&pool).await?;
            }
        }
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let pool =
            PgPoolOptions::new().max_connections(10).min_connections(10).connect(url).await?;
        let store = EventStore::new_uninitialized(pool, Serde::default());
        Ok(Self {
            decisions: decision_maker(store.clone(), NoSnapshot),
            states: EventSourcedStateStore::new(store.clone(), NoSnapshot),
            store,
        })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        match self.decisions.make(Record { aggregate, executions }).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(error) if is_conflict(&error) => Ok(Outcome::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let loaded = self.states.load(PostingState::new(aggregate)).await?;
        Ok(loaded.state().posting.events)
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        // it reads the log from its start, so nothing is too early
        let _ = ready.send(());
        let config = PgEventListenerConfig::poller(Duration::from_millis(50)).with_notifier();
        let told = Told { query: query!(PostingEvent), seen };
        // it makes its trigger now, which the other figures do without
        let listener = PgEventListener::builder(self.store.clone());
        Ok(listener.register_listener(told, config).start().await?)
    }
}

fn main() -> ExitCode {
    peers_harness::main::<Disintegrate>()
}
