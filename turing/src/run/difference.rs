//! In what a run in progress differs from the one that is asked for.

use std::collections::BTreeMap;
use std::fmt;

use turing_domain::{PostingId, WorkflowId, WorkflowRun};

use super::Intake;

/// How many postings are named at most.
const NAMED: usize = 3;

/// In what a run in progress differs from the one that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub(super) others: Option<String>,
    pub(super) is_other_definition: bool,
    /// SHA-256 of the definition that it began with, if that was recorded.
    pub(super) began_with: Option<String>,
    /// Whether all postings had entered that it began with.
    pub(super) is_whole: bool,
}

impl Difference {
    /// True if all postings had entered that it began with, so that it can go on without them being
    /// given.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// True if it began with another definition.
    pub fn is_of_definition(&self) -> bool {
        self.is_other_definition
    }

    /// SHA-256 of the text of the definition that it began with, if that was recorded.
    pub fn began_with(&self) -> Option<&str> {
        self.began_with.as_deref()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.others, self.is_other_definition) {
            (Some(others), true) => write!(f, "other postings and another definition: {others}"),
            (Some(others), false) => write!(f, "other postings: {others}"),
            (None, _) => f.write_str("another definition"),
        }
    }
}

/// In what the postings of a run differ from those that are given; `None` if they are the same,
/// which their ids tell, as a posting keeps its content.
pub(super) fn other_postings(
    run: &WorkflowRun,
    entered: &BTreeMap<PostingId, WorkflowId>,
    intake: &Intake,
) -> Option<String> {
    let count = run.posting_count.map_or(entered.len(), |count| count as usize);
    let is_whole = entered.len() == count;
    let given = intake.postings.keys().copied();
    let added: Vec<_> = given.filter(|posting| !entered.contains_key(posting)).collect();
    let had = entered.keys().copied();
    let missing: Vec<_> = had.filter(|posting| !intake.postings.contains_key(posting)).collect();
    if is_whole && added.is_empty() && missing.is_empty() {
        return None;
    }
    let mut told = format!("it has {count}, and {} are given", intake.postings.len());
    if !is_whole {
        told += &format!("; only {} had entered it when it was interrupted", entered.len());
    } else if !added.is_empty() {
        told += &format!("; not among them: {}", named(&added, intake));
    }
    if !missing.is_empty() {
        told += &format!("; not given: {}", named(&missing, intake));
    }
    Some(told)
}

/// The first of these postings, with where they were read.
fn named(postings: &[PostingId], intake: &Intake) -> String {
    let first = postings.iter().take(NAMED).map(|posting| match intake.sources.get(posting) {
        Some(source) => format!("posting {posting} ({source})"),
        None => format!("posting {posting}"),
    });
    let mut named = first.collect::<Vec<_>>().join(", ");
    if postings.len() > NAMED {
        named += &format!(" and {} more", postings.len() - NAMED);
    }
    named
}
