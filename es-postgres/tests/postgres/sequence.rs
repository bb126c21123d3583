//! A sequence of positions that is behind its table.

use es_core::backend::{AppendError, EventStore, StoreError, StoreErrorKind};
use es_postgres::sqlx::postgres::PgConnectOptions;
use es_postgres::{Layout, Migrations, PostgresConfig, PostgresStore};

use crate::support::{empty_store, run, to, try_run, value};

const REPAIR: &str = "SELECT setval(pg_get_serial_sequence('\"public\".\"execution_events\"', \
                      'position'), max(position)) FROM \"public\".\"execution_events\"";

fn names_the_repair(error: &StoreError) {
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(REPAIR), "{error}");
}

async fn opened(options: PgConnectOptions) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(PostgresConfig::new(options)).await
}

#[tokio::test]
async fn a_sequence_behind_its_table_is_refused_at_open_and_by_migrating_until_it_is_repaired() {
    let (database, store) = empty_store().await;
    for _ in 0..20 {
        store.append(to("posting/1")).await.unwrap();
    }
    for drawn in [1, 9, 19] {
        let behind = format!("SELECT setval('execution_events_position_seq', {drawn})");
        run(&database, &behind).await;
        names_the_repair(&opened(database.options()).await.unwrap_err());
        let migrations = Migrations::of_store(&Layout::default());
        let config = PostgresConfig::new(database.options());
        names_the_repair(&migrations.apply(&config).await.unwrap_err());
    }
    run(&database, REPAIR).await;
    let store = opened(database.options()).await.unwrap();
    let next = store.append(to("posting/1")).await.unwrap();
    assert_eq!(next.position().to_sequence(), 21);
}

#[tokio::test]
async fn a_position_that_is_taken_is_no_race_but_told_with_what_repairs_it() {
    let (database, store) = empty_store().await;
    for _ in 0..3 {
        store.append(to("posting/1")).await.unwrap();
    }
    run(&database, "SELECT setval('execution_events_position_seq', 1)").await;
    for request in [
        to("posting/1"),
        to("posting/2").and(
            "posting/3".parse().unwrap(),
            es_core::ExpectedVersion::Any,
            crate::support::events(1),
        ),
    ] {
        let Err(AppendError::Store(error)) = store.append(request).await else {
            panic!("an append drew a position that is taken");
        };
        names_the_repair(&error);
        run(&database, "SELECT setval('execution_events_position_seq', 1)").await;
    }
    let count = value::<i64>(&database, "SELECT count(*) FROM execution_events").await;
    assert_eq!(count, 3, "the log is as it was");
    run(&database, REPAIR).await;
    assert_eq!(store.append(to("posting/1")).await.unwrap().position().to_sequence(), 4);
}

#[tokio::test]
async fn who_may_only_read_opens_without_a_look_at_the_sequence() {
    let (database, store) = empty_store().await;
    for _ in 0..3 {
        store.append(to("posting/1")).await.unwrap();
    }
    let user = format!("sequence_reader_of_{}", database.name());
    let grants = format!(
        "CREATE ROLE {user} LOGIN;
         GRANT SELECT ON execution_events, execution_events_migrations, \
         execution_events_watermark TO {user};"
    );
    run(&database, &grants).await;
    run(&database, "SELECT setval('execution_events_position_seq', 1)").await;
    let reader = opened(database.options().username(&user)).await;
    assert!(reader.is_ok(), "{reader:?}");
}

/// Whoever writes, and where a gap leaves room for a position: the readers have passed it.
#[tokio::test]
async fn nothing_is_acknowledged_where_readers_have_passed() {
    let (database, store) = empty_store().await;
    store.append(to("posting/1")).await.unwrap();
    run(&database, "SELECT setval('execution_events_position_seq', 100)").await;
    store.append(to("posting/1")).await.unwrap();
    run(&database, "SELECT setval('execution_events_position_seq', 1)").await;
    let raw = "INSERT INTO execution_events
                   (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
               VALUES ('posting', '7', 1, 'noted', '{}')";
    for _ in 0..3 {
        let Err(AppendError::Store(error)) = store.append(to("posting/2")).await else {
            panic!("an append stands where readers have passed");
        };
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        let refused = try_run(&database, raw).await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code()).unwrap();
        assert_eq!(code, "ES007", "{refused}");
    }
    run(&database, REPAIR).await;
    run(&database, raw).await;
    assert_eq!(store.append(to("posting/2")).await.unwrap().position().to_sequence(), 103);
}

/// Told what to draw next, it has drawn what is before that.
#[tokio::test]
async fn a_sequence_that_is_told_what_to_draw_next_is_judged_by_that() {
    for restart in [
        "ALTER SEQUENCE execution_events_position_seq RESTART WITH",
        "SELECT setval('execution_events_position_seq', FALSE,",
    ] {
        let told = |next: u64| match restart.split_once(" FALSE,") {
            Some((setval, _)) => format!("{setval} {next}, FALSE)"),
            None => format!("{restart} {next}"),
        };
        let (database, store) = empty_store().await;
        for _ in 0..3 {
            store.append(to("posting/1")).await.unwrap();
        }
        assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 3);
        run(&database, &told(4)).await;
        assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 3);
        let again = opened(database.options()).await.unwrap();
        assert_eq!(again.append(to("posting/1")).await.unwrap().position().to_sequence(), 4);
        assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 4);
        run(&database, &told(4)).await;
        names_the_repair(&opened(database.options()).await.unwrap_err());
        let error = store.end_of_log().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Diverged, "{error}");
    }
}

#[tokio::test]
async fn an_append_beyond_the_last_position_says_that_they_are_used_up() {
    let (database, store) = empty_store().await;
    let most = i64::MAX - 1;
    run(&database, &format!("SELECT setval('execution_events_position_seq', {most})")).await;
    store.append(to("posting/1")).await.unwrap();
    let Err(AppendError::Store(error)) = store.append(to("posting/1")).await else {
        panic!("there is no position left");
    };
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error}");
    assert!(error.to_string().contains("positions of this log are used up"), "{error}");
}
