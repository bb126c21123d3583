//! What the sessions of a store are set to, and how a store stops.

use std::time::{Duration, Instant};

use es_core::backend::{AppendError, EventStore, ReadLog, ReadStream, StoreErrorKind};
use es_core::projection::Changes;
use es_core::{BoxError, Envelope, Runner, TableProjection};
use es_pgtest::{Proxy, Server};
use es_postgres::sqlx::{self, ConnectOptions};
use es_postgres::{IdType, PostgresConfig, PostgresStore, Session, Synchronous};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::notes::{Note, Written};
use crate::support::sessions::{execute, insert, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, open, proxied, run, to, value};

const NOTED: &str = "
    CREATE TABLE noted (name TEXT, value TEXT);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.noted
        SELECT n, pg_catalog.current_setting(n)
        FROM unnest(ARRAY['synchronous_commit', 'search_path', 'statement_timeout',
            'idle_in_transaction_session_timeout', 'plan_cache_mode', 'transaction_isolation']) n;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON execution_events
    FOR EACH STATEMENT EXECUTE FUNCTION note();";

#[tokio::test]
async fn the_servers_settings_do_not_change_what_an_append_promises() {
    for kind in [Session::Own, Session::Pooled] {
        for (found, choice, wanted) in [
            ("off", Synchronous::Full, "on"),
            ("local", Synchronous::Full, "on"),
            ("remote_apply", Synchronous::Full, "remote_apply"),
            ("off", Synchronous::AsConfigured, "off"),
        ] {
            let database = database(IdType::Text).await;
            let name = database.name();
            run(
                &database,
                &format!(
                    "{NOTED}
                     ALTER DATABASE \"{name}\" SET synchronous_commit = {found};
                     ALTER DATABASE \"{name}\" SET search_path = hostile, pg_catalog;
                     ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'"
                ),
            )
            .await;
            let config = PostgresConfig::new(database.options()).session(kind).synchronous(choice);
            let store = PostgresStore::open(config).await.unwrap();
            store.append(to("account/a")).await.unwrap();
            let noted = "SELECT string_agg(value, ' ' ORDER BY name) FROM public.noted";
            assert_eq!(
                value::<String>(&database, noted).await,
                format!("20s force_generic_plan pg_catalog 30s {wanted} read committed"),
                "{kind:?} {found} {choice:?}"
            );
        }
    }
}

/// Notes the isolation of the transaction that it is written in.
struct Isolation;

impl TableProjection for Isolation {
    type Event = Written;
    type Tables = Note;

    fn project(event: &Envelope<'_, Written>, rows: &mut Changes) -> Result<(), BoxError> {
        let place = i64::try_from(event.position.to_sequence())?;
        rows.upsert(Note { place, stream: String::new() });
        let set = "stream = pg_catalog.current_setting('transaction_isolation')";
        rows.update::<Note>(place, set, ());
        Ok(())
    }
}

#[tokio::test]
async fn the_servers_settings_do_not_change_how_tables_are_isolated() {
    for kind in [Session::Own, Session::Pooled] {
        let database = database(IdType::Text).await;
        let name = database.name();
        let isolation =
            format!("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'");
        run(&database, &isolation).await;
        let config = PostgresConfig::new(database.options()).session(kind);
        let store = PostgresStore::open(config).await.unwrap();
        store.append(to("account/a")).await.unwrap();
        let mut runner = Runner::new(store).table::<Isolation>();
        runner.catch_up().await.unwrap();
        runner.release().await;
        let noted = "SELECT stream FROM notes";
        assert_eq!(value::<String>(&database, noted).await, "read committed", "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_loses_data_is_refused_unless_it_says_so() {
    let database = database(IdType::Text).await;
    let name = database.name();
    let fsync: String = value(&database, "SHOW fsync").await;
    assert_eq!(fsync, "off", "the tests' servers save themselves the disk");
    run(&database, &format!("ALTER DATABASE \"{name}\" SET es_postgres.fsync_off = ''")).await;
    let error = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert!(error.to_string().contains("fsync"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_leaves_no_session_and_does_not_wait_for_a_server_that_hangs() {
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let sessions = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let config = |options| PostgresConfig::new(options).connect_timeout(Duration::from_millis(500));
    for hangs in [false, true] {
        let store = PostgresStore::open(config(proxy.options(database.name()))).await.unwrap();
        store.append(to("account/a")).await.unwrap();
        store.end_of_log().await.unwrap();
        until("it announces", async || value::<i64>(&database, sessions).await >= 3).await;
        if hangs {
            proxy.black_hole();
            let append = tokio::spawn({
                let store = store.clone();
                async move { store.append(to("account/b")).await }
            });
            tokio::task::yield_now().await;
            soon("close", store.close()).await;
            soon("the append ends", append).await.unwrap().unwrap_err();
            proxy.cut_all();
        } else {
            store.close().await;
        }
        // the server needs a moment to see that they have ended
        until("no session is left", async || value::<i64>(&database, sessions).await == 0).await;
        let error = store.append(to("account/c")).await.unwrap_err();
        assert!(error.to_string().contains("closed"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_refuses_all_who_wait_together() {
    let patience = Duration::from_secs(1);
    let (_database, proxy, store) = proxied(|config| config.connect_timeout(patience)).await;
    // nothing was appended yet, so that connections have to be made
    proxy.black_hole();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..64 {
        let store = store.clone();
        tasks.spawn(async move { store.append(to(&format!("account/{number}"))).await });
    }
    for answer in soon("all are refused", tasks.join_all()).await {
        let Err(AppendError::Store(error)) = answer else { panic!("it was written") };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    assert!(began.elapsed() < patience * 2, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_callers_that_are_not_polled() {
    let database = database(IdType::Text).await;
    let config =
        PostgresConfig::new(database.options()).connect_timeout(Duration::from_millis(500));
    let store = PostgresStore::open(config).await.unwrap();
    let mut appends: Vec<_> = (0..8).map(|n| store.append(to(&format!("account/{n}")))).collect();
    let read = ReadLog::from_start();
    let mut reads: Vec<_> = (0..8).map(|_| store.read_log(&read)).collect();
    for append in &mut appends {
        is_pending(append.as_mut()).await;
    }
    for read in &mut reads {
        is_pending(read.as_mut()).await;
    }
    soon("close", store.close()).await;
    for append in appends {
        soon("the append is answered", append).await.unwrap();
    }
    for read in reads {
        // one that had not got further is told that the store is closed
        let _ = soon("the read is answered", read).await;
    }
}

#[tokio::test]
async fn a_connection_that_rested_is_not_ended_by_the_server() {
    let database = database(IdType::Text).await;
    let name = database.name();
    run(&database, &format!("ALTER DATABASE \"{name}\" SET idle_session_timeout = '20ms'")).await;
    let store = open(&database).await;
    // its own session rests, too, on a busy machine
    let watching = database.options().options([("idle_session_timeout", "0")]);
    let mut watching = watching.connect().await.unwrap();
    for _ in 0..3 {
        store.append(to("account/a")).await.unwrap();
        let rests = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()
                         AND query ~ 'INSERT|append' AND state = 'idle'
                         AND state_change < clock_timestamp() - interval '100 ms')";
        until("it has rested", async || {
            sqlx::query_scalar(rests).fetch_one(&mut watching).await.unwrap()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_leaves_nobody_waiting_on_another() {
    let database = database(IdType::Text).await;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = PostgresConfig::new(database.options()).writers(1);
    let store = runtime.spawn(PostgresStore::open(config)).await.unwrap().unwrap();
    let mut others = session(&database).await;
    execute(&mut others, "BEGIN").await;
    for number in 0..8 {
        insert(&mut others, &number.to_string(), 1..=1).await;
    }
    let mut appends: Vec<_> = (0..8).map(|n| store.append(to(&format!("account/{n}")))).collect();
    for append in &mut appends {
        is_pending(append.as_mut()).await;
    }
    // when the second is answered the connection has come back, and what is held up is in the lane
    for _ in 0..2 {
        soon("a free one", store.append(to("account/free"))).await.unwrap();
    }
    runtime.shutdown_background();
    let mut is_unsent = false;
    for append in appends {
        let Err(AppendError::Store(error)) = soon("it is answered", append).await else {
            panic!("it was written")
        };
        is_unsent |= error.kind() == StoreErrorKind::Closed;
    }
    assert!(is_unsent, "who was not sent again is told so");
    soon("a later one is refused", store.append(to("account/free"))).await.unwrap_err();
    let read = ReadStream::new("account/free".parse().unwrap());
    soon("a read is refused", store.read_stream(&read)).await.unwrap_err();
    soon("it is closed", store.close()).await;
}
