//! The pooler.

use std::collections::HashSet;

use es_pgtest::{Proxy, Server, TestDatabase, TransactionPooler};
use sqlx::{
    Connection, Executor, PgConnection, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
    raw_sql,
};

async fn connect(options: &PgConnectOptions) -> PgConnection {
    try_connect(options).await.unwrap()
}

/// Without the parameter that a pooler refuses and sqlx sends.
async fn try_connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    PgConnection::connect_with(&options.clone().extra_float_digits(None)).await
}

async fn pooled() -> (TestDatabase, TransactionPooler) {
    let database = Server::shared().database().await;
    connect(&database.options()).await.execute("CREATE TABLE t (n bigint)").await.unwrap();
    let pooler = TransactionPooler::start(database.server()).await;
    (database, pooler)
}

async fn rows(options: &PgConnectOptions) -> i64 {
    connect(options).await.fetch_one("SELECT count(*) FROM t").await.unwrap().get(0)
}

#[tokio::test]
async fn a_transaction_works() {
    let (database, pooler) = pooled().await;
    let mut client = connect(&pooler.options(database.name())).await;
    let mut transaction = client.begin().await.unwrap();
    for n in 0..3_i64 {
        let insert = sqlx::query("INSERT INTO t VALUES ($1)").bind(n).persistent(false);
        insert.execute(&mut *transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    assert_eq!(rows(&database.options()).await, 3);
    client.close().await.unwrap();
}

#[tokio::test]
async fn what_a_session_knew_is_gone_in_the_next_transaction() {
    for sessions in [1, 4] {
        let (database, _) = pooled().await;
        let pooler = TransactionPooler::with_sessions(database.server(), sessions).await;
        let mut client = connect(&pooler.options(database.name())).await;
        client.execute(raw_sql("PREPARE one AS SELECT 1")).await.unwrap();
        let error = client.execute(raw_sql("EXECUTE one")).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "26000");
        // a driver that prepares in one transaction and executes in the next
        sqlx::query("SELECT $1").bind(1_i64).execute(&mut client).await.unwrap_err();
        client.execute(raw_sql("SET search_path TO nowhere")).await.unwrap();
        client.execute(raw_sql("SELECT pg_advisory_lock(1)")).await.unwrap();
        let row = client.fetch_one(raw_sql("SHOW search_path")).await.unwrap();
        assert_ne!(row.get_unchecked::<String, _>(0), "nowhere");
        let locks = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 \
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let row = client.fetch_one(raw_sql(locks)).await.unwrap();
        assert_eq!(row.get_unchecked::<String, _>(0), "0");
    }
}

#[tokio::test]
async fn every_transaction_gets_another_session() {
    let (database, pooler) = pooled().await;
    let mut client = connect(&pooler.options(database.name())).await;
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let row = client.fetch_one(raw_sql("SELECT pg_backend_pid()::text")).await.unwrap();
        sessions.push(row.get_unchecked::<String, _>(0));
    }
    assert!(sessions.windows(2).all(|pair| pair[0] != pair[1]), "{sessions:?}");
    assert_eq!(sessions.iter().collect::<HashSet<_>>().len(), 4);
}

#[tokio::test]
async fn twenty_clients_share_four_sessions() {
    let (database, pooler) = pooled().await;
    let options = pooler.options(database.name());
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move {
                let mut client = connect(&options).await;
                for _ in 0..5 {
                    let work = "BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)";
                    client.execute(raw_sql(work)).await.unwrap();
                    client.execute(raw_sql("COMMIT")).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(rows(&database.options()).await, 200);
    let count: i64 = connect(&database.options())
        .await
        .fetch_one(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name = 'es-pgtest pooler'",
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 4);
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_session_back_without_what_it_did() {
    let (database, _) = pooled().await;
    let pooler = TransactionPooler::with_sessions(database.server(), 1).await;
    let options = pooler.options(database.name());
    let mut client = connect(&options).await;
    client.execute(raw_sql("BEGIN; INSERT INTO t VALUES (1)")).await.unwrap();
    drop(client);
    // one that waits for a lock
    let mut holder = connect(&database.options()).await;
    holder.execute("BEGIN; LOCK TABLE t").await.unwrap();
    let mut client = connect(&options).await;
    {
        let mut insert = Box::pin(client.execute(raw_sql("INSERT INTO t VALUES (1)")));
        let short = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(short, &mut insert).await.is_err());
    }
    drop(client);
    connect(&options).await.execute(raw_sql("SELECT 1")).await.unwrap();
}

#[tokio::test]
async fn unusual_startup_parameters_are_refused() {
    let (database, pooler) = pooled().await;
    let options = pooler.options(database.name()).options([("lock_timeout", "1s")]);
    let error = try_connect(&options).await.unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!(error.code().unwrap(), "08P01");
    assert_eq!(error.message(), "unsupported startup parameter: options");
}

#[tokio::test]
async fn an_unknown_database_is_refused_by_the_server() {
    let pooler = TransactionPooler::start(Server::shared()).await;
    for _ in 0..9 {
        let error = try_connect(&pooler.options("nowhere")).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "3D000");
    }
}

#[tokio::test]
async fn data_is_copied_both_ways() {
    let (database, pooler) = pooled().await;
    let mut client = connect(&pooler.options(database.name())).await;
    let mut copy = client.copy_in_raw("COPY t FROM STDIN").await.unwrap();
    for _ in 0..2 {
        copy.send("1\n2\n".as_bytes()).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 4);
    let copy = client.copy_in_raw("COPY t FROM STDIN").await.unwrap();
    copy.abort("changed my mind").await.unwrap();
    assert_eq!(rows(&database.options()).await, 4);
}

#[tokio::test]
async fn a_session_that_was_ended_is_replaced() {
    let (database, pooler) = pooled().await;
    let mut client = connect(&pooler.options(database.name())).await;
    client.execute(raw_sql("SELECT 1")).await.unwrap();
    let mut chance = fastrand::Rng::with_seed(1);
    while database.server().terminate_one(database.name(), &mut chance).await {}
    for _ in 0..8 {
        client.execute(raw_sql("SELECT 1")).await.unwrap();
    }
}

#[tokio::test]
async fn a_pooler_may_stand_before_a_proxy_and_a_pool_before_it() {
    let (database, _) = pooled().await;
    let proxy = Proxy::start(database.server()).await;
    let pooler = TransactionPooler::in_front_of(proxy.options("postgres"), 2).await;
    let options = pooler.options(database.name()).extra_float_digits(None);
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    proxy.reset();
    pool.execute(raw_sql("INSERT INTO t VALUES (1)")).await.unwrap();
    assert!(proxy.count('Q') > 0);
    pool.close().await;
    assert_eq!(rows(&database.options()).await, 1);
}
