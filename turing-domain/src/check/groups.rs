//! Groups that are waited for.

use std::collections::{BTreeMap, BTreeSet};

use super::spot::conversations;
use super::{Found, ProblemKind, list};
use crate::definition::Workflow;

pub(super) fn check(workflow: &Workflow, found: &mut Found) {
    let groups = workflow.groups();
    let mut waits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (spot, conversation) in conversations(workflow) {
        let Some(awaited) = conversation.wait_for_group.as_deref() else {
            continue;
        };
        if !groups.contains(awaited) {
            let message = format!("it waits for group `{awaited}`, which has no member");
            let cure = "set `parallel_group` where the group is run, or correct the name";
            found.add(ProblemKind::UnknownGroup, spot.setting("wait_for_group"), message, cure);
        }
        if let Some(own) = conversation.parallel_group.as_deref() {
            waits.entry(own).or_default().insert(awaited);
        }
    }
    let stuck: BTreeSet<_> =
        groups.into_iter().filter(|group| waits_for_itself(group, &waits)).collect();
    let is_stuck = |group: &Option<String>| group.as_deref().is_some_and(|g| stuck.contains(g));
    let first = conversations(workflow)
        .find(|(_, one)| is_stuck(&one.parallel_group) && is_stuck(&one.wait_for_group));
    if let Some((spot, _)) = first {
        let message = format!("members of these groups wait for each other: {}", list(&stuck));
        let cure = "let no conversation wait for its own group, directly or through another";
        found.add(ProblemKind::WaitCycle, spot.setting("wait_for_group"), message, cure);
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
