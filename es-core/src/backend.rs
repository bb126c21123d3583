//! For people who write a backend.

pub mod rules;
