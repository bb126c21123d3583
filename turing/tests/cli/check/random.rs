//! Definitions at random: whatever they say, a check ends, and its lines exist.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;
use turing::definition::{DefinitionError, Draft};
use turing::graph::{dot, mermaid};

use super::{ACTOR, HEADER, workspace};

/// Definitions that are mostly wrong: ids, targets, groups and limits at random.
fn definitions() -> impl Strategy<Value = String> {
    let id = || prop_oneof![8 => 1..6, 1 => Just(0), 1 => Just(i32::MIN)];
    let rule = (id(), -1..2, any::<bool>(), "[a*]?", prop::option::of(0..3u32), any::<bool>());
    let rule = rule.prop_map(|(to, priority, on_failure, when, limit, ends)| {
        let mut text = format!("{{ priority = {priority}, when = {}", json!(when));
        if on_failure {
            text += ", on = \"failure\"";
        }
        if !ends {
            let _ = write!(text, ", to = {to}");
        }
        if let Some(limit) = limit {
            let _ = write!(text, ", max_iterations = {limit}");
        }
        text + " }"
    });
    let group = || prop::option::of("[gh]");
    let rules = prop::collection::vec(rule, 0..4);
    let one = (id(), 74..76, group(), group(), id(), any::<char>(), rules);
    let one = one.prop_map(|(id, actor, own, awaited, source, odd, rules)| {
        let mut text = format!("[[conversations]]\r\nid = {id}\nname = ''' \n{}'''\n", '\n');
        let _ = writeln!(
            text,
            "actor = {actor}\ninput = \"\"\"\n{{conversation_{source}_output}}{{x}}\"\"\""
        );
        let _ = writeln!(text, "# {}", if odd.is_control() { ' ' } else { odd });
        for (name, group) in [("parallel_group", own), ("wait_for_group", awaited)] {
            if let Some(group) = group {
                let _ = writeln!(text, "{name} = \"{group}\"");
            }
        }
        let _ = writeln!(text, "branches = [\n{}\n]", rules.join(",\n"));
        text
    });
    (id(), prop::collection::vec(one, 0..6), 0..3usize).prop_map(
        |(entry, conversations, actors)| {
            let header = HEADER.replace("entry = 1", &format!("entry = {entry}"));
            [header, ACTOR.repeat(actors), conversations.concat()].concat()
        },
    )
}

proptest! {
    #[test]
    fn a_check_never_panics_and_its_lines_exist(text in definitions(), cut in any::<prop::sample::Index>()) {
        let workspace = workspace();
        let path = workspace.file("workflow.toml", &text);
        let draft = Draft::read(&path).unwrap();
        let more = draft.check_data(&BTreeSet::new());
        let lines = text.lines().count();
        for finding in draft.findings.iter().chain(&more) {
            prop_assert!((1..=lines).contains(&finding.line), "{finding}");
            prop_assert!(!finding.to_string().contains('\n'));
        }
        let (dot, mermaid) = (dot(&draft.workflow), mermaid(&draft.workflow));
        prop_assert_eq!(dot.lines().last(), Some("}"));
        prop_assert_eq!(mermaid.lines().next(), Some("flowchart TD"));

        let cut: String = text.chars().take(cut.index(text.chars().count())).collect();
        let path = workspace.file("workflow.toml", &cut);
        if let Err(DefinitionError::Malformed { findings, .. }) = Draft::read(&path) {
            let lines = cut.lines().count().max(1);
            prop_assert!(findings.iter().all(|one| (1..=lines).contains(&one.line)), "{findings:?}");
        }
    }
}
