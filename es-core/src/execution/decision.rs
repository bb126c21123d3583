//! A decision over one aggregate or several, and how it is sent.

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::decided::Decided;
use super::error::CommandError;
use super::members::Members;
use super::prepared::Prepared;
use crate::append::{IdempotencyKey, InvalidRequest};
use crate::envelope::Cause;
use crate::metadata::Metadata;
use crate::reaction::{Delivery, Occasion};
use crate::repository::set_cause;
use crate::retry::Retry;

/// Decides over `members` together: the decision gets a [`Draft`](crate::Draft) for each, in the same
/// shape, records events in them, sees what it has just recorded, and answers a value of its own.
/// All of its events are written, or none.
///
/// What is answered is not recorded, so an answer of the type that
/// [`Member::decide`](crate::execution::Member::decide) takes for events (one, a list of them, a
/// `Result` of these) is refused as [`InvalidRequest::EventsAnswered`]; events that stand deeper
/// within one are not noticed.
///
/// Like any decision it is pure, and run again after a conflict. Only members that get events are
/// written and so checked: one that was only looked at may have changed meanwhile. Members are of one
/// store, and of different streams: two lines of an order with the same article are one member.
///
/// ```
/// # use es_core::{Aggregate, Draft, Event, Repository, transact};
/// # #[derive(Event)]
/// # enum AccountEvent { MoneyDeposited { cents: u64 }, MoneyWithdrawn { cents: u64 } }
/// # use AccountEvent::*;
/// # #[derive(Clone, Default)]
/// # struct Account { cents: u64 }
/// # impl Aggregate for Account {
/// #     const TYPE: &'static str = "account";
/// #     type Id = String;
/// #     type Event = AccountEvent;
/// #     fn evolve(&mut self, event: &AccountEvent) {
/// #         match event {
/// #             MoneyDeposited { cents } => self.cents += cents,
/// #             MoneyWithdrawn { cents } => self.cents -= cents,
/// #         }
/// #     }
/// # }
/// /// Both or neither; answers what is left.
/// fn transfer(
///     from: &mut Draft<Account>,
///     to: &mut Draft<Account>,
///     cents: u64,
/// ) -> Result<u64, &'static str> {
///     if from.cents < cents {
///         return Err("there is not enough");
///     }
///     from.record(MoneyWithdrawn { cents });
///     to.record(MoneyDeposited { cents });
///     Ok(from.cents)
/// }
///
/// # async fn example(accounts: Repository<Account>) -> Result<(), Box<dyn std::error::Error>> {
/// let both = (accounts.by_id("anna"), accounts.by_id("ben"));
/// let moved = transact(both, |(from, to)| transfer(from, to, 2_500))
///     .idempotency_key("transfer/1")
///     .await?;
/// let (anna, ben) = moved.state;
/// assert_eq!(moved.reply.unwrap_or(anna.cents), anna.cents); // `None` for a repeat
/// # Ok(())
/// # }
/// ```
pub fn transact<'d, M, T, R>(
    members: M,
    decision: impl Fn(&mut M::Drafts) -> Result<T, R> + Send + Sync + 'd,
) -> Decision<'d, M, T, R>
where
    M: Members,
    T: Send + 'static,
    R: Send + 'd,
{
    Decision {
        members,
        decide: Box::new(decision),
        key: None,
        metadata: Metadata::default(),
        retry: None,
        occasion: None,
    }
}

type Decide<'d, M, T, R> =
    Box<dyn Fn(&mut <M as Members>::Drafts) -> Result<T, R> + Send + Sync + 'd>;

/// A decision over aggregates, which is executed by awaiting it:
/// [`Member::decide`](crate::execution::Member::decide) and [`transact`] make one.
///
/// It borrows no repository. To run one in a task of its own, spawn `decision.into_future()`.
///
/// Each that is awaited is a span `es.decision` of `tracing`, at the level of debugging, with the fields
/// `es.aggregate.type` (of all members, if they have one), `es.decision.attempts` and
/// `es.decision.outcome`: `written`, `nothing`, `repeat`, `rejected`, `precondition_failed`, `conflict` or
/// `failed`. By type and outcome it is counted in `es.decisions` of the `metrics` facade, by type its
/// retries in `es.decision.retries`.
///
/// # Cancellation
///
/// Dropping the future before it is done leaves the outcome unknown, as a lost answer does: with an
/// idempotency key the same decision can be sent again; within a reaction the next call does that.
#[must_use = "a decision does nothing unless it is awaited"]
pub struct Decision<'d, M: Members, T, R> {
    pub(super) members: M,
    pub(super) decide: Decide<'d, M, T, R>,
    pub(super) key: Option<Result<IdempotencyKey, InvalidRequest>>,
    pub(super) metadata: Metadata,
    /// Else that of the first member's repository.
    pub(super) retry: Option<Retry>,
    /// What a reaction was called for that decides.
    pub(super) occasion: Option<Arc<Occasion>>,
}

impl<'d, M: Members, T: Send + 'static, R: Send + 'd> Decision<'d, M, T, R> {
    /// Names what is done, so that a repeat does nothing and is answered with the first result: its
    /// events, and the states of now. The key is given as text, or made before.
    ///
    /// It is recorded under each stream that gets events, and looked up under each member's before
    /// anything is written. So the key alone says that it is the same command: another one on the
    /// stream under a key that was used is answered with the first one's events, too. Make it of
    /// what is done (`payment/p-17`, the id of a message) and never of when. A decision without
    /// events records no key. A recorded append that touched streams of other aggregates is another
    /// command, which is an error; one that touched some of these members only is taken for the same.
    ///
    /// **Which streams it is about must follow from the request, or from the event, alone.** One that is
    /// picked by what was loaded (the warehouse that has most) may be another one when the command
    /// comes again, where nothing is recorded, and it is done twice. Record such a choice as an event
    /// first, and act on that. A decision may choose among its members by their states: whichever it
    /// wrote, a repeat finds it; only two that run at the same moment, and write none in common, do not
    /// see each other.
    ///
    /// All keys of a stream are of one name space. Those that begin with `reaction/` are of reactions
    /// and refused, and what comes from outside is for [`client_key`](Self::client_key).
    pub fn idempotency_key<K>(self, key: K) -> Self
    where
        K: TryInto<IdempotencyKey, Error: Into<InvalidRequest>>,
    {
        Self { key: Some(key.try_into().map_err(Into::into)), ..self }
    }

    /// The same by what a client sent, such as the header `Idempotency-Key` of HTTP: any bytes, or
    /// nothing, and then there is no key. `command` is a word of your own for what is done, such as
    /// `pay`: under the same bytes another command is another one.
    ///
    /// The key is `client/pay/` and what was sent, or `client#` and a digest of both where that would
    /// be too long or is no text, so it is none of a reaction's, nor of what the program does by
    /// itself. What is empty is refused.
    pub fn client_key(self, command: &str, sent: Option<impl AsRef<[u8]>>) -> Self {
        let key = sent.map(|sent| IdempotencyKey::of_client(command, sent.as_ref()));
        Self { key: key.or(self.key), ..self }
    }

    /// Records `cause` as the cause of the events, and passes its correlation on.
    ///
    /// The cause is a [`RecordedEvent`](crate::event::RecordedEvent), or what [`Decided::cause`]
    /// answers.
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        set_cause(&mut self.metadata, cause.into());
        self
    }

    /// Says that it is what a reaction does about an event: the event is its
    /// [cause](Self::caused_by), and its [key](Self::idempotency_key) is [`Delivery::key`], so that it
    /// is carried out once, however often the reaction is called.
    ///
    /// A second decision of one call on the same stream would be taken for a repeat of the first, and
    /// is refused as [`InvalidRequest::KeyTwice`]: give it a [step](Self::reacting_to_step). So one whose
    /// answer was lost is not sent again in the same call: the next call does it. What is
    /// [prepared](Self::prepare) counts as well, appended or not. It may be prepared again until it is
    /// appended, so of two different ones that are prepared the second is refused only when both are
    /// appended; if its transaction fails later than that, let the reaction fail, too.
    ///
    /// Where what is prepared was done at an earlier call, its append is
    /// [`NotAppended::Repeated`](crate::execution::NotAppended::Repeated): within a reaction that is
    /// success, for the rows beside it were written with it then. Every other error is passed on.
    pub fn reacting_to<E>(self, delivery: &Delivery<E>) -> Self {
        self.reacting(delivery, Ok(delivery.key().clone()))
    }

    /// The same for one of several decisions about an event: the key has `/<step>` behind it. Name
    /// what is done (`refund`), and never how often.
    pub fn reacting_to_step<E>(self, delivery: &Delivery<E>, step: &str) -> Self {
        self.reacting(delivery, delivery.occasion().step(step))
    }

    fn reacting<E>(
        self,
        delivery: &Delivery<E>,
        key: Result<IdempotencyKey, InvalidRequest>,
    ) -> Self {
        let occasion = Some(delivery.occasion().clone());
        Self { key: Some(key), occasion, ..self.caused_by(delivery) }
    }

    /// Metadata for every event of this decision, where the event itself sets none; it stands before
    /// that of the repositories.
    ///
    /// An event of which nobody says what it belongs to (neither itself nor the decision, repository or
    /// cause) gets the `correlation_id` of the first event of all members; that one gets its own id.
    ///
    /// Fields that an earlier call set are kept if they are absent in `metadata`.
    pub fn metadata(mut self, mut metadata: Metadata) -> Self {
        metadata.fill_from(&self.metadata);
        self.metadata = metadata;
        self
    }

    /// How often it is tried again, in place of what the first member's repository says: after a
    /// conflict, and after a failure that passes and certainly wrote nothing, such as a read that
    /// failed.
    ///
    /// With an idempotency key this includes a lost answer: if none is found before all attempts are
    /// used up, the answer is that the outcome is unknown.
    pub fn retry(self, retry: Retry) -> Self {
        Self { retry: Some(retry), ..self }
    }

    /// Does all but the append, which is then done within a transaction of the application's own: its
    /// rows and the events are written together or not at all.
    ///
    /// `SqliteTransaction::append_prepared` and `PostgresStore::append_prepared_in` append it; both
    /// show the whole loop. It is done once, whatever [`retry`](Self::retry) says, because only the
    /// application can repeat its own statements. Under a key that was recorded before nothing is
    /// decided, and appending it is the error
    /// [`NotAppended::Repeated`](crate::execution::NotAppended::Repeated), which means in a
    /// [reaction](Self::reacting_to) that there is nothing left to be done.
    ///
    /// A decision without events records no key. Where rows stand beside it, look at
    /// [`Prepared::events`] before they are written: they would be written each time it is sent. And
    /// what concerns one stream within one transaction is one decision, by [`transact`]: of two that
    /// were prepared, the first one's append is a conflict for the second, each time again.
    ///
    /// # Errors
    ///
    /// As those of the decision when it is awaited, but for those of the append.
    pub async fn prepare(self) -> Result<Prepared<M, T>, CommandError<R>> {
        self.prepared().await
    }
}

impl<'d, M: Members, T: Send + 'static, R: Send + 'd> IntoFuture for Decision<'d, M, T, R> {
    type Output = Result<Decided<M, T>, CommandError<R>>;
    type IntoFuture = BoxFuture<'d, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M: Members, T, R> fmt::Debug for Decision<'_, M, T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Decision");
        told.field("key", &self.key).field("occasion", &self.occasion).finish_non_exhaustive()
    }
}
