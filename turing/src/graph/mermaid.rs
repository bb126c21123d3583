//! Mermaid flowcharts.

use std::fmt::Write as _;

use turing_domain::Workflow;

use super::{Drawing, FINISH, Node, START, name_of};

/// The workflow as a Mermaid flowchart, without a line feed at its end.
///
/// Rules for failures are dotted, conversations that wait for a group are hexagons, and groups are
/// subgraphs. A definition with errors is drawn as far as it goes.
pub fn mermaid(workflow: &Workflow) -> String {
    let drawing = Drawing::of(workflow);
    let mut lines = vec![
        "flowchart TD".to_owned(),
        format!("    %% workflow {}", escaped(&drawing.title)),
        format!("    {START}((\"{START}\"))"),
    ];
    lines.extend(drawing.nodes.iter().map(|one| format!("    {}", node(one))));
    for (number, (name, members)) in (1..).zip(&drawing.groups) {
        lines.push(format!("    subgraph g{number}[\"group {}\"]", escaped(name)));
        lines.extend(members.iter().map(|one| format!("        {}", node(one))));
        lines.push("    end".to_owned());
    }
    lines.extend(drawing.missing.iter().map(|one| format!("    {}", node(one))));
    lines.push(format!("    {FINISH}(((\"end\")))"));
    lines.push(format!("    {START} --> {}", name_of(workflow.entry)));
    for edge in &drawing.edges {
        let arrow = if edge.is_failure { "-.->" } else { "-->" };
        lines.push(format!("    {} {arrow}|\"{}\"| {}", edge.from, escaped(&edge.label), edge.to));
    }
    lines.join("\n")
}

fn node(node: &Node) -> String {
    let label: Vec<_> = node.label.iter().map(|line| escaped(line)).collect();
    let label = label.join("<br/>");
    match node.is_waiting {
        true => format!("{}{{{{\"{label}\"}}}}", node.name),
        false => format!("{}[\"{label}\"]", node.name),
    }
}

/// Text that stays text between quotes, whatever Mermaid, Markdown or HTML would read in it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        // a colon or a per cent sign begins settings, even between quotes
        if r##""#&<>:;%*_~`\|"##.contains(c) {
            // writing to a String cannot fail
            let _ = write!(escaped, "#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
        escaped
    })
}
