//! What the three programs do alike.

use es_core::event::{EventStoreExt, ReadLog};
use es_core::execution::Retry;
use es_core::{ErrorKind, Repository};
use es_postgres::{Migrations, PostgresConfig, PostgresStore};
use futures_util::TryStreamExt;
use peers_harness::{Execution, Failure, Outcome, Ready, Seen};

use crate::{PostingAggregate, PostingEvent, event, metadata};

/// Applies the store's migrations.
///
/// # Errors
///
/// When the server refuses one.
pub async fn prepare(url: &str) -> Result<(), Failure> {
    let config: PostgresConfig = url.parse()?;
    Migrations::of_store(config.names()).apply(&config).await?;
    Ok(())
}

/// Opens the store as its documentation does.
///
/// # Errors
///
/// When there is none.
pub async fn open(url: &str) -> Result<PostgresStore, Failure> {
    Ok(PostgresStore::open(url.parse::<PostgresConfig>()?).await?)
}

/// A whole command. It is tried once, so that a conflict shows as one.
///
/// # Errors
///
/// When it fails otherwise than by a conflict.
pub async fn decide(
    repository: &Repository<PostingAggregate>,
    aggregate: u64,
    executions: Vec<Execution>,
) -> Result<Outcome, Failure> {
    let metadata = metadata(executions.first().ok_or("a command has an event")?)?;
    let events: Vec<_> = executions.into_iter().map(event).collect();
    let member = repository.by_id(&aggregate);
    let decision = member.decide(|posting| posting.record(&events));
    match decision.metadata(metadata).retry(Retry::NONE).await {
        Ok(_) => Ok(Outcome::Stored),
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(Outcome::Conflict),
        Err(error) => Err(error.into()),
    }
}

/// Loads an aggregate from its events.
///
/// # Errors
///
/// When they cannot be read.
pub async fn load(
    repository: &Repository<PostingAggregate>,
    aggregate: u64,
) -> Result<u64, Failure> {
    Ok(repository.load(&aggregate).await?.state.events())
}

/// Follows the log from its start.
///
/// # Errors
///
/// When it cannot be read.
pub async fn follow(store: &PostgresStore, seen: Seen, ready: Ready) -> Result<(), Failure> {
    // it reads the log from its start, so nothing is too early
    let _ = ready.send(());
    let mut tail = store.tail(ReadLog::from_start());
    while let Some(recorded) = tail.try_next().await? {
        for event in recorded.decode::<PostingEvent>()? {
            let PostingEvent::ScriptExecutionCompleted {
                output,
                status,
                conversation_id,
                actor_id,
                duration_ms,
            } = event;
            let metadata = &recorded.metadata;
            let execution = Execution {
                output,
                status,
                conversation_id,
                actor_id,
                duration_ms,
                causation_id: metadata.causation_id.map(|id| id.to_string()).unwrap_or_default(),
                correlation_id: metadata.correlation_id.clone().unwrap_or_default(),
            };
            if seen.send(execution).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
