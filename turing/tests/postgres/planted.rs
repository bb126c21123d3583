//! Functions that somebody else makes beside Turing's own in its schema are never meant.

use crate::database::Database;
use crate::histories::Draft;
use crate::projected::Projected;
use crate::read_models::insert;

#[test]
fn what_stands_beside_a_function_is_not_meant() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        projected.clear(3).await;
        database.test.plant_overloads("public").await;
        // an event of each kind that a posting has; new rows, rows that go on, and many at once
        let draft = |event_type, payload| Draft {
            event_type,
            payload: es_core::event::Payload::from(payload),
            metadata: serde_json::json!({"conversation_id": 1}),
        };
        let done = || draft("llm_call_completed", serde_json::json!({"output": {"a": ["b"]}}));
        let failed = || draft("llm_call_failed", serde_json::json!({"error": "e", "failure_type": "f"}));
        let branch =
            || draft("branch_taken", serde_json::json!({"rule": 1, "priority": 1, "to": 2}));
        let ends = || draft("posting_terminal", serde_json::json!({"reason": "r"}));
        let imported = |replaces: bool| {
            let theirs = serde_json::json!({
                "source": "theirs", "row_digest": "", "current_conversation_id": 2, "is_terminal": true,
                "replaces": replaces, "execution_sequence": [2], "outputs": {"2": ["theirs"]},
            });
            draft("posting_state_imported", theirs)
        };
        for version in 1..=2 {
            let rows: Vec<_> = (1..=3).map(|posting| (posting, version, done())).collect();
            projected.run(&insert(&rows)).await;
        }
        let rows = [(1, 3, failed()), (1, 4, branch()), (1, 5, ends()), (2, 3, failed())];
        projected.run(&insert(&rows)).await;
        projected.run(&insert(&[(1, 6, imported(false)), (2, 4, imported(true))])).await;
        projected
            .run(
                "SELECT append_event('circuit_breaker_open'::text, 3, '{}'::jsonb, '{}'::jsonb, 'posting'::text);
                 SELECT rebuild_posting_state(1);
                 SELECT rebuild_all_posting_states();
                 SELECT get_posting_state(1);
                 SELECT get_aggregate_events('posting'::text, 1);
                 SELECT maybe_create_snapshot(1, 1);
                 UPDATE posting_state_projection SET is_terminal = NOT is_terminal;
                 SELECT validate_event_store();
                 SELECT rebuild_all_posting_states();
                 DELETE FROM posting_state_projection;
                 SELECT rebuild_all_posting_states()",
            )
            .await;
        for posting in 1..=3 {
            projected.assert_equals_fold(posting, "beside planted functions").await;
        }
    });
}
