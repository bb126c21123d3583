//! eventsourced on PostgreSQL and in memory: an entity is spawned once, which loads it, and then kept.

use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use eventsourced::binarize::serde_json::{SerdeJsonBinarize, from_bytes};
use eventsourced::event_log::EventLog;
use eventsourced::event_log::test::TestEventLog;
use eventsourced::snapshot_store::noop::NoopSnapshotStore;
use eventsourced::{Command, CommandEffect, EntityRef, EventSourced, EventSourcedExt};
use eventsourced_postgres::{PostgresEventLog, PostgresEventLogConfig};
use futures_util::{TryStreamExt, pin_mut};
use peers_harness::{Execution, Failure, InMemory, Outcome, Peer, Posting, Ready, Seen};
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Entity(Posting);

impl EventSourced for Entity {
    type Id = Uuid;
    // with what is known of it: the crate keeps no metadata
    type Event = Execution;
    const TYPE_NAME: &'static str = "posting";

    fn handle_event(mut self, event: Execution) -> Self {
        self.0.evolve(event.conversation_id, &event.output);
        self
    }
}

#[derive(Debug)]
struct PostingClosed;

#[derive(Debug)]
struct Record(Execution);

impl Command<Entity> for Record {
    type Reply = ();
    type Error = PostingClosed;

    fn handle_command(self, _: &Uuid, state: &Entity) -> CommandEffect<Entity, (), PostingClosed> {
        if state.0.is_terminal() {
            return CommandEffect::reject(PostingClosed);
        }
        CommandEffect::emit(self.0)
    }
}

#[derive(Debug)]
struct Count;

impl Command<Entity> for Count {
    type Reply = u64;
    type Error = PostingClosed;

    fn handle_command(self, _: &Uuid, state: &Entity) -> CommandEffect<Entity, u64, PostingClosed> {
        CommandEffect::reply(state.0.events)
    }
}

struct Eventsourced<L> {
    log: L,
    entities: Mutex<HashMap<u64, EntityRef<Entity>>>,
}

impl<L: EventLog<Id = Uuid>> Eventsourced<L> {
    fn on(log: L) -> Self {
        Self { log, entities: Mutex::default() }
    }

    async fn spawn(&self, aggregate: u64) -> Result<EntityRef<Entity>, Failure> {
        // spread as ids of version 4 are
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, &aggregate.to_be_bytes());
        let (log, snapshots) = (self.log.clone(), NoopSnapshotStore::new());
        let entity = Entity::default().entity();
        let buffer = NonZeroUsize::MIN;
        Ok(entity.spawn(id, None, buffer, log, snapshots, SerdeJsonBinarize).await?)
    }

    fn kept(&self, aggregate: u64) -> Option<EntityRef<Entity>> {
        let entities = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        entities.get(&aggregate).cloned()
    }

    async fn decide(&self, aggregate: u64, executions: Vec<Execution>) -> Result<Outcome, Failure> {
        let [execution] = <[Execution; 1]>::try_from(executions)
            .map_err(|_| "a command emits one event at most")?;
        let entity = match self.kept(aggregate) {
            Some(entity) => entity,
            None => {
                let entity = self.spawn(aggregate).await?;
                let mut entities = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
                entities.insert(aggregate, entity.clone());
                entity
            }
        };
        match entity.handle_command(Record(execution)).await? {
            Ok(()) => Ok(Outcome::Stored),
            Err(PostingClosed) => Err("the posting is terminal".into()),
        }
    }

    fn let_go(&self, aggregate: u64) {
        let mut entities = self.entities.lock().unwrap_or_else(PoisonError::into_inner);
        entities.remove(&aggregate);
    }
}

fn config(url: &str) -> Result<PostgresEventLogConfig, Failure> {
    let url = Url::parse(url)?;
    Ok(PostgresEventLogConfig {
        host: url.host_str().ok_or("the address has no host")?.to_owned(),
        port: url.port().ok_or("the address has no port")?,
        user: url.username().to_owned(),
        // none is asked for, and an empty one cannot be said
        password: "none".to_owned(),
        dbname: url.path().trim_start_matches('/').to_owned(),
        sslmode: "disable".to_owned(),
        poll_interval: Duration::from_millis(50),
        ..PostgresEventLogConfig::default()
    })
}

impl Peer for Eventsourced<PostgresEventLog<Uuid>> {
    async fn prepare(url: &str) -> Result<(), Failure> {
        let config = PostgresEventLogConfig { setup: true, ..config(url)? };
        PostgresEventLog::<Uuid>::new(config).await?;
        Ok(())
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        Ok(Self::on(PostgresEventLog::new(config(url)?).await?))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        self.decide(aggregate, executions).await
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        let entity = self.spawn(aggregate).await?;
        entity
            .handle_command(Count)
            .await?
            .map_err(|PostingClosed| "the posting is terminal".into())
    }

    fn forget(&self, aggregate: u64) {
        self.let_go(aggregate);
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        // it reads the log from its start, so nothing is too early
        let _ = ready.send(());
        let events =
            self.log.events_by_type(Entity::TYPE_NAME, NonZeroU64::MIN, from_bytes::<Execution>);
        let events = events.await?;
        pin_mut!(events);
        while let Some((_, execution)) = events.try_next().await? {
            if seen.send(execution).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl InMemory for Eventsourced<TestEventLog<Uuid>> {
    fn open() -> Result<Self, Failure> {
        Ok(Self::on(TestEventLog::default()))
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        self.decide(aggregate, executions).await
    }

    fn forget(&self, aggregate: u64) {
        self.let_go(aggregate);
    }
}

fn main() -> ExitCode {
    peers_harness::main_with_memory::<
        Eventsourced<PostgresEventLog<Uuid>>,
        Eventsourced<TestEventLog<Uuid>>,
    >()
}
