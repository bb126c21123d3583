//! The proxy.

use std::time::Duration;

use es_pgtest::{Direction, Proxy, Server, TestDatabase};
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions};

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

/// A database with an empty table, and a proxy.
async fn table_behind_proxy() -> (TestDatabase, Proxy) {
    let database = Server::shared().database().await;
    connect(&database.options()).await.execute("CREATE TABLE t (n bigint)").await.unwrap();
    let proxy = Proxy::start(database.server()).await;
    (database, proxy)
}

async fn rows(database: &TestDatabase) -> i64 {
    let mut connection = connect(&database.options()).await;
    connection.fetch_one("SELECT count(*) FROM t").await.unwrap().get(0)
}

/// Waits until the proxy's sessions have ended: whatever they were told is done.
async fn settled(database: &TestDatabase) {
    let mut connection = connect(&database.options()).await;
    loop {
        let others: i64 = connection
            .fetch_one(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            )
            .await
            .unwrap()
            .get(0);
        if others == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn the_round_trips_of_a_statement_are_counted() {
    let (database, proxy) = table_behind_proxy().await;
    let mut connection = connect(&proxy.options(database.name())).await;
    let mut trips = Vec::new();
    for n in 0..3_i64 {
        proxy.reset();
        sqlx::query("INSERT INTO t VALUES ($1)").bind(n).execute(&mut connection).await.unwrap();
        trips.push((proxy.syncs(), proxy.count('P'), proxy.count('B'), proxy.count('E')));
    }
    // the first time it is prepared
    assert_eq!(trips, [(2, 1, 1, 1), (1, 0, 1, 1), (1, 0, 1, 1)]);
    proxy.reset();
    connection.execute(sqlx::raw_sql("SELECT 1; SELECT 2")).await.unwrap();
    assert_eq!((proxy.syncs(), proxy.count('Q')), (1, 1));
    assert_eq!(proxy.messages(Direction::ToServer), 1);
    assert_eq!(proxy.cuts(), 0);
}

#[tokio::test]
async fn an_insert_cut_at_each_message_happens_or_does_not() {
    let (database, proxy) = table_behind_proxy().await;
    let mut outcomes = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        for delivered in [false, true] {
            let mut known = String::new();
            for n in 1.. {
                proxy.reset();
                let mut connection = connect(&proxy.options(database.name())).await;
                let before = rows(&database).await;
                proxy.reset();
                if delivered {
                    proxy.cut_after(direction, n);
                } else {
                    proxy.cut_before(direction, n);
                }
                let query = sqlx::query("INSERT INTO t VALUES (1)").execute(&mut connection).await;
                if proxy.cuts() == 0 {
                    query.unwrap();
                    break;
                }
                if !(delivered && direction == Direction::ToClient) {
                    query.unwrap_err();
                }
                settled(&database).await;
                known.push(if rows(&database).await > before { '+' } else { '-' });
            }
            outcomes.push(known);
        }
    }
    // Parse, Describe, Sync; Bind, Execute, Close, Sync: the insert happens if the last Sync
    // comes to the server. All answers to it come after it has happened.
    let [swallowed, delivered, before_answer, after_answer] = &outcomes[..] else { panic!() };
    assert!(swallowed.chars().all(|known| known == '-'), "{outcomes:?}");
    assert_eq!(swallowed.len(), delivered.len());
    assert_eq!(delivered.find('+'), Some(delivered.len() - 1), "{outcomes:?}");
    assert!(before_answer.starts_with('-') && before_answer.ends_with('+'), "{outcomes:?}");
    assert!(after_answer.starts_with('-') && after_answer.ends_with('+'), "{outcomes:?}");
}

#[tokio::test]
async fn a_cut_connection_ends_on_both_sides_and_new_ones_work() {
    let (database, proxy) = table_behind_proxy().await;
    let options = proxy.options(database.name());
    let mut connection = connect(&options).await;
    connection.execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    proxy.cut_all();
    connection.execute("COMMIT").await.unwrap_err();
    settled(&database).await;
    assert_eq!(rows(&database).await, 0);
    connect(&options).await.execute("INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(rows(&database).await, 1);
}

#[tokio::test]
async fn a_black_hole_answers_nothing_until_it_is_healed() {
    let (database, proxy) = table_behind_proxy().await;
    let mut connection = connect(&proxy.options(database.name())).await;
    proxy.black_hole();
    let mut insert = Box::pin(connection.execute("INSERT INTO t VALUES (1)"));
    let short = Duration::from_millis(20);
    assert!(tokio::time::timeout(short, &mut insert).await.is_err());
    assert_eq!(rows(&database).await, 0);
    proxy.heal();
    insert.await.unwrap();
    assert_eq!(rows(&database).await, 1);
}
