//! Ways through the graph: conversations off them, ways without an end, ways round and round.

use std::collections::BTreeSet;

use super::graph::{Graph, is_shadowed};
use super::{Found, Place, ProblemKind, list};
use crate::definition::{On, Workflow};
use crate::ids::ConversationId;

pub(super) fn check(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    unreachable(workflow, graph, found);
    without_end(workflow, graph, found);
    round_and_round(graph, found);
}

fn unreachable(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    let reached = graph.after(workflow.entry);
    for id in graph.nodes.difference(&reached) {
        let message = "no way leads here from the entry";
        let cure = "add a branch to it, or remove it";
        found.add(ProblemKind::UnreachableConversation, Place::Conversation(*id), message, cure);
    }
}

/// Conversations from which no rule without a target can be reached. One without any success rule
/// is reported as such, and what leads to it is not reported again.
fn without_end(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    let conversations = workflow.conversations.iter();
    let ends: BTreeSet<_> = conversations
        .filter(|one| {
            let mut live = one.branches.iter().filter(|rule| !is_shadowed(one, rule));
            live.any(|rule| rule.target.is_none())
                || !one.branches.iter().any(|rule| rule.on == On::Success)
        })
        .map(|one| one.id)
        .collect();
    for id in &graph.nodes {
        if graph.after(*id).is_disjoint(&ends) {
            let message = "no way leads from here to a rule without a target";
            let cure = "give a conversation on the way a rule without `to`";
            found.add(ProblemKind::DeadEnd, Place::Conversation(*id), message, cure);
        }
    }
}

/// Cycles none of whose rules has a limit. The loop guard and the run budget would end them, but
/// only after many calls, and as something that went wrong.
fn round_and_round(graph: &Graph, found: &mut Found) {
    let after_one = |id: ConversationId| {
        let unlimited = graph.edges_from(id).iter().filter(|edge| !edge.is_limited);
        let next: Vec<_> = unlimited.map(|edge| edge.to).collect();
        graph.reachable(next, |_, edge| !edge.is_limited)
    };
    let mut reported = BTreeSet::new();
    for id in &graph.nodes {
        let after = after_one(*id);
        if !after.contains(id) || reported.contains(id) {
            continue;
        }
        let cycle: BTreeSet<_> =
            after.into_iter().filter(|other| after_one(*other).contains(id)).collect();
        let message = format!("postings can go round without a limit: {}", list(&cycle));
        let cure = "give a rule of the cycle `max_iterations`";
        found.add(ProblemKind::UnlimitedCycle, Place::Conversation(*id), message, cure);
        reported.extend(cycle);
    }
}
