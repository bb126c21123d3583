//! What is told of a step that takes long, while it goes on.

use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::Failure;
use super::super::interrupts::Interrupts;
use super::super::telling::tell_progress;
use crate::cutover::{Doing, Progress};

/// How often it is told.
const EACH: Duration = Duration::from_secs(1);

/// Tells how far a step is, until somebody asks it to stop.
pub(super) struct Going {
    pub(super) heard: watch::Receiver<u32>,
    told: Instant,
    is_quiet: bool,
}

impl Going {
    /// From now on a signal asks it to stop.
    pub(super) fn new(interrupts: &Interrupts) -> Result<Self, Failure> {
        Ok(Self { heard: interrupts.going()?, told: Instant::now(), is_quiet: false })
    }

    /// Of what begins again and again it is told to who looks at a terminal, and written to no file.
    pub(super) fn of_rounds(mut self) -> Self {
        self.is_quiet = !io::stderr().is_terminal();
        self
    }

    /// Something begins anew, and what was told before is not of it.
    pub(super) fn begin(&mut self) {
        self.told = Instant::now();
    }

    /// Whether somebody has asked it to stop.
    pub(super) fn is_over(&self) -> bool {
        *self.heard.borrow() > 0
    }

    pub(super) fn go_on(&mut self, progress: &Progress) -> ControlFlow<()> {
        if self.is_over() {
            return ControlFlow::Break(());
        }
        if !self.is_quiet && self.told.elapsed() >= EACH {
            self.told = Instant::now();
            tell_progress(line(progress));
        }
        ControlFlow::Continue(())
    }
}

fn line(progress: &Progress) -> String {
    let what = match progress.doing {
        Doing::Backfilling => "backfill",
        Doing::Validating => "comparing",
        Doing::WritingBack => "writing back",
    };
    let left =
        progress.left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
    format!(
        "{what}: {} of {} postings, {:.0} a second{left}",
        progress.done, progress.of, progress.rate
    )
}
