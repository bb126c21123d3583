//! Reactions: what is done when something happened, at least once for each event, in the order of its
//! stream.
//!
//! What whoever writes a [`Reaction`] can rely on; `es_testing::projections` has the scenarios, in the
//! area `reactions`, and runs them over every store:
//!
//! 1. Every selected event after the start is given at least once, whatever crashes. After an orderly
//!    stop only those calls are made again that had not ended, unless the policy ends with a stop.
//! 2. An event is given only when a read of the log shows it.
//! 3. The checkpoint passes an event only when its call succeeded, or when it was parked in the same
//!    commit.
//! 4. Events of one stream are given one after the other, retries included; other streams do not wait
//!    for longer than one attempt lasts.
//! 5. No more calls are under way than the `concurrency` of its [`ReactionPolicy`] says.
//! 6. [`Delivery::key`] is the same at each call, and decisions that record it have one effect.
//! 7. What fails is tried as the policy says, then parked, or stops the reaction; what is parked is
//!    listed, tried again in its order, or discarded.
//! 8. [`Start::Now`] gives nothing at or before the end of the log of the first run, and
//!    [`Start::Beginning`] everything; no later start changes it.
//! 9. Of two runners one works. Who may have lost the lease begins no call and commits nothing; a long
//!    call keeps its lease; health tells lag, what is parked, and trouble.
//! 10. No rebuild calls it. Other code of the name goes on where it stands.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::envelope::RecordedEvent;
use crate::error::BoxError;
use crate::event::Event;
use crate::projection::Parts;
use crate::read::EventFilter;

mod delivery;
mod policy;
mod window;
mod worker;

pub use delivery::Delivery;
pub(crate) use delivery::{Occasion, Stage};
pub use policy::{ReactionPolicy, Start};
pub(crate) use worker::{Goal, Reactor, has_begun};

/// What is done when something happened: a command that follows from an event, or an effect outside.
///
/// It is called at least once for each event that it selects, in the order of its stream, by a
/// [`Runner`](crate::Runner). What it has reacted to is kept in the store under its name,
/// so it goes on where it was, and no rebuild repeats anything.
///
/// ```
/// # use std::time::Duration;
/// # use es_core::reaction::{Delivery, ReactionPolicy, Start};
/// # use es_core::{Aggregate, BoxError, Event, Reaction, Repository};
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPlaced { sku: String, count: u32 }, OrderRefused }
/// # use OrderEvent::*;
/// # #[derive(Clone, Default)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = String;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
/// # #[derive(Event)]
/// # enum StockEvent { StockReserved { order: String, count: u32 } }
/// # use StockEvent::*;
/// # #[derive(Clone, Default)]
/// # struct Stock;
/// # impl Aggregate for Stock {
/// #     const TYPE: &'static str = "stock";
/// #     type Id = String;
/// #     type Event = StockEvent;
/// #     fn evolve(&mut self, _: &StockEvent) {}
/// # }
/// # impl Stock {
/// #     fn reserve(&self, order: &str, count: u32) -> StockEvent {
/// #         StockReserved { order: order.to_owned(), count }
/// #     }
/// # }
/// struct Reservations {
///     stocks: Repository<Stock>,
/// }
///
/// impl Reaction for Reservations {
///     const NAME: &'static str = "reservations";
///     const START: Start = Start::Beginning;
///     type Event = OrderEvent;
///
///     async fn react(&self, event: &Delivery<OrderEvent>) -> Result<(), BoxError> {
///         if let OrderPlaced { sku, count } = &event.data {
///             let order = event.aggregate_id::<Order>()?;
///             let reserve = self.stocks.by_id(sku).decide(|stock| stock.reserve(&order, *count));
///             reserve.reacting_to(event).await?;
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// **A refusal from which something follows is an event.** Let `reserve` record `StockReserved` or
/// `ReservationRefused`: either is recorded under the reaction's key, so that a repeat gets the first
/// answer and does not try again with other stock, and what follows from the refusal is a reaction to
/// that event. A rejection (`Err`) is recorded nowhere, is tried again as the
/// [policy](ReactionPolicy) says, and is then parked: it is for callers who are told.
///
/// What calls something outside hands [`Delivery::key`] on, by which the receiver can tell a repeat.
///
/// # Contract
///
/// 1. It may be called again for an event for which it was called, also after it succeeded, also at
///    the same time by a process that was overtaken. Decisions with
///    [`reacting_to`](crate::execution::Decision::reacting_to), and effects that get the key, are
///    done once; but for what two calls at the same moment decide over several members and write to
///    none in common, as [`idempotency_key`](crate::execution::Decision::idempotency_key) says.
/// 2. It decides by the event and by states that it loads, never by what an earlier call left in
///    memory. Which streams a decision is about follows from the event alone: keys are recorded under
///    streams, so one that is picked by what was loaded may be another one at the next call, and what
///    is done there is done twice. Record such a choice as an event first, and react to that. Other code
///    may add members to a decision, but takes none away: what the earlier code had done over more is
///    `KeyReused` from then on. An event that is parked with that is done, and is discarded.
/// 3. Dropping its future at any await is harmless: it happens at a time-out, when the lease is lost or
///    runs out because the store fails for that long, and when the runner ends or a call to catch up
///    fails.
/// 4. It waits at awaits, and never blocks: all calls of a runner, the renewals of its leases and its
///    projections take turns in one task. A call that computes for long, reads files or calls what is not
///    async is cut off by no time-out and lets the leases of all run out; have that run elsewhere
///    (`tokio::task::spawn_blocking`) and await it.
pub trait Reaction: Send + Sync + 'static {
    /// The name, unique in its store, among projections, too, and never used again for another
    /// meaning; 1 to 100 bytes. Under another name all of history is new to it.
    const NAME: &'static str;

    /// Where it begins when it runs for the first time: with the first event where the event or the
    /// system is new, and else as history asks for it. See [`Start`].
    const START: Start;

    /// What happens: the events of one aggregate, or a union of several.
    type Event: Event;

    /// Does what follows from an event. Of an event that stands for several, each that is selected
    /// comes by itself, one after the other.
    ///
    /// # Errors
    ///
    /// When it is to be called again; a panic and a call that takes too long are the same.
    fn react(
        &self,
        event: &Delivery<Self::Event>,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Which events it is called for: all of [`Event`](Self::Event) unless it is overridden. It may
    /// change: from where the reaction stands the new ones come, and nothing of before. What is parked
    /// and is not selected any more is done, when its turn comes.
    fn selection() -> EventFilter {
        EventFilter::of::<Self::Event>()
    }

    /// How many calls are made at once, how long each may take, and what follows a failure.
    fn policy(&self) -> ReactionPolicy {
        ReactionPolicy::default()
    }
}

/// A reaction without its type, as the engine calls it.
pub(crate) trait React: Send + Sync {
    /// Does what follows from all that a recorded event stands for.
    fn react(
        self: Arc<Self>,
        event: RecordedEvent,
        attempt: u32,
    ) -> BoxFuture<'static, Result<(), BoxError>>;
}

/// A type of its own: for the reaction itself `react` would be a method of two traits.
struct Reacting<R> {
    reaction: R,
    parts: Parts,
}

impl<R: Reaction> React for Reacting<R> {
    fn react(
        self: Arc<Self>,
        event: RecordedEvent,
        attempt: u32,
    ) -> BoxFuture<'static, Result<(), BoxError>> {
        Box::pin(async move {
            for delivery in &deliveries::<R>(&self.parts, &event, attempt)? {
                self.reaction.react(delivery).await?;
            }
            Ok(())
        })
    }
}

/// What a reaction is called with for a recorded event, one after the other.
pub(crate) fn deliveries<R: Reaction>(
    parts: &Parts,
    recorded: &RecordedEvent,
    attempt: u32,
) -> Result<Vec<Delivery<R::Event>>, BoxError> {
    let mut all = Vec::with_capacity(1);
    for event in parts.read::<R::Event>(recorded)? {
        all.push(Delivery::new(R::NAME, recorded.clone(), event.data, event.part, attempt)?);
    }
    Ok(all)
}
