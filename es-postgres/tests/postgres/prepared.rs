//! What was decided and the application's rows in one transaction of the application's.

use async_trait::async_trait;
use es_core::backend::{AppendError, EventStore, InvalidRequest, SnapshotStore};
use es_core::execution::{Decided, Member, NotAppended, Prepared, StreamVersion};
use es_core::layer::scoped;
use es_core::{Repository, Store};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, Connection};
use es_postgres::{IdType, PostgresStore};
use es_testing::scenes::prepared::OrderEvent::ItemAdded;
use es_testing::scenes::prepared::{self, Order, Shop as _, with_order};

use crate::support::sessions::session;
use crate::support::{database, open, run, value};

struct Shop {
    database: TestDatabase,
    postgres: PostgresStore,
}

impl Shop {
    async fn open() -> Self {
        let database = database(IdType::Text).await;
        run(&database, "CREATE TABLE mail (text text NOT NULL)").await;
        Self { postgres: open(&database).await, database }
    }
}

#[async_trait]
impl prepared::Shop for Shop {
    fn store(&self) -> Store {
        self.postgres.clone().into()
    }

    async fn write(
        &self,
        prepared: Prepared<Member<Order>>,
    ) -> Result<Decided<Member<Order>>, NotAppended> {
        let mut session = session(&self.database).await;
        let mut tx = session.begin().await.unwrap();
        let insert = sqlx::query("INSERT INTO mail (text) VALUES ('o-1 is paid')");
        insert.execute(&mut *tx).await.unwrap();
        let written = self.postgres.append_prepared_in(&mut tx, prepared).await;
        match written {
            Ok(_) => tx.commit().await.unwrap(),
            Err(_) => tx.rollback().await.unwrap(),
        }
        written
    }

    async fn mails(&self) -> i64 {
        value(&self.database, "SELECT count(*) FROM mail").await
    }
}

#[tokio::test]
async fn who_was_overtaken_decides_again_and_writes_once() {
    prepared::who_was_overtaken_decides_again_and_writes_once(&Shop::open().await).await;
}

#[tokio::test]
async fn a_repeat_is_an_error_that_undoes_what_was_written_beside_it() {
    let shop = Shop::open().await;
    prepared::a_repeat_is_an_error_that_undoes_what_was_written_beside_it(&shop).await;
}

#[tokio::test]
async fn who_was_slower_than_the_same_command_is_told_so_when_preparing_again() {
    let shop = Shop::open().await;
    prepared::who_was_slower_than_the_same_command_is_told_so_when_preparing_again(&shop).await;
}

#[tokio::test]
async fn another_store_and_a_tenant_are_refused() {
    let Shop { database, postgres } = Shop::open().await;
    let elsewhere = Shop::open().await;
    let mut session = session(&database).await;
    let end = postgres.end_of_log().await.unwrap();
    // what is opened twice is two stores
    let twice = Store::from(open(&database).await);
    let tenant = scoped(postgres.clone(), "acme").unwrap();
    for home in [elsewhere.store(), twice, tenant] {
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
    let shop = Shop::open().await;
    let orders = with_order(&shop).await.with_cache(10).snapshot_every(1);
    let Shop { database, postgres } = &shop;
    let mut session = session(database).await;
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
