//! Tests that cross crates; everything is in `tests/`, but for the examples of the guide, which no
//! crate that is published can reach.

#[cfg(doctest)]
#[doc = include_str!("../../docs/evolution.md")]
struct Evolution;

#[cfg(doctest)]
#[doc = include_str!("../../docs/postgresql.md")]
struct Postgresql;
