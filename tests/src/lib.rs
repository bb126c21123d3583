//! Tests that cross crates: architecture, end-to-end Turing, crash and fault runs
