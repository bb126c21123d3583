//! Placeholders and what can fill them.

use std::collections::{BTreeMap, BTreeSet};

use super::graph::{Edge, Graph};
use super::spot::{Spot, conversations};
use super::{Found, ProblemKind, list};
use crate::definition::{Conversation, On, Workflow};
use crate::ids::ConversationId;
use crate::placeholder::Placeholder;

pub(super) fn check(
    workflow: &Workflow,
    graph: &Graph,
    data_keys: Option<&BTreeSet<String>>,
    found: &mut Found,
) {
    let reached = graph.reachable([workflow.entry], |_| true);
    let mut without = Without { workflow, graph, reached: BTreeMap::new() };
    for (spot, conversation) in conversations(workflow) {
        let names: BTreeSet<_> = conversation.input.placeholders().collect();
        if names.is_empty() {
            continue;
        }
        let is_reached = reached.contains(&conversation.id);
        let preceding = preceding(graph, &reached, conversation.id);
        let mut inquiry = Inquiry { conversation, preceding, without: &mut without };
        let mut of_outputs = Vec::new();
        for name in names {
            let finding = match Placeholder::from(name) {
                Placeholder::PostingId | Placeholder::WorkflowId => None,
                Placeholder::Output(source) if !graph.contains(source) => {
                    let asks = format!("{{{name}}} asks for a conversation that does not exist");
                    Some(Finding::unfillable(asks))
                }
                Placeholder::Output(source) if is_reached => inquiry.output(source),
                Placeholder::Key(key) if is_reached => match data_keys {
                    Some(keys) if !keys.contains(key) && inquiry.preceding.is_empty() => {
                        Some(Finding::unfillable(in_no_data(key, keys)))
                    }
                    Some(keys) if !keys.contains(key) => {
                        of_outputs.push(format!("{{{key}}}"));
                        None
                    }
                    _ => None,
                },
                // nothing is filled in where no posting comes
                Placeholder::Output(_) | Placeholder::Key(_) => None,
            };
            if let Some(finding) = finding {
                finding.add_to(found, spot);
            }
        }
        if !of_outputs.is_empty() {
            inquiry.keys(&of_outputs).add_to(found, spot);
        }
    }
}

fn in_no_data(key: &str, data_keys: &BTreeSet<String>) -> String {
    match data_keys.is_empty() {
        true => format!("{{{key}}} is asked for, but the postings have no data"),
        false => format!("{{{key}}} is in no posting's data, which has {}", list(data_keys)),
    }
}

/// The conversations of which a posting can have an output when it comes to `conversation`: a
/// success of theirs leads there, or both follow from one fan-out.
fn preceding(
    graph: &Graph,
    reached: &BTreeSet<ConversationId>,
    conversation: ConversationId,
) -> BTreeSet<ConversationId> {
    let leading = graph.leading_to([conversation], |_| true);
    let mut beside = Vec::new();
    let mut preceding = BTreeSet::new();
    for id in reached {
        let edges = graph.edges_from(*id);
        let into: Vec<_> = edges.iter().filter(|edge| leading.contains(&edge.to)).collect();
        if into.iter().any(|edge| edge.on == On::Success) {
            preceding.insert(*id);
        }
        let is_beside = |one: &&Edge| {
            into.iter().any(|other| {
                (one.on, one.priority) == (other.on, other.priority) && one.to != other.to
            })
        };
        beside.extend(edges.iter().filter(is_beside).map(|edge| edge.to));
    }
    preceding.extend(graph.reachable(beside, |_| true));
    preceding
}

/// What is asked about one conversation's placeholders.
struct Inquiry<'a, 'w> {
    conversation: &'a Conversation,
    preceding: BTreeSet<ConversationId>,
    without: &'a mut Without<'w>,
}

impl Inquiry<'_, '_> {
    fn output(&mut self, source: ConversationId) -> Option<Finding> {
        let name = format!("{{conversation_{source}_output}}");
        if !self.preceding.contains(&source) {
            return Some(Finding::unfillable(format!(
                "{name} is asked for before conversation {source} can complete"
            )));
        }
        let is_doubtful = !self.without.must_precede(source, self.conversation);
        is_doubtful.then(|| Finding {
            kind: ProblemKind::DoubtfulPlaceholder,
            message: format!(
                "{name} stays empty for postings that come here before conversation {source} \
                 completed, and they fail"
            ),
            cure: "lead every way through that conversation, or give those postings another input",
        })
    }

    /// Keys that are in no posting's data, but perhaps in an output.
    fn keys(&self, names: &[String]) -> Finding {
        let are = if names.len() == 1 { "is" } else { "are" };
        Finding {
            kind: ProblemKind::DoubtfulPlaceholder,
            message: format!(
                "{} {are} in no posting's data; only a JSON output of {} could have it",
                list(names),
                list(&self.preceding)
            ),
            cure: "correct the name, or make sure that the output has this key",
        }
    }
}

/// The ways through the workflow on which a conversation does not succeed.
struct Without<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    /// What is reached without a success of the conversation.
    reached: BTreeMap<ConversationId, BTreeSet<ConversationId>>,
}

impl Without<'_> {
    /// True if every way to `conversation` leads through a success of `source`, or it waits for
    /// the group of `source`.
    fn must_precede(&mut self, source: ConversationId, conversation: &Conversation) -> bool {
        let group = conversation.wait_for_group.as_deref();
        if group.is_some_and(|group| self.workflow.members_of(group).any(|id| id == source)) {
            return true;
        }
        let around = self.reached.entry(source).or_insert_with(|| {
            self.graph.reachable([self.workflow.entry], |edge| {
                edge.from != source || edge.on == On::Failure
            })
        });
        !around.contains(&conversation.id)
    }
}

/// What is wrong with a placeholder.
struct Finding {
    kind: ProblemKind,
    message: String,
    cure: &'static str,
}

impl Finding {
    fn unfillable(message: String) -> Self {
        let cure = "correct the name, or remove the placeholder";
        Self { kind: ProblemKind::UnfillablePlaceholder, message, cure }
    }

    fn add_to(self, found: &mut Found, spot: Spot) {
        found.add(self.kind, spot.setting("input"), self.message, self.cure);
    }
}
