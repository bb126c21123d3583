use es_core::event::{Decoded, Metadata, Payload, StoredEvent};
use es_core::{Aggregate, Event};
use serde_json::json;

use super::*;

/// What a program that knows only the specification wrote.
fn stored(event_type: &str, payload: Value, metadata: Value) -> PostingEvent {
    let metadata: Metadata = serde_json::from_value(metadata).unwrap();
    let payload = Payload::of(&payload).unwrap();
    let stored = StoredEvent::new(event_type, 1, payload.as_raw(), &metadata);
    let Decoded::One(event) = PostingEvent::decode(stored).unwrap() else {
        panic!("a posting's events are not split")
    };
    event
}

fn fold(events: impl IntoIterator<Item = PostingEvent>) -> Posting {
    let mut posting = Posting::default();
    events.into_iter().for_each(|event| posting.evolve(&event));
    posting
}

#[test]
fn the_specifications_events_make_its_projection() {
    let posting = fold([
        stored(
            "script_execution_completed",
            json!({"output": "Berlin", "status": "SUCCESS"}),
            json!({"conversation_id": 9184, "actor_id": 74, "duration_ms": 245}),
        ),
        stored("llm_call_failed", json!({"error": "gone"}), json!({"conversation_id": 9185})),
        stored(
            "llm_call_completed",
            json!({"output": {"city": "Berlin"}, "tokens": 12}),
            json!({"conversation_id": "9185"}),
        ),
        stored(
            "script_execution_completed",
            json!({"output": "Bonn"}),
            json!({"conversation_id": 9184}),
        ),
        stored("posting_terminal", json!({"final_conversation_id": 9184}), Value::Null),
    ]);
    assert_eq!(posting.current_conversation_id(), Some(ConversationId(9184)));
    assert_eq!(
        posting.execution_sequence(),
        [9184, 9185, 9184].map(ConversationId),
        "completed executions, in the order of their events"
    );
    let outputs = serde_json::to_value(posting.outputs()).unwrap();
    assert_eq!(outputs, json!({"9184": "Bonn", "9185": {"city": "Berlin"}}));
    assert!(posting.is_terminal());
}

#[test]
fn fields_that_are_absent_or_odd_disturb_nothing() {
    let posting = fold([
        stored("script_execution_completed", json!({"output": "a"}), json!({"conversation_id": 1})),
        stored("script_execution_completed", json!({}), json!({"conversation_id": 1})),
        stored("script_execution_completed", json!({"output": "b"}), Value::Null),
        stored(
            "script_execution_completed",
            json!({"output": "c", "status": 3}),
            json!({"conversation_id": "first", "run_id": 7, "retry_count": -1}),
        ),
        stored(
            "script_execution_failed",
            json!({"error": ["x"]}),
            json!({"conversation_id": 1e40}),
        ),
        stored("llm_call_failed", json!({}), Value::Null),
        stored("llm_call_completed", json!({"tokens": "many"}), Value::Null),
        stored("circuit_breaker_open", json!({}), Value::Null),
    ]);
    assert_eq!(posting.execution_sequence(), [FIRST, FIRST]);
    assert_eq!(
        posting.outputs().get(&FIRST),
        Some(&Value::from("a").into()),
        "an absent output hides none"
    );
    assert!(!posting.is_terminal());
    assert!(fold([stored("posting_terminal", json!({}), Value::Null)]).is_terminal());
}

#[test]
fn a_result_of_another_run_does_not_move_the_posting() {
    let stray = stored(
        "script_execution_completed",
        json!({"output": "stray"}),
        json!({"conversation_id": 1, "run_id": run(2).to_string()}),
    );
    let posting = fold([entered(), stray]);
    let run = posting.run().unwrap();
    assert!(run.open().contains_key(&FIRST) && run.finished().is_empty());
    assert_eq!(posting.usable_output(FIRST), None);
}

#[test]
fn nothing_moves_a_terminal_posting_but_a_new_run() {
    let late = [completed(1, "late"), taken(1, 1, Some(2)), retry(1, 1, FailureType::Timeout, 1)];
    let posting = fold([entered(), terminal(EndReason::Completed, 1)].into_iter().chain(late));
    assert!(posting.is_terminal());
    assert!(posting.run().unwrap().open().is_empty());
}

#[test]
fn an_imported_state_is_added_to_what_was_known_or_takes_its_place() {
    let import = |replaces: bool| {
        stored(
            "posting_state_imported",
            json!({
                "source": "public.posting_state_checkpoints",
                "row_digest": "",
                "is_terminal": false,
                "replaces": replaces,
                "execution_sequence": [2, 3],
                "outputs": {"1": null, "2": "b"},
            }),
            Value::Null,
        )
    };
    let known = [entered(), completed(1, "a"), terminal(EndReason::Completed, 1)];
    let added = fold(known.clone().into_iter().chain([import(false)]));
    assert_eq!(added.execution_sequence(), [1, 2, 3].map(ConversationId));
    let outputs = serde_json::to_value(added.outputs()).unwrap();
    assert_eq!(outputs, json!({"1": "a", "2": "b"}), "null hides none");
    let replaced = fold(known.into_iter().chain([import(true)]));
    assert_eq!(replaced.execution_sequence(), [2, 3].map(ConversationId));
    let outputs = serde_json::to_value(replaced.outputs()).unwrap();
    assert_eq!(outputs, json!({"2": "b"}));
    for posting in [added, replaced] {
        assert_eq!((posting.current_conversation_id(), posting.run()), (None, None));
        assert_eq!((posting.is_terminal(), posting.terminal()), (false, None));
        assert!(posting.ended_in(run(1)).is_some(), "what it ended in stays");
    }
}

#[test]
fn an_imported_end_keeps_how_the_posting_had_ended() {
    let ended = |known: &[PostingEvent]| {
        let posting = fold(known.iter().cloned().chain([imported(Some(2), true, &[])]));
        assert!(posting.is_terminal());
        assert_eq!(posting.current_conversation_id(), Some(ConversationId(2)));
        posting.terminal().cloned()
    };
    let of_actor = Terminal {
        reason: Some(EndReason::ActorFailed),
        final_conversation_id: Some(ConversationId(1)),
    };
    assert_eq!(ended(&[entered(), terminal(EndReason::ActorFailed, 1)]), Some(of_actor));
    let unknown = Terminal { reason: None, final_conversation_id: Some(ConversationId(2)) };
    assert_eq!(ended(&[entered(), completed(1, "a")]), Some(unknown));
}

#[test]
fn the_current_conversation_is_the_lowest_open_one_then_the_last_one() {
    let mut posting =
        fold([entered(), completed(1, "a"), taken(1, 1, Some(3)), taken(1, 2, Some(2))]);
    assert_eq!(posting.current_conversation_id(), Some(ConversationId(2)));
    posting.evolve(&completed(2, "b"));
    posting.evolve(&taken(2, 1, None));
    assert_eq!(posting.current_conversation_id(), Some(ConversationId(3)));
    posting.evolve(&failed(3, FailureType::ScriptError, 0));
    posting.evolve(&path_ended(3, EndReason::ActorFailed, None));
    posting.evolve(&terminal(EndReason::ActorFailed, 3));
    assert_eq!(posting.current_conversation_id(), Some(ConversationId(3)));
}

#[test]
fn a_path_that_joins_an_open_conversation_opens_it_once() {
    let posting = fold([
        entered(),
        completed(1, "a"),
        taken(1, 1, Some(2)),
        taken(1, 2, Some(3)),
        completed(2, "b"),
        taken(2, 1, Some(3)),
    ]);
    let run = posting.run().unwrap();
    assert_eq!((run.runs_of(ConversationId(3)), run.conversation_runs()), (1, 3));
}

#[test]
fn the_state_shows_the_projections_columns_first() {
    let json = serde_json::to_string(&fold([entered(), completed(1, "a")])).unwrap();
    let columns = r#"{"current_conversation_id":1,"execution_sequence":[1],"outputs":{"1":"a"},"is_terminal":false"#;
    assert!(json.starts_with(columns), "{json}");
}

#[test]
fn a_snapshot_keeps_the_numbers_of_an_output_exactly() {
    for digits in
        ["12345678901234567890123", "1.50", "0.12345678901234567890", "4.275906719757639e-39"]
    {
        let output = Payload::parse(digits.to_owned()).unwrap();
        let posting = fold([PostingEvent::HumanTaskCompleted {
            output: Some(output.clone()),
            status: Noted::ABSENT,
            by: Noted::ABSENT,
            conversation_id: FIRST.into(),
            actor_id: Noted::ABSENT,
            execution_order: Noted::ABSENT,
            duration_ms: Noted::ABSENT,
            retry_count: Noted::ABSENT,
            run_id: Noted::ABSENT,
        }]);
        let kept = Payload::of(&posting).unwrap().canonical().unwrap();
        let read: Posting = kept.decode().unwrap();
        assert_eq!(read, posting);
        assert_eq!(read.outputs()[&FIRST], output);
    }
}
