//! What a run tells while it goes on: a bar on a terminal, one plain line a wave elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use turing_domain::{Conversation, PostingId, RunId};

use super::output::shown;
use super::telling::{Below, show, tell, tell_progress};
use crate::breakers::OpenBreaker;
use crate::run::Observer;

/// Tells progress on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    has_bar: bool,
    ended: usize,
    postings: usize,
    doing: String,
}

impl Progress {
    /// With a bar if standard error is a terminal on which one can be drawn.
    pub(super) fn new() -> Self {
        let terminal = std::env::var_os("TERM").unwrap_or_default();
        let can_draw = !terminal.is_empty() && terminal != *"dumb";
        let has_bar = can_draw && std::io::stderr().is_terminal();
        Self { has_bar, ended: 0, postings: 0, doing: String::new() }
    }

    fn draw(&self) {
        if self.has_bar {
            let &Self { ended, postings, .. } = self;
            show(Below::Bar { ended, postings, text: self.doing.clone() });
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.run_ends();
    }
}

impl Observer for Progress {
    fn run_begins(&mut self, run_id: RunId, postings: usize, is_continued: bool) {
        let verb = if is_continued { "continues" } else { "begins" };
        tell(format_args!("run {run_id} {verb} with {postings} postings"));
        self.postings = postings;
        self.draw();
    }

    fn wave_begins(&mut self, conversation: &Conversation, postings: usize) {
        let (id, name) = (conversation.id, shown(&conversation.name, 40));
        self.doing = format!("{id} {name}: {postings} to do");
        self.draw();
    }

    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        let (id, name) = (conversation.id, shown(&conversation.name, 40));
        tell_progress(match failed {
            0 => format!("  {id} {name}: {done} done"),
            _ => format!("  {id} {name}: {done} done, {failed} of them failed"),
        });
    }

    fn posting_ended(&mut self, ended: usize) {
        self.ended = ended;
        self.draw();
    }

    fn breaker_open(&mut self, breaker: &OpenBreaker) {
        tell(format_args!(
            "  {}; once the cause is mended, `turing actor reset {}` lets it be called",
            shown(&breaker.to_string(), 1000),
            breaker.actor
        ));
    }

    fn waits(&mut self, waiting: usize, held: usize, longest: Duration) {
        let seconds = longest.as_secs_f64();
        if waiting > 0 {
            tell_progress(format_args!(
                "  {waiting} failed attempts wait; the next is due in {seconds:.1} s"
            ));
        }
        if held > 0 {
            tell_progress(format_args!(
                "  {held} attempts are held because their actor's circuit breaker is open; going on \
                 in {seconds:.1} s"
            ));
        }
    }

    fn pauses(&mut self, held: usize, longest: Duration) {
        let seconds = longest.as_secs_f64();
        tell_progress(format_args!(
            "  {held} attempts are held because their actor asked for a pause; going on in \
             {seconds:.1} s"
        ));
    }

    fn waits_for(&mut self, postings: &[PostingId]) {
        let named: Vec<_> = postings.iter().take(10).map(ToString::to_string).collect();
        let more = match postings.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        tell_progress(format_args!(
            "  waiting for posting {}{more}: what they did cannot be recorded yet; does another \
             session hold their streams?",
            named.join(", ")
        ));
    }

    fn posting_left(&mut self, posting: PostingId, reason: &str) {
        tell(format_args!("  posting {posting} cannot go on: {}", shown(reason, 1000)));
    }

    fn waits_to_start(&mut self, reason: &str) {
        tell(format_args!(
            "  attempts wait until their scripts can be started: {}",
            shown(reason, 1000)
        ));
    }

    fn goes_without(&mut self, what: &str, reason: &str) {
        tell(format_args!("  goes on without {what}: {}", shown(reason, 1000)));
    }

    fn store_away(&mut self, reason: &str, longest: Duration) {
        tell(format_args!(
            "  waiting for the store, for up to {} s: see that it can be used again; if it is away for \
             longer, the same command goes on: {}",
            longest.as_secs(),
            shown(reason, 1000)
        ));
    }

    fn lock_taken_again(&mut self, loss: &str) {
        let loss = shown(loss, 1000);
        tell(format_args!("  the lock of the run was lost ({loss}); it is taken again"));
    }

    fn lock_lost(&mut self, process: &str) {
        let process = shown(process, 200);
        tell(format_args!(
            "  stopping: process {process} has the lock of the run now; attempts in progress finish"
        ));
    }

    fn run_ends(&mut self) {
        if self.has_bar {
            show(Below::Nothing);
        }
    }
}
