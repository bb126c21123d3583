//! Everything that the suites promise, by name, as `inventory.txt` has it: nothing of it goes
//! without a word.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use es_testing::suite::Scenario;
use es_testing::{contract, projections};

use crate::clauses::{Written, clauses_in};
use crate::contract::saboteur::{self, Clause};
use crate::projections::saboteur as sinners;

const INVENTORY: &str = include_str!("../inventory.txt");

/// With how many names the file began. It stays the same, whatever goes and comes.
const PINNED: usize = 467;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files in this folder of every crate, with their texts.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let package = entry.unwrap().path();
        let path = package.join(folder);
        // what was built may have such folders, too
        if path.is_dir() && !package.ends_with("target") {
            walk(&path, &mut found);
        }
    }
    found
}

/// A clause without the scenarios that it names, the targets of its links and its marks.
fn plain(clause: &str) -> String {
    let text = without(clause, " (`");
    let mut text = without(&text, "](");
    text.retain(|c| !matches!(c, '[' | ']' | '`'));
    // in the file a colon begins a reason
    text.replace(": ", "; ")
}

/// A text without what stands from each `open` to the next parenthesis that closes.
fn without(text: &str, open: &str) -> String {
    let mut parts = text.split(open);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    kept
}

fn scenario<F: ?Sized + 'static>(suite: &str, one: &Scenario<F>) -> String {
    let needs = if one.needs.is_empty() { "" } else { " needs " };
    format!("scenario {suite} {}{needs}{}", one.full_name(), one.needs.join(" "))
}

/// What there is.
fn in_the_code() -> BTreeSet<String> {
    let clauses = sources("src").into_iter().flat_map(|(_, text)| clauses_in(&text));
    let clause = |it: Written| format!("clause {} {:02} {}", it.of, it.number, plain(&it.text));
    let mut all: Vec<_> = clauses.map(clause).collect();
    all.extend(contract::SCENARIOS.iter().map(|one| scenario("contract", one)));
    all.extend(projections::SCENARIOS.iter().map(|one| scenario("projections", one)));
    for one in saboteur::all() {
        let (of, clause) = match one.clause {
            Clause::EventStore(clause) => ("EventStore", clause),
            Clause::SnapshotStore(clause) => ("SnapshotStore", clause),
        };
        all.push(format!("saboteur {of} {clause:02} {}", one.name));
    }
    for one in sinners::all() {
        all.push(format!("saboteur ProjectionSink {:02} {:?}", one.clause, one.sin));
    }
    all.extend(saboteur::harmless().iter().map(|one| format!("harmless {}", one.name)));
    let count = all.len();
    let all = BTreeSet::from_iter(all);
    assert_eq!(all.len(), count, "each has a name of its own");
    all
}

#[test]
fn nothing_goes_or_comes_without_a_word() {
    let there = in_the_code();
    let (mut known, mut wrong) = (BTreeSet::new(), Vec::new());
    let lines = INVENTORY.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    for line in lines.iter().copied() {
        let came = line.strip_prefix("new: ");
        let Some(gone) = line.strip_prefix("gone: ") else {
            let name = came.unwrap_or(line);
            known.insert(name);
            if !there.contains(name) {
                let cure = match came {
                    Some(_) => "came, and is gone: take its line away".to_owned(),
                    None => format!(
                        "is gone: write in its place what keeps its promise, or why nothing has to\n    \
                         gone: {name} -> <name>\n    gone: {name}: <reason>"
                    ),
                };
                wrong.push(format!("- {name}\n  {cure}"));
            }
            continue;
        };
        let is_told = match (gone.split_once(" -> "), gone.split_once(": ")) {
            (Some((old, new)), _) => {
                known.insert(new);
                !there.contains(old) && there.contains(new)
            }
            (None, told) => told.is_some_and(|(old, why)| !there.contains(old) && !why.is_empty()),
        };
        if !is_told {
            wrong.push(format!(
                "- {line}\n  must name what is gone, and what is there instead or a reason"
            ));
        }
    }
    let came = there.iter().filter(|name| !known.contains(name.as_str()));
    wrong.extend(came.map(|name| format!("+ {name}\n  is new. Add, in order:\n    new: {name}")));
    assert!(
        wrong.is_empty(),
        "the code (+) and es-testing/tests/inventory.txt (-) differ:\n\n{}\n",
        wrong.join("\n")
    );
    let pinned = lines.iter().filter(|line| !line.starts_with("new: ")).count();
    assert_eq!(
        pinned, PINNED,
        "each of the first names stays, if only as `gone: `, and what came begins with `new: `"
    );
    let name =
        |line: &&str| line.trim_start_matches("gone: ").trim_start_matches("new: ").to_owned();
    assert!(lines.is_sorted_by_key(name), "the lines are not in the order of their names");
}
