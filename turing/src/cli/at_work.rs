//! How far a run is: its wave, the attempts in progress, and which of them lasts longest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use turing_domain::PostingId;

/// What a run is doing.
#[derive(Debug, Default)]
pub(super) struct AtWork {
    /// How many postings have ended, and of how many.
    pub(super) ended: usize,
    pub(super) postings: usize,
    wave: Option<Wave>,
    attempts: BTreeMap<PostingId, Attempt>,
    /// When something is attempted again, where nothing can be before.
    waits_until: Option<Instant>,
}

#[derive(Debug)]
struct Wave {
    name: String,
    size: usize,
    ended: usize,
    failed: usize,
}

#[derive(Debug)]
struct Attempt {
    began: Instant,
    /// How long it may take; `None` if any time.
    limit: Option<Duration>,
}

impl AtWork {
    pub(super) fn wave_begins(&mut self, name: String, size: usize) {
        self.wave = Some(Wave { name, size, ended: 0, failed: 0 });
        self.waits_until = None;
    }

    pub(super) fn wave_ends(&mut self) {
        self.wave = None;
    }

    pub(super) fn waits(&mut self, until: Option<Instant>) {
        self.waits_until = until;
    }

    pub(super) fn attempt_begins(
        &mut self,
        posting: PostingId,
        limit: Option<Duration>,
        now: Instant,
    ) {
        self.attempts.insert(posting, Attempt { began: now, limit });
    }

    pub(super) fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        self.attempts.remove(&posting);
        if let Some(wave) = &mut self.wave {
            wave.ended += 1;
            wave.failed += usize::from(has_failed);
        }
    }

    /// The attempt that lasts longest, and for how long.
    fn longest(&self, now: Instant) -> Option<(PostingId, u64)> {
        let (posting, attempt) = self.attempts.iter().min_by_key(|(_, attempt)| attempt.began)?;
        Some((*posting, now.saturating_duration_since(attempt.began).as_secs()))
    }

    /// How far it is, in one line for a log.
    pub(super) fn told(&self, now: Instant) -> String {
        let Self { ended, postings, .. } = self;
        let mut told = match (&self.wave, self.waits_until) {
            (Some(Wave { name, size, ended, failed: 0 }), _) => {
                format!("{name}: {ended} of {size} ended")
            }
            (Some(Wave { name, size, ended, failed }), _) => {
                format!("{name}: {ended} of {size} ended, {failed} of them failed")
            }
            (None, None) => format!("{ended} of {postings} postings ended"),
            (None, Some(until)) => format!(
                "{ended} of {postings} postings ended; going on in {:.1} s",
                until.saturating_duration_since(now).as_secs_f64()
            ),
        };
        if let Some((posting, seconds)) = self.longest(now) {
            let count = self.attempts.len();
            told +=
                &format!(", {count} at work, the longest is posting {posting}, for {seconds} s");
        }
        told
    }

    /// The same in few words for beside a bar.
    pub(super) fn shown(&self, now: Instant) -> String {
        let Some(Wave { name, size, ended, .. }) = &self.wave else { return String::new() };
        let count = self.attempts.len();
        let mut shown = format!("{name}: {} to do", size.saturating_sub(ended + count));
        if let Some((posting, seconds)) = self.longest(now) {
            shown += &format!(", {count} at work, posting {posting} for {seconds} s");
        }
        shown
    }

    /// What is still waited for when the run is asked to stop.
    pub(super) fn stopping(&self, now: Instant) -> String {
        let left = |Attempt { began, limit }: &Attempt| {
            let end = began.checked_add((*limit)?)?;
            Some(end.saturating_duration_since(now))
        };
        let longest = self.attempts.values().map(left).collect::<Option<Vec<_>>>();
        let longest = longest.and_then(|left| left.into_iter().max());
        let (are, end) = match self.attempts.len() {
            1 => ("1 attempt is".to_owned(), "ends"),
            count => (format!("{count} attempts are"), "end"),
        };
        match longest {
            // what has no time left is about to be ended
            Some(longest) => format!(
                "{are} in progress and {end} within {} s",
                longest.as_secs_f64().ceil().max(1.0)
            ),
            None if self.attempts.is_empty() => "no attempt is in progress".to_owned(),
            None => format!("{are} in progress, which may take any time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_attempt_is_named() {
        let (mut run, now) = (AtWork { postings: 9, ..AtWork::default() }, Instant::now());
        assert_eq!(run.told(now), "0 of 9 postings ended");
        run.wave_begins("10 check".to_owned(), 6);
        assert_eq!(run.told(now), "10 check: 0 of 6 ended");
        assert_eq!(run.shown(now), "10 check: 6 to do");
        run.attempt_begins(PostingId(2), None, now + seconds(1));
        run.attempt_begins(PostingId(1), None, now + seconds(5));
        let told = "10 check: 0 of 6 ended, 2 at work, the longest is posting 2, for 25 s";
        assert_eq!(run.told(now + seconds(26)), told);
        let shown = "10 check: 4 to do, 2 at work, posting 2 for 25 s";
        assert_eq!(run.shown(now + seconds(26)), shown);
        run.attempt_ends(PostingId(2), true);
        let told = "10 check: 1 of 6 ended, 1 of them failed, 1 at work, the longest is posting 1, \
                    for 1 s";
        assert_eq!(run.told(now + seconds(6)), told);
        run.attempt_ends(PostingId(1), false);
        assert_eq!(run.told(now), "10 check: 2 of 6 ended, 1 of them failed");
        assert_eq!(run.shown(now), "10 check: 4 to do");
        run.wave_ends();
        run.waits(Some(now + seconds(30)));
        assert_eq!(run.told(now), "0 of 9 postings ended; going on in 30.0 s");
        assert_eq!(run.shown(now), "");
    }

    #[test]
    fn who_stops_it_is_told_how_long_that_takes_at_most() {
        let (mut run, now) = (AtWork::default(), Instant::now());
        assert_eq!(run.stopping(now), "no attempt is in progress");
        run.attempt_begins(PostingId(1), Some(seconds(15)), now);
        let told = "1 attempt is in progress and ends within 15 s";
        assert_eq!(run.stopping(now), told);
        assert_eq!(run.stopping(now + Duration::from_millis(100)), told);
        assert!(run.stopping(now + seconds(20)).ends_with(" within 1 s"));
        run.attempt_begins(PostingId(2), Some(seconds(60)), now);
        let told = "2 attempts are in progress and end within 60 s";
        assert_eq!(run.stopping(now), told);
        run.attempt_begins(PostingId(3), None, now);
        let told = "3 attempts are in progress, which may take any time";
        assert_eq!(run.stopping(now), told);
    }
}
