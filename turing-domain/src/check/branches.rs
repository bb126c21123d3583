//! The rules of each conversation, side by side.

use super::graph::is_shadowed;
use super::spot::{Spot, conversations};
use super::{Found, ProblemKind};
use crate::definition::{Branch, Conversation, On, Workflow};
use crate::names::FailureType;

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    for (spot, conversation) in conversations(workflow) {
        coverage(workflow, spot, conversation, found);
        for (number, rule) in (1..).zip(&conversation.branches) {
            let rule_spot = spot.branch(number).setting("priority");
            if is_shadowed(conversation, rule) {
                let message = "a rule of higher priority matches always, so this is never taken";
                let cure = "raise its priority above that rule's, or remove it";
                found.add(ProblemKind::ShadowedRule, rule_spot, message, cure);
            } else if rule.condition.is_catch_all() && has_specific_peer(conversation, rule) {
                let message = format!(
                    "it matches always and has the priority {} of rules that do not, so both are \
                     taken when those match",
                    rule.priority
                );
                let cure = "lower its priority, unless the fan-out is meant";
                found.add(ProblemKind::CatchAllAmongSpecific, rule_spot, message, cure);
            }
        }
    }
}

fn coverage(workflow: &Workflow, spot: Spot, conversation: &Conversation, found: &mut Found) {
    let rules = |on| conversation.branches.iter().filter(move |rule| rule.on == on);
    if rules(On::Success).next().is_none() {
        let message = "no rule follows a success, so every posting ends here as no_matching_branch";
        let cure = "add a rule; one without `to` ends the path";
        found.add(ProblemKind::DeadEnd, spot, message, cure);
    } else if !rules(On::Success).any(|rule| rule.condition.is_catch_all()) {
        let message = "an output that matches no rule ends the path as no_matching_branch";
        let cure = "add a rule with when = \"*\" at a lower priority";
        found.add(ProblemKind::UncoveredOutput, spot, message, cure);
    }
    if workflow.person_at(conversation).is_some() {
        let overdue = FailureType::Overdue;
        let is_routed = rules(On::Failure).any(|rule| rule.condition.matches(overdue.as_str()));
        if workflow.time_limit(conversation).is_some() && !is_routed {
            let message =
                "no rule follows when the task is overdue, so the path ends as actor_failed then";
            let cure = "add a rule with on = \"failure\" and when = \"overdue\"";
            found.add(ProblemKind::MissingFailureBranch, spot, message, cure);
        }
    } else if rules(On::Failure).next().is_none() {
        let message = "no rule follows a failure, so a failure ends the path as actor_failed";
        let cure =
            "where something can be done about it, add a rule with on = \"failure\" and a `to`";
        found.add(ProblemKind::MissingFailureBranch, spot, message, cure);
    }
}

fn has_specific_peer(conversation: &Conversation, rule: &Branch) -> bool {
    conversation.branches.iter().any(|other| {
        other.on == rule.on && other.priority == rule.priority && !other.condition.is_catch_all()
    })
}
