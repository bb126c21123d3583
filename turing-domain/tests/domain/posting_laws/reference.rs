//! The rules of branching, read naively: lists instead of counters, no events, no fold.
//!
//! 1. `*` and `default` always match; any other condition is a substring of the output.
//! 2. Of all matching rules, every rule of the highest matching priority fires; equal targets count
//!    once.
//! 3. A rule without a target ends its path; a posting is terminal when no open position is left.
//! 4. No rule matches: the path ends as `no_matching_branch`, or `actor_failed` after a failure.
//! 5. A conversation that waits for a group starts when no member is open.
//! 6. Limits end the path with their reason.
//! 7. Failures that pass are repeated, but not those of people.

use turing_domain::{On, Workflow};

use super::generate::Answer;

pub(crate) struct Reference<'a> {
    workflow: &'a Workflow,
    open: Vec<i32>,
    opened: Vec<i32>,
    taken: Vec<(i32, usize)>,
    failures_in_a_row: Vec<i32>,
    ends: Vec<&'static str>,
}

const FROM_BAD_TO_WORSE: [&str; 6] = [
    "completed",
    "no_matching_branch",
    "iteration_limit",
    "loop_guard",
    "run_budget",
    "actor_failed",
];

impl<'a> Reference<'a> {
    pub(crate) fn new(workflow: &'a Workflow) -> Self {
        let entry = workflow.entry.0;
        Self {
            workflow,
            open: vec![entry],
            opened: vec![entry],
            taken: Vec::new(),
            failures_in_a_row: Vec::new(),
            ends: Vec::new(),
        }
    }

    pub(crate) fn ready(&self) -> Vec<i32> {
        let mut ready = Vec::new();
        for conversation in &self.workflow.conversations {
            let is_member_open = self.workflow.conversations.iter().any(|member| {
                member.parallel_group.is_some()
                    && member.parallel_group == conversation.wait_for_group
                    && self.open.contains(&member.id.0)
            });
            if self.open.contains(&conversation.id.0) && !is_member_open {
                ready.push((conversation.execution_order, conversation.id.0));
            }
        }
        ready.sort_unstable();
        ready.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn open(&self) -> Vec<i32> {
        let mut open = self.open.clone();
        open.sort_unstable();
        open
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        let worst = FROM_BAD_TO_WORSE.iter().rev().find(|reason| self.ends.contains(reason));
        worst.copied().filter(|_| self.is_terminal())
    }

    /// How many conversations were begun, and how many paths ended.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.opened.len() as u32, self.ends.len() as u32)
    }

    pub(crate) fn report(&mut self, id: i32, result: &Answer) {
        let (on, text) = match result {
            Ok(output) => (On::Success, output.as_str()),
            Err(failure_type) => (On::Failure, failure_type.as_str()),
        };
        let passes = [
            "timeout",
            "interrupted",
            "rate_limited",
            "connection",
            "invalid_output",
            "broken_off",
        ];
        let conversation = self.workflow.conversations.iter().find(|one| one.id.0 == id);
        let person = self.workflow.person_at(conversation.expect("it was ready"));
        if on == On::Failure && passes.contains(&text) && person.is_none() {
            let before = self.failures_in_a_row.iter().filter(|other| **other == id).count();
            if before < self.workflow.retry.retries as usize {
                self.failures_in_a_row.push(id);
                return;
            }
        }
        self.failures_in_a_row.retain(|other| *other != id);
        self.open.retain(|other| *other != id);
        self.branch(id, on, text);
    }

    fn branch(&mut self, id: i32, on: On, text: &str) {
        let conversation =
            self.workflow.conversations.iter().find(|one| one.id.0 == id).expect("it was ready");
        let mut matching = Vec::new();
        for (index, rule) in conversation.branches.iter().enumerate() {
            let condition = rule.condition.to_string();
            let part = condition.strip_prefix("contains:");
            if rule.on == on && part.is_none_or(|part| text.contains(part)) {
                matching.push((index, rule));
            }
        }
        let mut firing = matching.clone();
        firing
            .retain(|(_, rule)| matching.iter().all(|(_, other)| other.priority <= rule.priority));
        if firing.is_empty() {
            let after_success = on == On::Success;
            self.ends.push(if after_success { "no_matching_branch" } else { "actor_failed" });
        }
        let mut targets = Vec::new();
        for (_, rule) in &firing {
            if !targets.contains(&rule.target) {
                targets.push(rule.target);
            }
        }
        for target in targets {
            let allowed = firing.iter().find(|(index, rule)| {
                let taken = self.taken.iter().filter(|other| **other == (id, *index)).count();
                rule.target == target && rule.max_iterations.is_none_or(|max| taken < max as usize)
            });
            let Some((index, _)) = allowed else {
                self.ends.push("iteration_limit");
                continue;
            };
            let Some(target) = target else {
                self.taken.push((id, *index));
                self.ends.push("completed");
                continue;
            };
            if !self.open.contains(&target.0) {
                let next = self
                    .workflow
                    .conversations
                    .iter()
                    .find(|one| one.id == target)
                    .expect("targets exist");
                let runs = self.opened.iter().filter(|other| **other == target.0).count();
                if runs >= next.max_instruction_runs as usize {
                    self.ends.push("loop_guard");
                    continue;
                }
                if self.opened.len() >= self.workflow.max_total_session_runs as usize {
                    self.ends.push("run_budget");
                    continue;
                }
                self.open.push(target.0);
                self.opened.push(target.0);
            }
            self.taken.push((id, *index));
        }
    }
}
