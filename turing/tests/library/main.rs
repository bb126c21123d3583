//! The library, without the command line: runs, their stores, language models.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

mod boundaries;
mod clocks;
mod definitions;
mod demo_actors;
mod entering;
mod held;
mod held_file;
mod llm;
mod no_barriers;
mod posting_data;
mod waves;
