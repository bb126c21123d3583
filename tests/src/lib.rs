//! Tests that cross crates; everything is in `tests/`, but for the examples of the guide.

#[cfg(doctest)]
#[doc = include_str!("../../docs/evolution.md")]
struct Evolution;
