//! When a tracker looks: soon after what may have moved the frontier, and not as often as it is told.

use std::pin::pin;
use std::time::{Duration, Instant};

use es_core::backend::{EventStore, Position};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::sessions::{execute, insert, past, session};
use crate::support::waiting::{is_pending, soon, until};
use crate::support::{database, open, proxied, run, to, value};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

/// A look stops after it has found what is visible, as long as somebody has the lock 7.
const STOPS: &str = "
    ALTER FUNCTION execution_events_visible(TEXT[], BIGINT[]) RENAME TO found;
    CREATE FUNCTION execution_events_visible(known TEXT[], lows BIGINT[]) RETURNS BIGINT
    LANGUAGE plpgsql AS $$
    DECLARE
        visible BIGINT := public.found(known, lows);
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(7);
        RETURN visible;
    END $$;";

#[tokio::test]
async fn a_writer_that_ends_during_a_look_is_looked_for_again() {
    let database = database(IdType::Text).await;
    run(&database, STOPS).await;
    let config = PostgresConfig::new(database.options()).poll_interval(NEVER);
    let store = PostgresStore::open(config).await.unwrap();
    let (mut slow, mut fast) = (session(&database).await, session(&database).await);
    let mut keeper = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [1]);
    let mut waiting = pin!(past(&store, 0));
    assert!(is_pending(waiting.as_mut()).await);
    // whoever waits has looked once, and the next look is the tracker's own; more would delay it
    for _ in 0..2 {
        assert_eq!(store.end_of_log().await.unwrap(), Position::START);
        assert!(is_pending(waiting.as_mut()).await);
    }
    assert_eq!(insert(&mut fast, "fast", 1..=1).await, [2]);
    execute(&mut keeper, "SELECT pg_advisory_lock(7)").await;
    let stands = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
    until("it looks", async || value(&database, stands).await).await;
    execute(&mut slow, "COMMIT").await;
    execute(&mut keeper, "SELECT pg_advisory_unlock(7)").await;
    soon("the next look", waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_notifications_is_not_a_flood_of_looks() {
    const NOTIFICATIONS: usize = 500;
    let (database, proxy, store) = proxied(|config| config.poll_interval(NEVER)).await;
    let channel: String =
        value(&database, "SELECT 'es_events_' || 'execution_events'::regclass::oid").await;
    let mut waiting = pin!(past(&store, 0));
    assert!(is_pending(waiting.as_mut()).await);
    until("it listens and has looked", async || proxy.count('E') >= 3).await;
    let mut other = session(&database).await;
    proxy.reset();
    let began = Instant::now();
    for _ in 0..NOTIFICATIONS {
        // so that a look can come in between
        execute(&mut other, &format!("NOTIFY {channel}; COMMIT; SELECT pg_sleep(0.001)")).await;
        assert!(is_pending(waiting.as_mut()).await);
    }
    let (looks, time) = (u128::from(proxy.syncs()), began.elapsed());
    let most = time.as_millis() / 5 + 2;
    println!("{NOTIFICATIONS} notifications, {looks} looks in {time:?}");
    assert!(looks <= most, "{looks} looks in {time:?}");
    assert!(looks > 0, "it was told");
    // and it is not deaf
    open(&database).await.append(to("account/a")).await.unwrap();
    soon("the append is seen", waiting).await.unwrap();
}
