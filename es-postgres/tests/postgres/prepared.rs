//! What was decided and the application's rows in one transaction of the application's.

use es_core::backend::{AppendError, EventStore, InvalidRequest, SnapshotStore};
use es_core::execution::{NotAppended, Snapshotted, StreamVersion};
use es_core::layer::scoped;
use es_core::{Aggregate, ErrorKind, Event, Repository, Store};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, Connection, PgConnection};
use es_postgres::{IdType, PostgresStore};
use serde::{Deserialize, Serialize};

use crate::support::sessions::session;
use crate::support::{database, open, run, value};

#[derive(Event, Debug, Clone, PartialEq)]
enum OrderEvent {
    ItemAdded { cents: u64 },
    OrderPaid { cents: u64 },
}
use OrderEvent::*;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    due: u64,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = String;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            ItemAdded { cents } => self.due += cents,
            OrderPaid { .. } => self.due = 0,
        }
    }
}

impl Snapshotted for Order {
    const REVISION: u32 = 1;
}

impl Order {
    fn pay(&self) -> Result<OrderEvent, &'static str> {
        match self.due {
            0 => Err("there is nothing to pay"),
            cents => Ok(OrderPaid { cents }),
        }
    }
}

/// A store with the application's table, and an order of 700.
async fn with_order() -> (TestDatabase, PostgresStore, Repository<Order>) {
    let database = database(IdType::Text).await;
    run(&database, "CREATE TABLE mail (text text NOT NULL)").await;
    let postgres = open(&database).await;
    let orders = Repository::new(postgres.clone());
    add(&orders, 700).await;
    (database, postgres, orders)
}

async fn add(orders: &Repository<Order>, cents: u64) {
    orders.by_id("o-1").decide(|_| ItemAdded { cents }).await.unwrap();
}

async fn mail(tx: &mut PgConnection) {
    let insert = sqlx::query("INSERT INTO mail (text) VALUES ('o-1 is paid')");
    insert.execute(tx).await.unwrap();
}

async fn mails(database: &TestDatabase) -> i64 {
    value(database, "SELECT count(*) FROM mail").await
}

#[tokio::test]
async fn who_was_overtaken_decides_again_and_writes_once() {
    let (database, postgres, orders) = with_order().await;
    let mut session = session(&database).await;
    let mut attempts = 0;
    let paid = loop {
        let decision = orders.by_id("o-1").decide(Order::pay);
        let prepared = decision.idempotency_key("payment/p-17").prepare().await.unwrap();
        if attempts == 0 {
            add(&orders, 50).await;
        }
        let mut tx = session.begin().await.unwrap();
        mail(&mut tx).await;
        match postgres.append_prepared_in(&mut tx, prepared).await {
            Err(error) if attempts < 3 && error.is_transient() => {
                tx.rollback().await.unwrap();
                attempts += 1;
            }
            appended => {
                let paid = appended.unwrap();
                tx.commit().await.unwrap();
                break paid;
            }
        }
    };
    assert_eq!((attempts, mails(&database).await), (1, 1));
    assert_eq!(paid.events, [OrderPaid { cents: 750 }]);
    assert_eq!((&paid.state, paid.version), (&Order { due: 0 }, StreamVersion::new(3)));
    assert_eq!(paid.position(), postgres.end_of_log().await.unwrap());
    let loaded = orders.load("o-1").await.unwrap();
    assert_eq!((loaded.state, loaded.version), (paid.state, paid.version));
}

#[tokio::test]
async fn a_repeat_is_an_error_that_undoes_what_was_written_beside_it() {
    let (database, postgres, orders) = with_order().await;
    let mut session = session(&database).await;
    let pay = || orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    let (first, racing) = (pay().prepare().await.unwrap(), pay().prepare().await.unwrap());
    let mut tx = session.begin().await.unwrap();
    mail(&mut tx).await;
    postgres.append_prepared_in(&mut tx, first).await.unwrap();
    tx.commit().await.unwrap();
    let later = pay().prepare().await.unwrap();
    for prepared in [racing, later] {
        let mut tx = session.begin().await.unwrap();
        mail(&mut tx).await;
        let refused = postgres.append_prepared_in(&mut tx, prepared).await.unwrap_err();
        assert!(!refused.is_transient());
        let NotAppended::Repeated { key } = refused else { panic!("{refused:?}") };
        assert_eq!(key.as_str(), "payment/p-17");
        tx.rollback().await.unwrap();
    }
    assert_eq!(mails(&database).await, 1);
    assert_eq!(pay().await.unwrap().events, [OrderPaid { cents: 700 }]);
}

#[tokio::test]
async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again() {
    let (database, postgres, orders) = with_order().await;
    let mut session = session(&database).await;
    let pay = || orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    let slower = pay().prepare().await.unwrap();
    add(&orders, 50).await;
    // of 750, so the contents under the key differ
    pay().await.unwrap();
    let mut kinds = Vec::new();
    let mut next = Some(slower);
    while let Some(prepared) = next.take() {
        let mut tx = session.begin().await.unwrap();
        mail(&mut tx).await;
        let refused = postgres.append_prepared_in(&mut tx, prepared).await.unwrap_err();
        tx.rollback().await.unwrap();
        kinds.push(refused.kind());
        if refused.is_transient() {
            next = Some(pay().prepare().await.unwrap());
        }
    }
    assert_eq!(kinds, [ErrorKind::Conflict, ErrorKind::AlreadyExists]);
    assert_eq!(mails(&database).await, 0);
}

#[tokio::test]
async fn another_store_and_a_tenant_are_refused() {
    let (database, postgres, _) = with_order().await;
    let (_elsewhere, other, _) = with_order().await;
    let mut session = session(&database).await;
    let end = postgres.end_of_log().await.unwrap();
    // what is opened twice is two stores
    let twice = Store::from(open(&database).await);
    let tenant = scoped(postgres.clone(), "acme").unwrap();
    for home in [Store::from(other), twice, tenant] {
        let theirs = Repository::<Order>::new(home);
        let decision = theirs.by_id("o-1").decide(|_| ItemAdded { cents: 1 });
        let prepared = decision.prepare().await.unwrap();
        let mut tx = session.begin().await.unwrap();
        let refused = postgres.append_prepared_in(&mut tx, prepared).await.unwrap_err();
        let NotAppended::Append(AppendError::Invalid(invalid)) = &refused else {
            panic!("{refused:?}");
        };
        assert!(matches!(invalid, InvalidRequest::OtherStore { .. }), "{invalid}");
        // nothing was sent, so the transaction goes on
        tx.commit().await.unwrap();
    }
    assert_eq!(postgres.end_of_log().await.unwrap(), end);
}

#[tokio::test]
async fn what_is_rolled_back_is_known_to_nobody() {
    let (database, postgres, orders) = with_order().await;
    let mut session = session(&database).await;
    let orders = orders.with_cache(10).snapshot_every(1);
    for (is_committed, due) in [(false, 700), (true, 0)] {
        let prepared = orders.by_id("o-1").decide(Order::pay).prepare().await.unwrap();
        let mut tx = session.begin().await.unwrap();
        let paid = postgres.append_prepared_in(&mut tx, prepared).await.unwrap();
        assert_eq!(paid.state, Order { due: 0 });
        match is_committed {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        assert!(orders.flush_snapshots().await);
        let stream = "order/o-1".parse().unwrap();
        let kept = postgres.latest_snapshot(&stream, StreamVersion::MAX).await;
        assert!(kept.unwrap().is_none());
        assert_eq!(orders.load("o-1").await.unwrap().state, Order { due });
    }
}
