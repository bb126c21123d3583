//! Given, then: the rows of a projection into tables, in a store.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use es_core::backend::Definition;
use es_core::execution::IdOf;
use es_core::projection::{FailurePolicy, RunnerError, StopCause, Table, TableRow};
use es_core::{Aggregate, Runner, Store, TableProjection};
use futures_util::TryStreamExt;

use super::Happened;
use crate::laws::chain;
use crate::recorded::request;

/// What has happened, and the store in which it has, or is about to.
pub struct GivenIn<P: TableProjection> {
    store: Store,
    happened: Happened,
    /// How many of the events are in the store.
    written: usize,
    projection: PhantomData<fn() -> P>,
}

impl<P: TableProjection> Debug for GivenIn<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GivenIn").field(&P::NAME).field(&self.happened.events).finish()
    }
}

/// Begins with the store as it is. One in memory takes rows that are written and removed by their keys;
/// whatever is SQL takes a file, or a server.
///
/// ```
/// use es_core::projection::{Changes, TableRow};
/// use es_core::{Aggregate, BoxError, Envelope, Event, TableProjection};
/// use es_memory::MemoryStore;
/// use es_testing::projection::given_in;
///
/// #[derive(Event)]
/// enum OrderEvent {
///     OrderPlaced { customer: String },
///     OrderPaid,
/// }
/// use OrderEvent::*;
/// # #[derive(Default, Clone)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = String;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
///
/// #[derive(TableRow, Debug, PartialEq)]
/// #[table(name = "open_orders")]
/// struct OpenOrder {
///     #[table(key)]
///     id: String,
///     customer: String,
/// }
///
/// impl TableProjection for OpenOrder {
///     type Event = OrderEvent;
///     type Tables = Self;
///
///     fn project(event: &Envelope<OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
///         let id = event.aggregate_id::<Order>()?;
///         match &event.data {
///             OrderPlaced { customer } => rows.upsert(Self { id, customer: customer.clone() }),
///             OrderPaid => rows.delete::<Self>(id),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// given_in::<OpenOrder>(MemoryStore::new())
///     .events::<Order>("o-1", [OrderPlaced { customer: "anna".to_owned() }])
///     .then_rows([OpenOrder { id: "o-1".to_owned(), customer: "anna".to_owned() }])
///     .await
///     .events::<Order>("o-1", [OrderPaid])
///     .then_rows([] as [OpenOrder; 0])
///     .await;
/// # }
/// ```
#[must_use = "nothing is checked before `then_rows`"]
pub fn given_in<P: TableProjection>(store: impl Into<Store>) -> GivenIn<P> {
    let (store, happened) = (store.into(), Happened::default());
    GivenIn { store, happened, written: 0, projection: PhantomData }
}

impl<P: TableProjection> GivenIn<P> {
    /// Then these events happened to the aggregate with this id. Of a union give those of each
    /// aggregate.
    ///
    /// # Panics
    ///
    /// When the id can name no stream, or an event cannot be written.
    #[must_use = "nothing is checked before `then_rows`"]
    #[track_caller]
    pub fn events<A: Aggregate>(
        mut self,
        id: &(impl IdOf<A::Id> + ?Sized),
        events: impl IntoIterator<Item = A::Event>,
    ) -> Self
    where
        A::Event: Into<P::Event>,
    {
        self.happened.add::<A, P::Event>(id, events);
        self
    }

    /// Then these are the rows of a table, and no others, once a runner has come to the end of the log.
    /// Of a projection over several tables ask for each.
    ///
    /// # Panics
    ///
    /// When the rows are others, or an event cannot be taken. The panic shows given, expected and
    /// actual.
    pub async fn then_rows<T>(mut self, rows: impl IntoIterator<Item = T>) -> Self
    where
        T: TableRow + Debug + PartialEq,
    {
        let expected = Vec::from_iter(rows);
        let found = match self.taken().await {
            Ok(()) => self.rows::<T>().await,
            Err(error) => Err(chain(&error)),
        };
        if !found.as_ref().is_ok_and(|found| are_same(found, &expected)) {
            let lines = |rows: &Vec<T>| -> Vec<String> {
                rows.iter().map(|row| format!("{row:?}")).collect()
            };
            self.happened
                .others(&lines(&expected), found.as_ref().map(lines).map_err(Clone::clone));
        }
        self
    }

    /// Then one of the events cannot be taken, by the projection or by the database, for a reason that
    /// has this text in it.
    ///
    /// # Panics
    ///
    /// When all are taken, or the reason is another one. The panic shows given, expected and actual.
    pub async fn then_refused(mut self, because: &str) {
        let actual = match self.taken().await {
            Err(error) => match reason(&error) {
                Some(reason) if reason.contains(because) => return,
                _ => chain(&error),
            },
            Ok(()) => "all events are taken".to_owned(),
        };
        let told = self.happened.told("nothing was refused for this reason");
        panic!("{told}\n expected: {because}\n   actual: {actual}");
    }

    /// Has what happened recorded, and taken by a runner.
    async fn taken(&mut self) -> Result<(), RunnerError> {
        for event in self.happened.events.iter().skip(self.written) {
            if let Err(error) = self.store.append(request(event.clone())).await {
                panic!("the store takes no event: {}", chain(&error));
            }
        }
        self.written = self.happened.events.len();
        // what waits is in no row, and would be told by nobody
        let definition = Definition::table::<P>().on_failure(FailurePolicy::stop());
        Box::pin(Runner::new(&self.store).definition(definition).once()).await
    }

    async fn rows<T: TableRow>(&self) -> Result<Vec<T>, String> {
        let rows = Table::<T, P>::new(&self.store).all().try_collect().await;
        rows.map_err(|error| chain(&error))
    }
}

/// True if each row of one is a row of the other; they have keys, so that none stands twice.
fn are_same<T: PartialEq>(found: &[T], expected: &[T]) -> bool {
    found.len() == expected.len() && found.iter().all(|row| expected.contains(row))
}

/// Why an event cannot be taken.
fn reason(error: &RunnerError) -> Option<&str> {
    error.stopped.iter().find_map(|stopped| match &stopped.cause {
        StopCause::Poison { reason, .. } => Some(reason.as_str()),
        _ => None,
    })
}
