//! Ids: in range, used once, and naming something.

use std::collections::BTreeSet;

use super::{Found, Place, ProblemKind};
use crate::definition::Workflow;

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    let conversations = workflow.conversations.iter();
    let conversations = conversations.map(|one| (one.id.0, Place::Conversation(one.id)));
    let actors = workflow.actors.iter();
    let actors = actors.map(|one| (one.id.0, Place::Actor(one.id)));
    let own = std::iter::once((workflow.id.0, Place::Workflow));
    let mut seen = BTreeSet::new();
    for (id, place) in own.chain(actors).chain(conversations) {
        if id < 1 {
            let message = format!("the id {id} is not positive");
            found.add(ProblemKind::IdOutOfRange, place, message, "use an id from 1");
        }
        if !seen.insert(place) {
            let message = format!("the id {id} is used twice");
            found.add(ProblemKind::DuplicateId, place, message, "give each its own id");
        }
    }
    if workflow.conversation(workflow.entry).is_none() {
        let message = format!("the entry {} is no conversation of the workflow", workflow.entry);
        let cure = "set `entry` to the conversation where postings begin";
        found.add(ProblemKind::MissingEntry, Place::Workflow, message, cure);
    }
    for conversation in &workflow.conversations {
        let place = Place::Conversation(conversation.id);
        if workflow.actor(conversation.actor).is_none() {
            let message = format!("there is no actor {}", conversation.actor);
            let cure = "describe it under [[actors]], or name another";
            found.add(ProblemKind::UnknownActor, place, message, cure);
        }
        for (number, rule) in (1..).zip(&conversation.branches) {
            if let Some(target) = rule.target.filter(|id| workflow.conversation(*id).is_none()) {
                let place = Place::Branch(conversation.id, number);
                let message = format!("it leads to {target}, which is no conversation");
                let cure = "correct `to`, or leave it out to end the path here";
                found.add(ProblemKind::MissingTarget, place, message, cure);
            }
        }
    }
}
