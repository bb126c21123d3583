//! Models in tables of one's own: a row is a struct, and a projection answers changes of rows.

use crate::envelope::Envelope;
use crate::error::BoxError;
use crate::event::Event;
use crate::read::EventFilter;

use super::FailurePolicy;

mod changes;
mod project;
mod read;
mod row;
mod value;

pub use changes::{Changes, TableChange, Which};
pub(super) use project::{Project, TypedProject, described, problem};
pub use read::{Table, TableRead};
pub use row::{Column, KeyOf, RowError, TableRow, TableSchema};
pub use value::{Json, SqlColumn, SqlType, SqlValue, SqlValues};

/// A read model in tables of its own, which any SQL can be asked of: a row by its changes.
///
/// It is implemented for the row itself, or for a unit struct over several tables. Nothing of it
/// stands in a value: what did would be in no fingerprint.
///
/// ```
/// use es_core::projection::{Changes, TableRow};
/// use es_core::{Aggregate, AggregateId, BoxError, Envelope, Event, TableProjection};
/// # use OrderEvent::*;
///
/// #[derive(AggregateId)]
/// struct OrderId(String);
///
/// #[derive(Event)]
/// enum OrderEvent { OrderPlaced { customer: String }, LineAdded { cents: i64 }, OrderPaid }
/// # #[derive(Default, Clone)]
/// # struct Order;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = OrderId;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, _: &OrderEvent) {}
/// # }
///
/// #[derive(TableRow)]
/// #[table(name = "open_orders", index(customer))]
/// struct OpenOrder {
///     #[table(key)]
///     id: OrderId,
///     customer: String,
///     cents: i64,
/// }
///
/// impl TableProjection for OpenOrder {
///     type Event = OrderEvent;
///     type Tables = Self;
///
///     fn project(event: &Envelope<OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
///         let id = event.aggregate_id::<Order>()?;
///         match &event.data {
///             OrderPlaced { customer } => {
///                 rows.upsert(Self { id, customer: customer.clone(), cents: 0 })
///             }
///             LineAdded { cents } => rows.update::<Self>(id, "cents = cents + $1", *cents),
///             OrderPaid => rows.delete::<Self>(id),
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
///
/// 1. `project` is pure: the same event gives the same changes, in any process. It is called outside
///    of the transaction, and again for what is tried again. (`es_testing::laws::table`)
/// 2. It fails for an event that it cannot take, and for nothing else. So does a statement that the
///    database refuses for the event's sake, such as an update of a row that is not there.
///    (`failures::a_panic_is_a_failure`, `failures::a_refused_batch_is_halved`)
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no projection into tables",
    note = "implement `TableProjection` for it; where it is a row of a projection over several \
            tables, that one is named: `Table<Row, Projection>`"
)]
pub trait TableProjection: Send + Sync + 'static {
    /// What happens: the events of one aggregate, or a union of several.
    type Event: Event;

    /// The tables that it writes: one row's type, or a tuple of two to four.
    type Tables: TableSet;

    /// The name, unique in its store, never used again for another meaning: that of the table unless it
    /// is overridden. Over several tables it must be said, because their order is no name.
    ///
    /// ```compile_fail
    /// # use es_core::projection::{Changes, TableRow};
    /// # use es_core::{BoxError, Envelope, Event, TableProjection};
    /// # #[derive(Event)]
    /// # enum OrderEvent { OrderPlaced }
    /// # #[derive(TableRow)]
    /// # #[table(name = "orders")]
    /// # struct OrderRow { #[table(key)] id: String }
    /// # #[derive(TableRow)]
    /// # #[table(name = "lines")]
    /// # struct LineRow { #[table(key)] id: String }
    /// struct Orders;
    ///
    /// impl TableProjection for Orders {
    ///     type Event = OrderEvent;
    ///     type Tables = (OrderRow, LineRow);
    /// #   fn project(_: &Envelope<OrderEvent>, _: &mut Changes) -> Result<(), BoxError> { Ok(()) }
    /// }
    ///
    /// const NAME: &str = Orders::NAME;
    /// ```
    const NAME: &'static str = <Self::Tables as TableSet>::NAME;

    /// To be raised whenever the meaning of `project` changes: models of other versions are noticed
    /// and must be rebuilt. A changed struct of a row is noticed by itself, but for what stands in a
    /// [`Json`] and for the text of an id.
    const VERSION: u32 = 1;

    /// What becomes of an event that cannot be taken, live and in a rebuild.
    const ON_FAILURE: FailurePolicy = FailurePolicy::stop();

    /// Says what an event changes. Of an event that stands for several, each that is selected comes
    /// by itself.
    ///
    /// # Errors
    ///
    /// When the event cannot be taken: it waits in its stream, or stops the projection, as
    /// [`ON_FAILURE`](Self::ON_FAILURE) says.
    fn project(event: &Envelope<'_, Self::Event>, rows: &mut Changes) -> Result<(), BoxError>;

    /// Which events the projection wants: all of [`Event`](Self::Event) unless it is overridden.
    fn selection() -> EventFilter {
        EventFilter::of::<Self::Event>()
    }
}

mod private {
    pub trait Sealed {}
}

/// The tables of a projection: the type of one's rows, or a tuple of two to four.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of a table, nor a tuple of two to four of them",
    note = "derive it: `#[derive(TableRow)]`"
)]
pub trait TableSet: private::Sealed {
    /// The name of the table, if there is one.
    const NAME: &'static str;

    /// All of them.
    fn schemas() -> Vec<TableSchema>;
}

impl<T: TableRow> private::Sealed for T {}

impl<T: TableRow> TableSet for T {
    const NAME: &'static str = T::SCHEMA.name;

    fn schemas() -> Vec<TableSchema> {
        vec![T::SCHEMA]
    }
}

macro_rules! sets {
    ($(($first:ident $(, $row:ident)+)),+) => {$(
        impl<$first: TableRow $(, $row: TableRow)+> private::Sealed for ($first $(, $row)+) {}

        impl<$first: TableRow $(, $row: TableRow)+> TableSet for ($first $(, $row)+) {
            // whoever does not override it is told by the compiler
            const NAME: &'static str =
                panic!("a projection over several tables has a name of its own: write `NAME`");

            fn schemas() -> Vec<TableSchema> {
                vec![$first::SCHEMA $(, $row::SCHEMA)+]
            }
        }
    )+};
}

sets!((A, B), (A, B, C), (A, B, C, D));

#[cfg(test)]
mod tests;
