#![doc = include_str!("../README.md")]

// what comes in
pub mod definition;
pub mod graph;
pub mod postings;

// where things are kept
pub mod registry;
pub mod store;

// what is done
pub mod account;
pub mod breakers;
pub mod cutover;
pub mod given;
pub mod left_out;
pub mod llm;
pub mod lock;
pub mod people;
pub mod read_models;
pub mod run;
pub mod schema;
pub mod script;
pub mod trace;
pub mod validate;
pub mod why;

// what people see
mod bench;
pub mod cli;
mod demo;
mod metrics;
mod proposal;

// the process that it all happens in
mod descriptors;
mod init;
mod threads;
