//! Whether a workflow definition makes sense.

mod actors;
mod branches;
mod graph;
mod groups;
mod ids;
mod paths;
mod placeholders;
mod schemas;
mod spot;

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;
use std::fmt;

use crate::definition::Workflow;
use crate::ids::{ActorId, ConversationId};
use graph::Graph;
use serde::Serialize;
use spot::Spot;

/// Something about a definition that is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// Where it is.
    pub place: Place,
    /// Which of the definition's actors or conversations the place is in, counted from 0: ids may
    /// be used twice.
    pub index: usize,
    /// The key there that it is about, with dots for tables: `circuit_breaker.failures`.
    pub setting: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

impl Problem {
    /// Whether it refuses a run.
    pub fn severity(&self) -> Severity {
        self.kind.severity()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, message, cure, .. } = self;
        write!(f, "{}: {place}: {message}; {cure}", self.severity())
    }
}

/// Whether a problem refuses a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow runs, but perhaps not as meant.
    Warning,
    /// The workflow is not run.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where in a definition a problem is.
///
/// Places are ordered as a definition is read: a conversation's rules come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The workflow itself.
    Workflow,
    /// An actor.
    Actor(ActorId),
    /// A conversation.
    Conversation(ConversationId),
    /// A branch rule of a conversation, numbered from 1 in the order of the definition.
    Branch(ConversationId, u32),
}

impl Place {
    fn rank(self) -> (u8, i32, u32) {
        match self {
            Self::Workflow => (0, 0, 0),
            Self::Actor(id) => (1, id.0, 0),
            Self::Conversation(id) => (2, id.0, 0),
            Self::Branch(id, number) => (2, id.0, number),
        }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workflow => f.write_str("workflow"),
            Self::Actor(id) => write!(f, "actor {id}"),
            Self::Conversation(id) => write!(f, "conversation {id}"),
            Self::Branch(id, number) => write!(f, "conversation {id}, branch {number}"),
        }
    }
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// An id is not positive.
    IdOutOfRange,
    /// An id is used twice.
    DuplicateId,
    /// The entry is no conversation of the workflow.
    MissingEntry,
    /// A branch leads to no conversation of the workflow.
    MissingTarget,
    /// A conversation names an actor that does not exist.
    UnknownActor,
    /// An actor cannot be started as it is described.
    UnusableActor,
    /// A conversation has a schema that its actor cannot be held to.
    UnusableSchema,
    /// A limit of zero lets nothing happen.
    ZeroLimit,
    /// Postings can go round and round.
    UnlimitedCycle,
    /// A conversation waits for a group that does not exist.
    UnknownGroup,
    /// Groups wait for each other.
    WaitCycle,
    /// Nothing can fill a placeholder.
    UnfillablePlaceholder,
    /// A placeholder stays empty on some way through the workflow.
    DoubtfulPlaceholder,
    /// No posting comes to a conversation.
    UnreachableConversation,
    /// Postings that come to a conversation cannot end as somebody meant them to.
    DeadEnd,
    /// Some outputs match no rule.
    UncoveredOutput,
    /// A failure ends the path.
    MissingFailureBranch,
    /// A rule that matches always has the priority of rules that do not.
    CatchAllAmongSpecific,
    /// A rule is never taken.
    ShadowedRule,
}

impl ProblemKind {
    /// Whether such a problem refuses a run.
    pub fn severity(self) -> Severity {
        match self {
            Self::IdOutOfRange
            | Self::DuplicateId
            | Self::MissingEntry
            | Self::MissingTarget
            | Self::UnknownActor
            | Self::UnusableActor
            | Self::UnusableSchema
            | Self::ZeroLimit
            | Self::UnlimitedCycle
            | Self::UnknownGroup
            | Self::WaitCycle
            | Self::UnfillablePlaceholder => Severity::Error,
            Self::DoubtfulPlaceholder
            | Self::UnreachableConversation
            | Self::DeadEnd
            | Self::UncoveredOutput
            | Self::MissingFailureBranch
            | Self::CatchAllAmongSpecific
            | Self::ShadowedRule => Severity::Warning,
        }
    }
}

/// All problems of a definition, the errors first, then in the order of their places.
///
/// The data of postings is open, so a placeholder such as `{job_description}` may be filled by any
/// posting and is no problem here; [`check_with_data`] knows more. Whether files exist is not
/// looked at.
pub fn check(workflow: &Workflow) -> Vec<Problem> {
    problems(workflow, None)
}

/// As [`check`], for postings whose data has these keys.
///
/// A placeholder that is no such key can only be filled by a key of a JSON output. Where no
/// conversation can complete before, it is an error; elsewhere a warning, one for each
/// conversation, since what an actor answers is known only then.
pub fn check_with_data(workflow: &Workflow, data_keys: &BTreeSet<String>) -> Vec<Problem> {
    problems(workflow, Some(data_keys))
}

fn problems(workflow: &Workflow, data_keys: Option<&BTreeSet<String>>) -> Vec<Problem> {
    let graph = Graph::of(workflow);
    let mut found = Found::default();
    ids::check(workflow, &graph, &mut found);
    actors::check(workflow, &mut found);
    schemas::check(workflow, &mut found);
    branches::check(workflow, &mut found);
    groups::check(workflow, &mut found);
    paths::check(workflow, &graph, &mut found);
    placeholders::check(workflow, &graph, data_keys, &mut found);
    let mut problems = found.problems;
    problems.sort_by_key(|problem| (Reverse(problem.severity()), problem.place, problem.index));
    problems
}

/// The problems so far.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
}

impl Found {
    fn add(
        &mut self,
        kind: ProblemKind,
        spot: Spot,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let Spot { place, index, setting } = spot;
        let (message, cure) = (message.into(), cure.into());
        self.problems.push(Problem { kind, place, index, setting, message, cure });
    }
}

/// Names or ids as a list for people, who do not read hundreds.
fn list<T: fmt::Display>(all: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 20;
    let mut all = all.into_iter();
    let shown: Vec<_> = all.by_ref().take(MOST).map(|one| one.to_string()).collect();
    match all.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests;
