//! The graph that a definition's rules make.

use std::collections::{BTreeMap, BTreeSet};

use super::spot::{Spot, conversations};
use crate::definition::{Branch, Conversation, On, Workflow};
use crate::ids::ConversationId;

/// Conversations and the rules between them that can ever be taken.
pub(super) struct Graph {
    /// In the order of their ids.
    nodes: Vec<Node>,
}

struct Node {
    id: ConversationId,
    /// The first conversation of this id.
    spot: Spot,
    outgoing: Vec<Edge>,
    incoming: Vec<Edge>,
}

/// A rule that leads from one conversation to another.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) from: ConversationId,
    pub(super) to: ConversationId,
    from_node: usize,
    to_node: usize,
    pub(super) on: On,
    pub(super) priority: i32,
    pub(super) is_limited: bool,
}

impl Graph {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let mut spots = BTreeMap::new();
        for (spot, conversation) in conversations(workflow) {
            spots.entry(conversation.id).or_insert(spot);
        }
        let node = |(id, spot)| Node { id, spot, outgoing: Vec::new(), incoming: Vec::new() };
        let mut graph = Self { nodes: spots.into_iter().map(node).collect() };
        for conversation in &workflow.conversations {
            let live = conversation.branches.iter();
            for rule in live.filter(|rule| !is_shadowed(conversation, rule)) {
                graph.add(conversation.id, rule);
            }
        }
        graph
    }

    /// A rule that leads to no conversation is no edge.
    fn add(&mut self, from: ConversationId, rule: &Branch) {
        let ends = |to| Some((to, self.node(from)?, self.node(to)?));
        let Some((to, from_node, to_node)) = rule.target.and_then(ends) else {
            return;
        };
        let edge = Edge {
            from,
            to,
            from_node,
            to_node,
            on: rule.on,
            priority: rule.priority,
            is_limited: rule.max_iterations.is_some(),
        };
        self.nodes[from_node].outgoing.push(edge);
        self.nodes[to_node].incoming.push(edge);
    }

    fn node(&self, id: ConversationId) -> Option<usize> {
        self.nodes.binary_search_by_key(&id, |node| node.id).ok()
    }

    pub(super) fn contains(&self, id: ConversationId) -> bool {
        self.node(id).is_some()
    }

    /// Each conversation once, by its id.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (ConversationId, Spot)> {
        self.nodes.iter().map(|node| (node.id, node.spot))
    }

    pub(super) fn edges_from(&self, from: ConversationId) -> &[Edge] {
        self.node(from).map_or(&[], |node| &self.nodes[node].outgoing)
    }

    /// The conversations that can be reached from `starts`, these included, over edges that
    /// `use_edge` accepts.
    pub(super) fn reachable(
        &self,
        starts: impl IntoIterator<Item = ConversationId>,
        use_edge: impl Fn(&Edge) -> bool,
    ) -> BTreeSet<ConversationId> {
        self.closure(starts, |node| {
            node.outgoing.iter().filter(|edge| use_edge(edge)).map(|edge| edge.to_node)
        })
    }

    /// The conversations from which one of `ends` can be reached, these included, over edges that
    /// `use_edge` accepts.
    pub(super) fn leading_to(
        &self,
        ends: impl IntoIterator<Item = ConversationId>,
        use_edge: impl Fn(&Edge) -> bool,
    ) -> BTreeSet<ConversationId> {
        self.closure(ends, |node| {
            node.incoming.iter().filter(|edge| use_edge(edge)).map(|edge| edge.from_node)
        })
    }

    fn closure<'a, I: Iterator<Item = usize>>(
        &'a self,
        starts: impl IntoIterator<Item = ConversationId>,
        neighbours: impl Fn(&'a Node) -> I,
    ) -> BTreeSet<ConversationId> {
        let mut reached = vec![false; self.nodes.len()];
        let mut next: Vec<_> = starts.into_iter().filter_map(|id| self.node(id)).collect();
        while let Some(node) = next.pop() {
            if !reached[node] {
                reached[node] = true;
                next.extend(neighbours(&self.nodes[node]));
            }
        }
        let reached = self.nodes.iter().zip(reached).filter(|(_, is_reached)| *is_reached);
        reached.map(|(node, _)| node.id).collect()
    }
}

/// True if a rule that matches always precedes this one.
pub(super) fn is_shadowed(conversation: &Conversation, rule: &Branch) -> bool {
    conversation.branches.iter().any(|other| {
        other.on == rule.on && other.priority > rule.priority && other.condition.is_catch_all()
    })
}
