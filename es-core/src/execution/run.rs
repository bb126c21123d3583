//! Carrying a decision out, as often as it may be tried.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::{try_join, try_join_all};
use tracing::Instrument;

use super::AT_ONCE;
use super::attempts::Attempts;
use super::decided::Decided;
use super::decision::Decision;
use super::error::CommandError;
use super::members::{Encoding, Finishing, First, Members, Naming, Reply, Seats, Wanted};
use super::prepared::{Prepared, Reacting};
use super::telemetry::Telemetry;
use crate::append::{
    AppendError, AppendRequest, Appended, IdempotencyKey, InvalidRequest, KeyDifference,
};
use crate::envelope::{Cause, NewEvent};
use crate::environment::Environment;
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

/// What was decided, while its request is still to be made.
struct Choice<M: Members, T> {
    events: M::Events,
    reply: T,
    cause: Option<Cause>,
    seats: Seats,
    /// The events of each member, ready to be stored.
    lists: Vec<Vec<NewEvent>>,
}

impl<M: Members, T> Choice<M, T> {
    fn reaches_all(&self) -> bool {
        self.lists.iter().all(|events| !events.is_empty())
    }

    fn made(self, naming: &Naming, key: Option<&IdempotencyKey>) -> Made<M, T> {
        let reaches_all = self.reaches_all();
        let Self { events, reply, cause, seats, lists } = self;
        let request = naming.request(&seats, lists, key);
        Made { events, reply, cause, request, reaches_all }
    }
}

impl<'d, M: Members, T: Send + 'static, R: Send + 'd> Decision<'d, M, T, R> {
    pub(super) async fn run(self) -> Result<Decided<M, T>, CommandError<R>> {
        let naming = self.named().map_err(CommandError::Invalid)?;
        self.begin(&naming, Stage::Final).map_err(CommandError::Invalid)?;
        let telemetry = Telemetry::new(naming.aggregate());
        let work = self.carried_out(&naming, &telemetry).instrument(telemetry.span());
        let (done, retries) = work.await;
        telemetry.end(retries, &done);
        self.end(&naming, &done);
        done
    }

    /// The answer, after so many retries.
    async fn carried_out(
        &self,
        naming: &Naming,
        telemetry: &Telemetry,
    ) -> (Result<Decided<M, T>, CommandError<R>>, u32) {
        let environment = naming.environment();
        let retry = self.retry.unwrap_or_else(|| naming.retry());
        let mut attempts = Attempts::new(retry, self.key.is_some(), &environment);
        let mut known = None;
        let mut unread = self.unread(naming, &environment, &mut known).await;
        // an answer has taken what was known
        if unread.is_some() || known.is_some() {
            self.members.count_known();
            telemetry.unread(unread.is_some());
        }
        let result = loop {
            let tried = match unread.take() {
                Some(tried) => tried,
                None => self.attempt(naming, &attempts, &mut known).await,
            };
            match tried {
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

    /// Carries the decision out on what is known without reading, where its repositories say so; `None`
    /// if the members are to be read. An old state may be in the way of anything but an append that is
    /// accepted, or may have been.
    async fn unread(
        &self,
        naming: &Naming,
        environment: &Environment,
        known: &mut Option<M::Known>,
    ) -> Option<Result<Decided<M, T>, CommandError<R>>> {
        // without a state and a key to look for, the attempt is one append as well
        if self.key().is_none() && !naming.has_states() {
            return None;
        }
        let store = naming.store()?;
        let loaded = &*known.insert(self.members.known()?);
        // an old state may be one that the function cannot take, after what its caller has seen since
        let choice = catch_unwind(AssertUnwindSafe(|| self.choose(naming, environment, loaded)));
        let choice = choice.ok()?.ok()?;
        // of a member without an event the append proves nothing, and finds no key
        if !choice.reaches_all() {
            return None;
        }
        let mut made = choice.made(naming, self.key());
        match store.append(made.request.take()?).await {
            Ok(appended) if appended.repeated => {
                Some(self.repeated(known.as_ref(), appended).await)
            }
            Ok(appended) => Some(Ok(self.done(known, made, Some(appended)))),
            Err(AppendError::Store(error)) if error.is_outcome_unknown() => Some(Err(error.into())),
            // nothing was written: what is there now may be written, or answered without an append
            Err(_) => None,
        }
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
            let load = self.load(known.as_ref());
            let (first, loaded) = try_join(self.first_result(naming), load).await?;
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
        mut made: Made<M, T>,
    ) -> Result<Decided<M, T>, CommandError<R>> {
        let appended = match (naming.store(), made.request.take()) {
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
        Ok(self.done(known, made, appended))
    }

    /// The answer to what was carried out.
    fn done(
        &self,
        known: &mut Option<M::Known>,
        made: Made<M, T>,
        appended: Option<Appended>,
    ) -> Decided<M, T> {
        let Made { events, reply, cause, .. } = made;
        let known = known.take().expect("it was there before the append");
        let finishing = Finishing { appended: appended.as_ref(), is_certain: true };
        let (state, version) = self.members.finish(known, &events, &finishing);
        Decided { state, version, events, reply: Some(reply), appended, cause }
    }

    /// Decides on what was loaded.
    async fn make(
        &self,
        naming: &Naming,
        environment: &Environment,
        loaded: &M::Known,
    ) -> Result<Made<M, T>, CommandError<R>> {
        let choice = self.choose(naming, environment, loaded)?;
        naming.check_absent::<R>(&choice.lists).await?;
        Ok(choice.made(naming, self.key()))
    }

    /// Decides on what is known.
    fn choose(
        &self,
        naming: &Naming,
        environment: &Environment,
        loaded: &M::Known,
    ) -> Result<Choice<M, T>, CommandError<R>> {
        let mut seats = Seats::default();
        let mut drafts = self.members.begin(loaded, &mut seats);
        naming.check(&seats).map_err(CommandError::PreconditionFailed)?;
        let reply = (self.decide)(&mut drafts).map_err(CommandError::Rejected)?;
        let mut encoding = Encoding::new(&self.metadata, environment);
        let events = self.members.encode(drafts, &mut encoding)?;
        let (cause, lists) = (encoding.cause(), encoding.into_lists());
        Ok(Choice { events, reply, cause, seats, lists })
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
