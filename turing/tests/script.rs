//! Script actors as real processes: every ending, and what is left behind.

#[path = "support/processes.rs"]
mod processes;

mod script {
    mod again;
    mod failures;
    mod leftovers;
    mod output;
    mod program;
    pub(crate) mod sandbox;
    mod start;
    mod surroundings;
    mod time;
}
