//! Placeholders and what can fill them.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::{Found, Place, ProblemKind, list};
use crate::definition::{Conversation, On, Workflow};
use crate::ids::ConversationId;
use crate::placeholder::Placeholder;

pub(super) fn check(
    workflow: &Workflow,
    graph: &Graph,
    data_keys: Option<&BTreeSet<String>>,
    found: &mut Found,
) {
    let reached = graph.after(workflow.entry);
    let sources = Sources { workflow, graph, reached };
    for conversation in &workflow.conversations {
        let is_reached = sources.reached.contains(&conversation.id);
        let names: BTreeSet<_> = conversation.input.placeholders().collect();
        for name in names {
            match Placeholder::from(name) {
                Placeholder::PostingId | Placeholder::WorkflowId => {}
                Placeholder::Output(source) if !graph.nodes.contains(&source) => {
                    let message = format!("{{{name}}} asks for a conversation that does not exist");
                    unfillable(conversation, message, found);
                }
                Placeholder::Output(source) if is_reached => {
                    output(&sources, conversation, source, found);
                }
                Placeholder::Key(key) if is_reached => {
                    if let Some(keys) = data_keys.filter(|keys| !keys.contains(key)) {
                        key_of_outputs(&sources, conversation, key, keys, found);
                    }
                }
                // nothing is filled in where no posting comes
                Placeholder::Output(_) | Placeholder::Key(_) => {}
            }
        }
    }
}

fn output(
    sources: &Sources<'_>,
    conversation: &Conversation,
    source: ConversationId,
    found: &mut Found,
) {
    let name = format!("{{conversation_{source}_output}}");
    if !sources.can_precede(source, conversation.id) {
        let message = format!("{name} is asked for before conversation {source} can complete");
        unfillable(conversation, message, found);
    } else if !sources.must_precede(source, conversation) {
        let message = format!(
            "{name} stays empty for postings that come here before conversation {source} \
             completed, and they fail"
        );
        let cure = "lead every way through that conversation, or give those postings another input";
        let place = Place::Conversation(conversation.id);
        found.add(ProblemKind::DoubtfulPlaceholder, place, message, cure);
    }
}

fn key_of_outputs(
    sources: &Sources<'_>,
    conversation: &Conversation,
    key: &str,
    data_keys: &BTreeSet<String>,
    found: &mut Found,
) {
    let before = |source: &&ConversationId| sources.can_precede(**source, conversation.id);
    let before: Vec<_> = sources.reached.iter().filter(before).collect();
    if before.is_empty() {
        let message = match data_keys.is_empty() {
            true => format!("{{{key}}} is asked for, but the postings have no data"),
            false => format!(
                "{{{key}}} is in no posting's data, which has {}",
                list(data_keys.iter().take(20))
            ),
        };
        unfillable(conversation, message, found);
        return;
    }
    let message = format!(
        "{{{key}}} is in no posting's data; only a JSON output of {} could have it",
        list(before)
    );
    let cure = "correct the name, or make sure that the output has this key";
    let place = Place::Conversation(conversation.id);
    found.add(ProblemKind::DoubtfulPlaceholder, place, message, cure);
}

fn unfillable(conversation: &Conversation, message: String, found: &mut Found) {
    let cure = "correct the name, or remove the placeholder";
    let place = Place::Conversation(conversation.id);
    found.add(ProblemKind::UnfillablePlaceholder, place, message, cure);
}

/// Where values can come from.
struct Sources<'a> {
    workflow: &'a Workflow,
    graph: &'a Graph,
    reached: BTreeSet<ConversationId>,
}

impl Sources<'_> {
    /// True if a posting can have an output of `source` when it comes to `conversation`: a success
    /// of `source` leads there, or both follow from one fan-out.
    fn can_precede(&self, source: ConversationId, conversation: ConversationId) -> bool {
        if !self.reached.contains(&source) {
            return false;
        }
        let successes = self.graph.edges_from(source).iter().filter(|edge| edge.on == On::Success);
        let next: Vec<_> = successes.map(|edge| edge.to).collect();
        if self.graph.reachable(next, |_, _| true).contains(&conversation) {
            return true;
        }
        self.reached.iter().any(|fork| {
            let edges = self.graph.edges_from(*fork);
            edges.iter().any(|one| {
                edges.iter().any(|other| {
                    (one.on, one.priority) == (other.on, other.priority)
                        && one.to != other.to
                        && self.graph.after(one.to).contains(&source)
                        && self.graph.after(other.to).contains(&conversation)
                })
            })
        })
    }

    /// True if every way to `conversation` leads through a success of `source`, or it waits for
    /// the group of `source`.
    fn must_precede(&self, source: ConversationId, conversation: &Conversation) -> bool {
        let group = conversation.wait_for_group.as_deref();
        if group.is_some_and(|group| self.workflow.members_of(group).any(|id| id == source)) {
            return true;
        }
        let around = self.graph.reachable([self.workflow.entry], |from, edge| {
            from != source || edge.on == On::Failure
        });
        !around.contains(&conversation.id)
    }
}
