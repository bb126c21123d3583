//! Replaying history with other logic, to see what it would change before it does.

mod compare;

use std::collections::HashSet;
use std::fmt;
use std::future::ready;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use serde::Serialize;

use self::compare::{Pair, compare_stream};
use crate::aggregate::Aggregate;
use crate::error::StoreError;
use crate::event::DecodeError;
use crate::ext::EventStoreExt;
use crate::read::{EventFilter, PageLimit, ReadLog};
use crate::store::Store;
use crate::stream::{StreamId, slice_of};
use crate::time_travel::Difference;
use crate::version::StreamVersion;

/// How many streams are folded side by side unless told otherwise.
const PARALLEL: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// Folds the history of all aggregates of one type by two logics, the present one and a candidate,
/// and tells which aggregates would differ and how. Nothing is written.
///
/// The streams are found in one pass over the log and each is then read once, by both logics, so
/// both see the same events; several streams are read side by side, with the memory of a page each,
/// and of the name of every stream.
/// All of it happens in the task that polls the answer. To use several processors, compare one
/// [`slice`](Self::slice) in each of several tasks.
///
/// ```
/// # use es_core::replay::{Replay, ReplayError, Verdict};
/// # use es_core::{Aggregate, Event, Store};
/// # #[derive(Event)]
/// # enum OrderEvent { OrderPaid { cents: u64 } }
/// # #[derive(Clone, Default, serde::Serialize)]
/// # struct Order { paid: u64 }
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = String;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, OrderEvent::OrderPaid { cents }: &OrderEvent) { self.paid += cents; }
/// # }
/// # async fn example(store: Store) -> Result<(), ReplayError> {
/// // what if small payments did not count?
/// let candidate = |order: &mut Order, event: &OrderEvent| match event {
///     OrderEvent::OrderPaid { cents } if *cents < 100 => {}
///     event => order.evolve(event),
/// };
/// let report = Replay::<Order>::new(store).compare_with(candidate).report().await?;
/// println!("{} of {} orders would differ", report.differing.len(), report.aggregates);
/// for order in &report.differing {
///     println!("{}: {:?}", order.stream, order.verdict);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Replay<A> {
    store: Store,
    parallel: NonZeroUsize,
    page: PageLimit,
    slice: Option<(u64, u64)>,
    aggregate: PhantomData<fn() -> A>,
}

impl<A> Clone for Replay<A> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), ..*self }
    }
}

impl<A: Aggregate> fmt::Debug for Replay<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("aggregate", &A::TYPE).finish_non_exhaustive()
    }
}

/// One aggregate, folded by both logics.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compared {
    /// Its stream.
    pub stream: StreamId,
    /// How many events both have seen.
    pub version: StreamVersion,
    /// What came of it.
    pub verdict: Verdict,
}

/// What two logics make of one aggregate.
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The same JSON value.
    Same,
    /// States that differ at these places; `old` is the present logic's value.
    Differs(Vec<Difference>),
    /// An event that one logic cannot read, so that it has no state at all.
    Unreadable {
        /// Whose event type it is that does not fit.
        by: Logic,
        /// The version of the event.
        version: StreamVersion,
        /// What does not fit.
        source: DecodeError,
    },
    /// An event that is not there, though later ones are: neither logic has a state, as loading has
    /// none ([`LoadError::Gap`](crate::execution::LoadError::Gap)).
    Gap {
        /// The version of the missing event.
        version: StreamVersion,
        /// The version of the event after it.
        next: StreamVersion,
    },
}

impl Verdict {
    /// True unless both logics came to the same state.
    pub fn is_different(&self) -> bool {
        !matches!(self, Self::Same)
    }
}

/// One of the two logics of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logic {
    /// That of the aggregate.
    Present,
    /// The other one.
    Candidate,
}

impl fmt::Display for Logic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "the present logic",
            Self::Candidate => "the candidate",
        })
    }
}

/// Why a comparison could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A state cannot be written as JSON, such as a number that is not finite.
    #[error("what {logic} makes of {stream} cannot be written as JSON")]
    Json {
        /// The stream.
        stream: StreamId,
        /// Whose state it is.
        logic: Logic,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// What a whole comparison came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// How many aggregates were compared.
    pub aggregates: u64,
    /// How many events they have.
    pub events: u64,
    /// Those that would differ, in the order of their streams' names.
    pub differing: Vec<Compared>,
}

impl<A: Aggregate + Serialize> Replay<A> {
    /// A replay of all aggregates of type `A` in `store`.
    pub fn new(store: impl Into<Store>) -> Self {
        let (parallel, page) = (PARALLEL, PageLimit::default());
        Self { store: store.into(), parallel, page, slice: None, aggregate: PhantomData }
    }

    /// How many streams are read side by side; 8 if it is not said.
    #[must_use]
    pub fn parallel(mut self, streams: NonZeroUsize) -> Self {
        self.parallel = streams;
        self
    }

    /// How much of one stream is read, and held in memory, at once.
    #[must_use]
    pub fn page_limit(mut self, page: PageLimit) -> Self {
        self.page = page;
        self
    }

    /// Only the streams of slice `index` of `count`: every stream is in exactly one of the slices 0
    /// to `count` - 1, the same one each time. An index past the last wraps around.
    #[must_use]
    pub fn slice(mut self, index: u64, count: std::num::NonZeroU64) -> Self {
        self.slice = Some((index % count.get(), count.get()));
        self
    }

    /// Compares with another aggregate type, which reads the same streams: its own events, its own
    /// state. Its `TYPE` does not matter.
    pub fn compare<C: Aggregate + Serialize>(&self) -> Comparison<'_> {
        self.comparison(|| Pair::new(A::evolve, C::evolve))
    }

    /// Compares with another fold of the same events into the same state.
    pub fn compare_with<F>(&self, evolve: F) -> Comparison<'_>
    where
        F: Fn(&mut A, &A::Event) + Send + Sync + 'static,
    {
        let evolve = Arc::new(evolve);
        self.comparison(move || {
            let evolve = evolve.clone();
            Pair::<A, A, _, _>::new(A::evolve, move |state: &mut A, event: &A::Event| {
                evolve(state, event);
            })
        })
    }

    fn comparison<C, P, Q>(
        &self,
        pair: impl Fn() -> Pair<A, C, P, Q> + Send + Sync + 'static,
    ) -> Comparison<'_>
    where
        C: Aggregate + Serialize,
        P: Fn(&mut A, &A::Event) + Send + 'static,
        Q: Fn(&mut C, &C::Event) + Send + 'static,
    {
        let streams = self.streams();
        let compared = streams.map_ok(move |stream| {
            let pair = pair();
            async move { compare_stream(&*self.store, stream, self.page, pair).await }
        });
        Comparison(Box::pin(compared.try_buffer_unordered(self.parallel.get())))
    }

    /// The streams of the type, found in one pass over the log: each where it is met first, which is
    /// not at its first event if that is missing.
    fn streams(&self) -> BoxStream<'_, Result<StreamId, ReplayError>> {
        let filter = EventFilter::all().aggregate::<A>();
        let log = self.store.log(ReadLog::from_start().filter(filter));
        let (slice, mut met) = (self.slice, HashSet::new());
        Box::pin(log.map_err(ReplayError::from).try_filter_map(move |event| {
            let stream = event.stream;
            let is_wanted = slice.is_none_or(|(index, count)| slice_of(&stream, count) == index);
            let is_new = is_wanted && !met.contains(&stream) && met.insert(stream.clone());
            ready(Ok(is_new.then_some(stream)))
        }))
    }
}

/// A comparison that is under way as it is asked for its answers.
///
/// Dropping it at any time is harmless.
#[must_use = "nothing is compared unless the answers are asked for"]
pub struct Comparison<'r>(BoxStream<'r, Result<Compared, ReplayError>>);

impl fmt::Debug for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison").finish_non_exhaustive()
    }
}

impl<'r> Comparison<'r> {
    /// Every aggregate with its verdict, as they become known, in no order; ends after an error.
    pub fn aggregates(self) -> BoxStream<'r, Result<Compared, ReplayError>> {
        self.0
    }

    /// Compares all, and keeps in memory only those that would differ.
    ///
    /// # Errors
    ///
    /// [`ReplayError`] when the store fails or a state is no JSON; an event that a logic cannot read,
    /// or that is missing, is no error but a difference.
    pub async fn report(mut self) -> Result<ReplayReport, ReplayError> {
        let mut report = ReplayReport::default();
        while let Some(compared) = self.0.try_next().await? {
            report.aggregates += 1;
            report.events += compared.version.as_u64();
            if compared.verdict.is_different() {
                report.differing.push(compared);
            }
        }
        report.differing.sort_by(|a, b| a.stream.cmp(&b.stream));
        Ok(report)
    }
}
