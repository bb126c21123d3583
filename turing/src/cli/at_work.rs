//! How far a call is: what it does with how many postings, its run's waves, the attempts in progress,
//! and which of them lasts longest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use turing_domain::{ConversationId, PostingId};

use super::telling::Below;

/// What a call is doing.
#[derive(Debug, Default)]
pub(super) struct AtWork {
    /// What is done before the first attempt, or after the last one.
    phase: Option<Phase>,
    /// How many postings have ended, and of how many.
    pub(super) ended: usize,
    pub(super) postings: usize,
    /// The waves that are open.
    waves: BTreeMap<ConversationId, Wave>,
    attempts: BTreeMap<PostingId, Attempt>,
    /// When something is attempted again, where nothing can be before, and why.
    waits: Option<(Option<Instant>, String)>,
    /// Until when the store is waited for, while it is away.
    away_until: Option<Instant>,
}

/// Something through which all postings come.
#[derive(Debug)]
struct Phase {
    what: &'static str,
    done: usize,
    /// How many there are, if that is known.
    of: Option<usize>,
}

impl Phase {
    fn told(&self) -> String {
        let Self { what, done, of } = self;
        match (done, of) {
            (done, Some(of)) => format!("{what}: {done} of {of}"),
            (0, None) => (*what).to_owned(),
            (done, None) => format!("{what}: {done} so far"),
        }
    }
}

#[derive(Debug)]
struct Wave {
    name: String,
    /// How many attempts it has, as far as is known.
    size: usize,
    begun: usize,
    ended: usize,
    failed: usize,
}

impl Wave {
    /// What became ready since the wave began belongs to it.
    fn size(&self) -> usize {
        self.size.max(self.begun)
    }
}

#[derive(Debug)]
struct Attempt {
    conversation: ConversationId,
    began: Instant,
    /// How long it may take; `None` if any time.
    limit: Option<Duration>,
}

impl AtWork {
    /// What a call is doing before it says more.
    pub(super) fn beginning() -> Self {
        let phase = Some(Phase { what: "beginning", done: 0, of: None });
        Self { phase, ..Self::default() }
    }

    pub(super) fn phase(&mut self, what: &'static str, done: usize, of: Option<usize>) {
        self.phase = Some(Phase { what, done, of });
    }

    pub(super) fn run_begins(&mut self, postings: usize) {
        (self.phase, self.postings) = (None, postings);
    }

    pub(super) fn wave_begins(&mut self, conversation: ConversationId, name: String, size: usize) {
        let wave = Wave { name, size, begun: 0, ended: 0, failed: 0 };
        self.waves.insert(conversation, wave);
        (self.phase, self.waits) = (None, None);
    }

    pub(super) fn wave_ends(&mut self, conversation: ConversationId) {
        self.waves.remove(&conversation);
    }

    pub(super) fn waits(&mut self, until: Option<Instant>, why: String) {
        (self.phase, self.waits) = (None, Some((until, why)));
    }

    /// The store is away, and is waited for until then; or it is not.
    pub(super) fn store_away(&mut self, until: Option<Instant>) {
        self.away_until = until;
    }

    pub(super) fn attempt_begins(
        &mut self,
        conversation: ConversationId,
        posting: PostingId,
        limit: Option<Duration>,
        now: Instant,
    ) {
        self.attempts.insert(posting, Attempt { conversation, began: now, limit });
        if let Some(wave) = self.waves.get_mut(&conversation) {
            wave.begun += 1;
        }
    }

    pub(super) fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        let attempt = self.attempts.remove(&posting);
        let wave = attempt.and_then(|attempt| self.waves.get_mut(&attempt.conversation));
        if let Some(wave) = wave {
            wave.ended += 1;
            wave.failed += usize::from(has_failed);
        }
    }

    /// The waves that are open as if they were one, which has the name of the first.
    fn at_waves(&self) -> Option<Wave> {
        let mut waves = self.waves.values();
        let first = waves.next()?;
        let name = match waves.len() {
            0 => first.name.clone(),
            more => format!("{} and {more} more", first.name),
        };
        let sum = |what: fn(&Wave) -> usize| self.waves.values().map(what).sum::<usize>();
        let (size, begun) = (sum(Wave::size), sum(|wave| wave.begun));
        let (ended, failed) = (sum(|wave| wave.ended), sum(|wave| wave.failed));
        Some(Wave { name, size, begun, ended, failed })
    }

    /// The attempt that lasts longest, and for how long.
    fn longest(&self, now: Instant) -> Option<(PostingId, u64)> {
        let (posting, attempt) = self.attempts.iter().min_by_key(|(_, attempt)| attempt.began)?;
        Some((*posting, now.saturating_duration_since(attempt.began).as_secs()))
    }

    /// How far it is, in one line for a log.
    pub(super) fn told(&self, now: Instant) -> String {
        if let Some(phase) = &self.phase {
            return phase.told() + &self.store(now);
        }
        let Self { ended, postings, .. } = self;
        let mut told = match (self.at_waves(), &self.waits) {
            (Some(Wave { name, size, ended, failed: 0, .. }), _) => {
                format!("{name}: {ended} of {size} ended")
            }
            (Some(Wave { name, size, ended, failed, .. }), _) => {
                format!("{name}: {ended} of {size} ended, {failed} of them failed")
            }
            (None, None) => format!("{ended} of {postings} postings ended"),
            (None, Some((Some(until), why))) => format!(
                "{ended} of {postings} postings ended; {why}; going on in {:.1} s",
                until.saturating_duration_since(now).as_secs_f64()
            ),
            (None, Some((None, why))) => format!("{ended} of {postings} postings ended; {why}"),
        };
        if let Some((posting, seconds)) = self.longest(now) {
            let count = self.attempts.len();
            told +=
                &format!(", {count} at work, the longest is posting {posting}, for {seconds} s");
        }
        told + &self.store(now)
    }

    /// That the store is waited for, if it is, to be told behind something else.
    fn store(&self, now: Instant) -> String {
        self.away_until.map_or_else(String::new, |until| {
            let left = until.saturating_duration_since(now).as_secs_f64().ceil();
            format!("; the store is away, and is waited for, for about {left} s more")
        })
    }

    /// The same as a bar, if it is known how much there is to do.
    pub(super) fn bar(&self, now: Instant) -> Option<Below> {
        let (done, of, how, text) = match &self.phase {
            Some(Phase { what, done, of }) => (*done, (*of)?, "done", (*what).to_owned()),
            None => (self.ended, self.postings, "ended", self.shown(now)),
        };
        Some(Below::Bar { done, of, how, text })
    }

    /// In few words for beside a bar.
    fn shown(&self, now: Instant) -> String {
        let Some(Wave { name, size, begun, .. }) = self.at_waves() else {
            return self.waits.as_ref().map_or_else(String::new, |(_, why)| why.clone());
        };
        let count = self.attempts.len();
        let mut shown = format!("{name}: {} to do", size.saturating_sub(begun));
        if let Some((posting, seconds)) = self.longest(now) {
            shown += &format!(", {count} at work, posting {posting} for {seconds} s");
        }
        shown
    }

    /// What is still waited for when the run is asked to stop.
    pub(super) fn stopping(&self, now: Instant) -> String {
        let left = |Attempt { began, limit, .. }: &Attempt| {
            let end = began.checked_add((*limit)?)?;
            Some(end.saturating_duration_since(now))
        };
        let longest = self.attempts.values().map(left).collect::<Option<Vec<_>>>();
        let longest = longest.and_then(|left| left.into_iter().max());
        let (are, end) = match self.attempts.len() {
            1 => ("1 attempt is".to_owned(), "ends"),
            count => (format!("{count} attempts are"), "end"),
        };
        let attempts = match longest {
            // what has no time left is about to be ended
            Some(longest) => format!(
                "{are} in progress and {end} within {} s",
                longest.as_secs_f64().ceil().max(1.0)
            ),
            None if self.attempts.is_empty() => "no attempt is in progress".to_owned(),
            None => format!("{are} in progress, which may take any time"),
        };
        match self.away_until {
            Some(_) => attempts + &self.store(now) + ", to record what was done",
            None => attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: ConversationId = ConversationId(10);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_attempt_is_named() {
        let (mut run, now) = (AtWork { postings: 9, ..AtWork::default() }, Instant::now());
        assert_eq!(run.told(now), "0 of 9 postings ended");
        run.wave_begins(CHECK, "10 check".to_owned(), 6);
        assert_eq!(run.told(now), "10 check: 0 of 6 ended");
        assert_eq!(run.shown(now), "10 check: 6 to do");
        run.attempt_begins(CHECK, PostingId(2), None, now + seconds(1));
        run.attempt_begins(CHECK, PostingId(1), None, now + seconds(5));
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
        run.wave_ends(CHECK);
        run.waits(Some(now + seconds(30)), "1 attempt waits for actor 7".to_owned());
        let told = "0 of 9 postings ended; 1 attempt waits for actor 7; going on in 30.0 s";
        assert_eq!(run.told(now), told);
        assert_eq!(run.shown(now), "1 attempt waits for actor 7");
    }

    #[test]
    fn waves_that_are_open_together_are_told_as_one() {
        let (mut run, now) = (AtWork { postings: 9, ..AtWork::default() }, Instant::now());
        let grade = ConversationId(20);
        run.wave_begins(CHECK, "10 check".to_owned(), 2);
        run.attempt_begins(CHECK, PostingId(1), None, now);
        run.attempt_begins(CHECK, PostingId(2), None, now);
        run.attempt_ends(PostingId(2), false);
        run.wave_begins(grade, "20 grade".to_owned(), 1);
        run.attempt_begins(grade, PostingId(2), None, now + seconds(1));
        assert_eq!(run.shown(now), "10 check and 1 more: 0 to do, 2 at work, posting 1 for 0 s");
        run.attempt_ends(PostingId(2), true);
        let told = "10 check and 1 more: 2 of 3 ended, 1 of them failed, 1 at work, the longest is \
                    posting 1, for 9 s";
        assert_eq!(run.told(now + seconds(9)), told);
        // one that became ready since belongs to the wave
        run.attempt_begins(grade, PostingId(3), None, now);
        run.attempt_ends(PostingId(1), false);
        run.wave_ends(CHECK);
        let told = "20 grade: 1 of 2 ended, 1 of them failed, 1 at work, the longest is posting 3, for 0 s";
        assert_eq!(run.told(now), told);
    }

    #[test]
    fn what_is_done_beside_attempts_is_told_with_how_many_postings_came_through_it() {
        let (mut call, now) = (AtWork::beginning(), Instant::now());
        assert_eq!(call.told(now), "beginning");
        call.phase("reading postings", 0, None);
        assert_eq!(call.told(now), "reading postings");
        call.phase("reading postings", 99_000, None);
        assert_eq!(call.told(now), "reading postings: 99000 so far");
        call.phase("registering postings", 12_000, Some(100_000));
        assert_eq!(call.told(now), "registering postings: 12000 of 100000");
        call.run_begins(100_000);
        assert_eq!(call.told(now), "0 of 100000 postings ended");
        call.phase("entering postings", 1, Some(100_000));
        assert_eq!(call.told(now), "entering postings: 1 of 100000");
        call.wave_begins(CHECK, "10 check".to_owned(), 6);
        assert_eq!(call.told(now), "10 check: 0 of 6 ended");
        call.wave_ends(CHECK);
        call.phase("bringing the read models up to date", 0, None);
        assert_eq!(call.told(now), "bringing the read models up to date");
    }

    #[test]
    fn who_stops_it_is_told_how_long_that_takes_at_most() {
        let (mut run, now) = (AtWork::default(), Instant::now());
        assert_eq!(run.stopping(now), "no attempt is in progress");
        run.attempt_begins(CHECK, PostingId(1), Some(seconds(15)), now);
        let told = "1 attempt is in progress and ends within 15 s";
        assert_eq!(run.stopping(now), told);
        assert_eq!(run.stopping(now + Duration::from_millis(100)), told);
        assert!(run.stopping(now + seconds(20)).ends_with(" within 1 s"));
        run.attempt_begins(CHECK, PostingId(2), Some(seconds(60)), now);
        let told = "2 attempts are in progress and end within 60 s";
        assert_eq!(run.stopping(now), told);
        run.attempt_begins(CHECK, PostingId(3), None, now);
        let told = "3 attempts are in progress, which may take any time";
        assert_eq!(run.stopping(now), told);
        run.store_away(Some(now + seconds(30)));
        let away = "; the store is away, and is waited for, for about 10 s more";
        let later = now + seconds(20);
        assert_eq!(run.stopping(later), format!("{told}{away}, to record what was done"));
        assert!(run.told(later).ends_with(away), "{}", run.told(later));
        run.store_away(None);
        assert_eq!(run.stopping(later), told);
    }
}
