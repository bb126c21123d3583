//! What was decided and the application's rows in one transaction.

use es_core::backend::{AppendError, EventStore, InvalidRequest, SnapshotStore};
use es_core::execution::{NotAppended, Snapshotted, StreamVersion};
use es_core::layer::scoped;
use es_core::{Aggregate, ErrorKind, Event, Repository, Store, transact};
use es_sqlite::rusqlite::{self, ffi};
use es_sqlite::{SqliteStore, SqliteTransaction, TransactionError};
use serde::{Deserialize, Serialize};

use crate::support::{Folder, stream};

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
async fn with_order() -> (Folder, SqliteStore, Repository<Order>) {
    let folder = Folder::new();
    let sqlite = folder.store().await;
    let made = sqlite.write(|tx| {
        tx.execute("CREATE TABLE mail (text TEXT NOT NULL CHECK (text <> ''))", [])?;
        Ok::<_, TransactionError>(())
    });
    made.await.unwrap();
    let orders = Repository::new(sqlite.clone());
    add(&orders, 700).await;
    (folder, sqlite, orders)
}

async fn add(orders: &Repository<Order>, cents: u64) {
    orders.by_id("o-1").decide(|_| ItemAdded { cents }).await.unwrap();
}

fn mail(tx: &SqliteTransaction<'_>, text: &str) -> Result<(), TransactionError> {
    tx.execute("INSERT INTO mail (text) VALUES (?1)", [text])?;
    Ok(())
}

async fn mails(sqlite: &SqliteStore) -> i64 {
    let count = sqlite.read(|connection| {
        let count = connection.query_row("SELECT count(*) FROM mail", [], |row| row.get(0));
        Ok::<_, TransactionError>(count?)
    });
    count.await.unwrap()
}

#[tokio::test]
async fn who_was_overtaken_decides_again_and_writes_once() {
    let (_folder, sqlite, orders) = with_order().await;
    let mut attempts = 0;
    let paid = loop {
        let decision = orders.by_id("o-1").decide(Order::pay);
        let prepared = decision.idempotency_key("payment/p-17").prepare().await.unwrap();
        if attempts == 0 {
            add(&orders, 50).await;
        }
        let written = sqlite.write(move |tx| {
            mail(tx, "o-1 is paid")?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        match written.await {
            Err(error) if attempts < 3 && error.is_transient() => attempts += 1,
            written => break written.unwrap(),
        }
    };
    assert_eq!((attempts, mails(&sqlite).await), (1, 1));
    assert_eq!(paid.events, [OrderPaid { cents: 750 }]);
    assert_eq!((&paid.state, paid.version), (&Order { due: 0 }, StreamVersion::new(3)));
    assert_eq!(paid.position(), sqlite.end_of_log().await.unwrap());
    let loaded = orders.load("o-1").await.unwrap();
    assert_eq!((loaded.state, loaded.version), (paid.state, paid.version));
}

#[tokio::test]
async fn a_repeat_undoes_what_was_written_beside_it() {
    let (_folder, sqlite, orders) = with_order().await;
    let pay = || orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    let (first, racing) = (pay().prepare().await.unwrap(), pay().prepare().await.unwrap());
    let mut answers = Vec::new();
    for prepared in [first, racing] {
        let written = sqlite.write(move |tx| {
            mail(tx, "o-1 is paid")?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        answers.push(written.await);
    }
    let later = pay().prepare().await.unwrap();
    let written = sqlite.write(move |tx| {
        mail(tx, "o-1 is paid")?;
        Ok::<_, TransactionError>(tx.append_prepared(later)?)
    });
    answers.push(written.await);
    assert!(answers.remove(0).is_ok());
    for answer in answers {
        let refused = answer.unwrap_err();
        assert!(!refused.is_transient());
        let TransactionError::NotAppended(NotAppended::Repeated { key }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(key.as_str(), "payment/p-17");
    }
    assert_eq!(mails(&sqlite).await, 1);
    assert_eq!(pay().await.unwrap().events, [OrderPaid { cents: 700 }]);
}

#[tokio::test]
async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again() {
    let (_folder, sqlite, orders) = with_order().await;
    let pay = || orders.by_id("o-1").decide(Order::pay).idempotency_key("payment/p-17");
    let slower = pay().prepare().await.unwrap();
    add(&orders, 50).await;
    // of 750, so the contents under the key differ
    pay().await.unwrap();
    let mut kinds = Vec::new();
    let mut next = Some(slower);
    while let Some(prepared) = next.take() {
        let written = sqlite.write(move |tx| {
            mail(tx, "o-1 is paid")?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        let refused = written.await.unwrap_err();
        kinds.push(refused.kind());
        if refused.is_transient() {
            next = Some(pay().prepare().await.unwrap());
        }
    }
    assert_eq!(kinds, [ErrorKind::Conflict, ErrorKind::AlreadyExists]);
    assert_eq!(mails(&sqlite).await, 0);
}

#[tokio::test]
async fn what_concerns_one_stream_in_a_transaction_is_one_decision() {
    let (_folder, sqlite, orders) = with_order().await;
    let order = orders.by_id("o-1");
    let end = sqlite.end_of_log().await.unwrap();
    // the second finds the first in its way, however often it is done again
    for _ in 0..3 {
        let adding = order.decide(|_| ItemAdded { cents: 50 }).prepare().await.unwrap();
        let paying = order.decide(Order::pay).prepare().await.unwrap();
        let written = sqlite.write(move |tx| {
            mail(tx, "o-1 is paid")?;
            tx.append_prepared(adding)?;
            Ok::<_, TransactionError>(tx.append_prepared(paying)?)
        });
        let refused = written.await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    assert_eq!((mails(&sqlite).await, sqlite.end_of_log().await.unwrap()), (0, end));
    let both = transact((order, orders.by_id("o-2")), |(order, next)| {
        next.record(ItemAdded { cents: 50 });
        order.record(ItemAdded { cents: 50 });
        order.record(order.pay()?);
        Ok::<_, &str>(())
    });
    let both = both.idempotency_key("payment/p-17").prepare().await.unwrap();
    let written = sqlite.write(move |tx| {
        mail(tx, "o-1 is paid")?;
        Ok::<_, TransactionError>(tx.append_prepared(both)?)
    });
    assert_eq!(written.await.unwrap().state, (Order { due: 0 }, Order { due: 50 }));
    assert_eq!(mails(&sqlite).await, 1);
}

#[tokio::test]
async fn what_a_statement_of_the_application_is_refused_for_has_a_kind() {
    let (_folder, sqlite, _) = with_order().await;
    let refused = sqlite.write(|tx| mail(tx, "")).await.unwrap_err();
    assert!(matches!(refused, TransactionError::Sqlite(_)), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Broken);
    let held = ffi::Error::new(ffi::SQLITE_BUSY);
    let held = TransactionError::from(rusqlite::Error::SqliteFailure(held, None));
    assert_eq!(held.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn another_store_and_a_tenant_are_refused() {
    let (_folder, sqlite, _) = with_order().await;
    let (_elsewhere, other, _) = with_order().await;
    let end = sqlite.end_of_log().await.unwrap();
    for home in [Store::from(other), scoped(sqlite.clone(), "acme").unwrap()] {
        let theirs = Repository::<Order>::new(home);
        let decision = theirs.by_id("o-1").decide(|_| ItemAdded { cents: 1 });
        let prepared = decision.prepare().await.unwrap();
        let written = sqlite.write(move |tx| {
            mail(tx, "o-1 has an item")?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        let refused = written.await.unwrap_err();
        let TransactionError::NotAppended(NotAppended::Append(AppendError::Invalid(invalid))) =
            &refused
        else {
            panic!("{refused:?}");
        };
        assert!(matches!(invalid, InvalidRequest::OtherStore { .. }), "{invalid}");
    }
    assert_eq!((mails(&sqlite).await, sqlite.end_of_log().await.unwrap()), (0, end));
}

#[tokio::test]
async fn what_is_rolled_back_is_known_to_nobody() {
    let (_folder, sqlite, orders) = with_order().await;
    let orders = orders.with_cache(10).snapshot_every(1);
    for (text, due) in [("", 700), ("o-1 is paid", 0)] {
        let prepared = orders.by_id("o-1").decide(Order::pay).prepare().await.unwrap();
        let written = sqlite.write(move |tx| {
            let paid = tx.append_prepared(prepared)?;
            mail(tx, text)?;
            Ok::<_, TransactionError>(paid)
        });
        assert_eq!(written.await.is_ok(), due == 0);
        assert!(orders.flush_snapshots().await);
        let kept = sqlite.latest_snapshot(&stream("order/o-1"), StreamVersion::MAX).await;
        assert!(kept.unwrap().is_none());
        assert_eq!(orders.load("o-1").await.unwrap().state, Order { due });
    }
    assert_eq!(mails(&sqlite).await, 1);
}
