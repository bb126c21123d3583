//! Tables that others hold, or that are not there.

use es_postgres::sqlx::migrate::Migrate;

use super::*;
use crate::support::sessions::{execute, pid, session};
use crate::support::waiting::{is_pending, soon};

const BRIEFLY: Duration = Duration::from_millis(600);

async fn impatient(database: &TestDatabase) -> PostgresStore {
    let config = PostgresConfig::new(database.options()).lock_timeout(BRIEFLY);
    PostgresStore::open(config).await.unwrap()
}

#[tokio::test]
async fn a_commit_waits_for_who_holds_the_table_and_is_told_who() {
    let database = database(IdType::Text).await;
    let store = impatient(&database).await;
    let lease = claimed(&store).await;
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    execute(&mut others, "BEGIN; LOCK TABLE open_orders_models").await;
    let batch = changing(vec![placing("o-1")]);
    let error = failed(store.commit(&lease, &batch).await);
    assert!(error.kind() == StoreErrorKind::Busy && error.is_transient(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
    assert!(text.contains("AccessExclusiveLock on open_orders_models"), "{text}");
    execute(&mut others, "ROLLBACK").await;
    store.commit(&lease, &batch).await.unwrap();
}

#[tokio::test]
async fn a_claim_asks_for_a_table_a_moment_at_a_time() {
    let (database, store) = with_orders().await;
    catch_up(&store).await;
    let hasty = impatient(&database).await;
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    execute(&mut others, "BEGIN; DELETE FROM open_orders_models WHERE FALSE").await;
    let claim = claim::<WithLines>(Slot::Shadow);
    let error = failed(hasty.acquire(&claim).await);
    assert!(error.kind() == StoreErrorKind::Busy && error.is_transient(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
    assert!(text.contains("RowExclusiveLock on open_orders_models"), "{text}");
    // nothing was made or claimed
    let status = hasty.status(Some(OpenOrder::NAME)).await.unwrap().remove(0);
    assert_eq!(status.shadow, None);
    // who waits for longer lets others pass, and has it then
    let mut patient = std::pin::pin!(store.acquire(&claim));
    assert!(is_pending(patient.as_mut()).await);
    let passing = async {
        for _ in 0..3 {
            assert_eq!(all(&hasty).await.len(), 2);
        }
        execute(&mut others, "ROLLBACK").await;
    };
    let both = async { tokio::join!(patient, passing) };
    let (claimed, ()) = soon("the table is free", both).await;
    assert_eq!(claimed.unwrap().slot, Slot::Shadow);
}

#[tokio::test]
async fn a_claim_waits_for_who_migrates() {
    let database = database(IdType::Text).await;
    let store = impatient(&database).await;
    let claim = claim::<OpenOrder>(Slot::Active);
    let mut others = session(&database).await;
    let holder = pid(&mut others).await;
    others.lock().await.unwrap();
    let error = failed(store.acquire(&claim).await);
    assert_eq!(error.kind(), StoreErrorKind::Busy, "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&format!("the session pid {holder} (")), "{text}");
    assert!(text.contains("the migrations"), "{text}");
    others.unlock().await.unwrap();
    store.acquire(&claim).await.unwrap();
    // where nothing is to be made nobody is waited for
    others.lock().await.unwrap();
    store.acquire(&claim).await.unwrap();
}

#[tokio::test]
async fn what_the_server_says_tells_whom_to_blame() {
    let (database, store) = empty_store().await;
    let lease = claimed(&store).await;
    let fail = "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = TG_ARGV[0]; END $$";
    run(&database, fail).await;
    let batch = changing(vec![placing("o-1")]);
    // a damaged page, a disk that fails, a limit of the configuration, two who wait for one another
    for (code, is_of_the_server) in [
        ("XX001", true),
        ("58030", true),
        ("53400", true),
        ("40P01", true),
        ("P0001", false),
        ("23514", false),
        ("22012", false),
        // what triggers say in their own words
        ("45000", false),
        ("OR001", false),
    ] {
        let trigger = format!(
            "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON open_orders_models
             FOR EACH ROW EXECUTE FUNCTION public.fail('{code}')"
        );
        run(&database, &trigger).await;
        match store.commit(&lease, &batch).await {
            Err(SinkError::Store(error)) => assert!(is_of_the_server, "{code}: {error:?}"),
            Err(SinkError::Refused { source, .. }) => {
                assert!(!is_of_the_server, "{code}");
                assert!(told(&*source).contains(code), "{code}: {source:?}");
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    run(&database, "DROP TRIGGER fails ON open_orders_models").await;
    store.commit(&lease, &batch).await.unwrap();
}

#[tokio::test]
async fn what_the_server_is_to_blame_for_is_no_poison() {
    let (database, store) = with_orders().await;
    catch_up(&store).await;
    let lease = claimed(&store).await;
    let from = lease.checkpoints[0].clone();
    let batch = Batch::moving(0, from.clone(), from).content(Content::Tables(vec![placing("o-9")]));
    // one that loses its connection
    let rows = Which::Where("pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())");
    let lost = TableChange::Delete { table: &OpenOrder::SCHEMA, rows, values: Vec::new() };
    let lost = batch.clone().content(Content::Tables(vec![lost]));
    let error = failed(store.commit(&lease, &lost).await);
    assert!(error.is_transient() && !error.is_outcome_unknown(), "{error:?}");
    // one that loses it when it has refused
    let rows = Which::Where(
        "pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()) AND 1 / (cents - cents) = 1",
    );
    let lost = TableChange::Delete { table: &OpenOrder::SCHEMA, rows, values: Vec::new() };
    let lost = batch.clone().content(Content::Tables(vec![lost]));
    let error = failed(store.commit(&lease, &lost).await);
    assert!(error.is_transient() && !error.is_outcome_unknown(), "{error:?}");
    assert!(told(&error).contains("22012"), "{error:?}");
    assert_eq!(all(&store).await.len(), 2);
    run(&database, "DROP TABLE open_orders_models CASCADE").await;
    assert_eq!(failed(store.commit(&lease, &batch).await).kind(), StoreErrorKind::NotAStore);
    let read = Table::<OpenOrder>::new(store.clone()).get("o-1").await;
    assert!(unusable(read).contains("no table `open_orders`"));
    // the next claim makes it, for whoever rebuilds
    let lease = claimed(&store).await;
    store.commit(&lease, &batch).await.unwrap();
    assert_eq!(all(&store).await, [order("o-9", "anna", 1)]);
}
