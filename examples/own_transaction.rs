//! Own rows and events in one transaction, on SQLite and on PostgreSQL:
//! `cargo run -p es-examples --example own_transaction`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use es_core::execution::{Member, NotAppended};
use es_core::reaction::{Delivery, Start};
use es_core::{BoxError, Decided, Reaction, Repository, Runner};
use es_examples::OrderEvent::{self, OrderPlaced};
use es_examples::{Order, OrderId, Stock};
use es_sqlite::{SqliteStore, TransactionError};

/// Pays an order and puts a receipt into the mail, both or neither.
///
/// A payment that was taken before is the error `NotAppended::Repeated`, which undoes the second
/// receipt; after a conflict all of it is done again.
async fn pay(
    sqlite: &SqliteStore,
    orders: &Repository<Order>,
    id: &OrderId,
    cents: u32,
    payment: &str,
) -> Result<Decided<Member<Order>>, BoxError> {
    let mut attempts = 0;
    loop {
        let decision = orders.by_id(id).decide(|order| order.pay(cents));
        let prepared = decision.idempotency_key(payment).prepare().await?;
        let receipt = format!("{cents} cents of {} are paid", id.0);
        let written = sqlite.write(move |tx| {
            tx.execute("INSERT INTO mail (text) VALUES (?1)", [receipt])?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        match written.await {
            Err(error) if attempts < 3 && error.is_transient() => attempts += 1,
            written => return Ok(written?),
        }
    }
}

/// Puts articles aside for an order and tells the warehouse by mail, both or neither.
struct Picking {
    sqlite: SqliteStore,
    stocks: Repository<Stock>,
}

impl Picking {
    fn over(sqlite: &SqliteStore) -> Self {
        Self { sqlite: sqlite.clone(), stocks: Repository::new(sqlite.clone()) }
    }
}

impl Reaction for Picking {
    const NAME: &'static str = "picking";
    const START: Start = Start::Beginning;
    type Event = OrderEvent;

    async fn react(&self, event: &Delivery<OrderEvent>) -> Result<(), BoxError> {
        let OrderPlaced { sku, count, .. } = &event.data else { return Ok(()) };
        let order = event.aggregate_id::<Order>()?;
        let decision = self.stocks.by_id(sku).decide(|stock| stock.reserve(&order, *count));
        let prepared = decision.reacting_to(event).prepare().await?;
        let note = format!("{} asks for {count} of {sku}", order.0);
        let written = self.sqlite.write(move |tx| {
            tx.execute("INSERT INTO mail (text) VALUES (?1)", [note])?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        match written.await {
            // an earlier call has written both, so there is nothing left to be done
            Err(TransactionError::NotAppended(NotAppended::Repeated { .. })) => Ok(()),
            written => Ok(written.map(drop)?),
        }
    }
}

/// A shop with a table of its own in the store's file, and an order.
async fn shop(sqlite: &SqliteStore) -> Result<(Repository<Order>, OrderId), BoxError> {
    let table = sqlite.write(|tx| {
        tx.execute("CREATE TABLE mail (text TEXT NOT NULL)", [])?;
        Ok::<_, TransactionError>(())
    });
    table.await?;
    let (orders, id) = (Repository::<Order>::new(sqlite.clone()), OrderId::from("o-1"));
    orders.by_id(&id).decide(|order| order.place("anna", "bread", 2, 700)).await?;
    Ok((orders, id))
}

/// What is in the mail.
async fn mail(sqlite: &SqliteStore) -> Result<Vec<String>, TransactionError> {
    let mail = sqlite.read(|connection| {
        let mut texts = connection.prepare("SELECT text FROM mail")?;
        let texts = texts.query_map([], |row| row.get(0))?;
        let texts = texts.collect::<Result<Vec<String>, _>>()?;
        Ok::<_, TransactionError>(texts)
    });
    mail.await
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let sqlite = SqliteStore::open(folder.path().join("shop.db")).await?;
    let (orders, id) = shop(&sqlite).await?;
    let paid = pay(&sqlite, &orders, &id, 700, "payment/p-17").await?;
    Runner::new(sqlite.clone()).reaction(Picking::over(&sqlite)).once().await?;
    println!("{:?}, and in the mail: {:?}", paid.state, mail(&sqlite).await?);
    sqlite.close().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use es_core::Store;
    use es_core::backend::EventStore;
    use es_examples::OrderEvent::OrderPaid;
    use es_examples::StockEvent::{ItemsDelivered, StockReserved};
    use es_pgtest::Server;
    use es_postgres::sqlx::{self, PgPool};
    use es_postgres::{Migrations, PostgresConfig, PostgresStore};
    use es_testing::reaction::react;

    use super::*;

    #[tokio::test]
    async fn a_payment_and_its_receipt_are_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        let (orders, id) = shop(&sqlite).await.unwrap();
        let paid = pay(&sqlite, &orders, &id, 300, "payment/p-17").await.unwrap();
        assert_eq!(paid.events, [OrderPaid { cents: 300 }]);
        let again = pay(&sqlite, &orders, &id, 300, "payment/p-17").await.unwrap_err();
        let again = again.downcast_ref::<TransactionError>();
        let is_repeat = |error: &TransactionError| {
            matches!(error, TransactionError::NotAppended(NotAppended::Repeated { .. }))
        };
        assert!(again.is_some_and(is_repeat), "{again:?}");
        pay(&sqlite, &orders, &id, 500, "payment/p-18").await.expect_err("400 cents are due");
        assert_eq!(mail(&sqlite).await.unwrap(), ["300 cents of o-1 are paid"]);
        assert_eq!(orders.load(&id).await.unwrap().version.as_u64(), 2);
    }

    #[tokio::test]
    async fn a_reaction_writes_its_rows_once_however_often_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        shop(&sqlite).await.unwrap();
        let (customer, sku) = ("ben".to_owned(), "bread".to_owned());
        react(&Store::from(sqlite.clone()), &Picking::over(&sqlite))
            .given::<Stock>("bread", [ItemsDelivered { count: 3 }])
            .given::<Order>("o-2", [OrderPlaced { customer, sku, count: 2, cents: 700 }])
            .then::<Stock>("bread", [StockReserved { order: OrderId::from("o-2"), count: 2 }])
            .await
            .again()
            .await;
        assert_eq!(mail(&sqlite).await.unwrap(), ["o-2 asks for 2 of bread"]);
    }

    /// The same on PostgreSQL, in a transaction of the application's own pool.
    async fn pay_in(
        pool: &PgPool,
        postgres: &PostgresStore,
        orders: &Repository<Order>,
        id: &OrderId,
        cents: u32,
        payment: &str,
    ) -> Result<Decided<Member<Order>>, BoxError> {
        let mut attempts = 0;
        loop {
            let decision = orders.by_id(id).decide(|order| order.pay(cents));
            let prepared = decision.idempotency_key(payment).prepare().await?;
            let receipt = format!("{cents} cents of {} are paid", id.0);
            let mut tx = pool.begin().await?;
            let insert = sqlx::query("INSERT INTO mail (text) VALUES ($1)").bind(receipt);
            insert.execute(&mut *tx).await?;
            // late: from here on to the commit other writers of the order wait
            match postgres.append_prepared_in(&mut tx, prepared).await {
                Err(error) if attempts < 3 && error.is_transient() => {
                    tx.rollback().await?;
                    attempts += 1;
                }
                appended => {
                    let paid = appended?;
                    tx.commit().await?;
                    return Ok(paid);
                }
            }
        }
    }

    #[tokio::test]
    async fn on_postgresql_they_are_written_once_as_well() {
        let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
        let database = server.database().await;
        let config = PostgresConfig::new(database.options());
        Migrations::of_store(config.names()).apply(&config).await.unwrap();
        let postgres = PostgresStore::open(config).await.unwrap();
        let pool = PgPool::connect_with(database.options()).await.unwrap();
        let table = sqlx::query("CREATE TABLE mail (text TEXT NOT NULL)");
        table.execute(&pool).await.unwrap();
        let (orders, id) = (Repository::<Order>::new(postgres.clone()), OrderId::from("o-1"));
        let place = |order: &Order| order.place("anna", "bread", 2, 700);
        orders.by_id(&id).decide(place).await.unwrap();

        let paid = pay_in(&pool, &postgres, &orders, &id, 300, "payment/p-17").await.unwrap();
        assert_eq!(paid.position(), postgres.end_of_log().await.unwrap());
        let again = pay_in(&pool, &postgres, &orders, &id, 300, "payment/p-17").await.unwrap_err();
        let again = again.downcast_ref::<NotAppended>();
        assert!(matches!(again, Some(NotAppended::Repeated { .. })), "{again:?}");
        let mail: Vec<String> =
            sqlx::query_scalar("SELECT text FROM mail").fetch_all(&pool).await.unwrap();
        assert_eq!(mail, ["300 cents of o-1 are paid"]);
        pool.close().await;
        postgres.close().await;
    }
}
