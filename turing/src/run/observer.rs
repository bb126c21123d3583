//! What a run tells whoever started it.

use std::time::{Duration, Instant};

use turing_domain::{
    Attempt, Cancellation, Conversation, ConversationId, EndReason, FailureType, LlmUsage,
    PostingId, RunId,
};

use super::{Before, GivenUp, PausedNow, Sight, Wait};
use crate::breakers::OpenBreaker;

/// What is done with each posting before the first attempt of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preparation {
    /// It is looked for what was done with it before.
    LookedAt,
    /// It is ended in a run that is given up.
    GivenUp,
    /// It enters the run, or is found in it.
    Entered,
}

/// What a run tells while it goes on. An observer has the methods for what it wants to hear.
pub trait Observer: Send {
    /// A run was given up for the one that is asked for.
    fn run_given_up(&mut self, gave_up: &GivenUp) {
        let _ = gave_up;
    }
    /// So many of the postings of the run that begins have completed in an earlier one of the
    /// workflow, and are executed again.
    fn executes_again(&mut self, before: &Before, postings: usize) {
        let _ = (before, postings);
    }
    /// The run began, or is continued.
    fn run_begins(&mut self, run_id: RunId, postings: usize, is_continued: bool) {
        let _ = (run_id, postings, is_continued);
    }
    /// The run can be looked at from now on.
    fn can_be_seen(&mut self, sight: &Sight) {
        let _ = sight;
    }
    /// So many postings, of so many, have come through this.
    fn prepares(&mut self, what: Preparation, done: usize, of: usize) {
        let _ = (what, done, of);
    }
    /// A wave begins at a conversation where so many postings stand ready; what becomes ready there until
    /// it ends belongs to it. Several may be open, one at each conversation.
    fn wave_begins(&mut self, conversation: &Conversation, postings: usize) {
        let _ = (conversation, postings);
    }
    /// An attempt at a conversation begins, in its wave; it may take so long, or any time. A posting makes
    /// one after the other.
    fn attempt_begins(
        &mut self,
        conversation: &Conversation,
        posting: PostingId,
        limit: Option<Duration>,
    ) {
        let _ = (conversation, posting, limit);
    }
    /// The attempt of a posting has ended.
    fn attempt_ends(&mut self, posting: PostingId, has_failed: bool) {
        let _ = (posting, has_failed);
    }
    /// The result of an attempt at a conversation is recorded: its failure, if it failed, for how long
    /// the actor worked, and what a language model told of its answer.
    fn attempt_recorded(
        &mut self,
        conversation: ConversationId,
        failure: Option<&FailureType>,
        worked: Duration,
        usage: &LlmUsage,
    ) {
        let _ = (conversation, failure, worked, usage);
    }
    /// A posting stands here now, and nowhere else in the run: what can be attempted for it, and from
    /// when, as far as it is concerned; and what waits for people, from when that was met.
    fn posting_stands(&mut self, posting: PostingId, at: &[(Attempt, Instant)]) {
        let _ = (posting, at);
    }
    /// What is recorded for a posting takes long: nothing is attempted for it before it is told where it
    /// stands.
    fn posting_apart(&mut self, posting: PostingId) {
        let _ = posting;
    }
    /// A wave has ended, with so many attempts.
    fn wave_ends(&mut self, conversation: &Conversation, done: usize, failed: usize) {
        let _ = (conversation, done, failed);
    }
    /// A posting has ended in the run, be it now or in an earlier process.
    fn posting_ends(&mut self, reason: &EndReason) {
        let _ = reason;
    }
    /// So many postings have ended by now.
    fn posting_ended(&mut self, ended: usize) {
        let _ = ended;
    }
    /// Nothing can be attempted for a while. Told each time that the run finds nothing to attempt,
    /// which it may often do during one wait.
    fn waits(&mut self, wait: &Wait) {
        let _ = wait;
    }
    /// An actor gets no call for a while: its circuit breaker was open when the run began or went on,
    /// or has opened now.
    fn breaker_open(&mut self, breaker: &OpenBreaker) {
        let _ = breaker;
    }
    /// Somebody wants no attempt to begin, in the run, at a conversation or of an actor: it was so when the
    /// run began or went on, or is so from now on. Pauses of the run hide others.
    fn pause_begins(&mut self, pause: &PausedNow) {
        let _ = pause;
    }
    /// Such a pause is over, or somebody has ended it.
    fn pause_ends(&mut self, pause: &PausedNow) {
        let _ = pause;
    }
    /// Somebody wants the run to come to nothing: no attempt begins any more.
    fn run_cancelled(&mut self, cancellation: &Cancellation) {
        let _ = cancellation;
    }
    /// Nothing is left to be done but to wait until something can be recorded for these postings.
    fn waits_for(&mut self, postings: &[PostingId]) {
        let _ = postings;
    }
    /// A posting cannot go on, and stays open; the others go on.
    fn posting_left(&mut self, posting: PostingId, reason: &str) {
        let _ = (posting, reason);
    }
    /// An attempt waits because the system cannot start its script now, for this reason, which names
    /// what is to be done; told once.
    fn waits_to_start(&mut self, reason: &str) {
        let _ = reason;
    }
    /// The run goes on without something that only protects it or tells of it, because its events
    /// cannot be read.
    fn goes_without(&mut self, what: &str, reason: &str) {
        let _ = (what, reason);
    }
    /// The store cannot be used now, for this reason, which names it. Whatever needs it waits, for so
    /// long at most. Told once for each time that it is away.
    fn store_away(&mut self, reason: &str, longest: Duration) {
        let _ = (reason, longest);
    }
    /// The store that was away can be used again.
    fn store_back(&mut self) {}
    /// The lock of the run was lost in this way, and is taken again: the run goes on.
    fn lock_taken_again(&mut self, loss: &str) {
        let _ = loss;
    }
    /// The lock of the run was lost, and this other process has it: attempts in progress finish.
    fn lock_lost(&mut self, process: &str) {
        let _ = process;
    }
    /// The run is over, or it stopped.
    fn run_ends(&mut self) {}
}
