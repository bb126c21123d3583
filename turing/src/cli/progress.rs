//! What a run tells while it goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use turing_domain::{
    Attempt, Cancellation, Conversation, ConversationId, EndReason, FailureType, LlmUsage,
    PostingId, RunId,
};

use super::check::summary;
use super::output::{counted, shown};
use super::signs::Going;
use super::telling::{tell, tell_progress};
use crate::breakers::OpenBreaker;
use crate::definition::{Definition, Finding};
use crate::metrics::Metrics;
use crate::proposal::command;
use crate::run::{Before, GivenUp, Observer, Paused, PausedNow, Preparation, Sight, Wait};
use crate::store::StoreUrl;

/// Tells progress on standard error, and what is to be counted to the metrics.
#[derive(Debug)]
pub(super) struct Progress {
    /// The workflow and the store.
    of: String,
    /// What is told of the definition when a run begins.
    warnings: Vec<Finding>,
    /// The wait that was told last since a wave began.
    wait_told: Option<Wait>,
    going: Arc<Going>,
    metrics: Option<Metrics>,
}

/// A wait that is shorter is not told.
const WORTH_TELLING: Duration = Duration::from_millis(100);

impl Progress {
    /// Of a run of this call.
    pub(super) fn new(
        definition: &Definition,
        store: &StoreUrl,
        going: &Arc<Going>,
        metrics: Option<Metrics>,
    ) -> Self {
        let store = match store {
            StoreUrl::Sqlite(path) => {
                StoreUrl::Sqlite(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            other => other.clone(),
        };
        let workflow = &definition.workflow;
        let of = format!("workflow {} ({}) in {store}", workflow.id, shown(&workflow.name, 40));
        let warnings = if going.is_quiet() { Vec::new() } else { definition.warnings.clone() };
        Self { of, warnings, wait_told: None, going: Arc::clone(going), metrics }
    }

    fn count(&self, count: impl FnOnce(&Metrics)) {
        if let Some(metrics) = &self.metrics {
            count(metrics);
        }
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
        let count = before.postings();
        let last = before.runs().next_back();
        let last =
            last.map_or_else(String::new, |run_id| format!(", the last of them in run {run_id}"));
        self.going.announce(format_args!(
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
        let count = counted(postings, "posting");
        self.going.announce(format_args!("run {run_id} of {} {verb} with {count}", self.of));
        self.going.change(|call| call.run_begins(postings));
        self.count(|metrics| metrics.run_begins(postings));
    }

    fn can_be_seen(&mut self, sight: &Sight) {
        self.count(|metrics| metrics.sees(sight));
    }

    fn prepares(&mut self, what: Preparation, done: usize, of: usize) {
        let what = match what {
            Preparation::LookedAt => "looking at what was done with the postings before",
            Preparation::GivenUp => "giving up the postings of the run before",
            Preparation::Entered => "entering postings",
        };
        self.going.phase(what, done, Some(of));
    }

    fn wave_begins(&mut self, conversation: &Conversation, postings: usize) {
        self.wait_told = None;
        let (id, name) = (conversation.id, name_of(conversation));
        self.going.change(|run| run.wave_begins(id, name, postings));
    }

    fn attempt_begins(
        &mut self,
        conversation: &Conversation,
        posting: PostingId,
        limit: Option<Duration>,
    ) {
        let (id, now) = (conversation.id, Instant::now());
        self.count(|metrics| metrics.attempt_begins(id, posting));
        self.going.change(|run| run.attempt_begins(id, posting, limit, now));
    }

    fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        self.count(|metrics| metrics.attempt_ends(posting));
        self.going.change(|run| run.attempt_ends(posting, has_failed));
    }

    fn attempt_recorded(
        &mut self,
        conversation: ConversationId,
        failure: Option<&FailureType>,
        worked: Duration,
        usage: &LlmUsage,
    ) {
        self.count(|metrics| metrics.attempted(conversation, failure, worked, usage));
    }

    fn posting_stands(&mut self, posting: PostingId, at: &[(Attempt, Instant)]) {
        self.count(|metrics| metrics.posting_stands(posting, at));
    }

    fn posting_apart(&mut self, posting: PostingId) {
        self.count(|metrics| metrics.posting_apart(posting));
    }

    fn posting_ends(&mut self, reason: &EndReason) {
        self.count(|metrics| metrics.posting_ends(reason));
    }

    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        self.going.change(|run| run.wave_ends(conversation.id));
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

    fn waits(&mut self, wait: &Wait) {
        let until = wait.longest.and_then(|longest| Instant::now().checked_add(longest));
        let why = shown(&wait.to_string(), 1000);
        self.going.change(|run| run.waits(until, why.clone()));
        // each failed attempt whose time has come finds the same wait once more
        let is_told = self.wait_told.as_ref().is_some_and(|told| told.is_for_the_same(wait));
        if wait.longest.is_some_and(|longest| longest < WORTH_TELLING) || is_told {
            return;
        }
        self.wait_told = Some(wait.clone());
        match wait.longest {
            Some(longest) => {
                self.going.say(format_args!("  {why}; going on in {:.1} s", longest.as_secs_f64()))
            }
            None => self.going.say(format_args!("  {why}; going on when that is ended")),
        }
    }

    fn pause_begins(&mut self, pause: &PausedNow) {
        tell(format_args!("  {}", shown(&pause.to_string(), 1000)));
    }

    fn pause_ends(&mut self, pause: &PausedNow) {
        let what = match pause.paused {
            Paused::Run => "the run".to_owned(),
            Paused::Conversation(id) => format!("conversation {id}"),
            Paused::Actor(id) => format!("actor {id}"),
        };
        tell(format_args!("  {what} is not paused any more"));
    }

    fn run_cancelled(&mut self, cancellation: &Cancellation) {
        let how = match cancellation.at_once {
            true => "attempts in progress are broken off",
            false => "attempts in progress finish",
        };
        let cancelled = shown(&cancellation.to_string(), 1000);
        tell(format_args!("  stopping: the run is {cancelled}; {how}"));
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
        self.count(|metrics| metrics.posting_stands(posting, &[]));
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
        let until = Instant::now().checked_add(longest);
        self.count(Metrics::store_away);
        self.going.change(|run| run.store_away(until));
        tell(format_args!(
            "  waiting for the store, for up to {} s: see that it can be used again; if it is away for \
             longer, the same command goes on: {}",
            longest.as_secs(),
            shown(reason, 1000)
        ));
    }

    fn store_back(&mut self) {
        self.count(Metrics::store_back);
        self.going.change(|run| run.store_away(None));
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
        self.count(Metrics::run_ends);
        self.going.phase("ending the run", 0, None);
        self.going.clear();
    }
}
