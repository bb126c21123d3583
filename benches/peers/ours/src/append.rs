//! Ours, the append alone: the exact version is checked, nothing is loaded.

use std::process::ExitCode;

use es_core::backend::{AppendError, AppendRequest, EventStore, NewEvent};
use es_core::event::{EventId, EventVersion};
use es_core::execution::{StreamVersion, stream_of};
use es_core::{Event, ExpectedVersion, Repository};
use es_postgres::PostgresStore;
use peer_ours::{PostingAggregate, event, metadata};
use peers_harness::{Execution, Failure, Outcome, Peer, Ready, Seen};
use uuid::Uuid;

struct Append {
    store: PostgresStore,
    repository: Repository<PostingAggregate>,
}

/// An execution in the form that a store takes.
fn new_event(execution: Execution) -> Result<NewEvent, Failure> {
    let mut metadata = metadata(&execution)?;
    let event = event(execution);
    let payload = event.encode(&mut metadata)?;
    metadata.event_version = Some(EventVersion::new(1));
    let id = EventId::from_uuid(Uuid::now_v7());
    Ok(NewEvent::new(id, event.event_type().name, payload).with_metadata(metadata))
}

impl Peer for Append {
    async fn prepare(url: &str) -> Result<(), Failure> {
        peer_ours::prepare(url).await
    }

    async fn open(url: &str, _: Option<Seen>) -> Result<Self, Failure> {
        let store = peer_ours::open(url).await?;
        Ok(Self { repository: Repository::new(store.clone()), store })
    }

    async fn command(
        &self,
        aggregate: u64,
        executions: Vec<Execution>,
    ) -> Result<Outcome, Failure> {
        let first = executions.first().ok_or("an append has an event")?;
        // their numbers count from 0, so the first one's is the version before it
        let version = ExpectedVersion::Exact(StreamVersion::new(first.duration_ms));
        let events = executions.into_iter().map(new_event).collect::<Result<_, _>>()?;
        let stream = stream_of::<PostingAggregate>(&aggregate)?;
        match self.store.append(AppendRequest::to(stream, version, events)).await {
            Ok(_) => Ok(Outcome::Stored),
            Err(AppendError::Conflict(_)) => Ok(Outcome::Conflict),
            Err(error) => Err(error.into()),
        }
    }

    async fn load(&self, aggregate: u64) -> Result<u64, Failure> {
        peer_ours::load(&self.repository, aggregate).await
    }

    async fn follow(&self, seen: Seen, ready: Ready) -> Result<(), Failure> {
        peer_ours::follow(&self.store, seen, ready).await
    }
}

fn main() -> ExitCode {
    peers_harness::main::<Append>()
}
