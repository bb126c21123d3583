use serde_json::{Map, json};

use super::*;
use crate::definition::Workflow;
use crate::ids::PostingId;

fn render(input: &str, data: Value, events: &[PostingEvent]) -> Result<String, Vec<String>> {
    let settings = format!("input = '''{input}'''");
    let workflow: Workflow = workflow(&conversation(1, &settings, &[""]));
    let posting: Posting = es_core::fold(events);
    let data: Map<_, _> = data.as_object().cloned().unwrap_or_default();
    let values = InputValues {
        posting_id: PostingId(12345),
        workflow_id: workflow.id,
        data: &data,
        posting: &posting,
    };
    values.render(&workflow.conversations[0]).map_err(|error| error.names)
}

#[test]
fn data_ids_and_outputs_fill_a_template() {
    let history = [entered(), completed(3335, "Berlin")];
    let input = "{posting_id} in {workflow_id}: {job_description} {n} {conversation_3335_output}";
    let data = json!({"job_description": "Baker", "n": {"a": [1]}});
    let rendered = render(input, data, &history);
    assert_eq!(rendered.unwrap(), "12345 in 3001: Baker {\"a\":[1]} Berlin");
}

#[test]
fn a_key_of_a_json_output_fills_a_placeholder_and_the_latest_wins() {
    let history = [
        entered(),
        completed(2, r#"{"city": "Bonn", "n": 1}"#),
        completed(1, r#"{"city": "Berlin"}"#),
    ];
    assert_eq!(render("{city} {n}", json!({}), &history).unwrap(), "Berlin 1");
    let again = [&history[..], &[completed(2, r#"{"city": "Köln"}"#)]].concat();
    assert_eq!(render("{city}", json!({}), &again).unwrap(), "Köln");
}

#[test]
fn an_actors_answer_does_not_take_the_place_of_data() {
    let history = [entered(), completed(2, r#"{"job_description": "Thief", "posting_id": 1}"#)];
    let data = json!({"job_description": "Baker"});
    let rendered = render("{job_description} {posting_id}", data, &history);
    assert_eq!(rendered.unwrap(), "Baker 12345");
}

#[test]
fn what_is_missing_is_named() {
    let history = [entered(), completed(2, "no JSON"), completed(3, "[1]")];
    let rendered = render("{a} {b} {conversation_9_output}", json!({"b": null}), &history);
    assert_eq!(rendered.unwrap_err(), ["a", "b", "conversation_9_output"]);
}

#[test]
fn outputs_of_an_earlier_run_fill_nothing() {
    let second = PostingEvent::PostingEnteredRun {
        run_id: run(2),
        workflow_id: WorkflowId(3001),
        entry_conversation_id: FIRST,
    };
    let output = completed(1, r#"{"city": "Bonn"}"#);
    let history = [entered(), output, terminal(EndReason::Completed, 1), second];
    let rendered = render("{conversation_1_output} {city}", json!({}), &history);
    assert_eq!(rendered.unwrap_err(), ["conversation_1_output", "city"]);
}

#[test]
fn a_key_of_a_json_output_is_found_whatever_else_stands_there_and_is_never_taken_for_json() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let cases = [
        (r#"{"$serde_json::private::RawValue":"{\"k\":\"smuggled\"}"}"#.to_owned(), None),
        (
            r#"{"k":{"$serde_json::private::RawValue":"{\"a\":1}"}}"#.to_owned(),
            Some(r#"{"$serde_json::private::RawValue":"{\"a\":1}"}"#),
        ),
        (r#"{"k":"ok","z":1e400}"#.to_owned(), Some("ok")),
        (r#"{"k":"ok","z":"\ud800"}"#.to_owned(), Some("ok")),
        (format!(r#"{{"k":"ok","z":{deep}}}"#), Some("ok")),
        (r#"{"k":12345678901234567890123.50}"#.to_owned(), Some("12345678901234567890123.50")),
        (r#"{"k": [1, true]}"#.to_owned(), Some("[1,true]")),
        (r#"{"k":null}"#.to_owned(), None),
        (r#"{"k":1,"k":"last"}"#.to_owned(), Some("last")),
        (r#"["k"]"#.to_owned(), None),
    ];
    for (output, expected) in cases {
        let found = render("{k}", json!({}), &[entered(), completed(1, &output)]);
        let shown: String = output.chars().take(80).collect();
        assert_eq!(found.ok().as_deref(), expected, "{shown}");
    }
}
