//! The state of postings in SQL: the same as the fold in Rust, whoever wrote the events.

use std::collections::BTreeMap;

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, NewEvent};
use es_core::event::{EventId, StreamId, Timestamp};
use es_postgres::sqlx::types::Uuid;
use es_postgres::sqlx::{self, AssertSqlSafe};
use fastrand::Rng;
use serde_json::Value;
use turing_domain::{ConversationId, Noted};

use crate::database::Database;
use crate::histories::{Draft, any_event, any_row, odd_ids, odd_instants, odd_texts};
use crate::projected::Projected;

const POSTINGS: i32 = 6;

fn quoted(text: String) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn quoted_metadata(draft: &Draft) -> String {
    match draft.metadata.is_null() {
        true => "NULL".to_owned(),
        false => quoted(draft.metadata.to_string()),
    }
}

/// The call that appends an event with the next version, also one that `append_event` would refuse.
pub(crate) fn call(posting: i32, draft: &Draft) -> String {
    let (payload, metadata) = (quoted(draft.payload.to_string()), quoted_metadata(draft));
    format!("SELECT append_any('{}', {posting}, {payload}, {metadata})", draft.event_type)
}

/// Rows for `execution_events`, in any order.
pub(crate) fn insert(rows: &[(i32, i32, Draft)]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|(posting, version, draft)| {
            let metadata = quoted_metadata(draft);
            let payload = quoted(draft.payload.to_string());
            format!(
                "('posting', {posting}, {version}, '{}', {payload}, {metadata})",
                draft.event_type
            )
        })
        .collect();
    format!(
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
         VALUES {}",
        rows.join(", ")
    )
}

/// One append of random events, in one of the ways in which programs write them.
async fn append(projected: &mut Projected, chance: &mut Rng, versions: &mut BTreeMap<i32, i32>) {
    let mut next = |posting: i32| {
        let version = versions.entry(posting).or_default();
        *version += 1;
        *version
    };
    match chance.u32(..5) {
        // by the store, to one stream or in one unit of work
        0 => {
            let mut request: Option<AppendRequest> = None;
            for posting in 1..=chance.i32(1..=3) {
                let stream = StreamId::new("posting", &posting.to_string()).unwrap();
                let events: Vec<_> = (0..chance.usize(1..=3))
                    .map(|_| {
                        next(posting);
                        let draft = any_event(chance);
                        let id = EventId::from_uuid(Uuid::from_u128(chance.u128(..)));
                        let payload = draft.payload.clone();
                        NewEvent::new(id, draft.event_type, payload)
                            .with_metadata(serde_json::from_value(draft.metadata).unwrap())
                    })
                    .collect();
                request = Some(match request {
                    None => AppendRequest::to(stream, ExpectedVersion::Any, events),
                    Some(request) => request.and(stream, ExpectedVersion::Any, events),
                });
            }
            projected.store().append(request.unwrap()).await.unwrap();
        }
        // by hand, one row
        1 => {
            let posting = chance.i32(1..=POSTINGS);
            let row = (posting, next(posting), any_row(chance));
            projected.run(&insert(&[row])).await;
        }
        // by hand, many rows of many postings in any order
        2 => {
            let mut rows: Vec<_> = (0..chance.usize(2..=25))
                .map(|_| {
                    let posting = chance.i32(1..=POSTINGS);
                    (posting, next(posting), any_row(chance))
                })
                .collect();
            chance.shuffle(&mut rows);
            projected.run(&insert(&rows)).await;
        }
        // by the function
        3 => {
            let posting = chance.i32(1..=POSTINGS);
            next(posting);
            projected.run(&call(posting, &any_row(chance))).await;
        }
        // by hand, one statement each, the later version first
        _ => {
            let posting = chance.i32(1..=POSTINGS);
            let mut rows: Vec<_> =
                (0..3).map(|_| (posting, next(posting), any_row(chance))).collect();
            rows.reverse();
            for row in rows {
                projected.run(&insert(&[row])).await;
                projected.assert_equals_fold(posting, "between").await;
            }
        }
    }
}

fn equals_the_fold(seeds: std::ops::Range<u64>, appends: usize) {
    Projected::in_a_database(async |mut projected| {
        for seed in seeds {
            projected.clear(POSTINGS).await;
            let (mut chance, mut versions) = (Rng::with_seed(seed), BTreeMap::new());
            for _ in 0..appends {
                append(&mut projected, &mut chance, &mut versions).await;
            }
            for posting in 1..=POSTINGS {
                projected.assert_equals_fold(posting, &format!("seed {seed}, live")).await;
            }
            let live = projected.rows().await;
            assert!(live.len() >= 3, "{live:?}");
            projected.run("DELETE FROM posting_state_projection WHERE posting_id % 2 = 0").await;
            let rebuild = "SELECT rebuild_posting_state(posting_id) FROM postings";
            projected.run(rebuild).await;
            assert_eq!(projected.rows().await, live, "seed {seed}, rebuilt one by one");
            projected.run("DELETE FROM posting_state_projection").await;
            projected.run("SELECT rebuild_all_posting_states()").await;
            assert_eq!(projected.rows().await, live, "seed {seed}, rebuilt all");
        }
    });
}

#[test]
fn the_rows_of_random_histories_are_those_of_the_fold_live_and_rebuilt() {
    equals_the_fold(0..12, 30);
}

#[test]
fn an_event_of_a_posting_that_is_not_registered_is_refused_by_name() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        let draft = any_event(&mut Rng::with_seed(1));
        for version in [1, 5] {
            let error = projected.refused(&insert(&[(4711, version, draft.clone())])).await;
            assert_eq!(error.code, "23503", "{error:?}");
            assert!(error.text.contains("4711"), "{error:?}");
        }
    });
    assert_eq!(database.number("SELECT count(*)::text FROM execution_events"), 0);
}

#[test]
fn no_content_makes_an_append_fail() {
    Projected::in_a_database(async |projected| {
        projected.clear(4).await;
        let row = |aggregate_type: &str, version: i32, output: &str| {
            format!(
                "INSERT INTO execution_events
                     (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
                 SELECT '{aggregate_type}', 1, {version}, 'script_execution_completed',
                     ('{{\"output\": ' || {output} || '}}')::jsonb, '{{\"conversation_id\": 1}}'"
            )
        };
        // as deep as the database takes them elsewhere
        let mut version = 0;
        for depth in [100, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000, 10_000] {
            let output = format!("repeat('[', {depth}) || repeat(']', {depth})");
            let elsewhere = row("workflow", version + 1, &output);
            if sqlx::raw_sql(AssertSqlSafe(elsewhere)).execute(&projected.pool).await.is_ok() {
                version += 1;
                projected.run(&row("posting", version, &output)).await;
            }
        }
        assert!(version > 3, "only {version} depths were taken");
        projected.run(&row("posting", version + 1, "'\"' || repeat('ä', 3000000) || '\"'")).await;
        projected.run(&row("posting", version + 2, "'1e400'")).await;
        projected.run(&row("posting", version + 3, "'-1e-400'")).await;
        projected.run("SELECT rebuild_all_posting_states()").await;
        let count = "SELECT count(*)::text FROM get_aggregate_events('posting', 1)";
        assert_eq!(projected.texts(count).await, [(version + 3).to_string()]);
    });
}

#[test]
fn odd_ids_instants_and_texts_are_read_as_in_rust() {
    Projected::in_a_database(async |projected| {
        let read = async |function: &str, value: &Value| {
            let value = quoted(value.to_string());
            let statement = format!("SELECT coalesce({function}({value}::jsonb)::text, 'absent')");
            projected.texts(&statement).await.remove(0)
        };
        for id in odd_ids() {
            let noted: Noted<ConversationId> = serde_json::from_value(id.clone()).unwrap();
            let expected = noted.map_or_else(|| "absent".to_owned(), |id| id.to_string());
            assert_eq!(read("posting_note_int", &id).await, expected, "{id}");
        }
        for instant in odd_instants() {
            let read_in_rust = serde_json::from_value::<Timestamp>(instant.clone());
            let expected = read_in_rust.map_or_else(|_| "absent".to_owned(), |at| at.to_string());
            assert_eq!(read("posting_field_instant", &instant).await, expected, "{instant}");
        }
        // both read what the database keeps
        for text in odd_texts() {
            let kept = format!("SELECT {}::jsonb::text", quoted(text));
            let kept = projected.texts(&kept).await.remove(0);
            let noted: Noted<String> = serde_json::from_str(&kept).unwrap();
            let expected = noted.0.unwrap_or_else(|| "absent".to_owned());
            let read = quoted(kept.clone());
            let read = format!("SELECT coalesce(posting_note_text({read}::jsonb), 'absent')");
            assert_eq!(projected.texts(&read).await, [expected], "{kept}");
        }
    });
}
