//! Names of things: each kind of id is a type of its own.

use std::fmt;
use std::str::FromStr;

use es_core::AggregateId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! integer_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(
            AggregateId, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl From<i32> for $name {
            fn from(id: i32) -> Self {
                Self(id)
            }
        }
    )+};
}

integer_ids! {
    /// A posting: the work item that travels through a workflow.
    PostingId,
    /// A workflow: a graph of conversations.
    WorkflowId,
    /// A conversation: a node of a workflow.
    ConversationId,
    /// An actor: what executes conversations.
    ActorId,
    /// A cutover: an old system that is moved over.
    CutoverId,
    /// The definitions whose digests begin alike.
    DefinitionId,
}

impl CutoverId {
    /// The cutover of a store, which has one at most.
    pub const ONLY: Self = Self(1);
}

impl DefinitionId {
    /// Where the definition with this digest is recorded: the number that its first seven digits
    /// are. `None` for what is no SHA-256 in hexadecimal digits.
    pub fn of_digest(digest: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digest.len() != 64 || !digest.bytes().all(is_digit) {
            return None;
        }
        // seven digits are less than the largest number
        i32::from_str_radix(&digest[..7], 16).ok().map(Self)
    }
}

/// One run of a workflow over postings.
#[derive(
    AggregateId, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What joins everything that a workflow does to one posting: the `correlation_id` of its events.
pub fn correlation_id(workflow: WorkflowId, posting: PostingId) -> String {
    format!("workflow_{workflow}_posting_{posting}")
}
