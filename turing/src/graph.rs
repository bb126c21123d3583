//! A workflow's graph as text that Mermaid and Graphviz draw.

mod dot;
mod mermaid;

use std::collections::{BTreeMap, BTreeSet};

use turing_domain::{ActorKind, Branch, Condition, Conversation, ConversationId, On, Workflow};

pub use dot::dot;
pub use mermaid::mermaid;

/// Where postings begin.
const START: &str = "start";

/// Where paths end; `end` is a word of Mermaid's.
const FINISH: &str = "finish";

/// How many characters of a name or a condition are drawn.
const LONGEST: usize = 60;

/// What is drawn, in an order that depends on nothing but the definition.
struct Drawing {
    title: String,
    /// The parallel groups by name, with their members.
    groups: Vec<(String, Vec<Node>)>,
    /// The conversations of no group.
    nodes: Vec<Node>,
    /// What rules lead to although it does not exist.
    missing: Vec<Node>,
    edges: Vec<Edge>,
}

/// A conversation.
struct Node {
    name: String,
    label: Vec<String>,
    is_waiting: bool,
}

/// A branch rule.
struct Edge {
    from: String,
    to: String,
    label: String,
    is_failure: bool,
}

impl Drawing {
    fn of(workflow: &Workflow) -> Self {
        let mut drawing = Self {
            title: visible(&format!("{} {}", workflow.id, workflow.name)),
            groups: Vec::new(),
            nodes: Vec::new(),
            missing: Vec::new(),
            edges: Vec::new(),
        };
        let mut groups: BTreeMap<&str, Vec<Node>> = BTreeMap::new();
        let mut seen = BTreeMap::new();
        for conversation in &workflow.conversations {
            let name = unique_name(conversation.id, &mut seen);
            for rule in &conversation.branches {
                let to = rule.target.map_or_else(|| FINISH.to_owned(), name_of);
                let is_failure = rule.on == On::Failure;
                let from = name.clone();
                drawing.edges.push(Edge { from, to, label: label_of(rule), is_failure });
            }
            let node = node_of(workflow, conversation, name);
            match conversation.parallel_group.as_deref() {
                Some(group) => groups.entry(group).or_default().push(node),
                None => drawing.nodes.push(node),
            }
        }
        let groups = groups.into_iter().map(|(name, members)| (visible(name), members));
        drawing.groups = groups.collect();
        let rules = workflow.conversations.iter().flat_map(|one| &one.branches);
        let named = rules.filter_map(|rule| rule.target).chain([workflow.entry]);
        let missing: BTreeSet<_> = named.filter(|id| !seen.contains_key(id)).collect();
        drawing.missing = missing.into_iter().map(missing_node).collect();
        drawing
    }
}

/// A conversation's name in the drawing; a second one of the same id gets another.
fn unique_name(id: ConversationId, seen: &mut BTreeMap<ConversationId, u32>) -> String {
    let count = seen.entry(id).or_default();
    *count += 1;
    match *count {
        1 => name_of(id),
        count => format!("{}_{count}", name_of(id)),
    }
}

fn name_of(id: ConversationId) -> String {
    // a minus sign would be part of an arrow
    format!("c{id}").replace('-', "_")
}

fn missing_node(id: ConversationId) -> Node {
    Node { name: name_of(id), label: vec![format!("{id} is missing")], is_waiting: false }
}

fn node_of(workflow: &Workflow, conversation: &Conversation, name: String) -> Node {
    let Conversation { id, actor, .. } = conversation;
    let performer = match workflow.actor(*actor) {
        None => format!("actor {actor} is missing"),
        Some(known) => {
            let kind = match known.kind {
                ActorKind::Script(_) => "script",
                ActorKind::Llm(_) => "llm",
                ActorKind::Human(_) => "human",
            };
            format!("{kind} {actor} {}", visible(&known.name))
        }
    };
    let mut label = vec![format!("{id} {}", visible(&conversation.name)), performer];
    if let Some(group) = &conversation.wait_for_group {
        label.push(format!("waits for group {}", visible(group)));
    }
    Node { name, label, is_waiting: conversation.wait_for_group.is_some() }
}

/// A rule's priority, condition and limit.
fn label_of(rule: &Branch) -> String {
    let condition = match &rule.condition {
        Condition::Contains(text) if !text.is_empty() => {
            let subject = if rule.on == On::Failure { "failure " } else { "" };
            format!("{subject}contains {}", visible(text))
        }
        _ if rule.on == On::Failure => "any failure".to_owned(),
        _ => "any output".to_owned(),
    };
    let limit = rule.max_iterations.map_or_else(String::new, |most| format!(", at most {most}×"));
    format!("[{}] {condition}{limit}", rule.priority)
}

/// A text of the definition on one line, without what cannot be seen.
fn visible(text: &str) -> String {
    let mut characters = text.chars();
    let mut visible: String = characters
        .by_ref()
        .take(LONGEST)
        .map(|c| match c {
            '\n' | '\u{2028}' | '\u{2029}' => '⏎',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect();
    if characters.next().is_some() {
        visible.push('…');
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_drawn_on_one_line_and_not_endlessly() {
        assert_eq!(visible("a\nb\u{1b}c\0"), "a⏎b\u{fffd}c\u{fffd}");
        assert_eq!(visible(&"ü".repeat(61)), format!("{}…", "ü".repeat(60)));
        assert_eq!(visible(&"ü".repeat(60)), "ü".repeat(60));
    }
}
