//! What an actor was given for an attempt, from the store alone: by the definition of then, the posting's
//! data, and its state before the result was recorded.

use std::collections::BTreeMap;

use es_core::Repository;
use es_core::event::Position;
use es_core::execution::{LoadError, StoreError, StreamVersion};
use futures_util::TryStreamExt;
use serde::Serialize;
use turing_domain::fields::SEEN_VERSION;
use turing_domain::{
    ActorKind, ConversationId, InputValues, Posting, PostingEvent, PostingId, RunId, Unresolved,
    WorkflowEvent, WorkflowId, WorkflowRuns,
};

use crate::definition::{OfRunError, Recorded, RecordedError, recorded};
use crate::run::script_document;
use crate::store::Store;

/// What an actor was given for one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The posting.
    pub posting_id: PostingId,
    /// The event that recorded how the attempt ended.
    pub version: u64,
    /// The run.
    pub run_id: RunId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// Which execution of the conversation it was in the run, from 1.
    pub execution: u32,
    /// Which attempt of that execution it was, from 1.
    pub attempt: u64,
    /// The digest of the definition by which the run was carried out then.
    pub definition_digest: String,
    /// The conversation's input with all placeholders filled.
    pub input: String,
    /// What the actor read, to the last byte: a script the document on its standard input, a model and
    /// a person the input.
    pub given: String,
}

/// Why it is not known what an actor was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Events cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The definition of the run cannot be had.
    #[error(transparent)]
    Definition(#[from] OfRunError),
    /// The posting has no attempt.
    #[error("no attempt of posting {posting} is recorded")]
    NoAttempt {
        /// The posting.
        posting: PostingId,
    },
    /// The event is not the end of an attempt.
    #[error(
        "event {version} of posting {posting} does not say how an attempt ended; those that do are \
         called …_completed or …_failed"
    )]
    OtherEvent {
        /// The posting.
        posting: PostingId,
        /// The event.
        version: StreamVersion,
    },
    /// The posting waited for no attempt there.
    #[error(
        "posting {posting} waited for no attempt when event {version} was recorded, so another program \
         made it, and what its actor was given is not known"
    )]
    NotWaitedFor {
        /// The posting.
        posting: PostingId,
        /// The event.
        version: StreamVersion,
    },
    /// The posting is not registered.
    #[error("posting {posting} is not registered in this store")]
    Unregistered {
        /// The posting.
        posting: PostingId,
    },
    /// The definition lacks the conversation.
    #[error("the definition of the run has no conversation {conversation} with an actor")]
    UnknownConversation {
        /// The conversation.
        conversation: ConversationId,
    },
    /// No actor was called.
    #[error("no actor was called, since the input could not be made")]
    Unresolved(#[source] Unresolved),
}

impl From<RecordedError> for GivenError {
    fn from(error: RecordedError) -> Self {
        Self::Definition(error.into())
    }
}

/// What the actor was given for the attempt whose end is the event of this version, or for the last one
/// that is recorded.
///
/// It is what the actor read, to the last byte, if nothing else was recorded for the posting while the
/// actor worked but what people answered; of those, the event says what the attempt had seen.
///
/// # Errors
///
/// [`GivenError`].
pub async fn given(
    store: &Store,
    posting: PostingId,
    version: Option<StreamVersion>,
) -> Result<Given, GivenError> {
    let postings = Repository::<Posting>::new(store.events.clone());
    let Ended { version, seen, position, conversation } =
        attempt(&postings, posting, version).await?;
    let state = postings.load_at(&posting, seen).await?.state;
    let run = state.run().ok_or(GivenError::NotWaitedFor { posting, version })?;
    let attempt =
        run.attempt_at(conversation).ok_or(GivenError::NotWaitedFor { posting, version })?;
    let recorded = definition_at(store, run.workflow_id(), run.run_id(), position).await?;
    let data = store.postings.data(posting).await?;
    let data = data.ok_or(GivenError::Unregistered { posting })?;
    let workflow = &recorded.workflow;
    let parts = workflow
        .conversation(conversation)
        .and_then(|conversation| Some((conversation, workflow.actor(conversation.actor)?)));
    let (conversation, actor) = parts.ok_or(GivenError::UnknownConversation { conversation })?;
    let values =
        InputValues { posting_id: posting, workflow_id: workflow.id, data: &data, posting: &state };
    let input = values.render(conversation).map_err(GivenError::Unresolved)?;
    let given = match &actor.kind {
        ActorKind::Script(_) => {
            let document = script_document(&values, attempt, &input, &data);
            String::from_utf8(document).expect("JSON is text")
        }
        _ => input.clone(),
    };
    Ok(Given {
        posting_id: posting,
        version: version.as_u64(),
        run_id: attempt.run_id,
        conversation_id: attempt.conversation_id,
        execution: attempt.execution,
        attempt: u64::from(attempt.retries).saturating_add(1),
        definition_digest: recorded.digest,
        input,
        given,
    })
}

/// How an attempt ended.
struct Ended {
    /// By this event.
    version: StreamVersion,
    /// How many events the posting had when the attempt looked at it.
    seen: StreamVersion,
    position: Position,
    conversation: ConversationId,
}

/// The event that recorded the end of an attempt, and what stands there.
async fn attempt(
    postings: &Repository<Posting>,
    posting: PostingId,
    wanted: Option<StreamVersion>,
) -> Result<Ended, GivenError> {
    let mut history = postings.history(&posting);
    let mut found = None;
    while let Some((recorded, event)) = history.try_next().await? {
        if wanted.is_none_or(|version| version == recorded.version)
            && let Some(conversation) = attempted(&event)
        {
            let (version, position) = (recorded.version, recorded.position);
            let before = version.as_u64().saturating_sub(1);
            // what other programs write there may be anything
            let seen = recorded.metadata.get(SEEN_VERSION).filter(|seen| *seen < before);
            let seen = StreamVersion::new(seen.unwrap_or(before));
            found = Some(Ended { version, seen, position, conversation });
        }
    }
    found.ok_or(match wanted {
        Some(version) => GivenError::OtherEvent { posting, version },
        None => GivenError::NoAttempt { posting },
    })
}

/// The conversation at which an attempt ended by this.
fn attempted(event: &PostingEvent) -> Option<ConversationId> {
    use PostingEvent::*;
    match event {
        ScriptExecutionCompleted { conversation_id, .. }
        | LlmCallCompleted { conversation_id, .. }
        | HumanTaskCompleted { conversation_id, .. }
        | ScriptExecutionFailed { conversation_id, .. }
        | LlmCallFailed { conversation_id, .. }
        | HumanTaskFailed { conversation_id, .. } => conversation_id.0,
        _ => None,
    }
}

/// The definition by which a run was carried out when the event at this place was recorded.
async fn definition_at(
    store: &Store,
    workflow: WorkflowId,
    run_id: RunId,
    place: Position,
) -> Result<Recorded, GivenError> {
    let runs = Repository::<WorkflowRuns>::new(store.events.clone());
    let mut history = runs.history(&workflow);
    let mut digests = BTreeMap::new();
    while let Some((recorded, event)) = history.try_next().await? {
        use WorkflowEvent::{WorkflowMovedToDefinition, WorkflowStarted};
        if recorded.position > place {
            break;
        }
        if let WorkflowStarted { run_id, definition_digest, .. }
        | WorkflowMovedToDefinition { run_id, definition_digest, .. } = event
            && let (Some(run_id), Some(digest)) = (run_id.0, definition_digest.0)
        {
            digests.insert(run_id, digest);
        }
    }
    let digest = digests.remove(&run_id);
    let found = match &digest {
        Some(digest) => recorded(store, digest).await?,
        None => None,
    };
    found.ok_or(GivenError::Definition(OfRunError::NotRecorded { run_id, digest }))
}
