//! The history checker accepts what a correct store may do and names each thing that it may not.

#![allow(clippy::unwrap_used)] // a hand-made history that cannot be built is a failed test

#[path = "checker/brute_force.rs"]
mod brute_force;
#[path = "checker/made.rs"]
mod made;
#[path = "checker/overlapping.rs"]
mod overlapping;
#[path = "checker/overlapping_search.rs"]
mod overlapping_search;
#[path = "checker/rules.rs"]
mod rules;
