//! The program from the outside, its store in a file: one binary, because each is linked by itself.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

#[path = "../support/mod.rs"]
mod support;

mod account;
mod adverts;
mod backup;
mod bench;
mod breakers;
mod campaign;
mod check;
mod children;
mod crash;
mod definitions;
mod demo;
mod docs;
mod inbox;
mod intake;
mod interrupts;
mod lock;
mod looking_back;
mod metrics;
mod odd_rows;
mod odd_streams;
mod old_store;
mod operators;
mod pauses;
mod people;
mod people_beside;
mod printed;
mod projections;
mod proposals;
mod retries;
mod run;
mod run_llm;
mod stopped;
mod stores;
mod terminal;
mod time_travel;
mod wall_clock;
mod why;
