//! Names of schemas, tables and columns.

use es_postgres::{Layout, Migrations};

use super::*;

/// Names that are words of SQL, and one that the table of models has, too.
#[derive(Debug, Clone, PartialEq, TableRow)]
#[table(name = "order", index(user))]
struct Words {
    #[table(key)]
    limit: OrderId,
    #[table(key)]
    group: i64,
    user: String,
    slot: i64,
}

impl TableProjection for Words {
    type Event = OrderEvent;
    type Tables = (Self, OpenOrder);
    const NAME: &'static str = "o'hara\\words";

    fn project(event: &Envelope<'_, OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let limit = event.aggregate_id::<Order>()?;
        match &event.data {
            OrderPlaced { customer } => {
                rows.upsert(OpenOrder { id: limit.clone(), customer: None, cents: 0 });
                rows.upsert(Self { limit, group: 1, user: customer.clone(), slot: 0 });
            }
            LineAdded { cents } => {
                let set = "\"user\" = \"user\" || $1";
                rows.update::<Self>((limit, 1_i64), set, format!(" {cents}"));
            }
            OrderPaid => rows.delete::<Self>((limit, 1_i64)),
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_schema_of_its_own_and_words_of_sql_are_names() {
    let database = Server::shared().database().await;
    let [schema, events] = ["jobs", "happenings"].map(|name| name.parse().unwrap());
    let layout = Layout { schema, events, ..Layout::default() };
    let config = PostgresConfig::new(database.options()).layout(layout.clone());
    Migrations::of_store(&layout).apply(&config).await.unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    place_orders(&store).await;
    Runner::new(store.clone()).table::<Words>().catch_up().await.unwrap();
    let words = Table::<Words>::new(store.clone());
    let row = words.get((OrderId::from("o-1"), 1_i64)).await.unwrap().unwrap();
    assert_eq!(row.user, "anna 5 7");
    let user = "SELECT \"user\" FROM jobs.\"order\" WHERE \"limit\" = 'o-1'";
    assert_eq!(value::<String>(&database, user).await, "anna 5 7");
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM jobs.open_orders").await, 2);
    let elsewhere = "SELECT count(*) FROM pg_class
                     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')";
    assert_eq!(value::<i64>(&database, elsewhere).await, 0);
    // what is there is known again
    assert_eq!(store.table_script::<Words>().await.unwrap(), "");
    Rebuild::table::<Words>(store.clone()).run().await.unwrap();
    assert_eq!(words.get((OrderId::from("o-1"), 1_i64)).await.unwrap(), Some(row));
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM jobs.order_models").await, 2);
}

#[tokio::test]
async fn a_name_that_the_application_has_is_refused() {
    for there in [
        "CREATE TABLE open_orders (id TEXT)",
        "CREATE VIEW open_orders AS SELECT 'a'::text AS id",
        "CREATE TABLE open_orders_models (id TEXT PRIMARY KEY)",
    ] {
        let database = database(IdType::Text).await;
        run(&database, there).await;
        let store = open(&database).await;
        let claim = claim::<OpenOrder>(Slot::Active);
        let reason = unusable(store.acquire(&claim).await);
        assert!(reason.contains("another name"), "{there}: {reason}");
        assert_eq!(store.status(None).await.unwrap(), []);
    }
}
