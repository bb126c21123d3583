//! The waves of a conversation.
//!
//! Invariants, which the decisions keep:
//!
//! 1. A conversation has at most one open wave in a run; a program that comes back after a crash
//!    continues it.
//! 2. Waves are numbered from 1 over all runs.

mod command;
mod decide;
mod event;
mod rejection;
mod state;

pub use command::WaveCompletion;
pub use event::ConversationEvent;
pub use rejection::ConversationRejection;
pub use state::{ConversationWaves, Wave};

#[cfg(test)]
mod tests;
