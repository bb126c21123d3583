//! Turing: a workflow system whose whole execution state is event sourced

pub mod script;
