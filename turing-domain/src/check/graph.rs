//! The graph that a definition's rules make.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::{Branch, Conversation, On, Workflow};
use crate::ids::ConversationId;

/// Conversations and the rules between them that can ever be taken.
pub(super) struct Graph {
    pub(super) nodes: BTreeSet<ConversationId>,
    edges: BTreeMap<ConversationId, Vec<Edge>>,
}

/// A rule that leads from one conversation to another.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) to: ConversationId,
    pub(super) on: On,
    pub(super) priority: i32,
    pub(super) is_limited: bool,
}

impl Graph {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let nodes: BTreeSet<_> = workflow.conversations.iter().map(|one| one.id).collect();
        let mut edges: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for conversation in &workflow.conversations {
            let from = edges.entry(conversation.id).or_default();
            let live = conversation.branches.iter();
            for rule in live.filter(|rule| !is_shadowed(conversation, rule)) {
                if let Some(to) = rule.target.filter(|to| nodes.contains(to)) {
                    from.push(Edge {
                        to,
                        on: rule.on,
                        priority: rule.priority,
                        is_limited: rule.max_iterations.is_some(),
                    });
                }
            }
        }
        Self { nodes, edges }
    }

    pub(super) fn edges_from(&self, from: ConversationId) -> &[Edge] {
        self.edges.get(&from).map_or(&[], Vec::as_slice)
    }

    /// The conversations that can be reached from `starts`, these included, over edges that `use_edge`
    /// accepts.
    pub(super) fn reachable(
        &self,
        starts: impl IntoIterator<Item = ConversationId>,
        use_edge: impl Fn(ConversationId, &Edge) -> bool,
    ) -> BTreeSet<ConversationId> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = starts.into_iter().filter(|id| self.nodes.contains(id)).collect();
        while let Some(id) = next.pop() {
            if reached.insert(id) {
                let edges = self.edges_from(id).iter();
                next.extend(edges.filter(|edge| use_edge(id, edge)).map(|edge| edge.to));
            }
        }
        reached
    }

    /// The conversations that can be reached from `start` over any edge, `start` included.
    pub(super) fn after(&self, start: ConversationId) -> BTreeSet<ConversationId> {
        self.reachable([start], |_, _| true)
    }
}

/// True if a rule that matches always precedes this one.
pub(super) fn is_shadowed(conversation: &Conversation, rule: &Branch) -> bool {
    conversation.branches.iter().any(|other| {
        other.on == rule.on && other.priority > rule.priority && other.condition.is_catch_all()
    })
}
