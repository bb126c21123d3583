//! The clauses of the contract of sinks, their scenarios and their saboteurs.

use std::collections::{BTreeMap, BTreeSet};

use es_testing::projections::SCENARIOS;
use es_testing::projections::saboteur::all;

const SINK: &str = include_str!("../../../es-core/src/projection/sink.rs");

/// The scenarios that each clause names.
pub(crate) fn clauses() -> BTreeMap<u32, BTreeSet<String>> {
    let mut clauses: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut clause = 0;
    let contract = SINK.split("/// # Contract").nth(1).expect("the docs have a contract");
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
            let is_name =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
            if name.split("::").count() == 2
                && !name.starts_with("es_testing")
                && name.chars().all(is_name)
            {
                clauses.entry(clause).or_default().insert(name.to_owned());
            }
        }
    }
    clauses
}

/// The areas that are about the engine over a sink.
const OF_THE_ENGINE: [&str; 7] =
    ["engine", "failures", "guards", "odd_rows", "rebuilding", "reactions", "laws"];

#[test]
fn the_contract_names_the_scenarios_and_no_others() {
    let named: BTreeSet<String> = clauses().into_values().flatten().collect();
    let listed: BTreeSet<_> = SCENARIOS.iter().map(|scenario| scenario.full_name()).collect();
    assert_eq!(listed.len(), SCENARIOS.len(), "every scenario has a name of its own");
    let missing: Vec<_> = named.difference(&listed).collect();
    assert!(missing.is_empty(), "the contract names scenarios that do not exist: {missing:?}");
    let of_sinks = SCENARIOS.iter().filter(|it| !OF_THE_ENGINE.contains(&it.concern));
    let unnamed: Vec<_> =
        of_sinks.map(|it| it.full_name()).filter(|name| !named.contains(name)).collect();
    assert!(unnamed.is_empty(), "no clause of the contract names these scenarios: {unnamed:?}");
}

#[test]
fn every_clause_has_a_scenario_and_a_saboteur() {
    let clauses = clauses();
    assert_eq!(clauses.len(), 17, "a clause without scenarios, or a new one");
    let broken: BTreeSet<_> = all().iter().map(|saboteur| saboteur.clause).collect();
    assert_eq!(broken, clauses.into_keys().collect(), "each clause is broken by a saboteur");
    let sins: BTreeSet<_> = all().iter().map(|saboteur| format!("{:?}", saboteur.sin)).collect();
    assert_eq!(sins.len(), all().len(), "every saboteur has a sin of its own");
}

#[test]
fn the_readme_describes_every_area() {
    let readme = include_str!("../../README.md");
    let readme = readme.split("projection_suite!").nth(1).expect("the README tells of the suite");
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.ability.is_none()) {
        let row = format!("| `{}` |", scenario.concern);
        assert!(readme.contains(&row), "the README has no row for {}", scenario.concern);
    }
}
