//! The posting: a work item on its way through a workflow.
//!
//! Invariants, which the decisions keep:
//!
//! 1. A posting is in one run at a time; outputs of earlier runs are kept and never used.
//! 2. In a run, a posting is terminal, or it stands at one or more open positions. A position whose
//!    attempt failed and will be repeated is open and says when it is due.
//! 3. An execution that is recorded is never asked for again.
//! 4. What follows an execution is recorded together with it, in one decision.
//! 5. Every path ends with a reason, and a posting ends with the worst reason of its paths.
//! 6. No counter passes its limit: runs of conversations, of one conversation, of one rule.
//! 7. A state that was imported from another system is taken as it is, and is in no run: the posting
//!    enters one as any other, and what completed elsewhere is never used in it.

mod command;
mod decide;
mod event;
mod input;
mod open_tasks;
mod people;
mod rejection;
mod run;
mod state;

pub use command::{Attempt, Completion, Failure, LlmUsage, SUCCESS};
pub use decide::Step;
pub use event::PostingEvent;
pub use input::InputValues;
pub use open_tasks::{OpenTask, OpenTasks, TaskClaim};
pub use people::{HumanAnswer, HumanTaskRejection, HumanTasks, MAX_NAME_CHARS, Speaker, overdue};
pub use rejection::PostingRejection;
pub use run::{Finished, Outcome, Position, PostingRun};
pub use state::{Posting, Terminal};

#[cfg(test)]
mod tests;
