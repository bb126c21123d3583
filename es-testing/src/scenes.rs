//! Scenes that the tests of several backends play beside the contract: what only a store in a database
//! has, where an application's own SQL stands beside events and models.
//!
//! A test makes an empty store, says how its database does what a scene asks for, and plays the scene,
//! which panics if something is not as it must be.

use es_core::backend::{EventStore, ProjectionSink};

pub mod imported;
pub mod orders;
pub mod prepared;
pub mod tables;
pub mod values;

/// A store with its models, as tests hold it.
pub trait Backend: EventStore + ProjectionSink + Clone {}

impl<S: EventStore + ProjectionSink + Clone> Backend for S {}
