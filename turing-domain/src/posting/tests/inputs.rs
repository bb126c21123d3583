use serde_json::{Map, json};

use super::*;
use crate::definition::Workflow;
use crate::ids::PostingId;
use crate::template::Unresolved;

fn render(input: &str, data: Value, events: &[PostingEvent]) -> Result<String, Vec<String>> {
    try_render(input, data, events).map_err(|error| error.names)
}

fn try_render(input: &str, data: Value, events: &[PostingEvent]) -> Result<String, Unresolved> {
    let settings = format!("input = '''{input}'''");
    let workflow: Workflow = workflow(&[conversation(1, &settings, &[""])]);
    let posting: Posting = es_core::execution::fold(events);
    let data: Map<_, _> = data.as_object().cloned().unwrap_or_default();
    let values = InputValues {
        posting_id: PostingId(12345),
        workflow_id: workflow.id,
        data: &data,
        posting: &posting,
    };
    values.render(&workflow.conversations[0])
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

#[test]
fn a_byte_order_mark_before_a_json_output_is_passed_over() {
    let printed = "\u{feff}{\"city\": \"Bonn\"}";
    let history = [entered(), completed(2, printed)];
    assert_eq!(render("{city}", json!({}), &history).unwrap(), "Bonn");
    // the whole output stays as it was printed
    assert_eq!(render("{conversation_2_output}", json!({}), &history).unwrap(), printed);
    // one is passed over, as everywhere
    let twice = [entered(), completed(2, &format!("\u{feff}{printed}"))];
    assert_eq!(
        try_render("{city}", json!({}), &twice).unwrap_err().to_string(),
        "nothing fills {city}; the output of conversation 2 is no JSON object: \
         expected value at line 1 column 1 \
         (it begins with \"\\u{feff}\\u{feff}{\\\"city\\\": \\\"Bonn\\\"}\")"
    );
}

#[test]
fn why_an_output_has_no_keys_is_told_where_one_is_asked_for() {
    let told = |input: &str, outputs: &[&str]| {
        let outputs = (2..).zip(outputs).map(|(id, output)| completed(id, output));
        let history: Vec<_> = [entered()].into_iter().chain(outputs).collect();
        try_render(input, json!({}), &history).unwrap_err().to_string()
    };
    let cases = [
        ("{\"a\": 1}", ""),
        ("", "; the output of conversation 2 is empty"),
        (
            "Here it is:\n{\"a\": 100}",
            "; the output of conversation 2 is no JSON object: expected value at line 1 column 1 \
             (it begins with \"Here it is:\\n{\\\"a\\\": 10\")",
        ),
        (
            "{\"a\": 1,\n  b: 2}",
            "; the output of conversation 2 is no JSON object: key must be a string \
             at line 2 column 3 (it begins with \"{\\\"a\\\": 1,\\n  b: 2}\")",
        ),
        (
            "[1]",
            "; the output of conversation 2 is no JSON object: invalid type: sequence, \
             expected a map at line 1 column 0 (it begins with \"[1]\")",
        ),
    ];
    for (output, reason) in cases {
        assert_eq!(told("{k}", &[output]), format!("nothing fills {{k}}{reason}"));
        // nobody asks for a key of an output
        assert_eq!(
            told("{conversation_9_output}", &[output]),
            "nothing fills {conversation_9_output}"
        );
    }
    let many = told("{k}", &["a", "b", "c", "d", "e"]);
    assert!(many.starts_with("nothing fills {k}; the output of conversation 6 is no"), "{many}");
    assert!(many.contains("conversation 4 is") && !many.contains("conversation 3 is"), "{many}");
    assert!(many.ends_with("; other outputs are none either"), "{many}");
    let three = told("{k}", &["a", "b", "c"]);
    assert!(three.contains("conversation 2 is") && !three.contains("other outputs"), "{three}");
}
