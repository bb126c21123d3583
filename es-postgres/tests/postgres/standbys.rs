//! Servers on which a log cannot be followed, because they show no lock of those who write.

use es_core::backend::{EventStore, ReadLog, ReadStream, StoreErrorKind};
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session};

use crate::histories::grow;
use crate::support::sessions::{execute, insert, log_after, positions_after, session};
use crate::support::waiting::soon;
use crate::support::{database_on, open};

/// A database on a server with a standby, and how to open the store on the standby.
async fn with_standby() -> (TestDatabase, [PostgresConfig; 4]) {
    let server = Server::private_with_standby(&[("synchronous_commit", "remote_apply")]);
    let database = database_on(&server, IdType::Text).await;
    let config = PostgresConfig::new(server.standby_options(database.name()));
    let pooled = config.clone().session(Session::Pooled);
    let silent = config.clone().notifications(false);
    (database, [config, pooled.clone(), silent, pooled.notifications(false)])
}

#[tokio::test]
async fn a_standby_is_refused_in_every_mode() {
    let (database, configs) = with_standby().await;
    grow(&open(&database).await, 1).await;
    for config in configs {
        let error = soon("it is refused", PostgresStore::open(config)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{error}");
        let told = error.to_string();
        assert!(told.contains("standby") && told.contains("connect to the primary"), "{told}");
    }
}

#[tokio::test]
async fn reads_that_are_led_to_a_standby_are_refused() {
    let (database, _) = with_standby().await;
    let server = database.server();
    for session in [Session::Own, Session::Pooled] {
        let proxy = Proxy::start(server).await;
        let config = PostgresConfig::new(proxy.options(database.name())).session(session);
        let store = PostgresStore::open(config.notifications(false)).await.unwrap();
        grow(&store, 3).await;
        let before = positions_after(&store, 0).await.len() as u64;
        proxy.lead_to(&server.standby_options(database.name()));
        let stream = ReadStream::new("account/a".parse().unwrap());
        for error in [
            log_after(&store, 0).await.unwrap_err(),
            log_after(&store, before).await.unwrap_err(),
            store.end_of_log().await.unwrap_err(),
            store.read_stream(&stream).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{session:?}: {error:?}");
            assert!(error.to_string().contains("standby"), "{error}");
        }
        proxy.lead_to(&database.options());
        assert_eq!(positions_after(&store, 0).await.len() as u64, before);
    }
}

#[tokio::test]
async fn a_single_read_that_is_led_to_a_standby_which_lags_is_refused() {
    let server = Server::private_with_standby(&[]);
    let database = database_on(&server, IdType::Text).await;
    let standby = server.standby_options(database.name());
    grow(&open(&database).await, 1).await;
    let connected = async {
        loop {
            if let Ok(connection) = standby.connect().await {
                break connection;
            }
        }
    };
    let mut lagging = soon("the standby has the database", connected).await;
    execute(&mut lagging, "SELECT pg_wal_replay_pause()").await;
    for session in [Session::Own, Session::Pooled] {
        let proxy = Proxy::start(&server).await;
        let config = PostgresConfig::new(proxy.options(database.name())).session(session);
        let store = PostgresStore::open(config.notifications(false)).await.unwrap();
        grow(&store, 2).await;
        let end = store.end_of_log().await.unwrap();
        let stream = ReadStream::new("account/a".parse().unwrap());
        for whole in [true, false] {
            // the look and the append have connections already; that of the page is new
            proxy.lead_next_to(&standby);
            let error = match whole {
                true => store.read_log(&ReadLog::from_start()).await.unwrap_err(),
                false => store.read_stream(&stream).await.unwrap_err(),
            };
            assert_eq!(error.kind(), StoreErrorKind::ReadOnly, "{session:?}: {error:?}");
        }
        // a pooled connection is kept, because it may lead elsewhere with the next transaction
        proxy.lead_to(&database.options());
        let seen = positions_after(&store, 0).await;
        assert_eq!(seen.last(), Some(&end.to_sequence()), "{session:?}");
    }
    execute(&mut lagging, "SELECT pg_wal_replay_resume()").await;
}

/// The control: without the refusal, the rule of the look passes what an open transaction holds.
#[tokio::test]
async fn a_look_at_a_standby_would_skip_what_commits_late() {
    const UNCHECKED: &str = "DO $$ BEGIN
        EXECUTE replace(
            pg_get_functiondef('execution_events_next_look(bigint,uuid,bigint,uuid,text[],bigint[])'::regprocedure),
            'pg_is_in_recovery()', 'FALSE'
        );
    END $$";
    const NEWEST: &str = "SELECT newest FROM execution_events_next_look(0, NULL, 0, NULL, '{}'::text[], '{}'::bigint[])";
    let server = Server::private_with_standby(&[("synchronous_commit", "remote_apply")]);
    let database = database_on(&server, IdType::Text).await;
    let (mut slow, mut fast) = (session(&database).await, session(&database).await);
    let mut standby = server.standby_options(database.name()).connect().await.unwrap();
    let newest = async |session: &mut PgConnection| -> i64 {
        sqlx::query_scalar(NEWEST).fetch_one(session).await.unwrap()
    };
    execute(&mut slow, "BEGIN").await;
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [1]);
    assert_eq!(insert(&mut fast, "fast", 1..=1).await, [2]);
    let refuses: bool =
        sqlx::query_scalar(AssertSqlSafe(NEWEST.replace("newest FROM", "newest IS NULL FROM")))
            .fetch_one(&mut standby)
            .await
            .unwrap();
    assert!(refuses, "a standby says nothing");
    execute(&mut fast, UNCHECKED).await;
    assert_eq!(newest(&mut fast).await, 0, "the primary shows who may have drawn 1");
    assert_eq!(newest(&mut standby).await, 2, "1 is passed on the standby, and lost to its reader");
    execute(&mut slow, "COMMIT").await;
    assert_eq!(newest(&mut fast).await, 2);
}
