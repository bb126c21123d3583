//! The clauses of the contracts and the scenarios that they name, read from the docs themselves.

use std::collections::{BTreeMap, BTreeSet};

use es_testing::contract::SCENARIOS;
use es_testing::saboteur::{Clause, all};

const EVENT_STORE: &str = include_str!("../../../es-core/src/store.rs");
const SNAPSHOT_STORE: &str = include_str!("../../../es-core/src/snapshot.rs");

/// The scenarios that each numbered clause of some docs names.
fn named_in(docs: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut clauses: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut clause = 0;
    let contract = docs.split("/// # Contract").nth(1).expect("the docs have a contract");
    for line in contract.lines().map_while(|line| match line.trim() {
        "" => Some(""),
        line => line.strip_prefix("///"),
    }) {
        if let Some((number, _)) = line.trim().split_once(". ")
            && let Ok(number) = number.parse::<u32>()
        {
            assert_eq!(number, clause + 1, "clauses are numbered one after the other");
            clause = number;
        }
        for name in line.split('`').skip(1).step_by(2) {
            let is_scenario = name.split("::").count() == 2
                && !name.starts_with("es_testing")
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c));
            if is_scenario {
                clauses.entry(clause).or_default().insert(name.to_owned());
            }
        }
    }
    clauses
}

/// The scenarios of every clause.
pub(crate) fn clauses() -> Vec<(Clause, BTreeSet<String>)> {
    let of_events = named_in(EVENT_STORE).into_iter();
    let of_snapshots = named_in(SNAPSHOT_STORE).into_iter();
    of_events
        .map(|(number, names)| (Clause::EventStore(number), names))
        .chain(of_snapshots.map(|(number, names)| (Clause::SnapshotStore(number), names)))
        .collect()
}

#[test]
fn the_contract_names_the_scenarios_and_no_others() {
    let named: BTreeSet<String> = clauses().into_iter().flat_map(|(_, names)| names).collect();
    let listed: BTreeSet<String> = SCENARIOS.iter().map(|scenario| scenario.full_name()).collect();
    assert_eq!(listed.len(), SCENARIOS.len(), "every scenario has a name of its own");
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "the contract names scenarios that do not exist: {missing:?}");
    let unnamed: Vec<_> = listed.difference(&named).collect();
    assert!(unnamed.is_empty(), "no clause of the contract names these scenarios: {unnamed:?}");
}

#[test]
fn every_clause_has_a_scenario_and_a_saboteur() {
    let clauses = clauses();
    let of_events = clauses.iter().filter(|(clause, _)| matches!(clause, Clause::EventStore(_)));
    assert_eq!(of_events.count(), 24, "a clause without scenarios, or a new one");
    assert_eq!(clauses.len(), 34, "a clause without scenarios, or a new one");
    let saboteurs = all();
    let names: BTreeSet<_> = saboteurs.iter().map(|saboteur| saboteur.name).collect();
    assert_eq!(names.len(), saboteurs.len(), "every saboteur has a name of its own");
    for (clause, _) in &clauses {
        let is_broken = saboteurs.iter().any(|saboteur| saboteur.clause == *clause);
        assert!(is_broken, "no saboteur breaks {clause:?}");
    }
}

#[test]
fn the_readme_describes_every_area() {
    let readme = include_str!("../../README.md");
    for scenario in SCENARIOS {
        let row = format!("| `{}` |", scenario.concern);
        assert!(readme.contains(&row), "the README has no row for {}", scenario.concern);
    }
}
