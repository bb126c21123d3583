//! States of postings that are kept, by SQL and by programs, in one table.

use std::sync::Arc;

use es_core::Repository;
use es_core::backend::{EventStore, PageLimit, Snapshot, SnapshotStore};
use es_core::event::{Payload, ReadStream, StreamId, Timestamp};
use es_core::execution::{Snapshotted, StreamVersion};
use fastrand::Rng;
use serde_json::json;
use turing_domain::{Posting, PostingId};

use crate::database::{Database, turing};
use crate::histories::{Draft, any_event};
use crate::projected::Projected;
use crate::read_models::call;
use crate::support::{RUN, Workspace};

const FINDINGS: &str = "SELECT kind || ' ' || coalesce(detail, '') FROM validate_event_store()
    WHERE kind LIKE 'snapshot%' OR severity = 'error'";

fn posting(id: i32) -> StreamId {
    StreamId::new("posting", &id.to_string()).unwrap()
}

/// What a program would keep: its own fold of the first events.
async fn by_program(projected: &Projected, id: i32, version: i64) -> Snapshot {
    let folded = projected.fold(id, version).await;
    assert_eq!(folded.version, version);
    let at = StreamVersion::new(version.unsigned_abs());
    let read = ReadStream::new(posting(id)).from_version(at).to_version(at);
    let last_event = projected.store().read_stream(&read).await.unwrap().events[0].event_id;
    let taken_at = Timestamp::from_micros(1_763_546_400_123_456 + version);
    let state = Payload::of(&folded.state).unwrap();
    Snapshot::new(posting(id), at, last_event, Posting::fingerprint(), state, taken_at)
}

#[test]
fn the_fingerprint_is_the_one_that_programs_ask_for() {
    Projected::in_a_database(async |projected| {
        let fingerprint = projected.texts("SELECT posting_state_schema()").await;
        assert_eq!(fingerprint, [Posting::fingerprint()]);
    });
}

#[test]
fn a_kept_state_is_the_fold_at_its_version() {
    Projected::in_a_database(async |projected| {
        projected.clear(1).await;
        let mut chance = Rng::with_seed(5);
        let mut kept = Vec::new();
        for version in 1..=45_i64 {
            projected.run(&call(1, &any_event(&mut chance))).await;
            // looked at now and then only: what was passed since counts
            if version % 3 == 0 {
                let answer = projected.texts("SELECT maybe_create_snapshot(1)::text").await;
                kept.extend((answer == ["true"]).then_some(version));
                let again = projected.texts("SELECT maybe_create_snapshot(1)::text").await;
                assert_eq!(again, ["false"]);
            }
        }
        assert_eq!(kept, [12, 21, 30, 42]);
        let versions = "SELECT event_sequence::text FROM posting_state_snapshots ORDER BY 1";
        assert_eq!(projected.texts(versions).await, ["12", "21", "30", "42"]);
        for version in kept {
            let state = format!(
                "SELECT state::text FROM posting_state_snapshots WHERE event_sequence = {version}"
            );
            let text = projected.texts(&state).await.remove(0);
            let folded = projected.fold(1, version).await;
            let read: Posting = serde_json::from_str(&text).unwrap();
            assert_eq!(Payload::of(&read).unwrap(), Payload::of(&folded.state).unwrap());
            assert_eq!(Payload::parse(text).unwrap(), Payload::of(&folded.state).unwrap());
        }
        let none = "SELECT maybe_create_snapshot(1, 0)::text, maybe_create_snapshot(1, NULL)::text";
        assert_eq!(projected.texts(none).await, ["false"]);
        assert_eq!(projected.texts("SELECT maybe_create_snapshot(1, 1)::text").await, ["true"]);
        assert_eq!(
            projected
                .texts(
                    "SELECT count(*)::text FROM validate_event_store() WHERE kind LIKE 'snapshot%'"
                )
                .await,
            ["0"]
        );
    });
}

#[test]
fn a_run_keeps_the_states_of_postings_where_sql_looks_for_them() {
    let workspace = Workspace::with_two_scripts(2, ["echo first", "echo second"]);
    let database = Database::migrated();
    let url = database.url();
    let run = [&RUN[..], &["--snapshot-interval", "1"]].concat();
    turing(&workspace, &url, &run).expect_code(0);
    let count = "SELECT count(*)::text FROM posting_state_snapshots";
    let kept = database.number(count);
    assert!(kept >= 4, "{kept}");
    let elsewhere = "SELECT count(*)::text FROM execution_events_snapshots
        WHERE aggregate_type = 'posting'";
    assert_eq!(database.number(elsewhere), 0);
    assert_eq!(database.texts(FINDINGS), [""; 0], "what programs keep is the replay in SQL");
    // SQL sees that the newest state is kept, and a program what SQL kept
    let again = "SELECT maybe_create_snapshot(1, 1)::text";
    assert_eq!(database.texts(again), ["false"]);
    database.run("DELETE FROM posting_state_snapshots WHERE posting_id = 1");
    assert_eq!(database.texts(again), ["true"]);
    let listed = turing(&workspace, &url, &["snapshot", "list", "posting", "1", "--json"]);
    let listed = listed.expect_code(0).json_lines();
    let version = database.number(
        "SELECT aggregate_version::text FROM posting_state_projection WHERE posting_id = 1",
    );
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["version"], &listed[0]["schema"]),
        (&json!(version), &json!(Posting::fingerprint()))
    );
    let planted = "UPDATE posting_state_snapshots SET state = state || '{\"is_terminal\": null}'
        WHERE posting_id = 2 AND event_sequence = 3";
    database.run(planted);
    assert!(database.texts(FINDINGS)[0].starts_with("snapshot_differs"));
    let pruned = turing(&workspace, &url, &["snapshot", "prune", "--json"]).expect_code(0).json();
    let left = database.number(count);
    assert_eq!((left, &pruned["streams"]), (2, &json!(1)));
    assert_eq!(database.texts(FINDINGS), [""; 0], "the wrong one was old");
    turing(&workspace, &url, &["snapshot", "prune", "--keep", "0"]).expect_code(0);
    assert_eq!(database.number(count), 0);
}

#[test]
fn whatever_the_events_are_what_a_program_keeps_is_what_sql_keeps() {
    Projected::in_a_database(async |projected| {
        let (first, second) = (posting(1), posting(2));
        for seed in 0..8 {
            projected.clear(2).await;
            let mut chance = Rng::with_seed(seed);
            for version in 1..=30_i64 {
                for id in [1, 2] {
                    projected.run(&call(id, &any_event(&mut chance))).await;
                }
                // a program keeps one posting, SQL the other and now and then the same
                let own = by_program(&projected, 1, version).await;
                projected.store().save_snapshot(own.clone()).await.unwrap();
                let by_sql = "SELECT maybe_create_snapshot(1, 1)::text";
                assert_eq!(projected.texts(by_sql).await, ["false"]);
                let store = projected.store();
                let latest = store.latest_snapshot(&first, StreamVersion::MAX);
                assert_eq!(latest.await.unwrap(), Some(own));
                let by_sql = "SELECT maybe_create_snapshot(2, 1)::text";
                assert_eq!(projected.texts(by_sql).await, ["true"]);
                let (up_to, limit) = (StreamVersion::MAX, PageLimit::default());
                let found = store.latest_with_tail(&second, up_to, limit);
                let found = found.await.unwrap().unwrap();
                let read = found.snapshot.unwrap();
                let mut expected = by_program(&projected, 2, version).await;
                expected.taken_at = read.taken_at;
                assert_eq!(read, expected, "seed {seed}");
                assert_eq!(found.tail.events.len(), 1, "the last event in it");
            }
            assert_eq!(projected.texts(FINDINGS).await, [""; 0], "seed {seed}");
        }
    });
}

#[test]
fn a_planted_fault_in_what_a_program_kept_is_found() {
    Projected::in_a_database(async |projected| {
        projected.clear(3).await;
        let mut chance = Rng::with_seed(11);
        for version in 1..=12 {
            for id in 1..=3 {
                projected.run(&call(id, &any_event(&mut chance))).await;
                let own = by_program(&projected, id, version).await;
                projected.store().save_snapshot(own).await.unwrap();
            }
        }
        assert_eq!(projected.texts(FINDINGS).await, [""; 0]);
        let mut wrong = by_program(&projected, 1, 7).await;
        wrong.state = Payload::parse(r#"{"outputs":{}}"#.to_owned()).unwrap();
        projected.store().save_snapshot(wrong).await.unwrap();
        let mut ahead = by_program(&projected, 2, 12).await;
        ahead.version = StreamVersion::new(13);
        projected.store().save_snapshot(ahead).await.unwrap();
        let mut stale = by_program(&projected, 3, 1).await;
        stale.schema = "posting r1 []".to_owned();
        projected.store().save_snapshot(stale).await.unwrap();
        let kinds = "SELECT kind || ' ' || aggregate_id FROM validate_event_store()
            WHERE severity = 'error' ORDER BY aggregate_id";
        assert_eq!(
            projected.texts(kinds).await,
            ["snapshot_differs 1", "snapshot_newer_than_stream 2", "snapshot_of_another_schema 3"]
        );
        let repairs = "SELECT repair FROM validate_event_store() WHERE severity = 'error'";
        for repair in projected.texts(repairs).await {
            projected.run(&repair).await;
        }
        assert_eq!(projected.texts(FINDINGS).await, [""; 0]);
    });
}

#[test]
fn a_state_of_a_posting_that_is_not_registered_is_dropped_and_hurts_nobody() {
    Projected::in_a_database(async |projected| {
        projected.clear(1).await;
        projected.run(&call(1, &any_event(&mut Rng::with_seed(2)))).await;
        let own = by_program(&projected, 1, 1).await;
        let mut unknown = own.clone();
        unknown.stream = posting(99);
        let refused = projected.store().save_snapshot(unknown).await.unwrap_err();
        assert!(refused.to_string().contains("posting/99"), "{refused}");
        assert!(!refused.is_transient(), "those that wait behind it are kept");
        projected.store().save_snapshot(own.clone()).await.unwrap();
        let latest = projected.store().latest_snapshot(&posting(1), StreamVersion::MAX).await;
        assert_eq!(latest.unwrap(), Some(own));
        projected.run(&call(1, &any_event(&mut Rng::with_seed(3)))).await;
        projected.assert_equals_fold(1, "appended after the refusal").await;
    });
}

#[test]
fn states_that_programs_kept_before_they_were_shared_are_forgotten() {
    let database = Database::migrated();
    database.run(
        "INSERT INTO execution_events_snapshots VALUES
             ('posting', 1, 1, 'x', now(), '{}'), ('workflow', 1, 1, 'x', now(), '{}')",
    );
    // the step, which a database that is migrated has behind it
    let step = include_str!("../../migrations/postgres/0021_forget_unshared_snapshots.sql");
    database.run(&step.replace("{schema}", "public").replace("{events}", "execution_events"));
    let left = "SELECT aggregate_type FROM execution_events_snapshots";
    assert_eq!(database.texts(left), ["workflow"]);
}

#[test]
fn states_of_events_that_were_restored_are_used_by_nobody_and_replaced() {
    Projected::in_a_database(async |projected| {
        projected.clear(2).await;
        let mut chance = Rng::with_seed(12);
        for version in 1..=6 {
            for id in 1..=2 {
                projected.run(&call(id, &any_event(&mut chance))).await;
                let own = by_program(&projected, id, version).await;
                projected.store().save_snapshot(own).await.unwrap();
            }
        }
        // the posting begins anew with other events; an older program knew no last events
        projected
            .run(
                "ALTER TABLE execution_events DISABLE TRIGGER execution_events_are_append_only;
                 DELETE FROM execution_events WHERE aggregate_id = 1;
                 DELETE FROM posting_state_projection WHERE posting_id = 1;
                 ALTER TABLE execution_events ENABLE ALWAYS TRIGGER execution_events_are_append_only;
                 UPDATE posting_state_snapshots SET last_event_id = NULL
                 WHERE posting_id = 2 AND event_sequence = 6",
            )
            .await;
        let store = Arc::new(projected.store());
        let postings = Repository::<Posting>::new(store.clone());
        let keeping = postings.clone().snapshot_every(0);
        let mut compared = 0;
        for version in 1..=8 {
            let draft = match version {
                1 => Draft {
                    event_type: "llm_call_completed",
                    payload: json!({"output": "readable"}).into(),
                    metadata: json!({"conversation_id": 1}),
                },
                _ => any_event(&mut chance),
            };
            projected.run(&call(1, &draft)).await;
            for id in [1, 2] {
                // some of these events no program can read
                let loaded = keeping.load(&PostingId(id)).await.map_err(|error| error.to_string());
                let folded = postings.load(&PostingId(id)).await.map_err(|error| error.to_string());
                if let Ok(folded) = folded {
                    assert_eq!(loaded.as_ref(), Ok(&folded), "at {version}");
                    compared += 1;
                }
            }
            let foreign = "SELECT count(*)::text FROM validate_event_store()
                WHERE severity = 'error' AND kind = 'snapshot_of_another_history' GROUP BY aggregate_id
                ORDER BY aggregate_id";
            assert_eq!(projected.texts(foreign).await, [version.min(6).to_string(), "1".into()]);
        }
        assert!(compared > 0);
        let by_sql =
            "SELECT maybe_create_snapshot(1, 4)::text || maybe_create_snapshot(2, 6)::text";
        assert_eq!(projected.texts(by_sql).await, ["truetrue"], "those there keep none away");
        let kept = "SELECT s.event_sequence::text FROM posting_state_snapshots s
            JOIN execution_events e ON e.event_id = s.last_event_id WHERE s.posting_id = 1
            UNION ALL SELECT count(*)::text FROM posting_state_snapshots
            WHERE posting_id = 2 AND last_event_id IS NOT NULL";
        assert_eq!(projected.texts(kept).await, ["8", "6"]);
        let repairs = "SELECT repair FROM validate_event_store() WHERE severity = 'error'";
        for repair in projected.texts(repairs).await {
            projected.run(&repair).await;
        }
        assert_eq!(projected.texts(FINDINGS).await, [""; 0]);
    });
}
