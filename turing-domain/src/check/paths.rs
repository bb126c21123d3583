//! Ways through the graph: conversations off them, ways without an end, ways round and round.

use std::collections::BTreeSet;

use super::graph::{Edge, Graph, is_shadowed};
use super::{Found, ProblemKind, list};
use crate::definition::{On, Workflow};

pub(super) fn check(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    unreachable(workflow, graph, found);
    without_end(workflow, graph, found);
    round_and_round(graph, found);
}

fn unreachable(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    let reached = graph.reachable([workflow.entry], |_| true);
    for (_, spot) in graph.nodes().filter(|(id, _)| !reached.contains(id)) {
        let message = "no way leads here from the entry";
        let cure = "add a branch to it, or remove it";
        found.add(ProblemKind::UnreachableConversation, spot, message, cure);
    }
}

/// Conversations from which no rule without a target can be reached. One without any success rule
/// is reported as such, and what leads to it is not reported again.
fn without_end(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    let conversations = workflow.conversations.iter();
    let ends = conversations
        .filter(|one| {
            let mut live = one.branches.iter().filter(|rule| !is_shadowed(one, rule));
            live.any(|rule| rule.target.is_none())
                || !one.branches.iter().any(|rule| rule.on == On::Success)
        })
        .map(|one| one.id);
    let ending = graph.leading_to(ends, |_| true);
    for (_, spot) in graph.nodes().filter(|(id, _)| !ending.contains(id)) {
        let message = "no way leads from here to a rule without a target";
        let cure = "give a conversation on the way a rule without `to`";
        found.add(ProblemKind::DeadEnd, spot, message, cure);
    }
}

/// Cycles none of whose rules has a limit. The loop guard and the run budget would end them, but
/// only after many calls, and as something that went wrong.
fn round_and_round(graph: &Graph, found: &mut Found) {
    let is_unlimited = |edge: &Edge| !edge.is_limited;
    let mut reported = BTreeSet::new();
    for (id, spot) in graph.nodes() {
        if reported.contains(&id) {
            continue;
        }
        let next = graph.edges_from(id).iter().filter(|edge| is_unlimited(edge));
        let after = graph.reachable(next.map(|edge| edge.to), is_unlimited);
        if !after.contains(&id) {
            continue;
        }
        let before = graph.leading_to([id], is_unlimited);
        let cycle: BTreeSet<_> = after.intersection(&before).copied().collect();
        let message = format!("postings can go round without a limit: {}", list(&cycle));
        let cure = "give a rule of the cycle `max_iterations`";
        found.add(ProblemKind::UnlimitedCycle, spot, message, cure);
        reported.extend(cycle);
    }
}
