//! Runs with many conversations: what an append to them costs, and that their states are whole.

use serde_json::json;

use crate::database::{Database, turing};
use crate::histories::Draft;
use crate::long_postings::cost;
use crate::projected::Projected;
use crate::read_models::insert;
use crate::support::Workspace;

/// Inserts steps of one run from one version to another, on a way through so many conversations that comes
/// back to each: an even version completes what the odd one before leads to. Now and then one fails, and is
/// to be tried again.
fn wandering(posting: i32, from: i32, to: i32, conversations: i32) -> String {
    format!(
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
         SELECT 'posting', {posting}, v,
             CASE
                 WHEN v = 1 THEN 'posting_entered_run'
                 WHEN v % 20 = 10 THEN 'llm_call_failed'
                 WHEN v % 20 = 11 THEN 'retry_scheduled'
                 WHEN v % 2 = 0 THEN 'llm_call_completed'
                 ELSE 'branch_taken'
             END,
             CASE
                 WHEN v = 1 THEN jsonb_build_object(
                     'run_id', '0193a1d4-0000-7000-8000-000000000001',
                     'workflow_id', 3001, 'entry_conversation_id', 1
                 )
                 WHEN v % 20 = 10 THEN '{{\"failure_type\": \"timeout\", \"error\": \"x\"}}'
                 WHEN v % 20 = 11 THEN
                     '{{\"attempt\": 1, \"failure_type\": \"timeout\", \"due_at\": \"2025-03-30T02:30:00Z\"}}'
                 WHEN v % 2 = 0 THEN jsonb_build_object('output', v)
                 ELSE jsonb_build_object(
                     'rule', v % 3 + 1, 'priority', 0, 'condition', '*',
                     'to', (v + 1) / 2 * 7919 % {conversations} + 1
                 )
             END,
             jsonb_build_object('conversation_id', v / 2 * 7919 % {conversations} + 1)
         FROM generate_series({from}, {to}) v
         ORDER BY v"
    )
}

/// Inserts the entries into so many runs, one behind the other, from this version on.
fn entering(posting: i32, from: i32, runs: i32) -> String {
    format!(
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         SELECT 'posting', {posting}, {from} - 1 + n, 'posting_entered_run', jsonb_build_object(
             'run_id', '0193a1d4-0000-7000-8000-00000000000' || n + 1,
             'workflow_id', 3001, 'entry_conversation_id', 1
         )
         FROM generate_series(1, {runs}) n"
    )
}

/// Another system's state, in which one conversation has completed.
fn import(replaces: bool) -> Draft {
    let payload = json!({
        "source": "public.posting_state_checkpoints", "row_digest": "", "is_terminal": false,
        "current_conversation_id": 7, "replaces": replaces, "execution_sequence": [7],
        "outputs": {"7": "theirs"},
    });
    Draft { event_type: "posting_state_imported", payload: payload.into(), metadata: json!({}) }
}

/// The conversations of runs that have moved out of their rows.
const MOVED_OF_RUNS: &str = "SELECT count(*) FROM posting_state_values WHERE part = 'run'";

#[test]
fn an_append_touches_no_more_rows_however_many_conversations_its_run_has_had() {
    Projected::in_a_database(async |projected| {
        projected.clear(2).await;
        for (posting, conversations) in [(1, 10), (2, 400)] {
            projected.run(&wandering(posting, 1, 2 * conversations + 1, 100_000)).await;
        }
        projected.run("VACUUM ANALYZE").await;
        let append = |posting, first| {
            (first..first + 100).map(move |conversation| {
                wandering(posting, 2 * conversation, 2 * conversation + 1, 100_000)
            })
        };
        let (short_written, short_read) = cost(&projected, append(1, 11)).await;
        let (written, read) = cost(&projected, append(2, 401)).await;
        let what = format!("{written} and {read} rows, not {short_written} and {short_read}");
        assert!(short_written >= 3 * 100, "{what}");
        assert!(2 * written <= 3 * short_written, "{what}");
        assert!(2 * read <= 3 * short_read, "{what}");
        for posting in 1..=2 {
            projected.assert_equals_fold(posting, "in the end").await;
        }
    });
}

#[test]
fn a_long_run_is_the_fold_wherever_it_comes_back_to_and_ends_with_the_next() {
    Projected::in_a_database(async |projected| {
        projected.clear(3).await;
        for (posting, conversations) in [(1, 50), (2, 120), (3, 200)] {
            projected.run(&wandering(posting, 1, 120, conversations)).await;
            for version in (121..420).step_by(3) {
                projected.run(&wandering(posting, version, version + 2, conversations)).await;
            }
            projected.assert_equals_fold(posting, "live").await;
        }
        let parts = projected.texts(MOVED_OF_RUNS).await[0].parse::<i32>().unwrap();
        assert!(parts > 100, "{parts}");
        assert_eq!(projected.texts("SELECT rebuild_all_posting_states()::text").await, ["0"]);
        let live = projected.rows().await;
        projected.run("SELECT rebuild_posting_state(posting_id) FROM postings").await;
        assert_eq!(projected.rows().await, live, "rebuilt");

        // one enters the next run, and one two at once: nothing of the run before is left
        for (posting, runs) in [(1, 1), (2, 2)] {
            projected.run(&entering(posting, 421, runs)).await;
            projected.assert_equals_fold(posting, "in the next run").await;
            let left = format!("{MOVED_OF_RUNS} AND posting_id = {posting}");
            assert_eq!(projected.texts(&left).await, ["0"]);
        }
        projected.run(&wandering(1, 422, 521, 50)).await;
        projected.assert_equals_fold(1, "later in the next run").await;
    });
}

#[test]
fn an_import_ends_a_long_run_and_leaves_nothing_of_what_it_replaces() {
    Projected::in_a_database(async |projected| {
        projected.clear(4).await;
        for posting in 1..=4 {
            projected.run(&wandering(posting, 1, 420, 200)).await;
        }
        let parts = projected.texts(MOVED_OF_RUNS).await[0].parse::<i32>().unwrap();
        assert!(parts > 100, "{parts}");
        let completed = || Draft {
            event_type: "llm_call_completed",
            payload: json!({"output": "ours"}).into(),
            metadata: json!({"conversation_id": 8}),
        };
        projected.run(&insert(&[(1, 421, import(false))])).await;
        projected.run(&insert(&[(2, 421, import(true))])).await;
        // between others, in one statement
        let rows = [(3, 421, completed()), (3, 422, import(false)), (3, 423, completed())];
        projected.run(&insert(&rows)).await;
        let rows = [(4, 421, completed()), (4, 422, import(true)), (4, 423, completed())];
        projected.run(&insert(&rows)).await;
        for posting in 1..=4 {
            projected.assert_equals_fold(posting, "imported").await;
        }
        assert_eq!(projected.texts(MOVED_OF_RUNS).await, ["0"]);
        let left = "SELECT count(*)::text FROM posting_state_rows r
            LEFT JOIN posting_state_values v USING (posting_id)
            LEFT JOIN posting_state_completions c USING (posting_id)
            WHERE r.posting_id IN (2, 4)
                AND (v.key IS NOT NULL OR c.first IS NOT NULL OR r.moved_bytes > 0)";
        assert_eq!(projected.texts(left).await, ["0"]);

        for (posting, version) in [(1, 422), (2, 422), (3, 424), (4, 424)] {
            projected.run(&entering(posting, version, 1)).await;
            for version in (version + 1..version + 100).step_by(3) {
                projected.run(&wandering(posting, version, version + 2, 200)).await;
            }
            projected.assert_equals_fold(posting, "in the next run").await;
        }
        let live = projected.rows().await;
        projected.run("SELECT rebuild_posting_state(posting_id) FROM postings").await;
        assert_eq!(projected.rows().await, live, "rebuilt");
    });
}

#[test]
fn runs_go_on_while_a_store_is_migrated_and_also_between_two_steps_of_that() {
    for step in [
        "posting event kind without plans",
        "advance posting states of long runs",
        "posting event kind of imports",
        "advance posting states of imports",
    ] {
        let (workspace, database) = (Workspace::new(), Database::before(step));
        database.run("INSERT INTO postings (posting_id) VALUES (1), (2)");
        let differing = "SELECT count(*)::text FROM differing_posting_states('{1, 2}')";
        let check = |when: &str| assert_eq!(database.number(differing), 0, "{step}: {when}");
        for posting in 1..=2 {
            database.run(&wandering(posting, 1, 200, 200));
            database.run(&wandering(posting, 201, 201, 200));
        }
        // outputs have moved, and one posting enters the next run
        database.run(&entering(1, 202, 1));
        check("before");

        turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
        check("migrated");
        for (posting, version) in [(1, 203), (2, 202)] {
            // each in a transaction of its own, by one session, as a program has it
            let steps = (version..version + 100).map(|version| {
                format!("BEGIN; {}; COMMIT;", wandering(posting, version, version, 50))
            });
            database.run(&steps.collect::<Vec<_>>().concat());
        }
        check("gone on");
        assert!(database.number(&format!("{MOVED_OF_RUNS} AND posting_id = 2")) > 0, "{step}");
        database.run(&entering(2, 302, 1));
        check("in the next run");
        turing(&workspace, &database.url(), &["validate"]).expect_code(0);
    }
}
