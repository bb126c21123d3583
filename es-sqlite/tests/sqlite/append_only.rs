//! Other programs on the same file: what they may write, and what they may not change.

use es_core::backend::{EventStore, ReadLog, ReadStream};
use es_core::event::Metadata;
use es_core::execution::StreamVersion;
use es_sqlite::rusqlite::{Connection, ErrorCode};

use crate::support::{Folder, append_one, event, stream};

const INSERT: &str = "INSERT INTO execution_events
    (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    VALUES ('posting', 12345, 1, 'script_execution_completed', '{\"output\": \"x\"}', NULL)";

/// A file with the events 1 and 2 of `posting/1`, and a plain connection to it.
async fn two_events() -> (Folder, es_sqlite::SqliteStore, Connection) {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("one")).await;
    append_one(&store, "posting/1", event("two")).await;
    let connection = folder.connection();
    (folder, store, connection)
}

fn rows(connection: &Connection) -> Vec<String> {
    connection
        .prepare("SELECT * FROM execution_events ORDER BY position")
        .unwrap()
        .query_map([], |row| {
            Ok((0..9).map(|i| format!("{:?}", row.get_ref(i))).collect::<Vec<_>>().join(","))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[tokio::test]
async fn no_statement_of_another_program_changes_an_event() {
    let (_folder, _store, connection) = two_events().await;
    let before = rows(&connection);
    let columns = "position, event_id, aggregate_type, aggregate_id, aggregate_version, event_type,
        event_data";
    let statements = [
        "UPDATE execution_events SET event_data = '{}'".to_owned(),
        "UPDATE OR REPLACE execution_events SET aggregate_version = 2".to_owned(),
        "DELETE FROM execution_events".to_owned(),
        "DELETE FROM execution_events WHERE position = 1".to_owned(),
        // the same position, the same id, the same version; each under every conflict clause
        format!(
            "INSERT OR x INTO execution_events ({columns})
            SELECT 1, 'a0000000-0000-4000-8000-000000000001', 'posting', '9', 1, 'a', '{{}}'"
        ),
        format!(
            "INSERT OR x INTO execution_events ({columns})
            SELECT NULL, upper(event_id), 'posting', '9', 1, 'a', '{{}}'
            FROM execution_events WHERE position = 1"
        ),
        format!(
            "INSERT OR x INTO execution_events ({columns})
            VALUES (NULL, 'a0000000-0000-4000-8000-000000000001', 'posting', '1', 2, 'a', '{{}}')"
        ),
        format!(
            "INSERT OR x INTO execution_events ({columns})
            VALUES (NULL, 'a0000000-0000-4000-8000-000000000001', 'posting', 1, 2, 'a', '{{}}')
            ON CONFLICT DO UPDATE SET event_data = '{{}}'"
        )
        .replace("OR x ", ""),
    ];
    for statement in &statements {
        for clause in ["ABORT", "REPLACE", "IGNORE", "FAIL"] {
            let statement = statement.replace("OR x", &format!("OR {clause}"));
            let error = connection.execute(&statement, []).unwrap_err();
            assert_eq!(
                error.sqlite_error_code(),
                Some(ErrorCode::ConstraintViolation),
                "{statement}: {error}"
            );
            assert_eq!(rows(&connection), before, "{statement}");
        }
    }
}

#[tokio::test]
async fn rows_that_could_not_be_read_back_are_not_let_in() {
    let (_folder, _store, connection) = two_events().await;
    let before = rows(&connection);
    // column, then values that are refused
    let refused: &[(&str, &[&str])] = &[
        (
            "event_id",
            &[
                "'x'",
                "'g0000000-0000-4000-8000-000000000001'",
                "'------------------------------------'",
                "'a0000000-0000-4000-8000-00000000000-'",
                "'a0000000-0000-4000-8000-000000000001' || char(0)",
                "NULL",
                "x'00'",
            ],
        ),
        (
            "aggregate_type",
            &[
                "'Posting'",
                "''",
                "'a b'",
                "'1a'",
                "'a' || char(0) || 'b'",
                "hex(zeroblob(40))",
                "NULL",
            ],
        ),
        (
            "aggregate_id",
            &[
                "''",
                "'a' || char(10)",
                "'a' || char(0) || 'b'",
                "char(133)",
                "hex(zeroblob(200))",
                "NULL",
            ],
        ),
        ("aggregate_version", &["0", "2", "-1", "'x'", "1.5", "NULL"]),
        (
            "event_type",
            &[
                "''",
                "'Odd Name'",
                "CAST(x'ff' AS TEXT)",
                "'a' || char(0) || 'b'",
                "'a' || replace(hex(zeroblob(60)), '0', 'a')",
                "NULL",
            ],
        ),
        ("event_data", &["'no json'", "''", "'{}' || char(0)", "NULL", "x'7b7d'"]),
        ("metadata", &["'no json'", "'[]'", "'1'", "'\"text\"'", "'{}' || char(0)"]),
        (
            "created_at",
            &[
                "'yesterday'",
                "'2025-11-19'",
                "'2025-02-30 10:00:00'",
                "1763546400",
                "'2025-11-19T10:00:00Z'",
                "'2025-11-19 10:00:00+01:00'",
                "'2025-11-19 10:00:00.1234567'",
                "'2025-11-19 10:00:00.'",
                "'2025-11-19 10:00:00..5'",
                "'2025-11-19 10:00:00.5.5'",
                "'2025-11-19 10:00:001.5'",
                "'2025-11-19 10:00:00' || char(0)",
                "'2025-11-19 25:00:00'",
            ],
        ),
        ("position", &["-5", "0", "2", "9000000000000000001", "9223372036854775807"]),
    ];
    for (column, values) in refused {
        for value in *values {
            let mut row = vec![
                ("event_id", "'a0000000-0000-4000-8000-000000000001'"),
                ("aggregate_type", "'posting'"),
                ("aggregate_id", "'9'"),
                ("aggregate_version", "1"),
                ("event_type", "'posting_terminal'"),
                ("event_data", "'{}'"),
            ];
            row.retain(|(name, _)| name != column);
            row.push((column, value));
            let (names, values): (Vec<_>, Vec<_>) = row.into_iter().unzip();
            let statement = format!(
                "INSERT INTO execution_events ({}) VALUES ({})",
                names.join(", "),
                values.join(", ")
            );
            assert!(connection.execute(&statement, []).is_err(), "{statement}");
        }
    }
    assert_eq!(rows(&connection), before);
}

#[tokio::test]
async fn a_row_inserted_by_hand_is_an_event_like_any_other() {
    let (_folder, store, connection) = two_events().await;
    connection.execute(INSERT, []).unwrap();
    connection
        .execute(
            "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                aggregate_version, event_type, event_data, metadata, created_at)
             VALUES ('A0000000-0000-4000-8000-00000000000B', 'posting', '12345', 2,
                'posting_terminal', ' [1, 2] ', '{\"tenant\": 74}', '2025-11-19 10:00:00')",
            [],
        )
        .unwrap();
    let read = ReadStream::new(stream("posting/12345"));
    let events = store.read_stream(&read).await.unwrap().events;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].metadata, Metadata::default());
    assert_eq!(events[0].event_id.as_uuid().get_version_num(), 4);
    assert_eq!(events[1].event_id.to_string(), "a0000000-0000-4000-8000-00000000000b");
    assert_eq!(events[1].recorded_at.to_string(), "2025-11-19T10:00:00.000000Z");
    assert_eq!(events[1].metadata.document("tenant").unwrap().as_str(), "74");
    let next = append_one(&store, "posting/12345", event("after")).await;
    assert_eq!(next.streams[0].version(), StreamVersion::new(3));
}

#[tokio::test]
async fn the_time_of_a_row_inserted_by_hand_is_now() {
    let (_folder, store, connection) = two_events().await;
    let read_last = || async {
        let log = store.read_log(&ReadLog::from_start()).await.unwrap();
        log.events.last().unwrap().recorded_at
    };
    let before = append_one(&store, "posting/1", event("before")).await.streams[0].events[0];
    connection.execute(INSERT, []).unwrap();
    let by_hand = read_last().await;
    let after = append_one(&store, "posting/1", event("after")).await.streams[0].events[0];
    // SQLite's clock counts milliseconds
    let slack = std::time::Duration::from_millis(1);
    assert!(before.recorded_at <= by_hand.plus(slack) && by_hand <= after.recorded_at);
}

#[tokio::test]
async fn the_specifications_query_in_time_finds_what_was_recorded_until_then() {
    let folder = Folder::new();
    let clock = es_testing::ManualClock::new();
    let config = folder.config().clock(std::sync::Arc::new(clock.clone()));
    let store = es_sqlite::SqliteStore::open(config).await.unwrap();
    // the clock begins at 2025-11-19 10:00:00
    clock.step_back(std::time::Duration::from_secs(1));
    append_one(&store, "posting/12345", event("before")).await;
    clock.step(std::time::Duration::from_secs(2));
    append_one(&store, "posting/12345", event("after")).await;
    let found: i64 = folder.value(
        "SELECT count(*) FROM execution_events
         WHERE aggregate_id = 12345 AND created_at <= '2025-11-19 10:00:00'",
    );
    assert_eq!(found, 1);
}

#[tokio::test]
async fn the_highest_position_by_hand_leaves_room_for_the_store() {
    let (_folder, store, connection) = two_events().await;
    connection
        .execute(
            "INSERT INTO execution_events (position, aggregate_type, aggregate_id,
                aggregate_version, event_type, event_data)
             VALUES (9000000000000000000, 'posting', 2, 1, 'posting_terminal', '{}')",
            [],
        )
        .unwrap();
    let next = append_one(&store, "posting/1", event("after")).await;
    assert_eq!(next.position().to_sequence(), 9_000_000_000_000_000_001);
    store
        .write(|tx| {
            let after = vec![event("by a closure")];
            let expected = es_core::ExpectedVersion::Any;
            tx.append(es_core::backend::AppendRequest::to(stream("posting/1"), expected, after))
        })
        .await
        .unwrap();
    // the events also come back
    assert_eq!(store.read_log(&ReadLog::from_start()).await.unwrap().events.len(), 5);
}
