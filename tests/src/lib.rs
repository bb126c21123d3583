//! Tests that cross crates; everything is in `tests/`.
