//! Groups that are waited for.

use std::collections::{BTreeMap, BTreeSet};

use super::{Found, Place, ProblemKind, list};
use crate::definition::Workflow;

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    let groups = workflow.groups();
    let mut waits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for conversation in &workflow.conversations {
        let Some(awaited) = conversation.wait_for_group.as_deref() else {
            continue;
        };
        if !groups.contains(awaited) {
            let place = Place::Conversation(conversation.id);
            let message = format!("it waits for group `{awaited}`, which has no member");
            let cure = "set `parallel_group` where the group is run, or correct the name";
            found.add(ProblemKind::UnknownGroup, place, message, cure);
        }
        if let Some(own) = conversation.parallel_group.as_deref() {
            waits.entry(own).or_default().insert(awaited);
        }
    }
    let stuck: BTreeSet<_> =
        groups.into_iter().filter(|group| waits_for_itself(group, &waits)).collect();
    if !stuck.is_empty() {
        let message = format!("members of these groups wait for each other: {}", list(stuck));
        let cure = "let no conversation wait for its own group, directly or through another";
        found.add(ProblemKind::WaitCycle, Place::Workflow, message, cure);
    }
}

fn waits_for_itself(group: &str, waits: &BTreeMap<&str, BTreeSet<&str>>) -> bool {
    let mut reached = BTreeSet::new();
    let mut next = vec![group];
    while let Some(one) = next.pop() {
        for awaited in waits.get(one).into_iter().flatten() {
            if *awaited == group {
                return true;
            }
            if reached.insert(*awaited) {
                next.push(awaited);
            }
        }
    }
    false
}
