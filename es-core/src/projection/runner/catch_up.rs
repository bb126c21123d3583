//! Coming to the end of the log, and giving the leases back.

use futures_util::future::{Either, FutureExt, join, join_all, select};

use crate::environment::within;
use crate::error::{StoreError, StoreErrorKind};
use crate::reaction::{Goal, Reactor};

use super::{Member, Runner, RunnerError};

impl Runner {
    /// Brings every projection and reaction to the end of the log, and gives the leases back, so that
    /// whoever comes next can go on at once: [`catch_up`](Self::catch_up), then
    /// [`release`](Self::release). A reaction that fails is no error, as there.
    ///
    /// # Errors
    ///
    /// Those of [`catch_up`](Self::catch_up).
    ///
    /// # Cancellation
    ///
    /// As that of [`catch_up`](Self::catch_up); the leases end with their time.
    pub async fn once(mut self) -> Result<(), RunnerError> {
        let caught_up = self.catch_up().await;
        self.release().await;
        caught_up
    }

    /// Brings every projection and reaction to the end of the log, and deals with parked events that
    /// are due; for tests and for programs that do not stay. What reactions record meanwhile is dealt
    /// with, too, by all.
    ///
    /// A reaction that fails is tried as its [policy](crate::Reaction::policy) says, two minutes by
    /// default, and then its stream is parked and **the answer is `Ok`**:
    /// [`health`](super::RunnerHandle::health) counts what waits.
    ///
    /// The leases are kept, for further calls; a runner that is dropped with them keeps others away
    /// until their time is over, so see [`release`](Self::release), or [`once`](Self::once). If the
    /// handle stops the runner meanwhile, it ends with what it has taken until then, two seconds later
    /// at most.
    ///
    /// # Errors
    ///
    /// When a projection or reaction stopped, when the store failed, or when a lease cannot be had;
    /// also when store and sink have not answered anything for three times the time of a lease, as
    /// which the time of a commit counts. The others have come to the end, and may not have seen what
    /// reactions recorded meanwhile. A further call tries again what a failure of the store or somebody
    /// else's lease has kept; what an event, other code, another history or a misuse has stopped stays
    /// so until there is another runner.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends what it has under way, and loses nothing: a further call goes on
    /// where the models are.
    pub async fn catch_up(&mut self) -> Result<(), RunnerError> {
        self.check_names()?;
        if self.reactors.is_empty() {
            return self.catch_up_crew().await;
        }
        let means = self.means();
        loop {
            let calls: u64 = self.reactors.iter().map(Reactor::calls).sum();
            let mut call = Call::with_reactors(self);
            let reacting = call.reactors.iter_mut();
            let reacting = reacting.map(|reactor| reactor.attend(&means, Goal::EndOfLog));
            let (projected, reacted) = join(call.runner.catch_up_crew(), join_all(reacting)).await;
            let mut stopped = projected.err().map_or_else(Vec::new, |error| error.stopped);
            stopped.extend(reacted.into_iter().flatten());
            drop(call);
            if !stopped.is_empty() {
                return Err(RunnerError { stopped });
            }
            // who came to the end first has not seen what others recorded
            let is_quiet = self.reactors.iter().map(Reactor::calls).sum::<u64>() == calls;
            if is_quiet || self.signals.is_stopped() {
                return Ok(());
            }
        }
    }

    /// Brings every projection to the end of the log.
    async fn catch_up_crew(&mut self) -> Result<(), RunnerError> {
        self.signals.wake();
        // what was read for an earlier call may not be all that there is
        self.ahead = None;
        let (signals, settings) = (self.signals.clone(), self.settings.clone());
        let runtime = self.environment.runtime.clone();
        let call = Call::new(self);
        let ended = {
            let work = std::pin::pin!(call.runner.caught_up());
            let silent = std::pin::pin!(signals.silent_for(&*runtime, settings.patience()));
            let late = std::pin::pin!(signals.stopped_for(&*runtime, settings.grace()));
            match select(work, select(silent, late)).await {
                Either::Left((ended, _)) => Some(ended),
                Either::Right(_) => None,
            }
        };
        let Some(ended) = ended else { return call.runner.hung() };
        ended
    }

    async fn caught_up(&mut self) -> Result<(), RunnerError> {
        let runtime = self.environment.runtime.clone();
        let mut silent = (0, runtime.now());
        loop {
            if !self.round().await {
                continue;
            }
            if self.signals.is_stopped() {
                self.crew.all(|member| member.flushed().boxed()).await;
                return Ok(());
            }
            // the leases want to be renewed meanwhile
            let soon = runtime.now() + self.settings.time_to_live / 3;
            if !self.crew.is_whole() {
                let answers = self.crew.answers_to_late();
                if answers != silent.0 || self.crew.next_until(&*runtime, soon).await {
                    silent = (answers, runtime.now());
                    self.signals.answered();
                } else if runtime.since(silent.1) >= self.settings.patience() {
                    return self.hung();
                }
                continue;
            }
            if let Some(at) = self.crew.members().filter_map(Member::next_retry).min() {
                runtime.sleep_until(at.min(soon)).await;
                continue;
            }
            let failed = self.crew.members_mut().filter_map(Member::take_trouble);
            let stopped: Vec<_> = failed.collect();
            return if stopped.is_empty() { Ok(()) } else { Err(RunnerError { stopped }) };
        }
    }

    /// Gives up what does not answer: leases expire, and what was not committed is taken again.
    fn hung(&mut self) -> Result<(), RunnerError> {
        let hung = self.crew.dismiss();
        // if it is the store, nobody is away
        let is_hung = |seat: &usize| hung.is_empty() || hung.contains(seat);
        let seats: Vec<_> = self.crew.seats().into_iter().filter(is_hung).collect();
        if hung.is_empty() || self.signals.is_stopped() {
            self.crew.members_mut().for_each(Member::abandon);
        }
        if self.signals.is_stopped() {
            return Ok(());
        }
        let text = format!("store and sink have not answered for {:?}", self.settings.patience());
        let error = StoreError::new(StoreErrorKind::Unavailable, text);
        let stopped = seats.iter().filter_map(|seat| self.crew.get(*seat));
        let stopped = stopped
            .map(|member| member.stopped().unwrap_or_else(|| member.because(error.clone().into())));
        Err(RunnerError { stopped: stopped.collect() })
    }

    /// Gives the leases back, so that others can go on at once. A store that does not answer is
    /// waited for as long as by [`run`](Self::run).
    pub async fn release(&mut self) {
        let grace = self.settings.grace();
        let runtime = self.environment.runtime.clone();
        let means = self.means();
        let mut call = Call::with_reactors(self);
        let reacting = join_all(call.reactors.iter_mut().map(|reactor| reactor.release(&means)));
        let released = call.runner.crew.all(|member| member.released().boxed());
        let released = within(&*runtime, grace, released);
        if let (None, _) = join(released, reacting).await {
            call.runner.crew.dismiss();
            call.runner.crew.members_mut().for_each(Member::abandon);
        }
    }
}

/// A call that members work for. What they have under way ends with it: else the runner would keep a
/// commit that nobody polls, and with it the locks of whoever comes next.
struct Call<'a> {
    runner: &'a mut Runner,
    /// Out of the runner as long as they work beside the projections.
    reactors: Vec<Reactor>,
}

impl<'a> Call<'a> {
    fn new(runner: &'a mut Runner) -> Self {
        Self { runner, reactors: Vec::new() }
    }

    fn with_reactors(runner: &'a mut Runner) -> Self {
        let reactors = std::mem::take(&mut runner.reactors);
        Self { runner, reactors }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.runner.crew.dismiss();
        self.reactors.iter_mut().for_each(Reactor::cut_off);
        self.runner.reactors.append(&mut self.reactors);
    }
}
