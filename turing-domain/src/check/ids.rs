//! Ids: in range, used once, and naming something.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::spot::{Spot, actors, conversations};
use super::{Found, ProblemKind};
use crate::definition::Workflow;

pub(super) fn check(workflow: &Workflow, graph: &Graph, found: &mut Found) {
    let own = std::iter::once((Spot::WORKFLOW, workflow.id.0));
    let of_actors = actors(workflow).map(|(spot, one)| (spot, one.id.0));
    let of_conversations = conversations(workflow).map(|(spot, one)| (spot, one.id.0));
    let mut seen = BTreeSet::new();
    for (spot, id) in own.chain(of_actors).chain(of_conversations) {
        if id < 1 {
            let message = format!("the id {id} is not positive");
            found.add(ProblemKind::IdOutOfRange, spot.setting("id"), message, "use an id from 1");
        }
        if !seen.insert(spot.place) {
            let message = format!("the id {id} is used twice");
            let cure = "give each its own id";
            found.add(ProblemKind::DuplicateId, spot.setting("id"), message, cure);
        }
    }
    if !graph.contains(workflow.entry) {
        let message = format!("the entry {} is no conversation of the workflow", workflow.entry);
        let cure = "set `entry` to the conversation where postings begin";
        let spot = Spot::WORKFLOW.setting("entry");
        found.add(ProblemKind::MissingEntry, spot, message, cure);
    }
    let known: BTreeSet<_> = workflow.actors.iter().map(|actor| actor.id).collect();
    for (spot, conversation) in conversations(workflow) {
        if !known.contains(&conversation.actor) {
            let message = format!("there is no actor {}", conversation.actor);
            let cure = "describe it under [[actors]], or name another";
            found.add(ProblemKind::UnknownActor, spot.setting("actor"), message, cure);
        }
        for (number, rule) in (1..).zip(&conversation.branches) {
            if let Some(target) = rule.target.filter(|id| !graph.contains(*id)) {
                let message = format!("it leads to {target}, which is no conversation");
                let cure = "correct `to`, or leave it out to end the path here";
                let spot = spot.branch(number).setting("to");
                found.add(ProblemKind::MissingTarget, spot, message, cure);
            }
        }
    }
}
