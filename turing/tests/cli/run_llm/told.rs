//! What is told of an answer, and what an answer must look like.

use serde_json::{Value, json};

use super::{with_breaker, workspace};
use crate::support::model::serve;
use crate::support::{Workspace, find, names};

#[test]
fn what_an_endpoint_tells_of_an_answer_is_a_fact() {
    let (endpoint, asked) = serve(|number, _| {
        let text = if number == 0 { "[FAIL]" } else { "[FAIL" };
        let reason = if number == 0 { "stop" } else { "length" };
        let body = json!({"response": text, "done": true, "done_reason": reason});
        // the last line of a stream, whose end is its own
        (200, "content-type: application/x-ndjson\r\nx-request-id: req-7\r\n", body)
    });
    let workspace = workspace(&endpoint);
    workspace.run(&["--parallel", "1"]).expect_code(0);
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(asked.lock().unwrap()[0]["stream"], true);
    let events = workspace.events(1);
    let completed = &find(&events, "llm_call_completed")["payload"];
    assert_eq!(completed["finish_reason"], "stop");
    assert_eq!(completed["request_id"], "req-7");
    assert!(completed["first_token_ms"].is_u64(), "{completed}");
    assert_eq!(completed.get("cached_tokens"), None);
    let events = workspace.events(2);
    let failed = &find(&events, "llm_call_failed")["payload"];
    assert_eq!(
        (&failed["failure_type"], &failed["finish_reason"]),
        (&json!("cut_off"), &json!("length"))
    );
    assert_eq!(failed["request_id"], "req-7");
}

/// The same workspace in which a grade must be JSON, and one posting.
fn with_schema(endpoint: &str, more: &str) -> Workspace {
    let workspace = with_breaker(endpoint, 1, 0.1);
    let schema = "schema = { type = \"object\", required = [\"grade\"] }";
    workspace.amend("execution_order = 1", &format!("execution_order = 1\n{schema}\n{more}"));
    std::fs::remove_file(workspace.path().join("postings/002.json")).unwrap();
    workspace
}

#[test]
fn an_answer_that_does_not_fit_its_schema_is_not_asked_for_again() {
    let answer =
        |_: usize, _: &Value| (200, "", json!({"response": "{\"mark\": 1}", "done": true}));
    let (endpoint, asked) = serve(answer);
    let workspace = with_schema(&endpoint, "");
    workspace.run(&[]).expect_code(0);
    assert_eq!(asked.lock().unwrap().len(), 1);
    let events = workspace.events(1);
    let failed = &find(&events, "llm_call_failed")["payload"];
    assert_eq!(failed["failure_type"], "invalid_output");
    assert!(failed["error"].as_str().unwrap().contains("the schema, at the root: "), "{failed}");
    // its rule is taken, and nothing speaks against the actor
    let names = names(&events);
    assert!(names.contains(&"branch_taken"), "{names:?}");
    assert!(!names.contains(&"retry_scheduled") && !names.contains(&"circuit_breaker_open"));
}

#[test]
fn a_model_that_is_told_what_does_not_fit_may_repair_it() {
    let (endpoint, asked) = serve(|number, _| {
        let text = if number == 0 { "{\"mark\": 1}" } else { "{\"grade\": \"[PASS]\"}" };
        let body =
            json!({"response": text, "done": true, "prompt_eval_count": 10, "eval_count": 2});
        (200, "", body)
    });
    let workspace = with_schema(&endpoint, "repair = 1");
    workspace.run(&[]).expect_code(0);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert_ne!(asked[0]["prompt"], asked[1]["prompt"]);
    let events = workspace.events(1);
    let completed = &find(&events, "llm_call_completed")["payload"];
    assert_eq!(completed["output"], "{\"grade\": \"[PASS]\"}");
    assert_eq!((&completed["prompt_tokens"], &completed["tokens"]), (&json!(20), &json!(24)));
    assert!(names(&events).contains(&"script_execution_completed"));
}
