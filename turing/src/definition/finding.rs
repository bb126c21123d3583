//! What is wrong with a definition, with the line on which it is.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};
use turing_domain::{ActorId, ConversationId, Place, Problem, ProblemKind, Severity};

/// Something about a definition's file that is wrong, or may be.
///
/// Its text is one line that editors can follow: the file, the line, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// Whether it refuses a run.
    pub severity: Severity,
    /// What kind of finding it is.
    pub kind: FindingKind,
    /// The part of the definition, if the text could be read as one.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub cure: String,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// The text is no definition.
    Malformed,
    /// The definition has a problem.
    Problem(ProblemKind),
}

impl Finding {
    pub(super) fn of_problem(file: &str, line: usize, problem: Problem) -> Self {
        Self {
            file: file.to_owned(),
            line,
            severity: problem.severity(),
            kind: FindingKind::Problem(problem.kind),
            place: Some(problem.place),
            message: problem.message,
            cure: problem.cure,
        }
    }

    pub(super) fn malformed(file: &str, line: usize, message: &str, cure: &str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            severity: Severity::Error,
            kind: FindingKind::Malformed,
            place: None,
            message: message.to_owned(),
            cure: cure.to_owned(),
        }
    }

    /// The errors first, then in the order of the lines.
    pub(crate) fn sort(findings: &mut [Self]) {
        findings.sort_by_key(|finding| (Reverse(finding.severity), finding.line));
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, severity, message, cure, .. } = self;
        let place = self.place.map_or_else(String::new, |place| format!("{place}: "));
        // names in a definition may hold line feeds and what terminals obey
        for c in format!("{file}:{line}: {severity}: {place}{message}; {cure}").chars() {
            match c.is_control() {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Malformed => serializer.serialize_str("malformed"),
            Self::Problem(kind) => kind.serialize(serializer),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            file: &'a str,
            line: usize,
            severity: Severity,
            kind: FindingKind,
            actor_id: Option<ActorId>,
            conversation_id: Option<ConversationId>,
            branch: Option<u32>,
            message: &'a str,
            cure: &'a str,
        }
        let (actor_id, conversation_id, branch) = match self.place {
            None | Some(Place::Workflow) => (None, None, None),
            Some(Place::Actor(id)) => (Some(id), None, None),
            Some(Place::Conversation(id)) => (None, Some(id), None),
            Some(Place::Branch(id, number)) => (None, Some(id), Some(number)),
        };
        let Self { file, line, severity, kind, message, cure, .. } = self;
        let (line, severity, kind) = (*line, *severity, *kind);
        Form { file, line, severity, kind, actor_id, conversation_id, branch, message, cure }
            .serialize(serializer)
    }
}
