//! Which attempts of a run failed and wait to be repeated, and of what they failed.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use es_core::event::Timestamp;
use serde::Serialize;
use turing_domain::{ActorId, ConversationId, FailureType, PostingId};

use super::failures::FREQUENT;

/// An attempt that failed and is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingAttempt {
    /// The posting.
    pub posting_id: PostingId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// Who is asked once more, if it was recorded.
    pub actor_id: Option<ActorId>,
    /// Not before then.
    pub due_at: Timestamp,
    /// The number of the attempt that failed last, from 1.
    pub attempt: Option<u64>,
    /// The kind of failure.
    pub failure_type: Option<FailureType>,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// The last lines that the script wrote to its standard error.
    pub stderr: Option<String>,
}

/// What some of these attempts failed of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingError {
    /// How many of them.
    pub attempts: usize,
    /// The posting of one of them.
    pub example: PostingId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// Who is asked once more, if it was recorded.
    pub actor_id: Option<ActorId>,
    /// None of them is repeated before then.
    pub due_at: Timestamp,
    /// The kind of failure.
    pub failure_type: Option<FailureType>,
    /// What went wrong, for people.
    pub error: Option<String>,
}

/// What most of the attempts failed of, the most frequent first, and few of them.
pub(super) fn frequent(waiting: &[WaitingAttempt]) -> Vec<WaitingError> {
    let mut groups = BTreeMap::<_, Vec<&WaitingAttempt>>::new();
    for one in waiting {
        let key = (one.conversation_id, one.actor_id, &one.failure_type, &one.error);
        groups.entry(key).or_default().push(one);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.len()));
    let told = groups.into_iter().take(FREQUENT).filter_map(|group| {
        let first = group.first()?;
        Some(WaitingError {
            attempts: group.len(),
            example: first.posting_id,
            conversation_id: first.conversation_id,
            actor_id: first.actor_id,
            due_at: group.iter().map(|one| one.due_at).min()?,
            failure_type: first.failure_type.clone(),
            error: first.error.clone(),
        })
    });
    told.collect()
}
