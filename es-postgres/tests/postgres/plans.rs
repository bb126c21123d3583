//! Hot statements find their rows by the intended index, however large the table was when they were
//! planned.

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, PageLimit, ReadLog, ReadStream};
use es_core::event::EventFilter;
use es_pgtest::TestDatabase;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection, Row};
use es_postgres::{IdType, Layout, PostgresConfig};

use crate::support::waiting::until;
use crate::support::{
    database, empty_store, events, exactly, layout_with_table, make_table, open, run, to, value,
};

/// What is hot, with values for its parameters, and the index that must be used.
const HOT: [(&str, &str, &str); 22] = [
    ("append_event", ONE_EVENT, "unique_aggregate_version"),
    ("append_event_keyed", ONE_EVENT_KEYED, "unique_aggregate_version"),
    ("append_event_keyed", ONE_EVENT_KEYED, "idx_execution_events_idempotency"),
    ("append_events", EVENTS, "unique_aggregate_version"),
    ("append_events_keyed", EVENTS_KEYED, "unique_aggregate_version"),
    ("append_events_keyed", EVENTS_KEYED, "idx_execution_events_idempotency"),
    ("append_batch", "'{}', '{}', '{}', '{}', '{}', '{}', '{}', now()", "unique_aggregate_version"),
    (
        "read_stream_forwards",
        "'posting', '1', 1, 2147483647, 501, TRUE",
        "unique_aggregate_version",
    ),
    (
        "read_stream_backwards",
        "'posting', '1', 1, 2147483647, 501, TRUE",
        "unique_aggregate_version",
    ),
    ("version_until", "'posting', '1', now()", "unique_aggregate_version"),
    ("find_request", "'posting', '1', 'k'", "idx_execution_events_idempotency"),
    ("read_log", "0, 1000000, 501, TRUE", "idx_execution_events_position"),
    (
        "read_log_filtered",
        "0, 1000000, 501, '{posting}', NULL, 10000, TRUE, NULL",
        "idx_execution_events_position",
    ),
    ("latest_with_tail", "'posting', '1', 2147483647, 501", "unique_aggregate_version"),
    ("latest_with_tail", "'posting', '1', 2147483647, 501", "execution_events_snapshots_pkey"),
    ("projection_load", "'mail', 'active', '{a,b}'", "execution_events_projection_rows_pkey"),
    ("projection_rows", "'mail', 'active', 'a', 100", "execution_events_projection_rows_pkey"),
    (
        "projection_parked",
        "'mail', 'active', TRUE, 7, 'a', 100",
        "execution_events_projection_order",
    ),
    (
        "projection_parked_of_key",
        "'mail', 'active', TRUE, 7, 'a', 100",
        "execution_events_projection_parked_pkey",
    ),
    ("projection_renew", "1, 1, 'active', 1, NULL, 100", "execution_events_projection_due"),
    ("projection_renew", "1, 1, 'active', 1, NULL, 100", "execution_events_projection_parked_pkey"),
    ("used_event_ids", "ARRAY[gen_random_uuid()]", "execution_events_pkey"),
];

const ONE_EVENT: &str = "'posting', '1', 7, now(), gen_random_uuid(), 'x', '{}', '{}'";
const ONE_EVENT_KEYED: &str = "'posting', '1', 7, now(), gen_random_uuid(), 'x', '{}', '{}', 'k'";
const EVENTS: &str = "'posting', '1', 7, now(), '{}', '{}', '{}', '{}'";
const EVENTS_KEYED: &str = "'posting', '1', 7, now(), '{}', '{}', '{}', '{}', 'k'";

/// What is hot where snapshots are in a table of the application's.
const HOT_OF_TYPE: [(&str, &str, &str); 4] = [
    ("latest_with_tail_of_type", "'posting', '1', 2147483647, 501", "unique_aggregate_version"),
    ("latest_with_tail_of_type", "'posting', '1', 2147483647, 501", "kept_of_stream"),
    ("list_snapshots_of_all", "'', '', 0, 500, 'posting'", "kept_of_stream"),
    ("list_snapshots_of_all", "'', '', 0, 500, 'posting'", "execution_events_snapshots_pkey"),
];

/// What reads a part of a stream or of the log, in its order.
const IN_ORDER: [&str; 7] = [
    "read_log",
    "read_log_filtered",
    "read_stream_forwards",
    "read_stream_backwards",
    "version_until",
    "latest_with_tail",
    "latest_with_tail_of_type",
];

fn statement(name: &str) -> String {
    let path = format!("{}/src/sql/{name}.sql", env!("CARGO_MANIFEST_DIR"));
    let Layout { schema, events, snapshots, .. } = layout_with_table(IdType::Text, "posting");
    let table = snapshots.unwrap();
    std::fs::read_to_string(path)
        .unwrap()
        .replace("{schema}", schema.as_str())
        .replace("{events}", events.as_str())
        .replace("{id}", "TEXT")
        .replace("{snapshots}", table.table.as_str())
        .replace("{snapshot_id}", table.id.as_str())
        .replace("{snapshot_version}", table.version.as_str())
        .replace("{snapshot_schema}", table.schema.as_str())
        .replace("{snapshot_state}", table.state.as_str())
        .replace("{snapshot_event}", "last_event")
        .replace("{snapshot_taken_at}", table.taken_at.as_str())
}

/// A connection with the settings of the store's own.
async fn own(database: &TestDatabase) -> PgConnection {
    let settings = [
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_bitmapscan", "off"),
    ];
    database.options().options(settings).connect().await.unwrap()
}

async fn plan(connection: &mut PgConnection, name: &str, values: &str) -> String {
    let statement = statement(name);
    let prepare = format!("DEALLOCATE ALL; PREPARE hot AS {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE hot({values})");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}

async fn check_plans(database: &TestDatabase, when: &str) {
    let mut connection = own(database).await;
    for (name, values, index) in HOT.into_iter().chain(HOT_OF_TYPE) {
        let plan = plan(&mut connection, name, values).await;
        assert!(plan.contains(index), "{name}, {when}:\n{plan}");
        assert!(!plan.contains("Seq Scan on execution_events"), "{name}, {when}:\n{plan}");
        assert!(!plan.contains("Seq Scan on kept"), "{name}, {when}:\n{plan}");
        assert!(!plan.contains("Bitmap"), "{name}, {when}:\n{plan}");
        // it has no versions: whoever goes by it reads all of a stream
        assert!(!plan.contains("idx_execution_events_aggregate"), "{name}, {when}:\n{plan}");
        if name == "projection_load" {
            // each row would be compared with each key
            assert!(!plan.contains("ANY"), "{name}, {when}:\n{plan}");
        }
        if name.starts_with("append_event") {
            let lookups = plan.matches("unique_aggregate_version").count();
            assert_eq!(lookups, 1, "the head is looked up once, {name}, {when}:\n{plan}");
        }
        if IN_ORDER.contains(&name) {
            assert!(!plan.contains("Sort"), "{name}, {when}:\n{plan}");
            assert!(!plan.contains("Aggregate"), "{name}, {when}:\n{plan}");
        }
    }
}

/// 10,000 events of one posting, by hand.
const FILL_ONE: &str = "
    INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    SELECT 'posting', 'long', n, 'script_execution_completed', '{\"output\": \"x\"}', '{}'
    FROM generate_series(1, 10000) n";

/// 20,000 events of 2,000 postings, by hand.
const FILL: &str = "
    INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    SELECT 'posting', (n / 10)::text, n % 10 + 1, 'script_execution_completed', '{\"output\": \"x\"}', '{}'
    FROM generate_series(0, 19999) n";

/// 20,000 rows of a model, by hand.
const FILL_MODEL: &str = "
    INSERT INTO execution_events_projection_rows (generation, key, value)
    SELECT 1, n::text, '{}'
    FROM generate_series(1, 20000) n";

#[tokio::test]
async fn hot_statements_use_their_index_on_an_empty_an_analysed_and_a_large_table() {
    let database = database(IdType::Text).await;
    let layout = layout_with_table(IdType::Text, "posting");
    make_table(&PostgresConfig::new(database.options()).layout(layout)).await;
    check_plans(&database, "empty").await;
    run(&database, "VACUUM ANALYZE").await;
    check_plans(&database, "analysed while empty").await;
    run(&database, FILL_ONE).await;
    check_plans(&database, "one long stream, statistics of the empty table").await;
    run(&database, FILL).await;
    run(&database, FILL_MODEL).await;
    check_plans(&database, "large, statistics of the empty table").await;
    run(&database, "VACUUM ANALYZE").await;
    check_plans(&database, "large").await;
}

/// The migrated functions keep their plans in the session that made them on the empty table: no row
/// of the table is ever scanned.
#[tokio::test]
async fn a_session_from_the_days_of_the_empty_table_scans_nothing() {
    let database = database(IdType::Text).await;
    run(&database, "VACUUM ANALYZE execution_events").await;
    let store = open(&database).await;
    let unit = |number: u64| {
        to(&format!("account/{number}")).and(
            "account/b".parse().unwrap(),
            ExpectedVersion::Any,
            events(1),
        )
    };
    let mut connection = database.options().connect().await.unwrap();
    for number in 0..3 {
        store.append(unit(number)).await.unwrap();
        store.append_in(&mut connection, unit(number + 10)).await.unwrap();
        store.read_log(&ReadLog::from_start()).await.unwrap();
    }
    run(&database, FILL).await;
    let scans = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'execution_events'";
    // what a session has counted is told when it ends, at the latest
    let before: i64 = value(&database, scans).await;
    for number in 0..50 {
        store.append(unit(number)).await.unwrap();
        store.append_in(&mut connection, unit(number + 10)).await.unwrap();
        let request =
            AppendRequest::to(format!("account/n{number}").parse().unwrap(), exactly(0), events(2));
        store.append(request).await.unwrap();
        store.read_stream(&ReadStream::new("posting/7".parse().unwrap())).await.unwrap();
        store.read_log(&ReadLog::from_start()).await.unwrap();
    }
    store.close().await;
    sqlx::Connection::close(connection).await.unwrap();
    let after: i64 = value(&database, scans).await;
    assert_eq!(after - before, 0, "rows were read by scans");
}

/// However many events there are: what stands behind the sequence is found by a bound of the index.
#[tokio::test]
async fn an_insert_reads_a_few_entries_of_the_indexes_in_a_session_from_the_empty_table_too() {
    let (database, store) = empty_store().await;
    let mut connection = database.options().connect().await.unwrap();
    for version in 1..=60 {
        store.append(to("account/1")).await.unwrap();
        store.append_in(&mut connection, to("account/2")).await.unwrap();
        let raw = format!(
            "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('account', '3', {version}, 'noted', '{{}}')"
        );
        sqlx::raw_sql(AssertSqlSafe(raw)).execute(&mut connection).await.unwrap();
        if version == 10 {
            run(&database, FILL).await;
        }
    }
    store.close().await;
    sqlx::Connection::close(connection).await.unwrap();
    let inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'execution_events'";
    until("all is counted", async || value::<i64>(&database, inserted).await == 20_180).await;
    let read: i64 = value(
        &database,
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = 'execution_events'",
    )
    .await;
    // a look of the store's own beside the filling would pass over all of that once
    assert!(read < 100_000, "181 INSERTs have read {read} entries");
}

/// What a page with a filter looks at is bounded without being read.
#[tokio::test]
async fn a_full_page_of_the_log_with_a_filter_reads_no_more_entries_than_it_needs() {
    const PAGES: i64 = 20;
    let (database, store) = empty_store().await;
    run(&database, FILL).await;
    let limit = PageLimit::events(10);
    let filter = EventFilter::all().stored_aggregate_type("posting");
    let mut read = ReadLog::from_start().filter(filter).limit(limit);
    for number in 1..=PAGES {
        let page = store.read_log(&read).await.unwrap();
        assert_eq!(page.events.len(), 10);
        assert_eq!(page.next.to_sequence(), 10 * number.unsigned_abs());
        read.after = page.next;
    }
    store.close().await;
    let of_index = |count: &str| {
        format!(
            "SELECT {count} FROM pg_stat_user_indexes
             WHERE indexrelname = 'idx_execution_events_position'"
        )
    };
    let scans = of_index("idx_scan");
    until("all is counted", async || value::<i64>(&database, &scans).await >= 3 * PAGES).await;
    let read: i64 = value(&database, &of_index("idx_tup_read")).await;
    assert!(read < 1_000, "{PAGES} pages of 10 events have read {read} entries");
}
