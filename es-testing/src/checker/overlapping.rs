//! Moments for all calls that explain every answer, or the proof that there are none, where writers
//! overlap: a write is committed at one moment of its call, and its positions were drawn earlier in
//! the call.
//!
//! What must come before what is a graph over these moments. They exist exactly if the graph has no
//! circle and, along it, no call must have its moment after its end.

use std::collections::VecDeque;

use super::check::{Faults, Rule};
use super::fresh;
use super::order::{Order, Told};

pub(super) fn check(order: &Order<'_>, faults: &mut Faults) {
    fresh::check(order, faults);
    let graph = Graph::of(order);
    graph.check(order, faults);
}

/// A moment.
#[derive(Clone, Copy)]
enum Node {
    /// The event at this place of the log got its position.
    Drawn(usize),
    /// The write at this index of the list was committed.
    Committed(usize),
    /// The log is there up to this place.
    Reached,
    /// The answer at this index was true.
    Answered(usize),
}

struct Graph {
    nodes: Vec<Node>,
    /// Between which moments each must lie, by its own call only.
    spans: Vec<(u64, u64)>,
    /// For each moment those that come after it.
    later: Vec<Vec<usize>>,
}

impl Graph {
    fn of(order: &Order<'_>) -> Self {
        let mut graph = Self { nodes: Vec::new(), spans: Vec::new(), later: Vec::new() };
        let list = &order.writes.list;
        for (index, write) in list.iter().enumerate() {
            graph.add(Node::Committed(index), (write.span.began, write.span.deadline()));
        }
        // a write's number is its index and one
        let committed = |number: usize| number - 1;
        for versions in order.writes.versions.values() {
            for pair in versions.windows(2) {
                graph.edge(committed(pair[0].1), committed(pair[1].1));
            }
        }
        let (mut drawn, mut reached) = (None, None);
        let mut reached_at = Vec::with_capacity(order.writes.by_place.len());
        for (place, &number) in order.writes.by_place.iter().enumerate() {
            let began = if number > 0 { list[committed(number)].span.began } else { 0 };
            let now = graph.add(Node::Drawn(place), (began, u64::MAX));
            let there = graph.add(Node::Reached, (0, u64::MAX));
            if number > 0 {
                graph.edge(now, committed(number));
                graph.edge(committed(number), there);
            }
            if let Some(before) = drawn.replace(now) {
                graph.edge(before, now);
            }
            if let Some(before) = reached.replace(there) {
                graph.edge(before, there);
            }
            reached_at.push(there);
        }
        for (index, answer) in order.answers.iter().enumerate() {
            let span = (answer.span.began, answer.span.deadline());
            let node = graph.add(Node::Answered(index), span);
            match &answer.told {
                Told::Writes(between) => {
                    for &number in &between.after {
                        graph.edge(committed(number), node);
                    }
                    for &number in &between.before {
                        graph.edge(node, committed(number));
                    }
                }
                Told::Log { seen, .. } => {
                    if let Some(last) = seen.checked_sub(1) {
                        graph.edge(reached_at[last], node);
                    }
                }
            }
        }
        graph
    }

    fn add(&mut self, node: Node, span: (u64, u64)) -> usize {
        self.nodes.push(node);
        self.spans.push(span);
        self.later.push(Vec::new());
        self.nodes.len() - 1
    }

    fn edge(&mut self, before: usize, after: usize) {
        self.later[before].push(after);
    }

    fn check(&self, order: &Order<'_>, faults: &mut Faults) {
        let mut waits_for = vec![0_usize; self.nodes.len()];
        for &after in self.later.iter().flatten() {
            waits_for[after] += 1;
        }
        // the earliest moment, and the node whose beginning makes it so
        let mut earliest: Vec<(u64, usize)> =
            self.spans.iter().enumerate().map(|(node, span)| (span.0, node)).collect();
        let mut ready: VecDeque<usize> =
            (0..self.nodes.len()).filter(|&node| waits_for[node] == 0).collect();
        while let Some(node) = ready.pop_front() {
            let (began, end) = self.spans[node];
            let (moment, because) = earliest[node];
            if moment > end {
                let what = format!(
                    "{}; this was over before what must come first had begun: {}",
                    self.name(node, order),
                    self.name(because, order)
                );
                faults.add(self.rule([node, because], order), what);
                // what follows from this one is no fault of its own
                earliest[node] = (began, node);
            }
            for &after in &self.later[node] {
                earliest[after] = earliest[after].max(earliest[node]);
                waits_for[after] -= 1;
                if waits_for[after] == 0 {
                    ready.push_back(after);
                }
            }
        }
        let is_answer = |node: &usize| matches!(self.nodes[*node], Node::Answered(_));
        // a circle of writes is a fault of the streams
        if let Some(circle) = self.circle(&waits_for).filter(|circle| circle.iter().any(is_answer))
        {
            let rule = self.rule(circle.iter().copied(), order);
            let names: Vec<_> = circle.iter().map(|&node| self.name(node, order)).collect();
            let what = format!("each of these must come before the next: {}", names.join("; "));
            faults.add(rule, what);
        }
    }

    /// Some circle among the moments that wait for others in vain.
    fn circle(&self, waits_for: &[usize]) -> Option<Vec<usize>> {
        let mut before = vec![None; self.nodes.len()];
        for node in (0..self.nodes.len()).filter(|&node| waits_for[node] > 0) {
            for &after in &self.later[node] {
                before[after] = Some(node);
            }
        }
        let mut path = Vec::new();
        let mut place = vec![None; self.nodes.len()];
        let mut node = (0..self.nodes.len()).find(|&node| waits_for[node] > 0)?;
        loop {
            if let Some(first) = place[node] {
                let mut circle = path.split_off(first);
                circle.reverse();
                return Some(circle);
            }
            place[node] = Some(path.len());
            path.push(node);
            node = before[node]?;
        }
    }

    fn rule(&self, nodes: impl IntoIterator<Item = usize>, order: &Order<'_>) -> Rule {
        let mut rules = nodes.into_iter().filter_map(|node| match self.nodes[node] {
            Node::Answered(index) => Some(order.answers[index].rule),
            _ => None,
        });
        rules.find(|rule| *rule != Rule::OneOrder).unwrap_or(Rule::OneOrder)
    }

    fn name(&self, node: usize, order: &Order<'_>) -> String {
        match self.nodes[node] {
            Node::Drawn(place) => {
                let event = &order.log[place];
                format!("event {} got its position {}", event.event_id, event.position)
            }
            Node::Committed(index) => {
                format!("{:?} was written", order.writes.list[index].request)
            }
            Node::Reached => "the log reached a place".to_owned(),
            Node::Answered(index) => order.answers[index].what.clone(),
        }
    }
}
