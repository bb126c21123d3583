//! Executing what is ready until nothing is left to do: one loop over the attempts in progress.
//!
//! No attempt waits for another one but those of its own posting. A free place is given to whatever is
//! ready, in the order that the [`Agenda`](super::Agenda) prefers; waves are what is recorded of that.
//! One begins at a conversation when an attempt is to be made there and none is open, and ends when none
//! of its attempts is in progress and it has made as many as stood ready when it began, or no other can
//! be begun. What becomes ready there meanwhile belongs to it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::task::JoinError;
use turing_domain::{ConversationId, PostingId};

use super::agenda::Chosen;
use super::apart::{Recorded, Recording};
use super::clocks::Moment;
use super::moved::{AttemptResult, Moved};
use super::open_waves::{Joined, Work};
use super::step::take_step;
use super::{Run, RunError, Shared};

/// What comes next.
enum Next {
    /// The beginning of a wave is recorded, or not.
    Begun(Joined<()>),
    /// An attempt has ended.
    Ended(Joined<Recording>),
    /// Something was recorded for a posting that stands apart, if one does.
    NotApart(Option<Box<Result<Recorded, JoinError>>>),
    /// Somebody has closed a circuit breaker.
    Closed,
    /// Something may be due, somebody else may have written, or it is asked to stop.
    Due,
}

/// Waits until somebody else has closed a circuit breaker.
fn breaker_closed(shared: &Arc<Shared>) -> BoxFuture<'static, ()> {
    let shared = shared.clone();
    Box::pin(async move { shared.breaker_closed().await })
}

impl Run<'_> {
    /// Executes what is ready until nothing is and nothing waits but for people or for the end of pauses, or
    /// until it is asked to stop or cancelled; attempts in progress end before.
    pub(super) async fn execute_all(&mut self) -> Result<(), RunError> {
        let mut work = Work::new();
        let done = Box::pin(self.work(&mut work)).await;
        Box::pin(self.wind_up(work, done)).await
    }

    async fn work(&mut self, work: &mut Work) -> Result<(), RunError> {
        let shared = self.shared.clone();
        // it looks now and then, however often something else comes first
        let mut closed = breaker_closed(&shared);
        loop {
            self.take_back()?;
            Box::pin(self.hear()).await?;
            if shared.operators.cancellation().is_some_and(|cancellation| cancellation.at_once) {
                work.break_off().await;
            }
            Box::pin(self.go_on_with_people()).await?;
            // of one moment: a gate that opens after it is one that opens later
            let now = Box::pin(self.fill(work)).await?;
            if Box::pin(self.end_idle_waves(work)).await? {
                // somebody may have come back meanwhile
                continue;
            }
            let gate = |id| shared.gate(id, now, |actor| work.is_called(actor));
            let due = self.agenda.next_due().filter(|_| !self.is_paused_for_good(now));
            let until = [due, self.agenda.next_opening(gate)];
            let until = until.into_iter().flatten().min();
            if work.attempts.is_empty() {
                match until {
                    _ if !self.goes_on() => return Ok(()),
                    Some(until) => self.tell_wait(Some(until), now),
                    None if self.apart.len() > 0 => self.tell_apart(),
                    None if self.waits_out_pauses() => self.tell_wait(None, now),
                    None => return Ok(()),
                }
            }
            match self.next(work, until, &mut closed).await {
                Next::Begun(begun) => work.begun(begun)?,
                Next::Ended(ended) => Box::pin(self.ended(work, ended)).await?,
                Next::NotApart(recorded) => self.settle_next(recorded.map(|recorded| *recorded))?,
                Next::Closed => closed = breaker_closed(&shared),
                Next::Due => {}
            }
        }
    }

    /// Whether it waits until somebody ends a pause.
    fn waits_out_pauses(&self) -> bool {
        self.shared.waits_out_pauses && !self.waits_for_pauses().is_empty()
    }

    /// Begins attempts, as many as there is room for, and answers at which moment no other could be
    /// begun. None is where a wave cannot be recorded: that ends the run.
    async fn fill(&mut self, work: &mut Work) -> Result<Instant, RunError> {
        let shared = self.shared.clone();
        let mut now = shared.clocks.timer.now();
        while self.goes_on() && work.has_room_for(1, &shared) && !work.has_failed() {
            now = shared.clocks.timer.now();
            self.agenda.wake(now);
            let gate = |id| shared.gate(id, now, |actor| work.is_called(actor));
            let Some(chosen) = self.agenda.next(now, gate, |id| work.goes_on(id)) else { break };
            if !Box::pin(self.begin(work, chosen)).await? {
                self.agenda.put_back(chosen.task);
            }
        }
        Ok(now)
    }

    /// Begins an attempt; false if there is to be none now, after all.
    async fn begin(&mut self, work: &mut Work, chosen: Chosen) -> Result<bool, RunError> {
        let Chosen { task, standing } = chosen;
        let (shared, id) = (self.shared.clone(), task.attempt.conversation_id);
        if work.is_over(id) {
            let over = self.close_wave(work, id).await?;
            self.end_wave(over).await?;
        }
        if !work.waves.contains_key(&id) && !self.open_wave(work, id, standing).await? {
            return Ok(false);
        }
        let Some(wave) = work.waves.get_mut(&id) else { return Ok(false) };
        if !self.claims_call(id, &wave.record).await? {
            return Ok(false);
        }
        let workflow = &shared.definition.workflow;
        if let Some(conversation) = workflow.conversation(id) {
            let limit = workflow.time_limit(conversation);
            self.observer.attempt_begins(conversation, task.posting, limit);
        }
        let step = Box::pin(take_step(shared.clone(), task, wave.record.clone()));
        wave.begin(work.attempts.spawn(async move { (id, step.await) }));
        Ok(true)
    }

    /// Waits for what comes next; until then at most, if another attempt could be begun. What people do,
    /// or do not do in time, is gone on with even if none could.
    async fn next(
        &mut self,
        work: &mut Work,
        until: Option<Instant>,
        closed: &mut BoxFuture<'static, ()>,
    ) -> Next {
        let (shared, mut stop) = (self.shared.clone(), self.stop.clone());
        let timer = &shared.clocks.timer;
        let is_idle = work.attempts.is_empty();
        let looks = is_idle || (self.goes_on() && work.has_room_for(1, &shared));
        let some_apart = looks && self.apart.len() > 0;
        let (hears, ears) = (self.hears(), self.people.ears.clone());
        let overdue = self.people.next_due().filter(|_| self.goes_on());
        let until = until.filter(|_| looks).into_iter().chain(overdue).min();
        let is_bounded = until.is_some();
        let until = until.unwrap_or_else(|| timer.now());
        let (apart, Work { attempts, beginnings, .. }) = (&mut self.apart, work);
        let next = async {
            tokio::select! {
                biased;
                Some(begun) = beginnings.join_next() => Next::Begun(begun),
                Some(ended) = attempts.join_next() => Next::Ended(ended),
                recorded = apart.next(), if some_apart => Next::NotApart(recorded.map(Box::new)),
                () = ears.wait(), if hears => Next::Due,
                () = timer.sleep_until(until), if is_bounded => Next::Due,
                () = closed, if looks => Next::Closed,
                Ok(_) = stop.wait_for(|stop| *stop), if is_idle => Next::Due,
            }
        };
        self.notices.telling(self.observer, next).await
    }

    /// Goes on with the posting of which an attempt has ended.
    async fn ended(&mut self, work: &mut Work, ended: Joined<Recording>) -> Result<(), RunError> {
        let (id, recording) = ended?;
        if let Some(wave) = work.waves.get_mut(&id) {
            wave.in_progress -= 1;
        }
        let recording = recording?;
        let posting = recording.posting();
        let result = self.take(recording).await?;
        self.observer.attempt_ends(posting, matches!(result, Some(Err(_))));
        // what is recorded late is in no wave's count
        if let (Some(result), Some(wave)) = (result, work.waves.get_mut(&id)) {
            wave.count.processed += 1;
            wave.count.failed += usize::from(result.is_err());
        }
        Ok(())
    }

    /// After an error what others have made is recorded, if that can be, and that a wave is over whose
    /// end was to be recorded with the beginning of another one. Other waves are ended by who goes on.
    async fn wind_up(
        &mut self,
        mut work: Work,
        done: Result<(), RunError>,
    ) -> Result<(), RunError> {
        let Err(mut error) = done else {
            return match work.is_cut_off {
                true => Err(RunError::NotBegun),
                false => Ok(()),
            };
        };
        work.give_up_failed();
        while let Some(ended) = self.telling(work.attempts.join_next()).await {
            let _ = self.ended(&mut work, ended).await;
        }
        let Work { waves, beginnings, .. } = work;
        drop(beginnings);
        for wave in waves.into_values() {
            error = self.left_over(&wave.record, error).await;
        }
        Err(error)
    }

    pub(super) fn moved(
        &mut self,
        conversation: ConversationId,
        posting: PostingId,
        moved: Moved,
        seen: Moment,
    ) -> Option<AttemptResult> {
        let Moved { causes, state, result, duration, usage } = moved;
        self.place(posting, &state, &causes, seen);
        if let Some(result) = &result {
            let failure = result.as_ref().err();
            self.observer.attempt_recorded(conversation, failure, duration, &usage);
            self.report.attempted(conversation, failure.cloned(), duration);
        }
        self.count_end(posting, &state);
        self.observer.posting_ended(self.report.postings - self.report.open);
        result
    }
}
