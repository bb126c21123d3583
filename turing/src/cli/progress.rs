//! What a run tells while it goes on: a bar on a terminal, one plain line a wave elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use turing_domain::{Conversation, PostingId, RunId};

use super::output::{shown, tell};
use crate::run::Observer;

/// Tells progress on standard error.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// With a bar if standard error is a terminal.
    pub(super) fn new() -> Self {
        use std::io::IsTerminal;
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = "{bar:30} {pos}/{len} postings ended  {elapsed}  {msg}";
            let style = ProgressStyle::with_template(style).expect("the template is well-formed");
            ProgressBar::no_length().with_style(style)
        });
        Self { bar }
    }

    fn line(&self, text: String) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => tell(text),
        }
    }
}

impl Observer for Progress {
    fn run_begins(&mut self, run_id: RunId, postings: usize, is_continued: bool) {
        let verb = if is_continued { "continues" } else { "begins" };
        self.line(format!("run {run_id} {verb} with {postings} postings"));
        if let Some(bar) = &self.bar {
            bar.set_length(postings as u64);
        }
    }

    fn wave_begins(&mut self, conversation: &Conversation, postings: usize) {
        if let Some(bar) = &self.bar {
            let (id, name) = (conversation.id, shown(&conversation.name, 40));
            bar.set_message(format!("{id} {name}: {postings} to do"));
        }
    }

    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        let (id, name) = (conversation.id, shown(&conversation.name, 40));
        self.line(match failed {
            0 => format!("  {id} {name}: {done} done"),
            _ => format!("  {id} {name}: {done} done, {failed} of them failed"),
        });
    }

    fn posting_ended(&mut self, ended: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(ended as u64);
        }
    }

    fn waits(&mut self, waiting: usize, held: usize, longest: Duration) {
        let seconds = longest.as_secs_f64();
        if waiting > 0 {
            let text =
                format!("  {waiting} failed attempts wait; the next is due in {seconds:.1} s");
            self.line(text);
        }
        if held > 0 {
            self.line(format!(
                "  {held} attempts are held because their actor's circuit breaker is open; going on \
                 in {seconds:.1} s"
            ));
        }
    }

    fn waits_for(&mut self, postings: &[PostingId]) {
        let named: Vec<_> = postings.iter().take(10).map(ToString::to_string).collect();
        let more = match postings.len().saturating_sub(named.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.line(format!(
            "  waiting for posting {}{more}: what they did cannot be recorded yet; does another \
             session hold their streams?",
            named.join(", ")
        ));
    }

    fn posting_left(&mut self, posting: PostingId, reason: &str) {
        self.line(format!("  posting {posting} cannot go on: {}", shown(reason, 1000)));
    }

    fn waits_to_start(&mut self, reason: &str) {
        self.line(format!(
            "  attempts wait until their scripts can be started: {}",
            shown(reason, 1000)
        ));
    }

    fn goes_without(&mut self, what: &str, reason: &str) {
        self.line(format!("  goes on without {what}: {}", shown(reason, 1000)));
    }

    fn run_ends(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
