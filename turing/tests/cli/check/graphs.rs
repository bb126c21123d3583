//! Graphs, held to files that were looked at.

use std::fs;
use std::path::Path;

use super::workspace;

const PLAIN: &str = include_str!("../../golden/plain.toml");
const ODD: &str = include_str!("../../golden/odd.toml");

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(actual, expected, "{name}; set UPDATE_GOLDEN=1 to accept a change");
}

#[test]
fn graphs_are_drawn_the_same_every_time_and_names_stay_text() {
    let workspace = workspace();
    workspace.file("workflow.toml", ODD);
    workspace.file("plain.toml", PLAIN);
    for (format, ending) in [("mermaid", "mmd"), ("dot", "dot")] {
        let odd = workspace.turing(&["check", "workflow.toml", "--graph", format]).expect_code(1);
        let line = ODD.lines().position(|line| line == "to = 99").unwrap() + 1;
        let missing =
            format!("workflow.toml:{line}: error: conversation 1, branch 3: it leads to 99");
        assert!(odd.stderr.contains(&missing), "{}", odd.stderr);
        golden(&format!("odd.{ending}"), &odd.stdout);
        let plain = workspace.turing(&["check", "plain.toml", "--graph", format]).expect_code(0);
        assert_eq!(plain.stderr, "");
        golden(&format!("plain.{ending}"), &plain.stdout);
    }
}

#[test]
fn a_graph_is_not_json() {
    let answer = workspace().turing(&["check", "workflow.toml", "--graph", "dot", "--json"]);
    answer.expect_code(2);
}
