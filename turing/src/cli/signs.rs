//! Signs of life: a bar on a terminal, elsewhere a line now and then, and an answer to SIGUSR1.

use std::fmt::Display;
use std::future::pending;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::at_work::AtWork;
use super::telling::{Below, show, tell, tell_progress};

/// Where there is no bar, a call says how far it is when it has told nothing for so long.
const SILENCE: Duration = Duration::from_secs(59);

/// What gives signs of life for a call that runs a workflow, from its begin to its end.
#[derive(Debug)]
pub(super) struct Signs {
    going: Arc<Going>,
    ticker: JoinHandle<()>,
}

/// A call that goes on, as it is seen from outside.
#[derive(Debug)]
pub(super) struct Going {
    has_bar: bool,
    is_quiet: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_work: AtWork,
    /// False when the call is over.
    is_going: bool,
    last_told: Instant,
}

impl Signs {
    /// With a bar if standard error is a terminal on which one can be drawn. If it is to be quiet,
    /// only who asks is told. Must be called within a runtime.
    pub(super) fn new(is_quiet: bool) -> Self {
        let terminal = std::env::var_os("TERM").unwrap_or_default();
        let can_draw = !terminal.is_empty() && terminal != *"dumb";
        let has_bar = can_draw && !is_quiet && std::io::stderr().is_terminal();
        let (at_work, last_told) = (AtWork::beginning(), Instant::now());
        let state = Mutex::new(State { at_work, is_going: true, last_told });
        let going = Arc::new(Going { has_bar, is_quiet, state });
        // before anybody is told that something begins
        let asked = signal(SignalKind::user_defined1()).ok();
        let ticker = tokio::spawn(tick(Arc::clone(&going), asked));
        Self { going, ticker }
    }

    /// The call, to be looked at while it goes on.
    pub(super) fn going(&self) -> &Arc<Going> {
        &self.going
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        // the ticker must not draw it again
        self.going.state().is_going = false;
        self.going.clear();
        self.ticker.abort();
    }
}

/// Each second brings the bar up to date or gives a sign of life; who asks by SIGUSR1 gets one now.
async fn tick(going: Arc<Going>, mut asked: Option<Signal>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // the first is at once, and what takes less than a second needs no sign
    seconds.tick().await;
    loop {
        let is_asked = async {
            match &mut asked {
                Some(asked) => asked.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = seconds.tick() => going.second(Instant::now()),
            Some(()) = is_asked => going.answer(Instant::now()),
        }
    }
}

impl Going {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// Tells how far the run is, unless it is to be quiet.
    pub(super) fn say(&self, text: impl Display) {
        if !self.is_quiet {
            self.state().last_told = Instant::now();
            tell_progress(text);
        }
    }

    /// The same for what is never left out.
    pub(super) fn announce(&self, text: impl Display) {
        if !self.is_quiet {
            self.state().last_told = Instant::now();
            tell(text);
        }
    }

    /// Takes down that so many postings, of so many if that is known, have come through this. It may
    /// be called for each of them: nothing is told or drawn before somebody asks or it is time.
    pub(super) fn phase(&self, what: &'static str, done: usize, of: Option<usize>) {
        self.state().at_work.phase(what, done, of);
    }

    /// Takes down what a run does, and draws it.
    pub(super) fn change(&self, change: impl FnOnce(&mut AtWork)) {
        let mut state = self.state();
        change(&mut state.at_work);
        if let Some(bar) = self.bar(&state, Instant::now()) {
            show(bar);
        }
    }

    /// Takes the bar away, until there is another one to draw.
    pub(super) fn clear(&self) {
        if self.has_bar {
            show(Below::Nothing);
        }
    }

    fn bar(&self, state: &State, now: Instant) -> Option<Below> {
        let is_drawn = self.has_bar && state.is_going;
        is_drawn.then(|| state.at_work.bar(now)).flatten()
    }

    fn second(&self, now: Instant) {
        let mut state = self.state();
        if let Some(bar) = self.bar(&state, now) {
            show(bar);
        } else if state.gives_sign(now) && !self.is_quiet {
            tell_progress(format_args!("  {}", state.at_work.told(now)));
        }
    }

    fn answer(&self, now: Instant) {
        let state = self.state();
        if state.is_going {
            tell(format_args!("  {}", state.at_work.told(now)));
        }
    }

    /// What is still waited for when the run is asked to stop.
    pub(super) fn stopping(&self) -> String {
        self.state().at_work.stopping(Instant::now())
    }
}

impl State {
    /// Whether it is time to tell something, which is told then.
    fn gives_sign(&mut self, now: Instant) -> bool {
        let is_due = self.is_going && now.saturating_duration_since(self.last_told) >= SILENCE;
        if is_due {
            self.last_told = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gives_a_sign_of_life_once_a_minute_while_it_goes_on() {
        let began = Instant::now();
        let at_work = AtWork::beginning();
        let mut state = State { at_work, is_going: true, last_told: began };
        let minutes = 5;
        let seconds = (0..=60 * minutes).map(|second| began + Duration::from_secs(second));
        let signs: Vec<_> = seconds.filter(|now| state.gives_sign(*now)).collect();
        assert_eq!(signs.len() as u64, minutes);
        let silences = [&[began][..], &signs[..]].concat();
        let is_short = |pair: &[Instant]| pair[1] - pair[0] <= Duration::from_secs(60);
        assert!(silences.windows(2).all(is_short));
        state.is_going = false;
        assert!(!state.gives_sign(began + Duration::from_secs(3_600)));
    }

    #[test]
    fn a_bar_is_drawn_of_what_has_an_end_and_as_long_as_the_call_goes_on() {
        let now = Instant::now();
        let state = State { at_work: AtWork::beginning(), is_going: true, last_told: now };
        let going = Going { has_bar: true, is_quiet: false, state: Mutex::new(state) };
        let bar = || going.bar(&going.state(), now);
        assert_eq!(bar(), None);
        going.phase("reading postings", 7, None);
        assert_eq!(bar(), None, "nobody knows how many there are");
        going.phase("registering postings", 7, Some(10));
        let text = "registering postings".to_owned();
        assert_eq!(bar(), Some(Below::Bar { done: 7, of: 10, how: "done", text }));
        going.state().is_going = false;
        assert_eq!(bar(), None);
    }
}
