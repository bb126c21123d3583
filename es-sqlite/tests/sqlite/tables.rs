//! Tables of projections in a file.

use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Definition, EventStore, ProjectionSink, Renewal, SinkError,
    Slot, StoreErrorKind, TableChange, TableRead, Timestamp,
};
use es_core::projection::{Changes, Json, Rebuild, SqlValue, Table, TableRow, Which};
use es_core::{
    Aggregate, AggregateId, BoxError, Envelope, Event, Repository, Runner, TableProjection,
};
use es_sqlite::SqliteStore;
use es_testing::projection::given_in;

use crate::support::Folder;
use OrderEvent::*;

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

/// The same table, with a field more.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "open_orders", index(customer), index(lines))]
struct WithLines {
    #[table(key)]
    id: OrderId,
    customer: Option<String>,
    cents: i64,
    lines: i64,
}

impl TableProjection for WithLines {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(event: &Envelope<'_, OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Order>()?;
        let row = Self { id, customer: None, cents: 0, lines: 1 };
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

async fn record(store: &SqliteStore, id: &str, event: OrderEvent) {
    let orders = Repository::<Order>::new(store.clone());
    orders.by_id(id).decide(|_| event.clone()).await.unwrap();
}

async fn store_with_orders(folder: &Folder) -> SqliteStore {
    let store = folder.store().await;
    record(&store, "o-1", OrderPlaced { customer: "anna".to_owned() }).await;
    record(&store, "o-2", OrderPlaced { customer: "o'hara".to_owned() }).await;
    record(&store, "o-1", LineAdded { cents: 5 }).await;
    record(&store, "o-1", LineAdded { cents: 7 }).await;
    store
}

fn order(id: &str, customer: &str, cents: i64) -> OpenOrder {
    OpenOrder { id: id.into(), customer: Some(customer.to_owned()), cents }
}

async fn all(store: &SqliteStore) -> Vec<OpenOrder> {
    let read = TableRead::Rows { after: None, limit: 10 };
    let name = OpenOrder::NAME;
    let rows = store.table_rows(name, Slot::Active, &OpenOrder::SCHEMA, &read).await.unwrap();
    rows.into_iter().map(|row| OpenOrder::from_values(row).unwrap()).collect()
}

fn claim(definition: &Definition, slot: Slot) -> Claim {
    Claim::of(definition, slot, "one", Duration::from_secs(30))
}

#[tokio::test]
async fn rows_are_read_by_type_and_by_any_sql() {
    let folder = Folder::new();
    let store = store_with_orders(&folder).await;
    let mut runner = Runner::new(store.clone()).table::<OpenOrder>();
    runner.catch_up().await.unwrap();
    let table = Table::<OpenOrder>::new(store.clone());
    assert_eq!(table.get("o-1").await.unwrap(), Some(order("o-1", "anna", 12)));
    assert_eq!(table.get("o-3").await.unwrap(), None);
    assert_eq!(all(&store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    let after = Some(vec![SqlValue::Text("o-1".to_owned())]);
    let read = TableRead::Rows { after, limit: 10 };
    let name = OpenOrder::NAME;
    let rows = store.table_rows(name, Slot::Active, &OpenOrder::SCHEMA, &read).await.unwrap();
    assert_eq!(rows, [order("o-2", "o'hara", 0).into_values()]);
    let sql = "SELECT id FROM open_orders WHERE customer = 'anna' AND cents > 10";
    let id: String = folder.connection().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(id, "o-1");
    record(&store, "o-1", OrderPaid).await;
    runner.catch_up().await.unwrap();
    assert_eq!(all(&store).await, [order("o-2", "o'hara", 0)]);
}

#[tokio::test]
async fn rows_are_those_of_what_was_given() {
    let folder = Folder::new();
    let placed = OrderPlaced { customer: "anna".to_owned() };
    given_in::<OpenOrder>(folder.store().await)
        .events::<Order>("o-1", [placed, LineAdded { cents: 5 }])
        .then_rows([order("o-1", "anna", 5)])
        .await
        .events::<Order>("o-1", [LineAdded { cents: 7 }])
        .then_rows([order("o-1", "anna", 12)])
        .await
        .events::<Order>("o-1", [OrderPaid])
        .then_rows([] as [OpenOrder; 0])
        .await
        .events::<Order>("o-9", [LineAdded { cents: 1 }])
        .then_refused("nothing to be updated")
        .await;
}

#[tokio::test]
async fn a_rebuild_is_not_seen_before_its_switch_and_leaves_nothing() {
    let folder = Folder::new();
    let store = store_with_orders(&folder).await;
    Runner::new(store.clone()).table::<OpenOrder>().catch_up().await.unwrap();
    let mut rebuild = Rebuild::table::<WithLines>(store.clone());
    rebuild.fill().await.unwrap();
    assert_eq!(all(&store).await.len(), 2);
    let lines = |sql: &str| -> Vec<Option<i64>> {
        let connection = folder.connection();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(lines("SELECT lines FROM open_orders ORDER BY id"), [None, None]);
    rebuild.run().await.unwrap();
    assert_eq!(lines("SELECT lines FROM open_orders ORDER BY id"), [Some(3), Some(1)]);
    let many = Table::<WithLines>::new(store.clone()).get("o-1").await.unwrap().unwrap();
    assert_eq!(many.customer.as_deref(), Some("many"));
    assert_eq!(lines("SELECT count(*) FROM open_orders_models"), [Some(2)]);
}

#[tokio::test]
async fn what_takes_longer_is_removed_with_renewals() {
    let folder = Folder::new();
    let store = store_with_orders(&folder).await;
    Runner::new(store.clone()).table::<OpenOrder>().once().await.unwrap();
    let left = "WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
        INSERT INTO open_orders_models (generation, id, cents) SELECT 999, 'o-' || n, n FROM n";
    folder.connection().execute_batch(left).unwrap();
    let kept = || -> i64 {
        let kept = "SELECT count(*) - 2 FROM open_orders_models";
        folder.connection().query_row(kept, [], |row| row.get(0)).unwrap()
    };
    // a part, of as much as the lease leaves time for
    let mut hasty = claim(&Definition::table::<OpenOrder>(), Slot::Active);
    hasty.time_to_live = Duration::ZERO;
    let lease = store.acquire(&hasty).await.unwrap();
    for left in [1_500, 500, 0, 0] {
        assert_eq!(kept(), left);
        store.renew(&lease, &Renewal::lasting(Duration::ZERO)).await.unwrap();
    }
    assert_eq!(all(&store).await.len(), 2);
}

#[tokio::test]
async fn a_refused_change_writes_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    let lease =
        store.acquire(&claim(&Definition::table::<OpenOrder>(), Slot::Active)).await.unwrap();
    let table = &OpenOrder::SCHEMA;
    let upsert =
        || TableChange::Upsert { table, values: order("o-1", "anna", 1).into_values(), set: None };
    let update = |rows, set| TableChange::Update { table, rows, set, values: Vec::new() };
    let nobody = || Which::Key(vec![SqlValue::Text("o-9".to_owned())]);
    for odd in [
        update(nobody(), "cents = 1"),
        update(Which::Where("cents = $1"), "cents = 1"),
        update(Which::Where("true"), "cents = 'many'"),
        update(Which::Where("no_such_column"), "cents = 1"),
        update(Which::Where("true); COMMIT; SELECT (1"), "cents = 1"),
        update(Which::Where("true); ROLLBACK; SELECT (1"), "cents = 1"),
    ] {
        let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START)
            .content(Content::Tables(vec![upsert(), odd.clone()]));
        let answer = store.commit(&lease, &batch).await;
        assert!(matches!(answer, Err(SinkError::Refused { .. })), "{odd:?}: {answer:?}");
        assert!(all(&store).await.is_empty());
    }
}

#[tokio::test]
async fn what_the_file_is_to_blame_for_is_no_poison() {
    let folder = Folder::new();
    let store = folder.store().await;
    let lease =
        store.acquire(&claim(&Definition::table::<OpenOrder>(), Slot::Active)).await.unwrap();
    // where no number is left SQLite says that the file is full
    let full = "CREATE TABLE counted (number INTEGER PRIMARY KEY AUTOINCREMENT);
        INSERT INTO counted VALUES (9223372036854775807);
        CREATE TRIGGER count_orders AFTER INSERT ON open_orders_models BEGIN
            INSERT INTO counted VALUES (NULL);
        END";
    folder.connection().execute_batch(full).unwrap();
    let values = order("o-1", "anna", 1).into_values();
    let change = TableChange::Upsert { table: &OpenOrder::SCHEMA, values, set: None };
    let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START)
        .content(Content::Tables(vec![change]));
    match store.commit(&lease, &batch).await {
        Err(SinkError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Full),
        other => panic!("the file is full, but: {other:?}"),
    }
    assert!(all(&store).await.is_empty());
    folder.connection().execute_batch("DROP TRIGGER count_orders").unwrap();
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
    // nor is it for a table that somebody has dropped, which the next claim makes
    folder.connection().execute_batch("DROP TABLE open_orders_models").unwrap();
    match store.commit(&lease, &batch).await {
        Err(SinkError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::NotAStore),
        other => panic!("the table is gone, but: {other:?}"),
    }
    let lease =
        store.acquire(&claim(&Definition::table::<OpenOrder>(), Slot::Active)).await.unwrap();
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 1)]);
}

#[tokio::test]
async fn a_claim_makes_what_is_missing_and_nothing_else() {
    let folder = Folder::new();
    let store = folder.store().await;
    let cookie = || -> i64 {
        folder.connection().query_row("PRAGMA schema_version", [], |row| row.get(0)).unwrap()
    };
    let first = Definition::table::<OpenOrder>();
    store.acquire(&claim(&first, Slot::Active)).await.unwrap();
    let made = cookie();
    store.acquire(&claim(&first, Slot::Active)).await.unwrap();
    assert_eq!(cookie(), made);
    let second = Definition::table::<WithLines>();
    store.acquire(&claim(&second, Slot::Shadow)).await.unwrap();
    let second = cookie();
    assert_ne!(second, made);
    // the view has the columns of both
    store.acquire(&claim(&first, Slot::Active)).await.unwrap();
    assert_eq!(cookie(), second);
    let lines = "SELECT count(lines) FROM open_orders";
    let lines: i64 = folder.connection().query_row(lines, [], |row| row.get(0)).unwrap();
    assert_eq!(lines, 0);
    let odd = Definition::table::<WithTexts>();
    let mut others = claim(&odd, Slot::Active);
    others.projection = "others".to_owned();
    let Err(SinkError::Unusable { reason, .. }) = store.acquire(&others).await else {
        panic!("a column of another type was taken");
    };
    assert!(reason.contains("column `cents`"), "{reason}");
}

#[tokio::test]
async fn a_field_that_is_not_there_yet_is_told() {
    let folder = Folder::new();
    let store = store_with_orders(&folder).await;
    Runner::new(store.clone()).table::<OpenOrder>().catch_up().await.unwrap();
    match Table::<WithLines>::new(store.clone()).get("o-1").await {
        Err(SinkError::Unusable { reason, .. }) => assert!(reason.contains("`open_orders`")),
        other => panic!("it has no lines, but: {other:?}"),
    }
}

#[tokio::test]
async fn tables_are_kept_within_the_append() {
    let folder = Folder::new();
    let store = store_with_orders(&folder).await;
    store.keep_inline(Definition::table::<OpenOrder>()).await.unwrap();
    assert_eq!(all(&store).await, [order("o-1", "anna", 12), order("o-2", "o'hara", 0)]);
    record(&store, "o-2", LineAdded { cents: 4 }).await;
    assert_eq!(all(&store).await[1], order("o-2", "o'hara", 4));
    // there is no such row
    let end = store.end_of_log().await.unwrap();
    let orders = Repository::<Order>::new(store.clone());
    let refused = orders.by_id("o-9").decide(|_| LineAdded { cents: 1 }).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(store.end_of_log().await.unwrap(), end);
}

/// Every type of column.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "samples")]
struct Sample {
    #[table(key)]
    number: i64,
    #[table(key)]
    flag: bool,
    small: u32,
    ratio: f64,
    text: String,
    bytes: Vec<u8>,
    at: Timestamp,
    event: Option<es_core::event::EventId>,
    tags: Json<Vec<String>>,
}

impl TableProjection for Sample {
    type Event = OrderEvent;
    type Tables = Self;

    fn project(_: &Envelope<'_, OrderEvent>, _: &mut Changes) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test]
async fn values_come_back_as_they_were() {
    let folder = Folder::new();
    let store = folder.store().await;
    let samples = [
        Sample {
            number: i64::MIN,
            flag: false,
            small: u32::MAX,
            ratio: 0.1,
            text: "ü'\"".to_owned(),
            bytes: vec![0, 255],
            at: Timestamp::from_micros(1_764_000_000_000_001),
            event: Some(es_core::event::EventId::stand_in(
                es_core::backend::Position::from_sequence(7),
            )),
            tags: Json(vec!["a".to_owned()]),
        },
        Sample {
            number: i64::MAX,
            flag: true,
            small: 0,
            ratio: f64::MIN_POSITIVE,
            text: String::new(),
            bytes: Vec::new(),
            at: Timestamp::from_micros(0),
            event: None,
            tags: Json(Vec::new()),
        },
    ];
    let lease = store.acquire(&claim(&Definition::table::<Sample>(), Slot::Active)).await.unwrap();
    let table = &Sample::SCHEMA;
    let changes = samples.iter().map(|sample| {
        let values = sample.clone().into_values();
        TableChange::Upsert { table, values, set: None }
    });
    let batch = Batch::moving(0, Checkpoint::START, Checkpoint::START)
        .content(Content::Tables(changes.collect()));
    store.commit(&lease, &batch).await.unwrap();
    let table = Table::<Sample>::new(store.clone());
    for sample in samples {
        let key = (sample.number, sample.flag);
        assert_eq!(table.get(key).await.unwrap(), Some(sample));
    }
}
