//! Orders and the table of the open ones, which scenes and tests fill and change.

use std::fmt::Debug;
use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, Lease, ProjectionSink, SinkError, Slot,
    StoreError, TableChange, TableRead,
};
use es_core::projection::{Changes, TableRow, Which};
use es_core::{
    Aggregate, AggregateId, BoxError, Envelope, Event, Repository, Runner, TableProjection,
};

use super::Backend;
use OrderEvent::*;

#[derive(Debug, Clone, PartialEq, AggregateId)]
pub struct OrderId(String);

impl From<&str> for OrderId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(Debug, Clone, Event)]
pub enum OrderEvent {
    OrderPlaced { customer: String },
    LineAdded { cents: i64 },
    OrderPaid,
}

/// An order, whose table says everything.
#[derive(Debug, Default, Clone)]
pub struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn evolve(&mut self, _: &OrderEvent) {}
}

#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "open_orders", index(customer))]
pub struct OpenOrder {
    #[table(key)]
    pub id: OrderId,
    pub customer: Option<String>,
    pub cents: i64,
}

impl TableProjection for OpenOrder {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Order>()?;
        match &event.data {
            OrderPlaced { customer } => {
                rows.upsert(Self { id, customer: Some(customer.clone()), cents: 0 });
            }
            // a parameter that stands twice, and not in the order of its number
            LineAdded { cents } => {
                let set = "cents = cents + $2 + $1 * ($2 - $2)";
                rows.update::<Self>(id, set, (1_i64, *cents));
            }
            OrderPaid => rows.delete::<Self>(id),
        }
        Ok(())
    }
}

/// The same table, with a field more, which is not the last.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "open_orders", index(customer), index(lines))]
pub struct WithLines {
    #[table(key)]
    pub id: OrderId,
    pub lines: i64,
    pub customer: Option<String>,
    pub cents: i64,
}

impl TableProjection for WithLines {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Order>()?;
        let row = Self { id, lines: 1, customer: None, cents: 0 };
        rows.insert_or_update(row, "lines = open_orders.lines + excluded.lines");
        rows.update_where::<Self>("lines > $1", "customer = $2", (1_i64, "many".to_owned()));
        Ok(())
    }
}

/// The same table, with a column of another type.
#[derive(Debug, TableRow)]
#[table(name = "open_orders")]
pub struct WithTexts {
    #[table(key)]
    id: OrderId,
    cents: String,
}

impl TableProjection for WithTexts {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(_: &Envelope<'_, OrderEvent>, _: &mut Changes) -> Result<(), BoxError> {
        Ok(())
    }
}

pub async fn record(store: &impl Backend, id: &str, event: OrderEvent) {
    let orders = Repository::<Order>::new(store.clone());
    orders.by_id(id).decide(|_| event.clone()).await.expect("the event is recorded");
}

/// Places two orders, the first of which comes to 12.
pub async fn place_orders(store: &impl Backend) {
    record(store, "o-1", OrderPlaced { customer: "anna".to_owned() }).await;
    record(store, "o-2", OrderPlaced { customer: "o'hara".to_owned() }).await;
    record(store, "o-1", LineAdded { cents: 5 }).await;
    record(store, "o-1", LineAdded { cents: 7 }).await;
}

pub fn order(id: &str, customer: &str, cents: i64) -> OpenOrder {
    OpenOrder { id: id.into(), customer: Some(customer.to_owned()), cents }
}

/// Brings the table to the end of the log.
pub async fn catch_up(store: &impl Backend) {
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    runner.catch_up().await.expect("the runner catches up");
    runner.release().await;
}

/// The rows that are served.
pub async fn all(store: &impl ProjectionSink) -> Vec<OpenOrder> {
    let read = TableRead::Rows { after: None, limit: 10 };
    let rows = store.table_rows(OpenOrder::NAME, Slot::Active, &OpenOrder::SCHEMA, &read).await;
    let rows = rows.expect("the table is read").into_iter();
    rows.map(|row| OpenOrder::from_values(row).expect("it is a row")).collect()
}

/// A claim of a projection into tables.
pub fn claim<P: TableProjection>(slot: Slot) -> Claim {
    Claim::of(&Definition::table::<P>(), slot, "one", Duration::from_secs(30))
}

/// Claims the open orders.
pub async fn claimed(store: &impl ProjectionSink) -> Lease {
    store.acquire(&claim::<OpenOrder>(Slot::Active)).await.expect("nobody else has them")
}

/// A batch that moves nothing and changes tables.
pub fn changing(changes: Vec<TableChange>) -> Batch {
    Batch::moving(0, Checkpoint::START, Checkpoint::START).content(Content::Tables(changes))
}

/// Writes a row of anna's.
pub fn placing(id: &str) -> TableChange {
    let values = order(id, "anna", 1).into_values();
    TableChange::Upsert { table: &OpenOrder::SCHEMA, values, set: None }
}

/// An update of open orders by SQL without values.
pub fn update(rows: Which, set: &'static str) -> TableChange {
    TableChange::Update { table: &OpenOrder::SCHEMA, rows, set, values: Vec::new() }
}

/// The failure of the store that it is.
pub fn failed<T: Debug>(answer: Result<T, SinkError>) -> StoreError {
    match answer {
        Err(SinkError::Store(error)) => error,
        other => panic!("it is the store's failure, but: {other:?}"),
    }
}

/// Why it cannot be used.
pub fn unusable<T: Debug>(answer: Result<T, SinkError>) -> String {
    match answer {
        Err(SinkError::Unusable { reason, .. }) => reason,
        other => panic!("it cannot be used, but: {other:?}"),
    }
}
