//! Tables of projections in a database.

use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, Lease, ProjectionSink, Renewal, SinkError, Slot,
    StoreError, StoreErrorKind, TableChange, TableRead,
};
use es_core::projection::{Changes, Rebuild, SqlValue, Table, TableRow, Which};
use es_core::{
    Aggregate, AggregateId, BoxError, Envelope, Event, Repository, Runner, TableProjection,
};
use es_pgtest::{Server, TestDatabase, TransactionPooler};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::support::{database, open, run, told, value};
use OrderEvent::*;

mod held;
mod names;
mod rights;
mod values;

#[derive(Debug, Clone, PartialEq, AggregateId)]
struct OrderId(String);

impl From<&str> for OrderId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[derive(Debug, Clone, Event)]
enum OrderEvent {
    OrderPlaced { customer: String },
    LineAdded { cents: i64 },
    OrderPaid,
}

#[derive(Debug, Default, Clone)]
struct Order;

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = OrderId;
    type Event = OrderEvent;

    fn evolve(&mut self, _: &OrderEvent) {}
}

#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "open_orders", index(customer))]
struct OpenOrder {
    #[table(key)]
    id: OrderId,
    customer: Option<String>,
    cents: i64,
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
struct WithLines {
    #[table(key)]
    id: OrderId,
    lines: i64,
    customer: Option<String>,
    cents: i64,
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
struct WithTexts {
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

async fn record(store: &PostgresStore, id: &str, event: OrderEvent) {
    let orders = Repository::<Order>::new(store.clone());
    orders.by_id(id).decide(|_| event.clone()).await.unwrap();
}

async fn place_orders(store: &PostgresStore) {
    record(store, "o-1", OrderPlaced { customer: "anna".to_owned() }).await;
    record(store, "o-2", OrderPlaced { customer: "o'hara".to_owned() }).await;
    record(store, "o-1", LineAdded { cents: 5 }).await;
    record(store, "o-1", LineAdded { cents: 7 }).await;
}

async fn with_orders() -> (TestDatabase, PostgresStore) {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    place_orders(&store).await;
    (database, store)
}

fn order(id: &str, customer: &str, cents: i64) -> OpenOrder {
    OpenOrder { id: id.into(), customer: Some(customer.to_owned()), cents }
}

async fn catch_up(store: &PostgresStore) {
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    runner.catch_up().await.unwrap();
    runner.release().await;
}

async fn all(store: &PostgresStore) -> Vec<OpenOrder> {
    let read = TableRead::Rows { after: None, limit: 10 };
    let name = OpenOrder::NAME;
    let rows = store.table_rows(name, Slot::Active, &OpenOrder::SCHEMA, &read).await.unwrap();
    rows.into_iter().map(|row| OpenOrder::from_values(row).unwrap()).collect()
}

fn claim(definition: &Definition, slot: Slot) -> Claim {
    Claim::of(definition, slot, "one", Duration::from_secs(30))
}

async fn claimed(store: &PostgresStore) -> Lease {
    store.acquire(&claim(&Definition::table::<OpenOrder>(), Slot::Active)).await.unwrap()
}

/// A batch that moves nothing and changes tables.
fn changing(changes: Vec<TableChange>) -> Batch {
    Batch::moving(0, Checkpoint::START, Checkpoint::START).content(Content::Tables(changes))
}

fn placing(id: &str) -> TableChange {
    let values = order(id, "anna", 1).into_values();
    TableChange::Upsert { table: &OpenOrder::SCHEMA, values, set: None }
}

fn failed<T: std::fmt::Debug>(answer: Result<T, SinkError>) -> StoreError {
    match answer {
        Err(SinkError::Store(error)) => error,
        other => panic!("it is the store's failure, but: {other:?}"),
    }
}

fn unusable<T: std::fmt::Debug>(answer: Result<T, SinkError>) -> String {
    match answer {
        Err(SinkError::Unusable { reason, .. }) => reason,
        other => panic!("it cannot be used, but: {other:?}"),
    }
}

#[tokio::test]
async fn rows_are_read_by_type_and_by_any_sql() {
    let (database, store) = with_orders().await;
    let table = Table::<OpenOrder>::new(store.clone());
    let never_ran = table.get("o-1").await;
    assert!(matches!(never_ran, Err(SinkError::NoModel { .. })), "{never_ran:?}");
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    runner.catch_up().await.unwrap();
    assert_eq!(table.get("o-1").await.unwrap(), Some(order("o-1", "anna", 12)));
    assert_eq!(table.get("o-3").await.unwrap(), None);
    assert_eq!(all(&store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    let after = Some(vec![SqlValue::Text("o-1".to_owned())]);
    let read = TableRead::Rows { after, limit: 10 };
    let name = OpenOrder::NAME;
    let rows = store.table_rows(name, Slot::Active, &OpenOrder::SCHEMA, &read).await.unwrap();
    assert_eq!(rows, [order("o-2", "o'hara", 0).into_values()]);
    let sql = "SELECT id FROM open_orders WHERE customer = 'anna' AND cents > 10";
    assert_eq!(value::<String>(&database, sql).await, "o-1");
    let others = Table::<values::Sample, OpenOrder>::new(store.clone());
    assert!(unusable(others.get((1_i64, true)).await).contains("`samples`"));
    record(&store, "o-1", OrderPaid).await;
    runner.catch_up().await.unwrap();
    assert_eq!(all(&store).await, [order("o-2", "o'hara", 0)]);
}

/// A rebuild into tables from its beginning to its end.
async fn rebuild(database: &TestDatabase, store: &PostgresStore) {
    catch_up(store).await;
    let mut rebuild = Rebuild::table::<WithLines>(store.clone());
    rebuild.fill().await.unwrap();
    assert_eq!(all(store).await.len(), 2);
    let lines = "SELECT array_agg(lines ORDER BY id) FROM open_orders";
    assert_eq!(value::<Vec<Option<i64>>>(database, lines).await, [None, None]);
    rebuild.run().await.unwrap();
    assert_eq!(value::<Vec<Option<i64>>>(database, lines).await, [Some(3), Some(1)]);
    let many = Table::<WithLines>::new(store.clone()).get("o-1").await.unwrap().unwrap();
    assert_eq!(many.customer.as_deref(), Some("many"));
    let kept = "SELECT count(*) FROM open_orders_models";
    assert_eq!(value::<i64>(database, kept).await, 2);
}

#[tokio::test]
async fn a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing() {
    let (database, store) = with_orders().await;
    rebuild(&database, &store).await;
}

#[tokio::test]
async fn what_is_abandoned_is_gone_with_the_next_claim() {
    let (database, store) = with_orders().await;
    catch_up(&store).await;
    let mut rebuild = Rebuild::table::<WithLines>(store.clone());
    rebuild.fill().await.unwrap();
    rebuild.release().await;
    store.abandon(OpenOrder::NAME).await.unwrap();
    let kept = "SELECT count(*) FROM open_orders_models";
    assert_eq!(value::<i64>(&database, kept).await, 4);
    claimed(&store).await;
    assert_eq!(value::<i64>(&database, kept).await, 2);
    assert_eq!(all(&store).await.len(), 2);
}

#[tokio::test]
async fn what_takes_longer_is_removed_with_renewals() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let lease = claimed(&store).await;
    store.commit(&lease, &changing(vec![placing("o-1")])).await.unwrap();
    let left = "INSERT INTO open_orders_models
                SELECT 999, 'o-' || n, 'anna', n FROM generate_series(1, 25000) n";
    run(&database, left).await;
    let kept = async || {
        let kept = "SELECT count(*) FROM open_orders_models";
        value::<i64>(&database, kept).await - 1
    };
    // a part, of as much as the lease leaves time for
    let mut hasty = claim(&Definition::table::<OpenOrder>(), Slot::Active);
    hasty.time_to_live = Duration::ZERO;
    let lease = store.acquire(&hasty).await.unwrap();
    for left in [15_000, 5_000, 0, 0] {
        assert_eq!(kept().await, left);
        store.renew(&lease, &Renewal::lasting(Duration::ZERO)).await.unwrap();
    }
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
}

#[tokio::test]
async fn a_refused_change_writes_nothing() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let lease = claimed(&store).await;
    let table = &OpenOrder::SCHEMA;
    let update = |rows, set| TableChange::Update { table, rows, set, values: Vec::new() };
    let nobody = || Which::Key(vec![SqlValue::Text("o-9".to_owned())]);
    let values = order("o-1", "anna", 1).into_values();
    let text = vec![SqlValue::Text("a".to_owned())];
    for odd in [
        update(nobody(), "cents = 1"),
        update(Which::Where("cents = $1"), "cents = 1"),
        update(Which::Where("true"), "cents = 'many'"),
        update(Which::Where("true"), "cents = 9223372036854775807 + cents"),
        update(Which::Where("no_such_column"), "cents = 1"),
        update(Which::Where("true"), "cents = open_order.cents + 1"),
        update(Which::Where("true"), "cents = no_such_schema.sum(cents)"),
        update(Which::Where("true"), "cents = no_such_function(cents)"),
        update(Which::Where("true); COMMIT; SELECT (1"), "cents = 1"),
        TableChange::Upsert { table, values, set: Some("cents = $1") },
        TableChange::Delete { table, rows: Which::Where("cents = $1"), values: text.clone() },
        TableChange::Delete { table, rows: Which::Where("customer = $2"), values: text },
    ] {
        let answer = store.commit(&lease, &changing(vec![placing("o-1"), odd.clone()])).await;
        assert!(matches!(answer, Err(SinkError::Refused { .. })), "{odd:?}: {answer:?}");
        assert!(all(&store).await.is_empty());
    }
    // one that is checked at the end
    let once = "ALTER TABLE open_orders_models
                ADD CONSTRAINT once UNIQUE (customer) DEFERRABLE INITIALLY DEFERRED";
    run(&database, once).await;
    let twice = changing(vec![placing("o-1"), placing("o-2")]);
    let Err(SinkError::Refused { source, .. }) = store.commit(&lease, &twice).await else {
        panic!("two of one customer");
    };
    let text = told(&*source);
    assert!(text.contains("once") && !text.contains("anna"), "{text}");
    assert!(all(&store).await.is_empty());
    // nothing of it is left behind
    store.commit(&lease, &changing(vec![placing("o-1")])).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
}

#[tokio::test]
async fn a_claim_makes_what_is_missing_and_nothing_else() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    // each statement that makes or changes something writes these anew
    let made = async || {
        let text = "SELECT string_agg(c.relname || c.xmin::text, ',' ORDER BY c.relname)
                    FROM pg_class c WHERE c.relname LIKE 'open_orders%'";
        value::<String>(&database, text).await
    };
    claimed(&store).await;
    run(&database, "ALTER VIEW open_orders SET (security_barrier = true)").await;
    let first = made().await;
    claimed(&store).await;
    assert_eq!(made().await, first);
    let second = Definition::table::<WithLines>();
    store.acquire(&claim(&second, Slot::Shadow)).await.unwrap();
    let second = made().await;
    assert_ne!(second, first);
    // the view has the columns of both, and is as somebody has set it
    claimed(&store).await;
    assert_eq!(made().await, second);
    let options = "SELECT array_to_string(reloptions, ',') FROM pg_class
                   WHERE relname = 'open_orders'";
    assert_eq!(value::<String>(&database, options).await, "security_barrier=true");
    let odd = Definition::table::<WithTexts>();
    let mut others = claim(&odd, Slot::Active);
    others.projection = "others".to_owned();
    let reason = unusable(store.acquire(&others).await);
    assert!(reason.contains("column `cents`"), "{reason}");
    assert_eq!(store.status(Some("others")).await.unwrap(), []);
}

#[tokio::test]
async fn who_claims_at_once_makes_them_once() {
    let database = database(IdType::Text).await;
    let definition = Definition::table::<OpenOrder>();
    let claims = (0..4).map(|number| {
        let config = PostgresConfig::new(database.options());
        let mut claim = claim(&definition, Slot::Active);
        claim.holder = number.to_string();
        async move { PostgresStore::open(config).await.unwrap().acquire(&claim).await }
    });
    let answers = futures_util::future::join_all(claims).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    for refused in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, SinkError::Held { .. }), "{refused:?}");
    }
}

/// Tables within the append, refusals included.
async fn keep_inline(database: &TestDatabase, store: &PostgresStore) {
    store.keep_inline(Definition::table::<OpenOrder>()).await.unwrap();
    assert_eq!(all(store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    record(store, "o-2", LineAdded { cents: 4 }).await;
    assert_eq!(all(store).await[1], order("o-2", "o'hara", 4));
    // there is no such row
    let orders = Repository::<Order>::new(store.clone());
    let refused = orders.by_id("o-9").decide(|_| LineAdded { cents: 1 }).await.unwrap_err();
    assert!(told(&refused).contains("no row of `open_orders`"), "{refused:?}");
    let events = "SELECT count(*) FROM execution_events";
    assert_eq!(value::<i64>(database, events).await, 5);
}

#[tokio::test]
async fn tables_are_kept_within_the_append() {
    let (database, store) = with_orders().await;
    keep_inline(&database, &store).await;
    // a switch goes on inline
    Rebuild::table::<OpenOrder>(store.clone()).run().await.unwrap();
    record(&store, "o-2", LineAdded { cents: 1 }).await;
    assert_eq!(all(&store).await[1], order("o-2", "o'hara", 5));
}

#[tokio::test]
async fn tables_are_kept_behind_a_pooling_proxy() {
    for is_kept in [false, true] {
        let database = database(IdType::Text).await;
        let pooler = TransactionPooler::start(Server::shared()).await;
        let config = PostgresConfig::new(pooler.options(database.name())).session(Session::Pooled);
        let store = PostgresStore::open(config).await.unwrap();
        place_orders(&store).await;
        match is_kept {
            true => keep_inline(&database, &store).await,
            false => rebuild(&database, &store).await,
        }
        store.close().await;
    }
}
