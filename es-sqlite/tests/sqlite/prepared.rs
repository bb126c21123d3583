//! What was decided and the application's rows in one transaction.

use async_trait::async_trait;
use es_core::backend::{AppendError, EventStore, InvalidRequest, SnapshotStore};
use es_core::execution::{Decided, Member, NotAppended, Prepared, StreamVersion};
use es_core::layer::scoped;
use es_core::{ErrorKind, Repository, Store, transact};
use es_sqlite::rusqlite::{self, ffi};
use es_sqlite::{SqliteStore, SqliteTransaction, TransactionError};
use es_testing::scenes::prepared::OrderEvent::ItemAdded;
use es_testing::scenes::prepared::{self, Order, Shop as _, with_order};

use crate::support::{Folder, stream};

struct Shop {
    sqlite: SqliteStore,
    _folder: Folder,
}

impl Shop {
    async fn open() -> Self {
        let folder = Folder::new();
        let sqlite = folder.store().await;
        let made = sqlite.write(|tx| {
            tx.execute("CREATE TABLE mail (text TEXT NOT NULL CHECK (text <> ''))", [])?;
            Ok::<_, TransactionError>(())
        });
        made.await.unwrap();
        Self { sqlite, _folder: folder }
    }
}

fn mail(tx: &SqliteTransaction<'_>, text: &str) -> Result<(), TransactionError> {
    tx.execute("INSERT INTO mail (text) VALUES (?1)", [text])?;
    Ok(())
}

#[async_trait]
impl prepared::Shop for Shop {
    fn store(&self) -> Store {
        self.sqlite.clone().into()
    }

    async fn write(
        &self,
        prepared: Prepared<Member<Order>>,
    ) -> Result<Decided<Member<Order>>, NotAppended> {
        let written = self.sqlite.write(move |tx| {
            mail(tx, "o-1 is paid")?;
            Ok::<_, TransactionError>(tx.append_prepared(prepared)?)
        });
        written.await.map_err(|error| {
            let told = (error.kind(), error.is_transient());
            let TransactionError::NotAppended(refused) = error else { panic!("{error:?}") };
            assert_eq!(told, (refused.kind(), refused.is_transient()));
            refused
        })
    }

    async fn mails(&self) -> i64 {
        let count = self.sqlite.read(|connection| {
            let count = connection.query_row("SELECT count(*) FROM mail", [], |row| row.get(0));
            Ok::<_, TransactionError>(count?)
        });
        count.await.unwrap()
    }
}

#[tokio::test]
async fn who_was_overtaken_decides_again_and_writes_once() {
    prepared::who_was_overtaken_decides_again_and_writes_once(&Shop::open().await).await;
}

#[tokio::test]
async fn a_repeat_undoes_what_was_written_beside_it() {
    let shop = Shop::open().await;
    prepared::a_repeat_is_an_error_that_undoes_what_was_written_beside_it(&shop).await;
}

#[tokio::test]
async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again() {
    let shop = Shop::open().await;
    prepared::who_was_slower_than_the_same_command_is_told_so_when_preparing_again(&shop).await;
}

#[tokio::test]
async fn what_concerns_one_stream_in_a_transaction_is_one_decision() {
    let shop = Shop::open().await;
    let (sqlite, orders) = (&shop.sqlite, with_order(&shop).await);
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
    assert_eq!((shop.mails().await, sqlite.end_of_log().await.unwrap()), (0, end));
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
    assert_eq!(shop.mails().await, 1);
}

#[tokio::test]
async fn what_a_statement_of_the_application_is_refused_for_has_a_kind() {
    let shop = Shop::open().await;
    let refused = shop.sqlite.write(|tx| mail(tx, "")).await.unwrap_err();
    assert!(matches!(refused, TransactionError::Sqlite(_)), "{refused:?}");
    assert_eq!(refused.kind(), ErrorKind::Broken);
    let held = ffi::Error::new(ffi::SQLITE_BUSY);
    let held = TransactionError::from(rusqlite::Error::SqliteFailure(held, None));
    assert_eq!(held.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn another_store_and_a_tenant_are_refused() {
    let (shop, elsewhere) = (Shop::open().await, Shop::open().await);
    let sqlite = &shop.sqlite;
    let end = sqlite.end_of_log().await.unwrap();
    for home in [elsewhere.store(), scoped(sqlite.clone(), "acme").unwrap()] {
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
    assert_eq!((shop.mails().await, sqlite.end_of_log().await.unwrap()), (0, end));
}

#[tokio::test]
async fn what_is_rolled_back_is_known_to_nobody() {
    let shop = Shop::open().await;
    let sqlite = &shop.sqlite;
    let orders = with_order(&shop).await.with_cache(10).snapshot_every(1);
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
    assert_eq!(shop.mails().await, 1);
}
