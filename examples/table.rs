//! A read model in a table of one's own, for any SQL: `cargo run -p es-examples --example table`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::projection::{Changes, Table, TableRow};
use es_core::{BoxError, Envelope, Repository, Runner, Store, TableProjection};
use es_examples::OrderEvent::{self, *};
use es_examples::{Order, OrderId};
use es_sqlite::{SqliteStore, TransactionError};

#[derive(TableRow, Debug, PartialEq)]
#[table(name = "open_orders", index(customer))]
struct OpenOrder {
    #[table(key)]
    id: OrderId,
    customer: String,
    due: i64,
}

impl TableProjection for OpenOrder {
    type Event = OrderEvent;
    type Tables = Self;
    fn project(event: &Envelope<OrderEvent>, rows: &mut Changes) -> Result<(), BoxError> {
        let id = event.aggregate_id::<Order>()?;
        match &event.data {
            OrderPlaced { customer, cents, .. } => {
                rows.upsert(Self { id, customer: customer.clone(), due: i64::from(*cents) })
            }
            OrderPaid { cents } => rows.update::<Self>(id, "due = due - $1", *cents),
            OrderRefused { .. } | OrderShipped | OrderCancelled { .. } => rows.delete::<Self>(id),
            OrderConfirmed => {}
        }
        Ok(())
    }
}

/// Three orders, of which one is cancelled and one is paid in part.
async fn orders_in(store: &Store) -> Result<(), BoxError> {
    let orders = Repository::<Order>::new(store);
    for (id, customer, cents) in [("o-1", "anna", 700), ("o-2", "anna", 50), ("o-3", "ben", 350)] {
        let place = |order: &Order| order.place(customer, "bread", 1, cents);
        orders.by_id(id).decide(place).await?;
    }
    orders.by_id("o-1").decide(|order| order.pay(200)).await?;
    orders.by_id("o-2").decide(Order::cancel).await?;
    // or tokio::spawn(runner.run()), for as long as the program lives
    Runner::new(store).table::<OpenOrder>().once().await?;
    Ok(())
}

/// Any SQL, over the view of the rows that are served.
async fn owed_by(sqlite: &SqliteStore, customer: &str) -> Result<i64, TransactionError> {
    let customer = customer.to_owned();
    let owed = sqlite.read(move |connection| {
        let sum = "SELECT coalesce(sum(due), 0) FROM open_orders WHERE customer = ?1";
        let owed = connection.query_row(sum, [customer], |row| row.get(0))?;
        Ok::<_, TransactionError>(owed)
    });
    owed.await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let sqlite = SqliteStore::open(folder.path().join("shop.db")).await?;
    let store = Store::from(sqlite.clone());
    orders_in(&store).await?;
    println!("{:?}", Table::<OpenOrder>::new(&store).get("o-1").await?);
    println!("anna owes {}", owed_by(&sqlite, "anna").await?);
    sqlite.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use es_core::projection::Rebuild;
    use es_pgtest::Server;
    use es_postgres::sqlx::{self, PgPool};
    use es_postgres::{Migrations, PostgresConfig, PostgresStore};
    use es_sqlite::{SqliteConfig, Synchronous};
    use es_testing::laws::{self, LawViolation};
    use es_testing::projection::given_in;
    use futures_util::TryStreamExt;
    use proptest::prelude::{Just, Strategy, prop_oneof};

    use super::*;

    fn open(id: &str, customer: &str, due: i64) -> OpenOrder {
        OpenOrder { id: id.into(), customer: customer.to_owned(), due }
    }

    async fn rows(store: &Store) -> Vec<OpenOrder> {
        Table::<OpenOrder>::new(store).all().try_collect().await.unwrap()
    }

    fn placed(customer: &str, cents: u32) -> OrderEvent {
        OrderPlaced { customer: customer.to_owned(), sku: "bread".to_owned(), count: 1, cents }
    }

    #[tokio::test]
    async fn an_order_is_in_the_table_as_long_as_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        given_in::<OpenOrder>(sqlite.clone())
            .events::<Order>("o-1", [placed("anna", 700), OrderPaid { cents: 200 }])
            .events::<Order>("o-2", [placed("ben", 350)])
            .then_rows([open("o-1", "anna", 500), open("o-2", "ben", 350)])
            .await
            .events::<Order>("o-2", [OrderShipped])
            .then_rows([open("o-1", "anna", 500)])
            .await
            .events::<Order>("o-3", [OrderPaid { cents: 1 }])
            .then_refused("nothing to be updated")
            .await;
        sqlite.close().await;
    }

    #[test]
    fn rebuilt_it_is_what_it_is_live() -> Result<(), LawViolation> {
        let event = prop_oneof![
            (0..100_u32).prop_map(|cents| placed("anna", cents)),
            (0..100_u32).prop_map(|cents| OrderPaid { cents }),
            Just(OrderShipped),
        ];
        let events = laws::in_streams_of::<Order>(["a", "b", "c"], event);
        let (folder, files) = (tempfile::tempdir().unwrap(), AtomicU32::new(0));
        let store = async || {
            let file = format!("{}.db", files.fetch_add(1, Ordering::Relaxed));
            let config = SqliteConfig::new(folder.path().join(file));
            // nobody needs it after a loss of power, and no commit waits for the disk
            let sqlite = SqliteStore::open(config.synchronous(Synchronous::Off)).await;
            Store::from(sqlite.unwrap())
        };
        laws::table::<OpenOrder>(events, store)
    }

    #[tokio::test]
    async fn what_is_open_is_asked_for_in_sql() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        let store = Store::from(sqlite.clone());
        orders_in(&store).await.unwrap();
        let expected = [open("o-1", "anna", 500), open("o-3", "ben", 350)];
        assert_eq!(rows(&store).await, expected);
        assert_eq!(owed_by(&sqlite, "anna").await.unwrap(), 500);
        assert_eq!(owed_by(&sqlite, "carla").await.unwrap(), 0);

        Rebuild::table::<OpenOrder>(&store).run().await.unwrap();
        assert_eq!(rows(&store).await, expected);
        sqlite.close().await;
    }

    /// The same on PostgreSQL, by the application's own pool.
    async fn owed_in(pool: &PgPool, customer: &str) -> Result<i64, sqlx::Error> {
        let sum = "SELECT coalesce(sum(due), 0)::bigint FROM open_orders WHERE customer = $1";
        sqlx::query_scalar(sum).bind(customer).fetch_one(pool).await
    }

    #[tokio::test]
    async fn on_postgresql_as_well() {
        let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
        let database = server.database().await;
        let config = PostgresConfig::new(database.options());
        Migrations::of_store(config.names()).apply(&config).await.unwrap();
        let pool = PgPool::connect_with(config.connect_options()).await.unwrap();
        let postgres = PostgresStore::open(config).await.unwrap();
        orders_in(&Store::from(postgres.clone())).await.unwrap();
        assert_eq!(owed_in(&pool, "anna").await.unwrap(), 500);
        assert_eq!(owed_in(&pool, "carla").await.unwrap(), 0);
        pool.close().await;
        postgres.close().await;
    }
}
