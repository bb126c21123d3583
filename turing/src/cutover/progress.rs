//! How far something is that takes long, and how much of it is done at once.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What is done step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// What was there before is imported.
    Backfilling,
    /// Both sides are compared.
    Validating,
    /// What only events say is written to the old table.
    WritingBack,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done.
    pub doing: Doing,
    /// How many postings were done.
    pub done: u64,
    /// Of about how many.
    pub of: u64,
    /// How many a second, since this call began.
    pub rate: f64,
    /// How long it will take still, if that can be told.
    pub left: Option<Duration>,
}

/// Is told how far it is before each step, and says whether to go on.
pub(super) type GoOn<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + Send + 'a;

/// Measures how fast something goes.
#[derive(Debug)]
pub(super) struct Meter {
    doing: Doing,
    began: Instant,
    /// How many were done before this call.
    before: u64,
    of: u64,
}

impl Meter {
    pub(super) fn new(doing: Doing, before: u64, of: u64) -> Self {
        Self { doing, began: Instant::now(), before, of }
    }

    /// How far it is when so many are done.
    pub(super) fn progress(&self, done: u64) -> Progress {
        progress(self.doing, self.began.elapsed(), self.before, done, self.of)
    }

    /// How long to wait so that no more than so many a second are done.
    pub(super) fn pause(&self, done: u64, rate: u32) -> Duration {
        let due =
            Duration::from_secs_f64(done.saturating_sub(self.before) as f64 / f64::from(rate));
        due.saturating_sub(self.began.elapsed())
    }
}

fn progress(doing: Doing, elapsed: Duration, before: u64, done: u64, of: u64) -> Progress {
    let seconds = elapsed.as_secs_f64();
    let rate = match seconds > 0.0 {
        true => done.saturating_sub(before) as f64 / seconds,
        false => 0.0,
    };
    let rest = of.saturating_sub(done) as f64;
    let left = (rate > 0.0).then(|| Duration::try_from_secs_f64(rest / rate).ok()).flatten();
    Progress { doing, done, of: of.max(done), rate, left }
}

/// How many are done in one transaction: as many as take a moment, because who writes to one of them
/// waits for its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portion {
    size: u32,
    most: u32,
}

/// A transaction that takes longer is followed by a smaller one, and one that takes less than half of it
/// by a larger one.
const MOMENT: Duration = Duration::from_millis(50);

impl Portion {
    /// So many at most.
    pub(super) fn up_to(most: u32) -> Self {
        let most = most.max(1);
        Self { size: most.min(16), most }
    }

    pub(super) fn size(self) -> i32 {
        i32::try_from(self.size).unwrap_or(i32::MAX)
    }

    /// What the next one is, as the last one took so long.
    pub(super) fn took(&mut self, time: Duration) {
        if time > MOMENT {
            self.size = (self.size / 2).max(1);
        } else if time < MOMENT / 2 {
            self.size = self.size.saturating_mul(2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_takes_a_moment_and_is_never_empty_nor_too_large() {
        let mut portion = Portion::up_to(100);
        let mut sizes = Vec::new();
        for millis in [1, 1, 1, 1, 30, 60, 60, 50, 25, 24] {
            sizes.push(portion.size());
            portion.took(Duration::from_millis(millis));
        }
        assert_eq!(sizes, [16, 32, 64, 100, 100, 100, 50, 25, 25, 25]);
        assert_eq!(portion.size(), 50);
        let mut least = Portion::up_to(0);
        least.took(Duration::from_secs(9));
        assert_eq!(least.size(), 1);
        assert_eq!(Portion::up_to(u32::MAX).size(), 16);
    }

    #[test]
    fn the_time_that_is_left_follows_from_what_this_call_has_done() {
        let second = Duration::from_secs(1);
        let at = |elapsed, before, done| progress(Doing::Backfilling, elapsed, before, done, 1_000);
        let told = at(2 * second, 500, 700);
        assert_eq!((told.done, told.of, told.rate), (700, 1_000, 100.0));
        assert_eq!(told.left, Some(3 * second));
        // nothing is known yet, or there are more than were counted
        assert_eq!(at(Duration::ZERO, 0, 0).left, None);
        assert_eq!(at(second, 500, 500).left, None);
        let more = at(second, 0, 1_200);
        assert_eq!((more.of, more.left), (1_200, Some(Duration::ZERO)));
    }
}
