//! The rules of each conversation, side by side.

use super::graph::is_shadowed;
use super::{Found, Place, ProblemKind};
use crate::definition::{ActorKind, Branch, Conversation, On, Workflow};

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    for conversation in &workflow.conversations {
        coverage(workflow, conversation, found);
        for (number, rule) in (1..).zip(&conversation.branches) {
            let place = Place::Branch(conversation.id, number);
            if is_shadowed(conversation, rule) {
                let message = "a rule of higher priority matches always, so this is never taken";
                let cure = "raise its priority above that rule's, or remove it";
                found.add(ProblemKind::ShadowedRule, place, message, cure);
            } else if rule.condition.is_catch_all() && has_specific_peer(conversation, rule) {
                let message = format!(
                    "it matches always and has the priority {} of rules that do not, so both are \
                     taken when those match",
                    rule.priority
                );
                let cure = "lower its priority, unless the fan-out is meant";
                found.add(ProblemKind::CatchAllAmongSpecific, place, message, cure);
            }
        }
    }
}

fn coverage(workflow: &Workflow, conversation: &Conversation, found: &mut Found) {
    let place = Place::Conversation(conversation.id);
    let rules = |on| conversation.branches.iter().filter(move |rule| rule.on == on);
    if rules(On::Success).next().is_none() {
        let message = "no rule follows a success, so every posting ends here as no_matching_branch";
        let cure = "add a rule; one without `to` ends the path";
        found.add(ProblemKind::DeadEnd, place, message, cure);
    } else if !rules(On::Success).any(|rule| rule.condition.is_catch_all()) {
        let message = "an output that matches no rule ends the path as no_matching_branch";
        let cure = "add a rule with when = \"*\" at a lower priority";
        found.add(ProblemKind::UncoveredOutput, place, message, cure);
    }
    let actor = workflow.actor(conversation.actor);
    let is_human = actor.is_some_and(|actor| actor.kind == ActorKind::Human);
    if rules(On::Failure).next().is_none() && !is_human {
        let message = "no rule follows a failure, so a failure ends the path as actor_failed";
        let cure = "add a rule with on = \"failure\"";
        found.add(ProblemKind::MissingFailureBranch, place, message, cure);
    }
}

fn has_specific_peer(conversation: &Conversation, rule: &Branch) -> bool {
    conversation.branches.iter().any(|other| {
        other.on == rule.on && other.priority == rule.priority && !other.condition.is_catch_all()
    })
}
