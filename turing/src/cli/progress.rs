//! What a run tells while it goes on: a bar on a terminal, elsewhere lines and now and then a sign
//! of life.

use std::fmt::Display;
use std::future::pending;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use turing_domain::{Conversation, PostingId, RunId};

use super::at_work::AtWork;
use super::check::summary;
use super::output::{counted, shown};
use super::telling::{Below, show, tell, tell_progress};
use crate::breakers::OpenBreaker;
use crate::definition::{Definition, Finding};
use crate::proposal::command;
use crate::run::{Before, GivenUp, Observer};
use crate::store::StoreUrl;

/// Where there is no bar, a run that goes on says so when it has told nothing for so long.
const SILENCE: Duration = Duration::from_secs(59);

/// Tells progress on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    /// The workflow and the store.
    of: String,
    /// What is told of the definition when a run begins.
    warnings: Vec<Finding>,
    going: Arc<Going>,
    ticker: JoinHandle<()>,
}

/// A run that goes on, as it is seen from outside.
#[derive(Debug)]
pub(super) struct Going {
    has_bar: bool,
    is_quiet: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_work: AtWork,
    /// False before the run begins, and when it is over.
    is_going: bool,
    last_told: Instant,
}

impl Progress {
    /// With a bar if standard error is a terminal on which one can be drawn. If it is to be quiet,
    /// only what is wrong is told. Must be called within a runtime.
    pub(super) fn new(definition: &Definition, store: &StoreUrl, is_quiet: bool) -> Self {
        let terminal = std::env::var_os("TERM").unwrap_or_default();
        let can_draw = !terminal.is_empty() && terminal != *"dumb";
        let has_bar = can_draw && !is_quiet && std::io::stderr().is_terminal();
        let store = match store {
            StoreUrl::Sqlite(path) => {
                StoreUrl::Sqlite(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            other => other.clone(),
        };
        let workflow = &definition.workflow;
        let of = format!("workflow {} ({}) in {store}", workflow.id, shown(&workflow.name, 40));
        let (at_work, last_told) = (AtWork::default(), Instant::now());
        let state = Mutex::new(State { at_work, is_going: false, last_told });
        let going = Arc::new(Going { has_bar, is_quiet, state });
        // before anybody is told that the run begins
        let asked = signal(SignalKind::user_defined1()).ok();
        let ticker = tokio::spawn(tick(Arc::clone(&going), asked));
        let warnings = if is_quiet { Vec::new() } else { definition.warnings.clone() };
        Self { of, warnings, going, ticker }
    }

    /// The run, to be looked at while it goes on.
    pub(super) fn going(&self) -> Arc<Going> {
        Arc::clone(&self.going)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.run_ends();
        self.ticker.abort();
    }
}

/// Each second brings the bar up to date or gives a sign of life; who asks by SIGUSR1 gets one now.
async fn tick(going: Arc<Going>, mut asked: Option<Signal>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Skip);
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

    /// Tells how far the run is, unless it is to be quiet.
    fn say(&self, text: impl Display) {
        if !self.is_quiet {
            self.state().last_told = Instant::now();
            tell_progress(text);
        }
    }

    fn change(&self, change: impl FnOnce(&mut AtWork)) {
        let mut state = self.state();
        change(&mut state.at_work);
        self.draw(&state);
    }

    fn draw(&self, state: &State) {
        if self.has_bar && state.is_going {
            let AtWork { ended, postings, .. } = state.at_work;
            let text = state.at_work.shown(Instant::now());
            show(Below::Bar { ended, postings, text });
        }
    }

    fn second(&self, now: Instant) {
        let mut state = self.state();
        if self.has_bar {
            self.draw(&state);
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

fn name_of(conversation: &Conversation) -> String {
    format!("{} {}", conversation.id, shown(&conversation.name, 40))
}

impl Observer for Progress {
    fn run_given_up(&mut self, gave_up: &GivenUp) {
        tell(gave_up);
    }

    fn executes_again(&mut self, before: &Before, postings: usize) {
        if self.going.is_quiet {
            return;
        }
        let count = before.postings();
        let last = before.runs().next_back();
        let last =
            last.map_or_else(String::new, |run_id| format!(", the last of them in run {run_id}"));
        tell(format_args!(
            "{count} of the {postings} postings have completed in this workflow before{last}; they are \
             executed again, which `{}` leaves out",
            command("run … --new")
        ));
    }

    fn run_begins(&mut self, run_id: RunId, postings: usize, is_continued: bool) {
        // who goes on with a run has read them
        if !is_continued && !self.warnings.is_empty() {
            self.warnings.iter().for_each(tell);
            tell(summary(&self.warnings));
        }
        let verb = if is_continued { "continues" } else { "begins" };
        if !self.going.is_quiet {
            let of = &self.of;
            let count = counted(postings, "posting");
            tell(format_args!("run {run_id} of {of} {verb} with {count}"));
        }
        let mut state = self.going.state();
        state.at_work.postings = postings;
        (state.is_going, state.last_told) = (true, Instant::now());
        self.going.draw(&state);
    }

    fn wave_begins(&mut self, conversation: &Conversation, postings: usize) {
        self.going.change(|run| run.wave_begins(name_of(conversation), postings));
    }

    fn attempt_begins(&mut self, posting: PostingId, limit: Option<Duration>) {
        self.going.change(|run| run.attempt_begins(posting, limit, Instant::now()));
    }

    fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        self.going.change(|run| run.attempt_ends(posting, has_failed));
    }

    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        self.going.change(AtWork::wave_ends);
        let name = name_of(conversation);
        self.going.say(match failed {
            0 => format!("  {name}: {done} done"),
            _ => format!("  {name}: {done} done, {failed} of them failed"),
        });
    }

    fn posting_ended(&mut self, ended: usize) {
        self.going.change(|run| run.ended = ended);
    }

    fn breaker_open(&mut self, breaker: &OpenBreaker) {
        tell(format_args!(
            "  {}; once the cause is mended, `{}` lets it be called",
            shown(&breaker.to_string(), 1000),
            command(format_args!("actor reset {}", breaker.actor))
        ));
    }

    fn waits(&mut self, waiting: usize, held: usize, longest: Duration) {
        let until = Instant::now().checked_add(longest);
        self.going.change(|run| run.waits(until));
        let seconds = longest.as_secs_f64();
        if waiting > 0 {
            self.going.say(format_args!(
                "  {waiting} failed attempts wait; the next is due in {seconds:.1} s"
            ));
        }
        if held > 0 {
            self.going.say(format_args!(
                "  {held} attempts are held because their actor's circuit breaker is open; going on \
                 in {seconds:.1} s"
            ));
        }
    }

    fn pauses(&mut self, held: usize, longest: Duration) {
        let seconds = longest.as_secs_f64();
        self.going.say(format_args!(
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

    fn store_back(&mut self) {
        tell("  the store answers again; the run goes on");
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
        // the ticker must not draw it again
        self.going.state().is_going = false;
        if self.going.has_bar {
            show(Below::Nothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_gives_a_sign_of_life_once_a_minute_while_it_goes_on() {
        let began = Instant::now();
        let at_work = AtWork::default();
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
}
