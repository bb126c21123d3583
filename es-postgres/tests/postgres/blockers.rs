//! Who holds the log back is named.

use std::time::Duration;

use es_core::Runner;
use es_core::backend::{Definition, EventStore, LogBlockers, RawKeying};
use es_core::event::EventFilter;
use es_core::projection::{Blocker, HealthState};
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{ConnectOptions, PgConnection};
use es_postgres::{IdType, PostgresConfig, PostgresStore};

use crate::support::sessions::{execute, insert, pid, positions_after, session};
use crate::support::waiting::until;
use crate::support::{database, empty_store, open, run, to};

/// A session that says what it is, with an open transaction that has inserted an event.
async fn holding(database: &TestDatabase, application: &str) -> PgConnection {
    let options = database.options().application_name(application);
    let mut session = options.connect().await.unwrap();
    execute(&mut session, "BEGIN").await;
    insert(&mut session, application, 1..=1).await;
    session
}

async fn blocker(store: &PostgresStore) -> Option<Blocker> {
    store.blocker().await.unwrap()
}

#[tokio::test]
async fn the_session_that_has_held_the_log_back_for_longest_is_named() {
    let (database, store) = empty_store().await;
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    let mut slow = holding(&database, "importer").await;
    assert_eq!(blocker(&store).await, None, "nothing was committed behind it");
    store.append(to("account/a")).await.unwrap();
    let mut later = holding(&database, "another").await;
    store.append(to("account/a")).await.unwrap();
    let (slow_pid, later_pid) = (pid(&mut slow).await, pid(&mut later).await);
    let found = blocker(&store).await.unwrap();
    assert_eq!(found.session, format!("pid {slow_pid}"));
    for part in ["application `importer`", "user `", "idle in transaction"] {
        assert!(found.description.contains(part), "{found:?}");
    }
    assert!(found.open_for.unwrap() > Duration::ZERO, "{found:?}");
    execute(&mut slow, "COMMIT").await;
    let found = blocker(&store).await.unwrap();
    assert_eq!(found.session, format!("pid {later_pid}"));
    execute(&mut later, "ROLLBACK").await;
    assert_eq!(blocker(&store).await, None);
    // somebody who looks is no writer
    let mut reader = session(&database).await;
    execute(&mut reader, "BEGIN; SELECT FROM execution_events").await;
    store.append(to("account/a")).await.unwrap();
    assert_eq!(blocker(&store).await, None);
}

#[tokio::test]
async fn a_role_that_is_told_nothing_of_others_still_names_the_session() {
    let database = database(IdType::Text).await;
    let role = format!("looking_{}", database.name());
    run(
        &database,
        &format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}"
        ),
    )
    .await;
    let config = PostgresConfig::new(database.options().username(&role));
    let store = PostgresStore::open(config).await.unwrap();
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    let mut slow = holding(&database, "importer").await;
    open(&database).await.append(to("account/a")).await.unwrap();
    let found = blocker(&store).await.unwrap();
    assert_eq!(found.session, format!("pid {}", pid(&mut slow).await));
    assert_eq!(found.open_for, None);
    assert!(found.description.contains("shown to its own role only"), "{found:?}");
    store.close().await;
    run(&database, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_prepared_transaction_is_named_by_its_name() {
    let (database, store) = empty_store().await;
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    let mut slow = holding(&database, "importer").await;
    execute(&mut slow, "SAVEPOINT a").await;
    insert(&mut slow, "importer", 2..=2).await;
    execute(&mut slow, &format!("PREPARE TRANSACTION '{}'", database.name())).await;
    store.append(to("account/a")).await.unwrap();
    let found = blocker(&store).await.unwrap();
    assert_eq!(found.session, format!("prepared transaction `{}`", database.name()));
    assert!(found.open_for.is_some() && found.description.starts_with("user `"), "{found:?}");
    run(&database, &format!("ROLLBACK PREPARED '{}'", database.name())).await;
    assert_eq!(blocker(&store).await, None);
}

/// Counts the events of each stream.
fn counted() -> Definition {
    let (all, keying) = (EventFilter::all(), RawKeying::Streams);
    Definition::rows("counted", 1, all, keying, |_, row, _| Ok(Some(row.unwrap_or(0_u64) + 1)))
}

#[tokio::test]
async fn the_health_of_a_runner_says_who_blocks_it() {
    let (database, store) = empty_store().await;
    let runner = Runner::new(store.clone()).definition(counted());
    let handle = runner.handle();
    let running = tokio::spawn(runner.run());
    let is = async |state| handle.health().await.unwrap()[0].state == state;
    until("it runs", async || is(HealthState::Idle).await).await;
    let mut slow = holding(&database, "importer").await;
    store.append(to("account/a")).await.unwrap();
    until("it is blocked", async || is(HealthState::BlockedByWriter).await).await;
    let health = handle.health().await.unwrap().remove(0);
    let blocker = health.blocked_by.unwrap();
    assert_eq!(blocker.session, format!("pid {}", pid(&mut slow).await));
    execute(&mut slow, "COMMIT").await;
    until("it goes on", async || is(HealthState::Idle).await).await;
    assert_eq!(handle.health().await.unwrap()[0].blocked_by, None);
    handle.stop();
    running.await.unwrap().unwrap();
}
