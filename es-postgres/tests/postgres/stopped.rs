//! What the sessions of a store are set to, and what becomes of the others when its program stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::projection::{ApplyError, Definition};
use es_core::{EventFilter, EventStore, RecordedEvent, StoreErrorKind};
use es_pgtest::{Proxy, Server, TestDatabase};
use es_postgres::{
    IdType, Layout, Migrations, ModelTransaction, PostgresConfig, PostgresHandler, PostgresStore,
    Session, Synchronous,
};

use crate::support::sessions::{log_after, session};
use crate::support::waiting::{soon, until};
use crate::support::{database, open, run, to, value};

/// Cuts its program off from the server at the event of the stream `last`.
struct CutsOff(Arc<Proxy>);

#[async_trait]
impl PostgresHandler for CutsOff {
    async fn handle(
        &self,
        _: &mut ModelTransaction<'_>,
        events: &[RecordedEvent],
    ) -> Result<(), ApplyError> {
        if events.iter().any(|event| event.stream.aggregate_id() == "last") {
            self.0.black_hole();
        }
        Ok(())
    }
}

async fn behind(database: &TestDatabase, kind: Session) -> (Arc<Proxy>, PostgresStore) {
    let proxy = Arc::new(Proxy::start(Server::shared()).await);
    let config = PostgresConfig::new(proxy.options(database.name()))
        .session(kind)
        .idle_timeout(Duration::from_millis(500))
        .statement_timeout(Duration::from_secs(60));
    (proxy, PostgresStore::open(config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_stops_within_a_transaction_does_not_hold_the_log() {
    for kind in [Session::Own, Session::Pooled] {
        let database = database(IdType::Text).await;
        let (proxy, stops) = behind(&database, kind).await;
        stops.handle("cut", CutsOff(Arc::clone(&proxy)));
        stops.keep_inline(Definition::handled("cut", 1, EventFilter::all())).await.unwrap();
        stops.append(to("account/first")).await.unwrap();
        let stopped = tokio::spawn({
            let stops = stops.clone();
            async move { stops.append(to("account/last")).await }
        });
        let others = open(&database).await;
        let holds = "SELECT EXISTS (SELECT FROM pg_stat_activity
                     WHERE datname = current_database() AND state = 'idle in transaction')";
        until("it stands in its transaction", async || value::<bool>(&database, holds).await).await;
        others.append(to("account/other")).await.unwrap();
        until("the log goes on", async || log_after(&others, 1).await.unwrap().len() == 1).await;
        assert!(!value::<bool>(&database, holds).await);
        stopped.abort();
    }
}

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

#[tokio::test]
async fn ids_are_compared_by_their_bytes_in_stores_made_before_too() {
    const COLLATED: &str = "
        SELECT count(*) FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        CROSS JOIN unnest(i.indcollation) AS k (oid)
        WHERE c.relnamespace = 'public'::regnamespace
            AND k.oid = 'pg_catalog.default'::regcollation
            -- no answer of the store rests on this one, and the specified query would not use another
            AND c.relname <> 'idx_execution_events_conversation'
            AND c.relname NOT LIKE '%migrations%'";
    let before = Server::shared().database().await;
    let migrations = Migrations::of_store(&Layout::default());
    let script = migrations.script();
    let (old, _) = script.split_once("\n-- 12 ").unwrap();
    run(&before, old).await;
    run(
        &before,
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         SELECT 'account', id, 1, 'amount_paid_in', '{}' FROM unnest(ARRAY['ab-7', 'AB7', 'Ab77']) id",
    )
    .await;
    assert!(value::<i64>(&before, COLLATED).await > 0);
    let config = PostgresConfig::new(before.options());
    assert!(migrations.apply(&config).await.unwrap() > 0);
    for database in [before, database(IdType::Text).await, database(IdType::Int).await] {
        assert_eq!(value::<i64>(&database, COLLATED).await, 0);
    }
    drop(config);
}

#[tokio::test]
async fn a_projection_that_appends_kept_can_be_left_to_a_runner() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let counted = || Definition::handled("noted", 1, EventFilter::all());
    struct Nothing;
    #[async_trait]
    impl PostgresHandler for Nothing {
        async fn handle(
            &self,
            _: &mut ModelTransaction<'_>,
            _: &[RecordedEvent],
        ) -> Result<(), ApplyError> {
            Ok(())
        }
    }
    store.handle("noted", Nothing);
    store.release_inline("noted").await.unwrap_err();
    store.keep_inline(counted()).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    let holder = "SELECT coalesce(holder, '') || (SELECT ' ' || position FROM execution_events_projection_slices)
                  FROM execution_events_projection_models";
    assert_eq!(value::<String>(&database, holder).await, "the append 1");
    store.release_inline("noted").await.unwrap();
    store.append(to("account/a")).await.unwrap();
    assert_eq!(value::<String>(&database, holder).await, " 1");
    store.release_inline("noted").await.unwrap();
    let _ = session(&database).await;
}
