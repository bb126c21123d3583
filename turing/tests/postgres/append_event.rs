//! The function `append_event`: versions, keys, and callers at the same time.

use std::collections::BTreeSet;

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, NewEvent};
use es_core::event::{EventId, Payload, ReadStream, StreamId, check_json};
use es_core::execution::{IdempotencyKey, StreamVersion};
use es_postgres::sqlx::types::Uuid;
use es_postgres::sqlx::{self, AssertSqlSafe, PgPool, Row};
use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::json;
use turing_domain::PostingEvent;

use crate::histories::any_row;
use crate::projected::Projected;
use crate::read_models::call;

/// Appends in a session of its own and answers version and event id.
async fn appended(pool: &PgPool, arguments: &str) -> (i32, Uuid) {
    let statement = format!("SELECT aggregate_version, event_id FROM append_event({arguments})");
    let row = sqlx::query(AssertSqlSafe(statement)).fetch_one(pool).await.unwrap();
    (row.get(0), row.get(1))
}

fn with_postings<T>(postings: i32, test: impl AsyncFnOnce(Projected) -> T) -> T {
    Projected::in_a_database(async |projected| {
        projected.clear(postings).await;
        test(projected).await
    })
}

#[test]
fn the_version_is_that_of_the_new_event_and_a_taken_one_is_refused_by_the_constraints_name() {
    with_postings(2, async |projected| {
        let pool = &projected.pool;
        assert_eq!(appended(pool, "'llm_call_completed', 1").await.0, 1);
        assert_eq!(appended(pool, "'llm_call_completed', 1, aggregate_version => 2").await.0, 2);
        assert_eq!(
            appended(pool, "'workflow_started', 1, aggregate_type => 'workflow'").await.0,
            1
        );
        let taken = "SELECT append_event('llm_call_completed', 1, aggregate_version => 2)";
        let raw = "INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
            VALUES ('posting', 1, 2, 'llm_call_completed', '{}')";
        for statement in [taken, raw] {
            // in the words of the specification, whatever the server's language
            let english = format!("SET lc_messages TO 'C'; {statement}");
            let error = projected.refused(&english).await;
            let words =
                "duplicate key value violates unique constraint \"unique_aggregate_version\"";
            assert_eq!(error.code, "23505", "{error:?}");
            assert_eq!(error.constraint.as_deref(), Some("unique_aggregate_version"));
            assert!(error.text.contains(words), "{error:?}");
        }
        let gap = "SELECT append_event('llm_call_completed', 1, aggregate_version => 4)";
        let error = projected.refused(gap).await;
        assert_eq!(error.code, "23000", "{error:?}");
        assert!(error.text.contains("event 4 of posting 1 would leave a gap"), "{error:?}");
        let stranger = projected.refused("SELECT append_event('llm_call_completed', 99)").await;
        assert!(stranger.text.contains("posting 99 is not registered"), "{stranger:?}");
        for (arguments, what) in [
            ("'LLM', 1", "event_type"),
            ("NULL, 1", "event_type"),
            ("'x', 1, idempotency_key => ''", "idempotency_key"),
            ("'x', 1, idempotency_key => E'a\\nb'", "idempotency_key"),
        ] {
            let error = projected.refused(&format!("SELECT append_event({arguments})")).await;
            assert_eq!(error.code, "22023", "{error:?}");
            assert!(error.text.contains(what), "{error:?}");
        }
        assert_eq!(projected.texts("SELECT count(*)::text FROM execution_events").await, ["3"]);
    });
}

#[test]
fn what_programs_cannot_read_is_refused_at_the_door() {
    with_postings(2, async |projected| {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let refused = [
            (r#"{"output": 1e400}"#.to_owned(), "a number beyond a double"),
            (r#"{"a": [{"b": -1e309}]}"#.to_owned(), "a number beyond a double"),
            (format!(r#"{{"output": {}}}"#, nested(64)), "nested deeper than 64 levels"),
            (format!(r#"{{"output": {}}}"#, nested(2_000)), "nested deeper than 64 levels"),
            (
                r#"{"output": {"$serde_json::private::RawValue": "[1]"}}"#.to_owned(),
                "a key that belongs to",
            ),
            (r#"{"$serde_json::private::Number": 1}"#.to_owned(), "a key that belongs to"),
        ];
        for (json, problem) in &refused {
            for (part, arguments) in
                [("event_data", format!("'{json}'")), ("metadata", format!("'{{}}', '{json}'"))]
            {
                let call = format!("SELECT append_event('llm_call_completed', 1, {arguments})");
                let error = projected.refused(&call).await;
                assert_eq!(error.code, "22023", "{error:?}");
                assert!(error.text.contains(&format!("{part} has ")), "{error:?}");
                assert!(error.text.contains(problem), "{error:?}");
                assert!(error.text.contains("write the number as a string"), "{error:?}");
            }
        }
        let entered = r#"{"run_id": "0193a1d4-0000-7000-8000-000000000001", "workflow_id": 3001.0,
            "entry_conversation_id": 1}"#;
        for (arguments, problem) in [
            ("'llm_call_completed', 1, '[1]'".to_owned(), "event_data is no object"),
            (
                r#"'llm_call_completed', 1, to_jsonb('{"output": 1}'::text)"#.to_owned(),
                "event_data is no object but of the type string",
            ),
            ("'llm_call_completed', 1, NULL".to_owned(), "event_data is null"),
            ("'llm_call_completed', 1, '{}', '[]'".to_owned(), "metadata is no object"),
            (
                r#"'llm_call_completed', 1, '{}', '{"event_version": 1.0}'"#.to_owned(),
                "event_version in metadata is 1.0",
            ),
            (
                r#"'x', 1, '{}', '{"event_version": 1.0}', 'actor'"#.to_owned(),
                "event_version in metadata is 1.0",
            ),
            (format!("'posting_entered_run', 1, '{entered}'"), "no posting_entered_run"),
            ("'note_added', 1".to_owned(), "no note_added of a posting"),
            (
                "'llm_call_completed', 1, jsonb_build_object('output', repeat('a', 17000000))"
                    .to_owned(),
                "more than 16 MiB",
            ),
            (
                "'llm_call_completed', 1, '{}', jsonb_build_object('a', repeat('a', 70000))"
                    .to_owned(),
                "more than 64 KiB",
            ),
        ] {
            let error = projected.refused(&format!("SELECT append_event({arguments})")).await;
            assert_eq!(error.code, "22023", "{error:?}");
            assert!(error.text.contains(problem), "{error:?}");
        }
        // each type that the refusal names is one that it takes
        let unknown = "SELECT append_event('llm_call_complete', 1)";
        let error = projected.refused(unknown).await;
        let named = error.text.split_once("a posting takes ").unwrap().1;
        let named = named.split_once(" from an application").unwrap().0;
        assert_eq!(named.split(", ").count(), 7, "{error:?}");
        for event_type in named.split(", ") {
            appended(&projected.pool, &format!("'{event_type}', 2")).await;
        }
        let digits = "9".repeat(400);
        let kept = [
            format!(r#"{{"output": {}}}"#, nested(63)),
            r#"{"output": [1.7976931348623157e308, 1e-300]}"#.to_owned(),
            format!(r#"{{"output": "{digits} \"$serde_json::private::Number\": 1"}}"#),
            r#"{"output": {"x\"$serde_json::private::Number": 1}}"#.to_owned(),
        ];
        for json in kept {
            let call = format!("'llm_call_completed', 1, '{json}', '{json}'");
            appended(&projected.pool, &call).await;
        }
        projected.assert_equals_fold(1, "after what is kept").await;
    });
}

#[test]
fn what_is_let_in_is_what_programs_read_and_write() {
    with_postings(2, async |projected| {
        let seed = fastrand::u64(..);
        let mut chance = Rng::with_seed(seed);
        let stream = StreamId::new("posting", "1").unwrap();
        let (mut read, mut unread) = (0, 0);
        for version in 1..=300 {
            let draft = any_row(&mut chance);
            let any = call(1, &draft);
            projected.run(&any).await;
            let last = ReadStream::new(stream.clone()).from_version(StreamVersion::new(version));
            let page = projected.store().read_stream(&last).await.unwrap();
            let is_stored = |json: &str| check_json(json, 65_536, 64).is_ok();
            let is_read = page.events[0].decode::<PostingEvent>().is_ok()
                && is_stored(draft.payload.as_str())
                && is_stored(&draft.metadata.to_string());
            let let_in = any.replace("append_any(", "append_event(").replace(", 1, ", ", 2, ");
            let done = sqlx::raw_sql(AssertSqlSafe(let_in)).execute(&projected.pool).await;
            assert_eq!(done.is_ok(), is_read, "seed {seed}: {draft:?}: {done:?}");
            *(if is_read { &mut read } else { &mut unread }) += 1;
        }
        assert!(read > 50 && unread > 5, "seed {seed}: {read} and {unread}");
    });
}

#[test]
fn a_stream_that_an_insert_has_filled_is_told_of() {
    with_postings(1, async |projected| {
        let last = "INSERT INTO execution_events
            (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
            VALUES ('posting', 1, 2147483647, 'llm_call_completed', '{}')";
        projected.run(last).await;
        let error = projected.refused("SELECT append_event('llm_call_completed', 1)").await;
        assert_eq!(error.code, "54000", "{error:?}");
        assert!(error.text.contains("has an event of the highest version"), "{error:?}");
    });
}

#[test]
fn a_repeat_with_its_key_gives_the_first_event_and_another_content_is_an_error() {
    with_postings(2, async |projected| {
        let pool = &projected.pool;
        let keyed = r#"'llm_call_completed', 1, '{"output": "a", "n": 1}', idempotency_key => 'k'"#;
        let first = appended(pool, keyed).await;
        appended(pool, "'llm_call_failed', 1").await;
        let other_form = r#"'llm_call_completed', 1, '{"n": 1.0, "output": "a"}', '{"actor_id": 1}', idempotency_key => 'k'"#;
        for repeat in [keyed, other_form, &format!("{keyed}, aggregate_version => 1")] {
            assert_eq!(appended(pool, repeat).await, first, "{repeat}");
        }
        for other in [
            r#"'llm_call_completed', 1, '{"output": "b"}', idempotency_key => 'k'"#,
            r#"'llm_call_failed', 1, '{"output": "a", "n": 1}', idempotency_key => 'k'"#,
        ] {
            let error = projected.refused(&format!("SELECT append_event({other})")).await;
            assert_eq!(error.code, "ES004", "{error:?}");
            assert!(error.text.contains("'k' was used on posting 1"), "{error:?}");
        }
        // the key of another posting is another one
        assert_eq!(appended(pool, &keyed.replace(", 1, '", ", 2, '")).await.0, 1);
        assert_eq!(projected.texts("SELECT count(*)::text FROM execution_events").await, ["3"]);
    });
}

#[test]
fn keys_are_the_same_as_the_stores() {
    with_postings(1, async |projected| {
        let stream = StreamId::new("posting", "1").unwrap();
        let event = |n: u128| {
            let payload = Payload::of(&json!({"output": "a"})).unwrap();
            NewEvent::new(EventId::from_uuid(Uuid::from_u128(n)), "llm_call_completed", payload)
        };
        let request = |key: &str, events: Vec<NewEvent>| {
            AppendRequest::to(stream.clone(), ExpectedVersion::Any, events)
                .with_key(IdempotencyKey::new(key).unwrap())
        };
        let call = |key: &str| {
            format!(r#"'llm_call_completed', 1, '{{"output": "a"}}', idempotency_key => '{key}'"#)
        };
        projected.store().append(request("a", vec![event(1)])).await.unwrap();
        let (version, id) = appended(&projected.pool, &call("a")).await;
        assert_eq!((version, id.as_u128()), (1, 1));
        let by_call = appended(&projected.pool, &call("b")).await;
        let by_store = projected.store().append(request("b", vec![event(3)])).await.unwrap();
        assert!(by_store.repeated);
        assert_eq!(by_store.streams[0].version().as_u64(), u64::try_from(by_call.0).unwrap());
        projected.store().append(request("two", vec![event(5), event(6)])).await.unwrap();
        let error = projected.refused(&format!("SELECT append_event({})", call("two"))).await;
        assert_eq!(error.code, "ES004", "{error:?}");
    });
}

#[test]
fn callers_at_the_same_time_all_append_and_those_with_one_key_get_one_event() {
    with_postings(2, async |projected| {
        let calls = (0..8).map(|caller| {
            let pool = projected.pool.clone();
            async move {
                let mut answers = Vec::new();
                for call in 0..20 {
                    appended(
                        &pool,
                        &format!("'llm_call_failed', 1, '{{\"error\": \"{caller}\"}}'"),
                    )
                    .await;
                    let keyed =
                        format!("'llm_call_completed', 2, idempotency_key => 'call {call}'");
                    answers.push(appended(&pool, &keyed).await);
                }
                answers
            }
        });
        let answers = join_all(calls).await;
        let versions = "SELECT aggregate_version::text FROM get_aggregate_events('posting', 1)";
        let expected: Vec<_> = (1..=160).map(|version: i32| version.to_string()).collect();
        assert_eq!(projected.texts(versions).await, expected);
        let different: BTreeSet<_> = answers.iter().collect();
        assert_eq!(different.len(), 1, "all callers get the same events");
        assert_eq!(answers[0].iter().collect::<BTreeSet<_>>().len(), 20);
        let count = "SELECT count(*)::text FROM get_aggregate_events('posting', 2)";
        assert_eq!(projected.texts(count).await, ["20"]);
        for posting in [1, 2] {
            projected.assert_equals_fold(posting, "after the callers").await;
        }
    });
}
