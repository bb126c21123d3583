//! The history checker accepts what a correct store may do and names each thing that it may not.

#![allow(clippy::unwrap_used)] // a hand-made history that cannot be built is a failed test

mod brute_force;
mod made;
mod overlapping;
mod overlapping_search;
mod rules;
