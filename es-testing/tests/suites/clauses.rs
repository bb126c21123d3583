//! The clauses of the contracts and the scenarios that they name, read from the docs themselves.

use std::collections::{BTreeMap, BTreeSet};

use es_testing::suite::Scenario;
use es_testing::{contract, projections};

use crate::contract::saboteur::{self, Clause};
use crate::projections::saboteur as sinners;

const EVENT_STORE: &str = include_str!("../../../es-core/src/store.rs");
const SNAPSHOT_STORE: &str = include_str!("../../../es-core/src/snapshot.rs");
const SINK: &str = include_str!("../../../es-core/src/projection/sink.rs");

/// A clause as the docs of a trait have it, in one line.
pub(crate) struct Written {
    pub(crate) of: String,
    pub(crate) number: u32,
    pub(crate) text: String,
}

/// The clauses of every contract in a source.
pub(crate) fn clauses_in(source: &str) -> Vec<Written> {
    let mut all = Vec::new();
    for contract in source.split("/// # Contract\n").skip(1) {
        let of = contract.lines().find_map(|line| line.trim().strip_prefix("pub trait "));
        let of = of.expect("a contract is that of a trait").chars();
        let of: String = of.take_while(char::is_ascii_alphanumeric).collect();
        let docs = contract.lines().map_while(|line| line.trim().strip_prefix("///"));
        let docs = docs.map(str::trim).take_while(|line| !line.starts_with("# "));
        let (mut clauses, mut is_open) = (Vec::<String>::new(), false);
        for line in docs {
            let number = format!("{}. ", clauses.len() + 1);
            if let Some(text) = line.strip_prefix(number.as_str()) {
                clauses.push(text.to_owned());
                is_open = true;
            } else if line.is_empty() || line.starts_with("**") {
                is_open = false;
            } else if let Some(clause) = clauses.last_mut().filter(|_| is_open) {
                clause.push(' ');
                clause.push_str(line);
            }
        }
        assert!(!clauses.is_empty(), "the contract of {of} has no clauses");
        let numbered = (1..).zip(clauses);
        all.extend(numbered.map(|(number, text)| Written { of: of.clone(), number, text }));
    }
    all
}

/// The names of scenarios, by the number of the clause that has them.
type Clauses = BTreeMap<u32, BTreeSet<String>>;

/// The scenarios that the clauses of some docs name.
fn named_in(docs: &str) -> Clauses {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
    let is_scenario = |name: &&str| {
        let is_path = name.split("::").count() == 2 && !name.starts_with("es_testing");
        is_path && name.chars().all(is_name)
    };
    let named = clauses_in(docs).into_iter().map(|clause| {
        let quoted = clause.text.split('`').skip(1).step_by(2);
        (clause.number, quoted.filter(is_scenario).map(str::to_owned).collect::<BTreeSet<_>>())
    });
    named.filter(|(_, names)| !names.is_empty()).collect()
}

/// The scenarios of every clause about stores and snapshots.
pub(crate) fn of_stores() -> Vec<(Clause, BTreeSet<String>)> {
    let of_events = named_in(EVENT_STORE).into_iter();
    let of_snapshots = named_in(SNAPSHOT_STORE).into_iter();
    of_events
        .map(|(number, names)| (Clause::EventStore(number), names))
        .chain(of_snapshots.map(|(number, names)| (Clause::SnapshotStore(number), names)))
        .collect()
}

/// The scenarios of every clause about sinks.
pub(crate) fn of_sinks() -> Clauses {
    named_in(SINK)
}

/// The areas that are about the engine over a sink.
const OF_THE_ENGINE: [&str; 7] =
    ["engine", "failures", "guards", "odd_rows", "rebuilding", "reactions", "laws"];

/// The contract names these scenarios and no others, but for those of the engine.
fn names_all<F: ?Sized + 'static>(named: BTreeSet<String>, scenarios: &[Scenario<F>]) {
    let listed: BTreeSet<_> = scenarios.iter().map(Scenario::full_name).collect();
    assert_eq!(listed.len(), scenarios.len(), "every scenario has a name of its own");
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "the contract names scenarios that do not exist: {missing:?}");
    let owed = scenarios.iter().filter(|one| !OF_THE_ENGINE.contains(&one.concern));
    let unnamed: Vec<_> =
        owed.map(Scenario::full_name).filter(|name| !named.contains(name)).collect();
    assert!(unnamed.is_empty(), "no clause of the contract names these scenarios: {unnamed:?}");
}

#[test]
fn the_contracts_name_the_scenarios_and_no_others() {
    let of_stores = of_stores().into_iter().flat_map(|(_, names)| names);
    names_all(of_stores.collect(), contract::SCENARIOS);
    names_all(of_sinks().into_values().flatten().collect(), projections::SCENARIOS);
}

#[test]
fn every_clause_has_a_scenario_and_a_saboteur() {
    let clauses = of_stores();
    let of_events = clauses.iter().filter(|(clause, _)| matches!(clause, Clause::EventStore(_)));
    assert_eq!(of_events.count(), 24, "a clause without scenarios, or a new one");
    assert_eq!(clauses.len(), 34, "a clause without scenarios, or a new one");
    let saboteurs = saboteur::all();
    let names: BTreeSet<_> = saboteurs.iter().map(|saboteur| saboteur.name).collect();
    assert_eq!(names.len(), saboteurs.len(), "every saboteur has a name of its own");
    for (clause, _) in &clauses {
        let is_broken = saboteurs.iter().any(|saboteur| saboteur.clause == *clause);
        assert!(is_broken, "no saboteur breaks {clause:?}");
    }
}

#[test]
fn every_clause_of_sinks_has_a_scenario_and_a_saboteur() {
    let clauses = of_sinks();
    assert_eq!(clauses.len(), 17, "a clause without scenarios, or a new one");
    let saboteurs = sinners::all();
    let broken: BTreeSet<_> = saboteurs.iter().map(|saboteur| saboteur.clause).collect();
    assert_eq!(broken, clauses.into_keys().collect(), "each clause is broken by a saboteur");
    let sins: BTreeSet<_> =
        saboteurs.iter().map(|saboteur| format!("{:?}", saboteur.sin)).collect();
    assert_eq!(sins.len(), saboteurs.len(), "every saboteur has a sin of its own");
}

/// Each area of a suite has a row in this part of the README.
fn describes_all<F: ?Sized + 'static>(readme: &str, scenarios: &[Scenario<F>]) {
    for scenario in scenarios {
        let row = format!("| `{}` |", scenario.concern);
        assert!(readme.contains(&row), "the README has no row for {}", scenario.concern);
    }
}

#[test]
fn the_readme_describes_every_area() {
    let readme = include_str!("../../README.md");
    let (of_stores, of_sinks) =
        readme.split_once("# A sink of projections").expect("the README tells of both suites");
    describes_all(of_stores, contract::SCENARIOS);
    describes_all(of_sinks, projections::SCENARIOS);
}
