//! Graphviz graphs.

use turing_domain::Workflow;

use super::{Drawing, FINISH, Node, START, name_of};

/// The workflow as a graph in Graphviz' DOT language, without a line feed at its end.
///
/// Rules for failures are dashed, conversations that wait for a group are hexagons, and groups are
/// clusters. A definition with errors is drawn as far as it goes.
pub fn dot(workflow: &Workflow) -> String {
    let drawing = Drawing::of(workflow);
    let mut lines = vec![
        "digraph workflow {".to_owned(),
        format!("    label={};", quoted(&["workflow ", &drawing.title].concat())),
        "    labelloc=t;".to_owned(),
        "    node [shape=box, style=rounded];".to_owned(),
        format!("    {START} [shape=circle];"),
    ];
    lines.extend(drawing.nodes.iter().map(|one| format!("    {}", node(one))));
    for (number, (name, members)) in (1..).zip(&drawing.groups) {
        lines.push(format!("    subgraph cluster_{number} {{"));
        lines.push(format!("        label={};", quoted(&format!("group {name}"))));
        lines.extend(members.iter().map(|one| format!("        {}", node(one))));
        lines.push("    }".to_owned());
    }
    lines.extend(drawing.missing.iter().map(|one| format!("    {}", node(one))));
    lines.push(format!("    {FINISH} [shape=doublecircle, label=end];"));
    lines.push(format!("    {START} -> {};", name_of(workflow.entry)));
    for edge in &drawing.edges {
        let style = if edge.is_failure { ", style=dashed" } else { "" };
        let label = quoted(&edge.label);
        lines.push(format!("    {} -> {} [label={label}{style}];", edge.from, edge.to));
    }
    lines.push("}".to_owned());
    lines.join("\n")
}

fn node(node: &Node) -> String {
    let shape = if node.is_waiting { ", shape=hexagon, style=solid" } else { "" };
    format!("{} [label={}{shape}];", node.name, quoted(&node.label.join("\n")))
}

/// A string in quotes that is drawn as it stands.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('&', "&amp;");
    format!("\"{}\"", text.replace('\n', r"\n"))
}
