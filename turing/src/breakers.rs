//! Circuit breakers that are open: until when they keep calls from their actors, and why.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use es_core::event::{EventFilter, EventStoreExt, ReadLog, ReadStream, RecordedEvent, Timestamp};
use es_core::execution::{LoadError, StoreError, stream_of};
use es_core::{Repository, Store};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::fields::{CONVERSATION_ID, RUN_ID};
use turing_domain::{
    ActorBreaker, ActorEvent, ActorId, FailureType, Posting, PostingEvent, PostingId,
};

/// How much of an error is told, in characters.
const LONGEST: usize = 300;

/// A circuit breaker that keeps calls from its actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenBreaker {
    /// The actor.
    pub actor: ActorId,
    /// What people call it, where the workflow's definition is known.
    pub name: Option<String>,
    /// Before this it gets no further call, by the clock of who recorded it.
    pub until: Timestamp,
    /// Its failures since the last success.
    pub failures: u32,
    /// The last of them, where the events tell it.
    pub last_failure: Option<LastFailure>,
}

/// The failure that came last before a breaker opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastFailure {
    /// Its kind.
    pub failure_type: FailureType,
    /// What went wrong, on one line: the first of the error, and the last that a script wrote to its
    /// standard error.
    pub error: String,
}

impl LastFailure {
    /// What is told of a failure.
    pub(crate) fn new(failure_type: FailureType, error: &str, stderr: Option<&str>) -> Self {
        let said = |line: &&str| !line.trim().is_empty();
        let first = error.lines().find(said).unwrap_or_default();
        let told = match stderr.and_then(|text| text.lines().rfind(said)) {
            Some(last) => format!("{}: {}", first.trim(), last.trim()),
            None => first.trim().to_owned(),
        };
        Self { failure_type, error: told.chars().take(LONGEST).collect() }
    }
}

impl fmt::Display for OpenBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { actor, name, until, failures, last_failure } = self;
        write!(f, "actor {actor}")?;
        if let Some(name) = name {
            write!(f, " ({name})")?;
        }
        let until = DateTime::<Utc>::from(*until).to_rfc3339_opts(SecondsFormat::Secs, true);
        let noun = if *failures == 1 { "failure" } else { "failures" };
        write!(f, " gets no further call before {until}: {failures} {noun} in a row")?;
        match last_failure {
            Some(LastFailure { failure_type, error }) if error.is_empty() => {
                write!(f, ", the last {failure_type}")
            }
            Some(LastFailure { failure_type, error }) => {
                write!(f, ", the last {failure_type}: {error}")
            }
            None => Ok(()),
        }
    }
}

/// The breaker of an actor, if it is open.
///
/// # Errors
///
/// When its events cannot be read.
pub async fn open_breaker(
    actors: &Repository<ActorBreaker>,
    actor: ActorId,
) -> Result<Option<OpenBreaker>, LoadError> {
    let breaker = actors.load(&actor).await?.state;
    let Some(until) = breaker.status().until() else { return Ok(None) };
    let store = actors.store();
    let read = ReadStream::new(stream_of::<ActorBreaker>(&actor)?).backwards();
    let (mut calls, mut last_failure) = (store.events(read), None);
    while let Some(call) = calls.try_next().await? {
        if let Ok(ActorEvent::ActorCallFailed { failure_type, .. }) = call.decode_one() {
            let told = told_by_posting(store, &call).await?;
            last_failure = told.or(Some(LastFailure { failure_type, error: String::new() }));
            break;
        }
    }
    let failures = breaker.failure_count();
    Ok(Some(OpenBreaker { actor, name: None, until, failures, last_failure }))
}

/// What the posting of a failed call tells of it: an actor's events have the kind of failure only.
async fn told_by_posting(
    store: &Store,
    call: &RecordedEvent,
) -> Result<Option<LastFailure>, LoadError> {
    use PostingEvent::{HumanTaskFailed, LlmCallFailed, ScriptExecutionFailed};
    let correlation = call.metadata.correlation_id.as_deref().unwrap_or_default();
    let posting = correlation.rsplit_once("_posting_").and_then(|(_, id)| id.parse().ok());
    let Some(posting) = posting.map(PostingId) else { return Ok(None) };
    let read = ReadStream::new(stream_of::<Posting>(&posting)?).backwards();
    let mut events = store.events(read);
    while let Some(event) = events.try_next().await? {
        if !is_of_call(&event, call) {
            continue;
        }
        let (error, failure_type, stderr) = match event.decode_one() {
            Ok(ScriptExecutionFailed { error, failure_type, stderr, .. }) => {
                (error.0, failure_type.0, stderr.0)
            }
            Ok(
                LlmCallFailed { error, failure_type, .. }
                | HumanTaskFailed { error, failure_type, .. },
            ) => (error.0, failure_type.0, None),
            _ => continue,
        };
        let failure_type = failure_type.unwrap_or(FailureType::Unknown);
        let error = error.unwrap_or_default();
        return Ok(Some(LastFailure::new(failure_type, &error, stderr.as_deref())));
    }
    Ok(None)
}

/// True for the events of the attempt that the call was: both were one append.
fn is_of_call(event: &RecordedEvent, call: &RecordedEvent) -> bool {
    let of = |event: &RecordedEvent| {
        let metadata = &event.metadata;
        (metadata.causation_id, metadata.get(CONVERSATION_ID), metadata.get(RUN_ID))
    };
    of(event) == of(call)
}

/// All breakers of a store that are open, by actor. Those whose events cannot be read are left out:
/// who runs a workflow goes without them.
///
/// # Errors
///
/// When the store fails.
pub async fn open_breakers(store: &Store) -> Result<Vec<OpenBreaker>, StoreError> {
    let filter =
        EventFilter::events([ActorEvent::CIRCUIT_BREAKER_OPENED]).aggregate::<ActorBreaker>();
    let mut log = store.log(ReadLog::from_start().filter(filter));
    let mut opened = BTreeSet::new();
    while let Some(event) = log.try_next().await? {
        opened.extend(event.aggregate_id::<ActorBreaker>());
    }
    let actors = Repository::new(store);
    let mut open = Vec::new();
    for actor in opened {
        match open_breaker(&actors, actor).await {
            Ok(breaker) => open.extend(breaker),
            Err(LoadError::Store(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_on_one_line() {
        let kind = || FailureType::ScriptError;
        let told = |error: &str, stderr| LastFailure::new(kind(), error, stderr).error;
        assert_eq!(told("one\ntwo", None), "one");
        assert_eq!(told("", None), "");
        assert_eq!(told("exited with code 127", Some("\n")), "exited with code 127");
        let stderr = Some("warning: x\nsh: 3: jq: not found\n\n");
        assert_eq!(
            told("exited with code 127", stderr),
            "exited with code 127: sh: 3: jq: not found"
        );
        assert_eq!(told(&"ü".repeat(LONGEST + 1), None), "ü".repeat(LONGEST));
    }

    #[test]
    fn an_open_breaker_names_actor_time_and_reason() {
        let last_failure = Some(LastFailure::new(FailureType::Timeout, "took too long", None));
        let until = Timestamp::from_micros(1_764_000_000_123_456);
        let (actor, name) = (ActorId(64), Some("file".to_owned()));
        let breaker = OpenBreaker { actor, name, until, failures: 6, last_failure };
        assert_eq!(
            breaker.to_string(),
            "actor 64 (file) gets no further call before 2025-11-24T16:00:00Z: 6 failures in a row, \
             the last timeout: took too long"
        );
        let breaker = OpenBreaker { name: None, failures: 1, last_failure: None, ..breaker };
        let told = "actor 64 gets no further call before 2025-11-24T16:00:00Z: 1 failure in a row";
        assert_eq!(breaker.to_string(), told);
    }
}
