//! What people write at psql: what is refused, and what is kept and read back.

use es_core::backend::{EventStore, ReadLog, ReadStream, Timestamp};
use es_postgres::IdType;
use es_postgres::sqlx::postgres::PgDatabaseError;

use crate::support::{database, empty_store, open, run, to, try_run, value};

const COLUMNS: &str =
    "aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata";

/// The SQLSTATE and the constraint with which a statement is refused.
async fn refused(database: &es_pgtest::TestDatabase, statement: &str) -> (String, Option<String>) {
    let error = try_run(database, statement).await.expect_err(statement);
    let error = error.into_database_error().unwrap();
    let error: &PgDatabaseError = error.downcast_ref();
    if error.code() == "23514" {
        assert_eq!((error.schema(), error.table()), (Some("public"), Some("execution_events")));
        let words = format!("violates check constraint \"{}\"", error.constraint().unwrap());
        assert!(error.message().ends_with(&words), "as PostgreSQL says it: {error}");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
        assert_eq!(error.detail(), None, "nothing of the row is told");
    }
    (error.code().to_owned(), error.constraint().map(str::to_owned))
}

#[tokio::test]
async fn nobody_changes_or_removes_an_event() {
    let (database, store) = empty_store().await;
    store.append(to("account/a")).await.unwrap();
    let statements = [
        "UPDATE execution_events SET event_type = 'x'",
        "UPDATE execution_events SET event_type = 'x' WHERE FALSE",
        "DELETE FROM execution_events",
        "TRUNCATE execution_events",
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('account', 'a', 1, 'x', '{}')
         ON CONFLICT ON CONSTRAINT unique_aggregate_version DO UPDATE SET event_type = 'y'",
    ];
    for statement in statements {
        assert_eq!(refused(&database, statement).await.0, "ES002", "{statement}");
    }
    let kept = "SELECT event_type FROM execution_events";
    assert_eq!(value::<String>(&database, kept).await, "script_execution_completed");
}

#[tokio::test]
async fn rows_that_could_not_be_read_back_are_refused_by_name() {
    let (database, store) = empty_store().await;
    store.append(to("account/a")).await.unwrap();
    let long = "x".repeat(256);
    let table = [
        ("'account', 'a', 1, 'x', '{}', NULL", "unique_aggregate_version"),
        ("'account', 'b', 0, 'x', '{}', NULL", "aggregate_version_is_positive"),
        ("'account', 'b', -1, 'x', '{}', NULL", "aggregate_version_is_positive"),
        ("'Account', 'b', 1, 'x', '{}', NULL", "aggregate_type_is_snake_case"),
        ("'', 'b', 1, 'x', '{}', NULL", "aggregate_type_is_snake_case"),
        ("'account', '', 1, 'x', '{}', NULL", "aggregate_id_is_short_and_printable"),
        ("'account', E'b\\n', 1, 'x', '{}', NULL", "aggregate_id_is_short_and_printable"),
        ("'account', E'b\\u0085', 1, 'x', '{}', NULL", "aggregate_id_is_short_and_printable"),
        (
            &format!("'account', '{long}', 1, 'x', '{{}}', NULL"),
            "aggregate_id_is_short_and_printable",
        ),
        ("'account', 'b', 1, '', '{}', NULL", "event_type_is_short_and_printable"),
        ("'account', 'b', 1, E'x\\n', '{}', NULL", "event_type_is_short_and_printable"),
        (
            &format!("'account', 'b', 1, '{long}', '{{}}', NULL"),
            "event_type_is_short_and_printable",
        ),
        ("'account', 'b', 1, 'x', '{}', '[1]'", "metadata_is_a_json_object"),
        ("'account', 'b', 1, 'x', '{}', '\"x\"'", "metadata_is_a_json_object"),
    ];
    for (values, constraint) in table {
        let statement = format!("INSERT INTO execution_events ({COLUMNS}) VALUES ({values})");
        let (_, found) = refused(&database, &statement).await;
        assert_eq!(found.as_deref(), Some(constraint), "{values}");
    }
    for time in ["infinity", "-infinity"] {
        let statement = format!(
            "INSERT INTO execution_events (created_at, {COLUMNS})
             VALUES ('{time}', 'account', 'b', 1, 'x', '{{}}', NULL)"
        );
        let (_, found) = refused(&database, &statement).await;
        assert_eq!(found.as_deref(), Some("created_at_is_finite"), "{time}");
    }
    for (column, number) in [("append_size", 0), ("position", 0), ("position", -7)] {
        let statement = format!(
            "INSERT INTO execution_events ({column}, {COLUMNS}) OVERRIDING SYSTEM VALUE
             VALUES ({number}, 'account', 'b', 1, 'x', '{{}}', NULL)"
        );
        let (_, found) = refused(&database, &statement).await;
        assert_eq!(found, Some(format!("{column}_is_positive")), "{number}");
    }
    let explicit = format!(
        "INSERT INTO execution_events (position, {COLUMNS}) VALUES (7, 'account', 'b', 1, 'x', '{{}}', NULL)"
    );
    assert_eq!(refused(&database, &explicit).await.0, "428C9");
}

/// However a row comes to be as it is.
#[tokio::test]
async fn a_row_is_judged_as_it_is_stored() {
    let (database, store) = empty_store().await;
    store.append(to("account/a")).await.unwrap();
    let longest = format!(
        "'{}', '{}', 1, '{}', '{{}}', '{{}}'",
        "a".repeat(64),
        "é".repeat(127),
        "Ä ".repeat(85)
    );
    run(&database, &format!("INSERT INTO execution_events ({COLUMNS}) VALUES ({longest})")).await;
    let row = format!("({COLUMNS}) VALUES ('account', 'b', 0, 'x', '{{}}', NULL)");
    let ways = [
        format!("SET session_replication_role = replica; INSERT INTO execution_events {row}"),
        // beside one that may stand
        format!("INSERT INTO execution_events {row}, ('account', 'b', 1, 'x', '{{}}', NULL)"),
        // by the owner, who can switch off what refuses it
        "ALTER TABLE execution_events DISABLE TRIGGER execution_events_are_append_only;
         UPDATE execution_events SET aggregate_version = 0 WHERE aggregate_version = 1"
            .to_owned(),
    ];
    for statements in ways {
        let (_, found) = refused(&database, &statements).await;
        assert_eq!(found.as_deref(), Some("aggregate_version_is_positive"), "{statements}");
    }
    // also an append of the store's own, by what others have made of it
    run(
        &database,
        "CREATE FUNCTION nameless() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.event_type := ''; RETURN NEW; END $$;
         CREATE TRIGGER zz_nameless BEFORE INSERT ON execution_events
         FOR EACH ROW EXECUTE FUNCTION nameless()",
    )
    .await;
    let error = store.append(to("account/a")).await.unwrap_err();
    assert!(
        crate::support::told(&error).contains("event_type_is_short_and_printable"),
        "{error:?}"
    );
    assert_eq!(value::<i64>(&database, "SELECT count(*) FROM execution_events").await, 2);
}

#[tokio::test]
async fn rows_inserted_by_hand_are_read_whatever_stands_in_them() {
    let database = database(IdType::Text).await;
    // rows from before there were these rules
    run(&database, "ALTER TABLE execution_events DISABLE TRIGGER execution_events_check_row").await;
    let odd = [
        "NULL, NULL",
        "'null', 'infinity'",
        "'{}', '-infinity'",
        "'{\"conversation_id\": \"text\", \"retry_count\": -1, \"x\": {\"y\": [1e300]}}', '294276-01-01'",
        "'{\"event_version\": \"1.0\"}', '4713-01-01 BC'",
    ];
    for (version, values) in (1..).zip(odd) {
        let statement = format!(
            "INSERT INTO execution_events ({COLUMNS}, created_at)
             SELECT 'account', 'a', {version}, 'Anything goes!', '1.50', v.m::jsonb, v.t::timestamptz
             FROM (VALUES ({values})) v (m, t)"
        );
        run(&database, &statement).await;
    }
    // idempotency keys are open to everybody, too
    run(
        &database,
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, idempotency_key)
         VALUES ('account', 'b', 1, 'x', '{\"output\":\"Berlin\",\"status\":\"SUCCESS\"}', 'by hand')",
    )
    .await;
    let store = open(&database).await;
    let page = store.read_stream(&ReadStream::new("account/a".parse().unwrap())).await.unwrap();
    let times: Vec<_> = page.events.iter().map(|event| event.recorded_at).collect();
    let (earliest, latest) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    assert_eq!(times, [earliest, latest, earliest, latest, earliest]);
    let metadata = &page.events[3].metadata;
    assert_eq!(metadata.document("conversation_id").unwrap().as_str(), "\"text\"");
    assert_eq!(page.events[0].payload.as_str(), "1.50");
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 6);
    let key = crate::support::key("by hand");
    let found = store.find_append(&"account/b".parse().unwrap(), &key).await.unwrap().unwrap();
    assert_eq!(found.streams[0].events.len(), 1);
    let next = store.append(to("account/a")).await.unwrap();
    assert_eq!(next.streams[0].version().as_u64(), 6);
}

/// A schema of somebody else's, first in the path, with functions and operators of the same names.
#[tokio::test]
async fn a_hostile_search_path_changes_nothing() {
    let database = database(IdType::Text).await;
    run(
        &database,
        "CREATE SCHEMA hostile;
         CREATE FUNCTION hostile.coalesce_int(int, int) RETURNS int LANGUAGE sql AS 'SELECT 666';
         CREATE FUNCTION hostile.cardinality(anyarray) RETURNS int LANGUAGE sql AS 'SELECT 0';
         CREATE FUNCTION hostile.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS 'SELECT ''hostile''';
         CREATE FUNCTION hostile.max(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 666::bigint';
         CREATE FUNCTION hostile.int_eq(int, int) RETURNS bool LANGUAGE sql AS 'SELECT false';
         CREATE OPERATOR hostile.= (LEFTARG = int, RIGHTARG = int, FUNCTION = hostile.int_eq);
         CREATE VIEW hostile.pg_locks AS SELECT NULL::text AS locktype WHERE FALSE;
         CREATE TABLE hostile.execution_events (position bigint);",
    )
    .await;
    let name = database.name();
    run(&database, &format!("ALTER DATABASE {name} SET search_path = hostile, pg_catalog, public"))
        .await;
    let store = open(&database).await;
    let unit = || {
        to("account/a").and(
            "account/b".parse().unwrap(),
            es_core::ExpectedVersion::Any,
            crate::support::events(2),
        )
    };
    let mut connection =
        es_postgres::sqlx::ConnectOptions::connect(&database.options()).await.unwrap();
    store.append(unit()).await.unwrap();
    store.append_in(&mut connection, unit()).await.unwrap();
    assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 6);
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 6);
}
