//! Given in a store, then: what passes, what fails, and what a failure tells.

use es_core::backend::{SinkError, StoreErrorKind};
use es_core::projection::{
    Changes, FailurePolicy, RowError, SqlValue, Table, TableRow, TableSchema,
};
use es_core::{Store, TableProjection};
use es_memory::MemoryStore;
use es_testing::projection::{GivenIn, given_in};
use futures_util::{FutureExt, TryStreamExt};

use super::*;

#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "open_orders", index(customer))]
struct OpenOrder {
    #[table(key)]
    id: String,
    customer: CustomerId,
    cents: i64,
}

#[derive(Debug, PartialEq, TableRow)]
#[table(name = "moved_customers")]
struct MovedCustomer {
    #[table(key)]
    id: CustomerId,
}

/// Open orders, and who has moved.
struct Shop;

impl TableProjection for Shop {
    const NAME: &'static str = "shop";
    const ON_FAILURE: FailurePolicy = FailurePolicy::park_key();
    type Event = ShopEvent;
    type Tables = (OpenOrder, MovedCustomer);

    fn project(event: &Envelope<'_, ShopEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.stream.aggregate_id().to_owned();
        match &event.data {
            ShopEvent::Order(OrderPlaced { cents: 0, .. }) => return Err("it is free".into()),
            ShopEvent::Order(OrderPlaced { customer, cents }) => {
                let (customer, cents) = (customer.clone(), i64::try_from(*cents)?);
                rows.upsert(OpenOrder { id, customer, cents });
            }
            ShopEvent::Order(OrderPaid) => rows.delete::<OpenOrder>(id),
            ShopEvent::Customer(CustomerMoved) => {
                rows.upsert(MovedCustomer { id: event.aggregate_id::<Customer>()? });
            }
        }
        Ok(())
    }
}

/// A row of another projection.
#[derive(Debug, PartialEq, TableRow)]
#[table(name = "paid_orders")]
struct PaidOrder {
    #[table(key)]
    id: String,
}

/// Orders that are updated, which no store in memory does.
struct Updates;

impl TableProjection for Updates {
    type Event = OrderEvent;
    type Tables = OpenOrder;

    fn project(event: &Envelope<'_, OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        rows.update::<OpenOrder>(event.stream.aggregate_id(), "cents = 0", ());
        Ok(())
    }
}

/// Open orders as code has them that reads no dear one.
#[derive(Debug)]
struct CheapOrder(OpenOrder);

impl TableRow for CheapOrder {
    const SCHEMA: TableSchema = OpenOrder::SCHEMA;
    type Key = String;

    fn into_values(self) -> Vec<SqlValue> {
        self.0.into_values()
    }

    fn from_values(values: Vec<SqlValue>) -> Result<Self, RowError> {
        let order = OpenOrder::from_values(values)?;
        if order.cents < 100 { Ok(Self(order)) } else { Err(RowError::new("it is dear")) }
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_no_other() {
    let store = Store::from(MemoryStore::new());
    let shop = given_in::<Shop>(&store)
        .events::<Order>(&1, [placed("anna", 700)])
        .events::<Order>(&2, [placed("bert", 50)]);
    drop(shop.then_rows([order("1", "anna", 700), order("2", "bert", 50)]).await);
    let table = Table::<CheapOrder, Shop>::new(&store);
    let mut rows = table.all();
    match rows.try_next().await {
        Err(SinkError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Corrupt),
        other => panic!("it is dear, but: {other:?}"),
    }
    let cheap = rows.try_next().await.unwrap().unwrap();
    assert_eq!(cheap.0, order("2", "bert", 50));
    assert!(rows.try_next().await.unwrap().is_none());
}

fn order(id: &str, customer: &str, cents: i64) -> OpenOrder {
    OpenOrder { id: id.to_owned(), customer: customer.into(), cents }
}

fn in_memory() -> GivenIn<Shop> {
    given_in(MemoryStore::new())
}

#[tokio::test]
async fn rows_are_those_of_the_events_so_far() {
    in_memory()
        .then_rows([] as [OpenOrder; 0])
        .await
        .events::<Order>(&1, [placed("anna", 700)])
        .events::<Order>(&2, [placed("bert", 50)])
        .events::<Customer>("anna", [CustomerMoved])
        .then_rows([order("2", "bert", 50), order("1", "anna", 700)])
        .await
        .then_rows([MovedCustomer { id: "anna".into() }])
        .await
        .events::<Order>(&1, [placed("anna", 1), OrderPaid])
        .then_rows([order("2", "bert", 50)])
        .await;
}

/// The text of the panic of a check that must fail.
async fn told_of(check: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(check).catch_unwind().await.expect_err("it is otherwise");
    *panic.downcast::<String>().expect("the panic has a text")
}

#[tokio::test]
async fn other_rows_are_told_with_what_was_given() {
    let checked = in_memory()
        .events::<Order>(&1, [placed("anna", 700)])
        .then_rows([order("1", "anna", 700)])
        .await
        .events::<Order>(&2, [placed("bert", 50)]);
    let others = [order("1", "anna", 700), order("2", "bert", 51)];
    let expected = "\
these are not the rows
    given: 2 events
           order/1: order_placed {\"cents\":700,\"customer\":\"anna\"}
           order/2: order_placed {\"cents\":50,\"customer\":\"bert\"}
 expected: 2 rows
           OpenOrder { id: \"1\", customer: CustomerId(\"anna\"), cents: 700 }
         * OpenOrder { id: \"2\", customer: CustomerId(\"bert\"), cents: 51 }
   actual: 2 rows
           OpenOrder { id: \"1\", customer: CustomerId(\"anna\"), cents: 700 }
         * OpenOrder { id: \"2\", customer: CustomerId(\"bert\"), cents: 50 }";
    assert_eq!(told_of(async { drop(checked.then_rows(others).await) }).await, expected);
}

#[tokio::test]
async fn a_row_too_many_or_too_few_is_told() {
    let anna = || order("1", "anna", 700);
    let bert = || order("2", "bert", 50);
    for others in [vec![], vec![anna()], vec![anna(), anna()], vec![anna(), bert(), bert()]] {
        let shop = in_memory()
            .events::<Order>(&1, [placed("anna", 700)])
            .events::<Order>(&2, [placed("bert", 50)]);
        let count = others.len();
        let told = told_of(async { drop(shop.then_rows(others).await) }).await;
        assert!(told.contains("\n   actual: 2 rows\n"), "{count}: {told}");
    }
}

#[tokio::test]
async fn what_is_in_no_table_of_the_projection_is_told() {
    let strays = in_memory().then_rows([PaidOrder { id: "1".to_owned() }]);
    let told = told_of(async { drop(strays.await) }).await;
    assert!(told.contains(" expected: 1 row\n"), "{told}");
    assert!(told.ends_with("the model has no table `paid_orders`"), "{told}");
}

#[tokio::test]
async fn an_event_that_cannot_be_taken_is_told_or_awaited() {
    let free = || in_memory().events::<Order>(&1, [placed("anna", 0)]);
    free().then_refused("it is free").await;
    let told = told_of(async { drop(free().then_rows([] as [OpenOrder; 0]).await) }).await;
    assert!(told.contains(" expected: no rows\n"), "{told}");
    assert!(told.ends_with("cannot be taken under key `order/1`: it is free"), "{told}");
    let told = told_of(free().then_refused("it is late")).await;
    assert!(told.contains("\n expected: it is late\n   actual: "), "{told}");
    assert!(told.ends_with("it is free"), "{told}");
    let paid = in_memory().events::<Order>(&1, [placed("anna", 1)]);
    let told = told_of(paid.then_refused("it is free")).await;
    assert!(told.ends_with("\n   actual: all events are taken"), "{told}");
}

#[tokio::test]
async fn a_store_that_takes_no_sql_says_so() {
    let updates = given_in::<Updates>(MemoryStore::new()).events::<Order>(&1, [placed("anna", 1)]);
    let told = told_of(async { drop(updates.then_rows([order("1", "anna", 0)]).await) }).await;
    assert!(told.contains("use a file"), "{told}");
}
