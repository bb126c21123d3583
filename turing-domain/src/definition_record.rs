//! The definitions that runs are carried out by, word for word, as their files had them.
//!
//! Invariants, which the decision keeps:
//!
//! 1. A definition is known by the SHA-256 of its text, and recorded once.
//! 2. What is recorded under a digest has that digest.
//!
//! Ids of streams are whole numbers, and a digest is none: a stream is named by the beginning of the
//! digest, and may have several definitions, each under its own.

mod command;
mod decide;
mod event;
mod rejection;
mod state;

pub use command::DefinitionRecording;
pub use decide::definition_digest;
pub use event::DefinitionEvent;
pub use rejection::DefinitionRejection;
pub use state::{RecordedDefinition, RecordedDefinitions};

#[cfg(test)]
mod tests;
