//! Carrying a decision out, as often as it may be tried.

use futures_util::future::{try_join, try_join_all};
use tracing::Instrument;

use super::AT_ONCE;
use super::decided::Decided;
use super::decision::Decision;
use super::error::CommandError;
use super::members::{Encoding, Finishing, First, Members, Naming, Reply, Seats, Wanted};
use super::prepared::{Prepared, Reacting};
use super::telemetry::Telemetry;
use crate::append::{
    AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest, KeyDifference,
};
use crate::envelope::Cause;
use crate::environment::Environment;
use crate::error::StoreError;
use crate::reaction::Stage;
use crate::retry::Retry;

/// What was decided, and is not written yet.
pub(super) struct Made<M: Members, T> {
    pub(super) events: M::Events,
    pub(super) reply: T,
    pub(super) cause: Option<Cause>,
    /// `None` if there is nothing to write.
    pub(super) request: Option<AppendRequest>,
    /// Whether each member gets an event, so that the append looks for the key under each.
    reaches_all: bool,
}

impl<'d, M: Members, T: Send + 'static, R: Send + 'd> Decision<'d, M, T, R> {
    pub(super) async fn run(self) -> Result<Decided<M, T>, CommandError<R>> {
        let naming = self.named().map_err(CommandError::Invalid)?;
        self.begin(&naming, Stage::Final).map_err(CommandError::Invalid)?;
        let telemetry = Telemetry::new(naming.aggregate());
        let work = self.carried_out(&naming).instrument(telemetry.span());
        let (done, retries) = work.await;
        telemetry.end(retries, &done);
        self.end(&naming, &done);
        done
    }

    /// The answer, after so many retries.
    async fn carried_out(&self, naming: &Naming) -> (Result<Decided<M, T>, CommandError<R>>, u32) {
        let environment = naming.environment();
        let retry = self.retry.unwrap_or_else(|| naming.retry());
        let mut attempts = Attempts::new(retry, self.key.is_some(), &environment);
        let mut known = None;
        let result = loop {
            match self.attempt(naming, &attempts, &mut known).await {
                Err(error) => match attempts.next(error).await {
                    Ok(()) => {}
                    Err(last) => break Err(last),
                },
                done => break done,
            }
        };
        let retries = attempts.made;
        (attempts.judge(result), retries)
    }

    /// Does all but the append, once.
    pub(super) async fn prepared(self) -> Result<Prepared<M, T>, CommandError<R>> {
        let naming = self.named().map_err(CommandError::Invalid)?;
        self.begin(&naming, Stage::Prepared).map_err(CommandError::Invalid)?;
        let environment = naming.environment();
        let attempts = Attempts::new(Retry::NONE, self.key.is_some(), &environment);
        let mut known = None;
        let done = self.decided(&naming, &attempts, &mut known).await;
        let reacting = self.reacting_over(&naming);
        let can_be_prepared_again = match &done {
            Ok(made) => made.is_ok(),
            Err(error) => error.is_transient(),
        };
        if !can_be_prepared_again && let Some(reacting) = &reacting {
            reacting.finish().map_err(CommandError::Invalid)?;
        }
        let made = match done? {
            Ok(made) => Ok((known.expect("members are loaded before they are decided on"), made)),
            Err(_) => Err(self.key().cloned().expect("nothing is repeated without a key")),
        };
        Ok(Prepared { home: naming.home(), made, members: self.members, reacting })
    }

    /// The reaction that decides, if one does.
    fn reacting_over(&self, naming: &Naming) -> Option<Reacting> {
        let (occasion, key) = (self.occasion.clone()?, self.key()?.clone());
        let streams = naming.streams().into_iter().cloned().collect();
        Some(Reacting { occasion, key, streams })
    }

    /// The members by their names, if all that was said is something that can be asked for.
    fn named(&self) -> Result<Naming, InvalidRequest> {
        if M::is_event(Reply::of::<T>()) {
            return Err(InvalidRequest::EventsAnswered);
        }
        if let Some(Err(invalid)) = &self.key {
            return Err(invalid.clone());
        }
        let mut naming = Naming::default();
        self.members.name(&mut naming)?;
        Ok(naming)
    }

    /// Refuses what the reaction that decides would take for a repeat of another decision of its own.
    fn begin(&self, naming: &Naming, stage: Stage) -> Result<(), InvalidRequest> {
        match (&self.occasion, self.key()) {
            (Some(occasion), Some(key)) => occasion.begin(key, &naming.streams(), stage),
            _ => Ok(()),
        }
    }

    /// Tells the reaction that decides whether the same decision may be sent again in this call: after
    /// a failure that passes and has certainly written nothing. Whatever else came of it, another one
    /// would be found by this one's look-up when the reaction is called again.
    fn end(&self, naming: &Naming, done: &Result<Decided<M, T>, CommandError<R>>) {
        let (Some(occasion), Some(key)) = (&self.occasion, self.key()) else { return };
        if done.as_ref().is_err_and(CommandError::is_transient) {
            occasion.untouched(key, naming.streams());
        }
    }

    fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()?.as_ref().ok()
    }

    /// Carries the decision out once, or answers with what its key recorded; `known` is what an
    /// attempt has loaded.
    async fn attempt(
        &self,
        naming: &Naming,
        attempts: &Attempts<'_>,
        known: &mut Option<M::Known>,
    ) -> Result<Decided<M, T>, CommandError<R>> {
        let decided = self.decided(naming, attempts, known).await;
        if let Err(CommandError::Rejected(_) | CommandError::PreconditionFailed(_)) = &decided
            && let Some(loaded) = known.as_ref()
        {
            // it was read all the same
            self.members.remember(loaded);
        }
        let done = match decided? {
            Ok(made) => self.append(naming, known, made).await,
            Err(first) => return self.repeated(known.as_ref(), first).await,
        };
        if done.as_ref().is_err_and(CommandError::may_be_its_own_effect)
            && let Some(first) = self.first_result(naming).await?
        {
            return self.repeated(known.as_ref(), first).await;
        }
        done
    }

    /// What is decided on the members as they are; else the first result, if the key has recorded one.
    async fn decided(
        &self,
        naming: &Naming,
        attempts: &Attempts<'_>,
        known: &mut Option<M::Known>,
    ) -> Result<Result<Made<M, T>, Appended>, CommandError<R>> {
        if let Some(first) = self.look(naming, attempts, known).await? {
            return Ok(Err(first));
        }
        let loaded = known.as_ref().expect("members are loaded before they are decided on");
        let made = self.make(naming, attempts.environment, loaded).await;
        // what was loaded may be younger than the look-up, and have in it what the key has recorded
        // since; where each member gets an event, the append finds that
        let is_open = match &made {
            Ok(made) => !made.reaches_all,
            Err(error) => error.may_be_its_own_effect(),
        };
        if is_open && let Some(first) = self.first_result(naming).await? {
            return Ok(Err(first));
        }
        Ok(Ok(made?))
    }

    /// Loads the members, unless the key has recorded a result.
    async fn look(
        &self,
        naming: &Naming,
        attempts: &Attempts<'_>,
        known: &mut Option<M::Known>,
    ) -> Result<Option<Appended>, CommandError<R>> {
        let loaded = if attempts.made == 0 {
            // few are repeats, so both are asked for at once
            let (first, loaded) = try_join(self.first_result(naming), self.load(None)).await?;
            if first.is_some() {
                return Ok(first);
            }
            loaded
        } else {
            let first = self.first_result(naming).await?;
            if first.is_some() {
                return Ok(first);
            }
            self.load(known.as_ref()).await?
        };
        *known = Some(loaded);
        Ok(None)
    }

    async fn load(&self, before: Option<&M::Known>) -> Result<M::Known, CommandError<R>> {
        Ok(self.members.load(before, Wanted::ToDecide).await?)
    }

    /// Appends what was decided.
    async fn append(
        &self,
        naming: &Naming,
        known: &mut Option<M::Known>,
        made: Made<M, T>,
    ) -> Result<Decided<M, T>, CommandError<R>> {
        let Made { events, reply, cause, request, .. } = made;
        let appended = match (naming.store(), request) {
            (Some(store), Some(request)) => match store.append(request).await {
                Ok(appended) if appended.repeated => {
                    return self.repeated(known.as_ref(), appended).await;
                }
                Ok(appended) => Some(appended),
                Err(AppendError::Conflict(conflict)) => return Err(naming.conflict(conflict)),
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        let known = known.take().expect("it was there before the append");
        let finishing = Finishing { appended: appended.as_ref(), is_certain: true };
        let (state, version) = self.members.finish(known, &events, &finishing);
        Ok(Decided { state, version, events, reply: Some(reply), appended, cause })
    }

    /// Decides on what was loaded.
    async fn make(
        &self,
        naming: &Naming,
        environment: &Environment,
        loaded: &M::Known,
    ) -> Result<Made<M, T>, CommandError<R>> {
        let mut seats = Seats::default();
        let mut drafts = self.members.begin(loaded, &mut seats);
        naming.check(&seats).map_err(CommandError::PreconditionFailed)?;
        let reply = (self.decide)(&mut drafts).map_err(CommandError::Rejected)?;
        let mut encoding = Encoding::new(&self.metadata, environment);
        let events = self.members.encode(drafts, &mut encoding)?;
        let (cause, lists) = (encoding.cause(), encoding.into_lists());
        naming.check_absent::<R>(&lists).await?;
        let reaches_all = lists.iter().all(|events| !events.is_empty());
        let request = naming.request(&seats, lists, self.key());
        Ok(Made { events, reply, cause, request, reaches_all })
    }

    /// The answer to a repeat: the first result, its events, and the states as they are now.
    async fn repeated(
        &self,
        known: Option<&M::Known>,
        appended: Appended,
    ) -> Result<Decided<M, T>, CommandError<R>> {
        let now = self.members.load(known, Wanted::Now).await?;
        let mut first = First { appended, cause: None };
        let events = self.members.recorded(&mut first).await?;
        let First { appended, cause } = first;
        let finishing = Finishing { appended: None, is_certain: true };
        let (state, version) = self.members.finish(now, &events, &finishing);
        Ok(Decided { state, version, events, reply: None, appended: Some(appended), cause })
    }

    /// What the key recorded under a member's stream, if there is a key and it did.
    ///
    /// A first request that touched other streams was another request.
    async fn first_result(&self, naming: &Naming) -> Result<Option<Appended>, CommandError<R>> {
        let (Some(key), Some(store)) = (self.key(), naming.store()) else {
            return Ok(None);
        };
        for streams in naming.streams().chunks(AT_ONCE) {
            let looks = streams.iter().map(|stream| store.find_append(stream, key));
            let found = try_join_all(looks).await?;
            let mut found = streams.iter().zip(found);
            let Some((stream, first)) = found.find_map(|(stream, first)| Some((*stream, first?)))
            else {
                continue;
            };
            if first.streams.iter().all(|part| naming.has(&part.stream)) {
                return Ok(Some(first));
            }
            return Err(CommandError::KeyReused {
                key: key.clone(),
                stream: stream.clone(),
                difference: KeyDifference::Streams,
            });
        }
        Ok(None)
    }
}

/// The attempts of one decision or of one append of an import, and what is known when it is given up.
pub(super) struct Attempts<'e> {
    retry: Retry,
    /// Under an idempotency key a lost answer can be asked for again.
    is_keyed: bool,
    environment: &'e Environment,
    made: u32,
    /// The first answer that was lost: from then on no failure is certain to have written nothing.
    unknown: Option<StoreError>,
}

impl<'e> Attempts<'e> {
    pub(super) fn new(retry: Retry, is_keyed: bool, environment: &'e Environment) -> Self {
        Self { retry, is_keyed, environment, made: 0, unknown: None }
    }

    /// Waits before the next attempt if `error` allows one and one is left; else gives the error
    /// back.
    pub(super) async fn next<R>(&mut self, error: CommandError<R>) -> Result<(), CommandError<R>> {
        // what was read or certainly not written can be tried again without a key, too
        let again = error.is_transient() || self.is_keyed && error.is_outcome_unknown();
        if !again || self.made >= self.retry.retries {
            return Err(error);
        }
        if let CommandError::Store(error) = error
            && error.is_outcome_unknown()
        {
            self.unknown.get_or_insert(error);
        }
        self.made += 1;
        let delay = self.retry.delay(self.made, self.environment.jitter.fraction());
        if !delay.is_zero() {
            self.environment.runtime.sleep(delay).await;
        }
        Ok(())
    }

    /// The result. After a lost answer, an error that says nothing of what the key recorded is that lost
    /// answer still.
    pub(super) fn judge<T, R>(
        self,
        result: Result<T, CommandError<R>>,
    ) -> Result<T, CommandError<R>> {
        let Some(unknown) = self.unknown else { return result };
        result.map_err(|error| match error {
            // looked up after it, and not found
            CommandError::Rejected(_)
            | CommandError::PreconditionFailed(_)
            | CommandError::Conflict(_)
            | CommandError::KeyReused { .. } => error,
            CommandError::Load(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::Event(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::Invalid(error) => CommandError::Store(unknown.caused_by(error)),
            CommandError::DuplicateEvent { .. } | CommandError::Store(_) => {
                CommandError::Store(unknown)
            }
        })
    }
}
