//! What a run tells while it goes on: one plain line a wave.

use std::time::Duration;

use turing_domain::{Conversation, RunId};

use super::output::tell;
use crate::run::Observer;

/// Tells progress on standard error.
#[derive(Debug, Default)]
pub(super) struct Progress;

impl Observer for Progress {
    fn run_begins(&mut self, run_id: RunId, postings: usize, is_continued: bool) {
        let verb = if is_continued { "continues" } else { "begins" };
        tell(format_args!("run {run_id} {verb} with {postings} postings"));
    }

    fn wave_begins(&mut self, _: &Conversation, _: usize) {}

    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        let Conversation { id, name, .. } = conversation;
        match failed {
            0 => tell(format_args!("  {id} {name}: {done} done")),
            _ => tell(format_args!("  {id} {name}: {done} done, {failed} of them failed")),
        }
    }

    fn waits(&mut self, waiting: usize, held: usize, longest: Duration) {
        let seconds = longest.as_secs_f64();
        if waiting > 0 {
            tell(format_args!(
                "  {waiting} failed attempts wait; the next is due in {seconds:.1} s"
            ));
        }
        if held > 0 {
            tell(format_args!(
                "  {held} attempts are held because their actor's circuit breaker is open; going on \
                 in {seconds:.1} s"
            ));
        }
    }
}
