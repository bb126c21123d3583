//! Rows written by hand, also with every constraint circumvented: each costs at most itself.

use std::slice;
use std::sync::Arc;

use es_core::backend::{
    ContentProblem, EventStore, ModelRow, ProjectionSink, ReadStream, Slot, SnapshotStore,
    StoreErrorKind,
};
use es_core::execution::{IdempotencyKey, LoadError, StreamVersion};
use es_core::{Aggregate, Event, Repository};
use es_sqlite::rusqlite::types::Value;
use es_sqlite::rusqlite::{Connection, params};
use es_testing::raw_rows;
use fastrand::Rng;

use crate::projections::claim;
use crate::support::{Folder, append_one, event, stream};

/// A connection to which columns have no types and rows no rules.
fn lawless(folder: &Folder) -> Connection {
    let connection = folder.connection();
    connection
        .execute_batch(
            "DROP TRIGGER execution_events_are_appended;
             PRAGMA ignore_check_constraints = ON;
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema
             SET sql = replace(replace(sql, ' NOT NULL', ''), ') STRICT', ')')
             WHERE name = 'execution_events';
             PRAGMA writable_schema = RESET;",
        )
        .unwrap();
    connection
}

/// Something that no column expects.
fn odd(chance: &mut Rng) -> Value {
    match chance.u8(0..7) {
        0 => Value::Null,
        1 => Value::Real(1.5e300),
        2 => Value::Blob(vec![0xff, 0x00, 0x8b]),
        3 => Value::Text(raw_rows::text(chance)),
        4 => Value::Text("{a: 1, 'b': +.5,}".to_owned()),
        5 => Value::Text("infinity".to_owned()),
        _ => Value::Integer(-7),
    }
}

#[tokio::test]
async fn whatever_stands_in_a_row_costs_at_most_itself() {
    let folder = Folder::new();
    let store = Arc::new(folder.store().await);
    append_one(&store, "posting/good", event("before")).await;
    let connection = lawless(&folder);
    let mut chance = Rng::with_seed(11);
    let rows = raw_rows::rows();
    connection.execute_batch("BEGIN").unwrap();
    for row in 0..rows {
        let mut columns = [
            Value::Text(format!("{row:08x}-0000-4000-8000-000000000001")),
            Value::Text("posting".to_owned()),
            Value::Text(format!("odd{}", row % 50)),
            Value::Integer(i64::try_from(row).unwrap() + 1),
            Value::Text("script_execution_completed".to_owned()),
            Value::Text("2025-11-19 10:00:00.000000".to_owned()),
            Value::Text(raw_rows::metadata(&mut chance)),
            Value::Text(raw_rows::json(&mut chance)),
        ];
        if chance.bool() {
            let column = chance.usize(0..columns.len());
            columns[column] = odd(&mut chance);
        }
        // ids and versions that are there already are somebody else's rule
        let [a, b, c, d, e, f, g, h] = columns;
        connection
            .execute(
                "INSERT OR IGNORE INTO execution_events (event_id, aggregate_type, aggregate_id,
                     aggregate_version, event_type, created_at, metadata, event_data)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![a, b, c, d, e, f, g, h],
            )
            .unwrap();
    }
    connection
        .execute_batch(
            "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                 aggregate_version, event_type, created_at, metadata, event_data)
             VALUES ('ffffffff-0000-4000-8000-000000000001', CAST(x'ff' AS TEXT), CAST(x'fe' AS TEXT),
                 1, CAST(x'fd' AS TEXT), CAST(x'fc' AS TEXT), CAST(x'fb' AS TEXT), CAST(x'fa' AS TEXT));
             COMMIT",
        )
        .unwrap();
    append_one(&store, "posting/good", event("after")).await;
    let count: i64 = connection
        .query_row("SELECT count(*) FROM execution_events WHERE position > 0", [], |row| row.get(0))
        .unwrap();
    let well = stream("posting/good");
    let log = raw_rows::check_readers(store.clone(), usize::try_from(count).unwrap(), &well).await;
    let unreadable = |column: &str| {
        log.iter().any(|event| {
            event.payload.unreadable_because().is_some_and(|reason| reason.starts_with(column))
        })
    };
    for column in
        ["aggregate_id", "aggregate_version", "event_id", "event_type", "metadata", "event_data"]
    {
        assert!(unreadable(column), "{column}");
    }
    // in a stream, too, whose events are read elsewhere; one without a number may have no version
    let (mut compared, mut odd) = (0, 0);
    for number in 0..50 {
        let read = ReadStream::new(stream(&format!("posting/odd{number}")));
        let page = store.read_stream(&read).await;
        for event in page.into_iter().flat_map(|page| page.events) {
            let at = log.partition_point(|before| before.position < event.position);
            assert_eq!(event, log[at]);
            compared += 1;
            odd += usize::from(event.payload.unreadable_because().is_some());
        }
    }
    assert!(compared > rows / 2 && odd > 0, "{compared} of {rows}, {odd}");
}

#[tokio::test]
async fn a_row_in_another_spelling_is_read_as_every_store_reads_it() {
    let (folder, store) = Folder::with_store().await;
    let generation = store.acquire(&claim(Slot::Active, 1)).await.unwrap().generation;
    let connection = folder.connection();
    for (version, (text, _)) in (1..).zip(raw_rows::SPELLINGS) {
        write_state(&connection, generation, &version.to_string(), text);
        connection
            .execute(
                "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                     aggregate_version, event_type, created_at, metadata, event_data)
                 VALUES (?1, 'posting', '1', ?2, 'x', '2025-11-19 10:00:00.000000',
                     '{\"x\":' || ?3 || '}', ?3)",
                params![format!("{version:08x}-0000-4000-8000-000000000001"), version, text],
            )
            .unwrap();
    }
    let page = store.read_stream(&ReadStream::new(stream("posting/1"))).await.unwrap();
    assert_eq!(page.events.len(), raw_rows::SPELLINGS.len());
    for (event, (_, expected)) in page.events.iter().zip(raw_rows::SPELLINGS) {
        raw_rows::check_spelling(event, expected);
        let key = event.version.to_string();
        let row = store.load("mail", Slot::Active, slice::from_ref(&key)).await.unwrap().remove(0);
        raw_rows::check_document(&row.value, expected);
        let of = stream(&format!("posting/{key}"));
        let kept = store.latest_snapshot(&of, StreamVersion::FIRST).await.unwrap().unwrap();
        raw_rows::check_document(&kept.state, expected);
    }
}

/// Writes a text as the row of a model and as a kept state of `posting/{key}`.
fn write_state(connection: &Connection, generation: u64, key: &str, text: &str) {
    let row = "INSERT INTO projection_rows VALUES (?1, ?2, ?3)";
    connection.execute(row, params![generation.cast_signed(), key, text]).unwrap();
    let kept = "INSERT INTO snapshots (aggregate_type, aggregate_id, aggregate_version, schema,
            created_at, state, last_event_id)
        VALUES ('posting', ?1, 1, 'x', '2025-11-19 10:00:00.000000', ?2,
            '00000000-0000-4000-8000-000000000001')";
    connection.execute(kept, params![key, text]).unwrap();
}

#[tokio::test]
async fn whatever_stands_in_a_model_or_a_kept_state_costs_at_most_itself() {
    let (folder, store) = Folder::with_store().await;
    let generation = store.acquire(&claim(Slot::Active, 1)).await.unwrap().generation;
    let mut chance = Rng::with_seed(17);
    let text = |_| match chance.u8(..8) {
        0 => raw_rows::text(&mut chance),
        _ => raw_rows::json(&mut chance),
    };
    let texts: Vec<String> = (0..raw_rows::rows()).map(text).collect();
    let connection = folder.connection();
    connection.execute_batch("BEGIN").unwrap();
    for (number, text) in texts.iter().enumerate() {
        write_state(&connection, generation, &format!("{number:08}"), text);
    }
    connection.execute_batch("COMMIT").unwrap();

    let mut rows: Vec<ModelRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.key.clone());
        let page = store.rows("mail", Slot::Active, after.as_deref(), 100).await.unwrap();
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    let listed = store.list_snapshots(None, texts.len() + 1).await.unwrap();
    assert_eq!((rows.len(), listed.len()), (texts.len(), texts.len()));
    let mut odd = 0;
    for (row, text) in rows.iter().zip(&texts) {
        let is_json = "SELECT json_valid(?1)";
        let is_json: bool = connection.query_row(is_json, [text], |row| row.get(0)).unwrap();
        odd += usize::from(!is_json);
        assert_eq!(row.value.unreadable_because().is_none(), is_json, "{text}");
        let form = row.value.canonical();
        let is_repeated = matches!(form, Err(ContentProblem::RepeatedMember { .. }));
        assert!(!is_repeated, "no type is to choose between two members: {}", row.value);
        let alone = store.load("mail", Slot::Active, slice::from_ref(&row.key)).await.unwrap();
        assert_eq!((alone.len(), &alone[0].value), (1, &row.value));
        let of = stream(&format!("posting/{}", row.key));
        match store.latest_snapshot(&of, StreamVersion::FIRST).await {
            Ok(kept) => {
                assert_eq!((is_json, kept.unwrap().state.as_str()), (true, row.value.as_str()));
            }
            Err(error) => {
                assert_eq!((is_json, error.kind()), (false, StoreErrorKind::Corrupt), "{text}");
                assert!(error.to_string().contains(&of.to_string()), "{error}");
            }
        }
    }
    assert!(odd > 10 && texts.len() - odd > 100, "{odd} of {} are no JSON", texts.len());
}

#[tokio::test]
async fn a_key_written_by_hand_costs_that_key() {
    let (folder, store) = Folder::with_store().await;
    append_one(&store, "posting/1", event("a")).await;
    append_one(&store, "posting/2", event("b")).await;
    folder.run(
        "INSERT INTO idempotency_keys VALUES
             ('posting', '1', 'before', -5, 0), ('posting', '1', 'reversed', 2, 1),
             ('posting', '1', 'other', 2, 2), ('posting', '1', 'all', 1, 9223372036854775807)",
    );
    let find = async |key: &str| {
        store.find_append(&stream("posting/1"), &IdempotencyKey::new(key).unwrap()).await
    };
    for key in ["before", "reversed", "other"] {
        let error = find(key).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("posting/1"), "{error}");
    }
    assert_eq!(find("all").await.unwrap().unwrap().streams.len(), 2);
    assert!(find("none").await.unwrap().is_none());
    append_one(&store, "posting/1", event("c")).await;
    // one that names no append's number of events is not read to its end
    let many = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100001)
        INSERT INTO execution_events (event_id, aggregate_type, aggregate_id, aggregate_version,
            event_type, event_data)
        SELECT printf('%08x-0000-4000-8000-000000000000', n), 'audit', '1', n, 'x', '{}' FROM n";
    folder.run(many);
    let error = find("all").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("posting/1"), "{error}");
}

#[derive(Event, Debug, Clone, PartialEq)]
enum Done {
    ScriptExecutionCompleted { output: String },
}

/// How many events there are.
#[derive(Debug, Clone, Default, PartialEq)]
struct Count(u64);

impl Aggregate for Count {
    const TYPE: &'static str = "posting";
    type Id = String;
    type Event = Done;

    fn evolve(&mut self, _: &Done) {
        self.0 += 1;
    }
}

#[tokio::test]
async fn a_stream_with_a_hole_is_not_folded_over_it() {
    for hole in 1..=5_u64 {
        let (folder, store) = Folder::with_store().await;
        for _ in 0..6 {
            append_one(&store, "posting/1", event("one")).await;
        }
        folder.drop_triggers();
        folder.run(&format!("DELETE FROM execution_events WHERE aggregate_version = {hole}"));
        let repository = Repository::<Count>::new(store);
        let error = repository.load("1").await.unwrap_err();
        let LoadError::Gap { stream, version, next } = error else { panic!("{error}") };
        assert_eq!((stream.to_string().as_str(), version.as_u64()), ("posting/1", hole));
        assert_eq!(next.as_u64(), hole + 1);
    }
}
