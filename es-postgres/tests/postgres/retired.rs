//! Replacing models that are too large to be removed within one statement.

use std::time::{Duration, Instant};

use es_core::backend::{Claim, EventStore, ProjectionSink, Slot};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::sessions::{execute, session};
use crate::support::{database, run, to, value};

fn claim(slot: Slot, fingerprint: &str) -> Claim {
    Claim::new("large", fingerprint, slot, "a test", Duration::from_secs(600)).slices(2)
}

/// Notes how many rows each statement removes.
const NOTED: &str = "
    CREATE TABLE removed (rows BIGINT);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO public.removed SELECT count(*) FROM gone;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note AFTER DELETE ON execution_events_projection_rows
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();";

#[tokio::test]
async fn models_are_removed_a_part_at_a_time() {
    let is_full = std::env::var("ES_CAMPAIGN").is_ok_and(|campaign| campaign == "full");
    let rows: i64 = if is_full { 10_000_000 } else { 45_000 };
    let database = database(IdType::Text).await;
    run(&database, NOTED).await;
    let store = PostgresStore::open(PostgresConfig::new(database.options())).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    let filled = |generation: u64| {
        format!(
            "INSERT INTO execution_events_projection_rows (generation, key, value)
             SELECT {generation}, n, '1' FROM generate_series(1, {rows}) n"
        )
    };
    let fill = async |generation: u64| run(&database, &filled(generation)).await;
    let active = store.acquire(&claim(Slot::Active, "old")).await.unwrap();
    // statistics of a moment at which the rows are there and not committed: the table is thought to
    // be empty, and stays so
    let quiet = "ALTER TABLE execution_events_projection_rows SET (autovacuum_enabled = off)";
    run(&database, quiet).await;
    let mut filling = session(&database).await;
    execute(&mut filling, &format!("BEGIN; {}", filled(active.generation))).await;
    run(&database, "ANALYZE execution_events_projection_rows").await;
    execute(&mut filling, "COMMIT").await;
    // a shadow of other code is replaced, and one that nobody wants abandoned
    let shadow = store.acquire(&claim(Slot::Shadow, "wrong")).await.unwrap();
    fill(shadow.generation).await;
    let shadow = store.acquire(&claim(Slot::Shadow, "new")).await.unwrap();
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM removed").await, 0);
    // what is retired is nobody's model
    let status = store.status(Some("large")).await.unwrap();
    assert_eq!(status.len(), 1);
    assert!(status[0].active.is_some() && status[0].shadow.is_some());
    let began = Instant::now();
    store.switch(&shadow).await.unwrap();
    println!("{} rows were removed after the switch in {:?}", 2 * rows, began.elapsed());
    let most = "SELECT coalesce(max(rows), 0) FROM removed";
    assert!(value::<i64>(&database, most).await <= 10_000);
    assert_eq!(
        value::<String>(
            &database,
            "SELECT string_agg(slot || ' ' || fingerprint, ',') FROM execution_events_projection_models"
        )
        .await,
        "active new"
    );
    let left = "SELECT (SELECT count(*) FROM execution_events_projection_rows)
        + (SELECT count(*) FROM execution_events_projection_slices)";
    assert_eq!(value::<i64>(&database, left).await, 1);
    let shadow = store.acquire(&claim(Slot::Shadow, "newer")).await.unwrap();
    fill(shadow.generation).await;
    store.release(&shadow).await.unwrap();
    store.abandon("large").await.unwrap();
    assert!(value::<i64>(&database, most).await <= 10_000);
    assert_eq!(value::<i64>(&database, left).await, 1);
}
