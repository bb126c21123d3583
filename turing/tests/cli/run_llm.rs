//! Language models as actors of a run, against a server of our own on the loopback address.

mod told;

use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::model::serve;
use crate::support::process::Process;
use crate::support::{RUN, Workspace, find, names};

/// One language model that grades, and a script that saves.
fn workspace(endpoint: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("save.sh", "cat");
    workspace.file(
        "workflow.toml",
        format!(
            r#"
            [workflow]
            id = 3001
            name = "graded"
            entry = 10
            [workflow.retry]
            retries = 2
            base_seconds = 0.01
            [[actors]]
            id = 80
            name = "grader"
            type = "llm"
            model = "small:1b"
            endpoint = "{endpoint}"
            temperature = 0.0
            seed = 7
            [[actors]]
            id = 81
            name = "save"
            type = "script"
            command = ["./save.sh"]
            env = {{ PATH = "/usr/bin:/bin" }}
            [[conversations]]
            id = 10
            name = "grade"
            actor = 80
            execution_order = 1
            input = "Grade {{job_description}} as JSON such as {{\"grade\": 1}}"
            [[conversations.branches]]
            priority = 1
            when = "[PASS]"
            to = 20
            [[conversations.branches]]
            [[conversations.branches]]
            on = "failure"
            [[conversations]]
            id = 20
            name = "save"
            actor = 81
            execution_order = 2
            input = "{{conversation_10_output}}"
            [[conversations.branches]]
            "#
        ),
    );
    workspace
}

#[test]
fn a_model_is_asked_and_its_answer_is_a_fact_with_its_tokens() {
    let (endpoint, asked) = serve(|_, question| {
        let passes = question["prompt"].as_str().unwrap().contains("advert 1");
        let answer = if passes { "[PASS] grüße" } else { "[FAIL]" };
        let body = json!({"model": "small:1b", "response": answer, "done": true,
            "prompt_eval_count": 12, "eval_count": 5});
        (200, "", body)
    });
    let workspace = workspace(&endpoint);
    workspace.run(&["--parallel", "1"]).expect_code(0);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0]["prompt"], "Grade advert 1 as JSON such as {\"grade\": 1}");
    assert_eq!((&asked[0]["model"], &asked[0]["options"]["seed"]), (&json!("small:1b"), &json!(7)));

    let events = workspace.events(1);
    let completed = find(&events, "llm_call_completed");
    assert_eq!(completed["payload"]["output"], "[PASS] grüße");
    assert_eq!(
        (&completed["payload"]["model"], &completed["payload"]["tokens"]),
        (&json!("small:1b"), &json!(17))
    );
    assert_eq!(completed["metadata"]["actor_id"], 80);
    assert!(names(&events).contains(&"script_execution_completed"));
    assert!(!names(&workspace.events(2)).contains(&"script_execution_completed"));
}

#[test]
fn a_model_that_fails_for_a_while_is_asked_again() {
    let (endpoint, asked) = serve(|number, _| match number {
        0 => (429, "", json!({"error": "slow down"})),
        1 => (500, "", json!({"error": "internal"})),
        _ => (200, "", json!({"model": "small:1b", "response": "[PASS]", "done": true})),
    });
    let workspace = workspace(&endpoint);
    workspace.run(&["--parallel", "1"]).expect_code(0);
    assert!(asked.lock().unwrap().len() >= 4);
    let failures: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|posting| workspace.events(posting))
        .filter(|event| event["event_type"] == "llm_call_failed")
        .map(|event| event["payload"]["failure_type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(failures.len(), 2);
    assert!(failures.contains(&"rate_limited".to_owned()), "{failures:?}");
}

#[test]
fn a_model_that_is_not_there_fails_the_posting_by_name() {
    let (endpoint, _) = serve(|_, _| (404, "", json!({"error": "model 'small:1b' not found"})));
    let workspace = workspace(&endpoint);
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    let failed = find(&events, "llm_call_failed");
    assert_eq!(failed["payload"]["failure_type"], "not_found");
    assert!(failed["payload"]["error"].as_str().unwrap().contains("small:1b"), "{failed}");
}

/// The same workspace with a circuit breaker that opens at so many failures, for so long.
fn with_breaker(endpoint: &str, failures: u32, seconds: f64) -> Workspace {
    let workspace = workspace(endpoint);
    workspace.breaker(failures, seconds);
    workspace
}

/// How the attempts of postings failed.
fn failures(workspace: &Workspace, postings: usize) -> Vec<String> {
    let events = (1..=postings).flat_map(|posting| workspace.events(posting as i32));
    let failed = events.filter(|event| event["event_type"] == "llm_call_failed");
    failed.map(|event| event["payload"]["failure_type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nobody_asks_an_endpoint_before_the_pause_is_over_that_it_asked_for() {
    const POSTINGS: usize = 30;
    let moments = Arc::new(Mutex::new(Vec::new()));
    let seen = moments.clone();
    let (endpoint, asked) = serve(move |number, _| {
        seen.lock().unwrap().push(Instant::now());
        match number {
            0..6 => (429, "retry-after: 1\r\n", json!({"error": "slow down"})),
            _ => (200, "", json!({"model": "small:1b", "response": "[FAIL]", "done": true})),
        }
    });
    let workspace = with_breaker(&endpoint, 5, 0.1);
    workspace.postings(POSTINGS);
    let answer = workspace.run(&["--parallel", "6"]).expect_code(0);
    assert!(
        answer.stderr.contains(" for actor 80 (grader), which asked for a pause; going on in "),
        "{answer:#?}"
    );

    // only what was under way at the first refusal was refused
    assert_eq!(asked.lock().unwrap().len(), POSTINGS + 6);
    assert_eq!(failures(&workspace, POSTINGS), ["rate_limited"; 6]);
    let moments = moments.lock().unwrap();
    let end = moments[0] + Duration::from_secs(1);
    assert!(moments[6..].iter().all(|moment| *moment >= end));
    for posting in 1..=POSTINGS {
        let events = workspace.events(posting as i32);
        assert!(!names(&events).contains(&"circuit_breaker_open"), "{events:#?}");
    }
}

#[test]
fn a_call_that_says_nothing_about_the_actor_is_not_the_one_that_its_breaker_waits_for() {
    let (endpoint, asked) = serve(|number, _| match number {
        0 => (500, "", json!({"error": "internal"})),
        1 => (429, "", json!({"error": "slow down"})),
        _ => (200, "", json!({"model": "small:1b", "response": "[FAIL]", "done": true})),
    });
    let workspace = with_breaker(&endpoint, 1, 2.0);
    std::fs::remove_file(workspace.path().join("postings/002.json")).unwrap();
    workspace.run(&[]).expect_code(0);
    assert_eq!(asked.lock().unwrap().len(), 3);
    let events = workspace.turing(&["events", "actor", "80", "--json"]).expect_code(0).json_lines();
    assert_eq!(
        names(&events),
        [
            "actor_call_failed",
            "circuit_breaker_opened",
            "circuit_breaker_half_opened",
            // given back, and let through once more
            "circuit_breaker_half_opened",
            "circuit_breaker_half_opened",
            "circuit_breaker_closed",
        ]
    );
    // no sooner than any posting calls it
    let events_of_posting = workspace.events(1);
    let retries = events_of_posting.iter().filter(|event| event["event_type"] == "retry_scheduled");
    let due: Vec<_> = retries.map(|event| time(&event["payload"]["due_at"])).collect();
    assert!(time(&events[3]["payload"]["until"]) >= due[1], "{events:#?}");
}

#[test]
fn whoever_looks_is_told_what_a_run_waits_for_and_until_when() {
    let (endpoint, _) = serve(|_, _| (429, "retry-after: 1000\r\n", json!({"error": "slow down"})));
    let workspace = workspace(&endpoint);
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    let mut run = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut told = run.told();
    let why = "1 failed attempt waits to be repeated, 1 attempt waits for actor 80 (grader), which \
               asked for a pause; going on in ";
    told.up_to(why);
    run.signal(Signal::USR1);
    told.up_to(&format!("0 of 2 postings ended; {why}"));

    let text = workspace.turing(&["runs"]).expect_code(0).stdout;
    assert!(text.contains("; 1 failed attempt waits until 20"), "{text}");
    let row = workspace.runs()[0].take();
    assert_eq!(row["waiting_attempts"], 1);
    assert!(time(&row["next_due_at"]) > Utc::now(), "{row}");
    let text = workspace.turing(&["run", "show"]).expect_code(0).stdout;
    let repeated = "failed attempts that are repeated:\n  posting 1 at 10 grade by actor 80 (grader), \
                    not before 20";
    assert!(text.contains(repeated) && text.contains("Z: rate_limited: "), "{text}");
    assert!(text.contains(" s ago, in progress, process "), "{text}");
    let shown = workspace.turing(&["run", "show", "--json"]).expect_code(0).json();
    assert_eq!((&shown["waiting"][0]["attempts"], &shown["errors"]), (&json!(1), &json!([])));
    let failed = ["run", "show", "--failed"];
    let text = workspace.turing(&failed).expect_code(0).stdout;
    let repeated = " has failed\n\nfailed attempts that are repeated:\nposting 1, not before 20";
    assert!(text.contains(repeated), "{text}");
    assert!(text.contains("Z: failed at 10 grade, attempt 1\n  rate_limited: "), "{text}");
    let shown = workspace.turing(&[&failed[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!((&shown["failed"], &shown["waiting"][0]["actor_id"]), (&json!([]), &json!(80)));
}

fn time(text: &Value) -> DateTime<Utc> {
    text.as_str().unwrap().parse().unwrap()
}

#[test]
fn an_endpoint_that_wants_a_pause_and_names_no_time_costs_no_posting() {
    const POSTINGS: usize = 30;
    const PARALLEL: usize = 6;
    let began = OnceLock::new();
    let (endpoint, asked) = serve(move |_, _| {
        match began.get_or_init(Instant::now).elapsed() < Duration::from_secs(1) {
            true => (429, "", json!({"error": "slow down"})),
            false => (200, "", json!({"model": "small:1b", "response": "[FAIL]", "done": true})),
        }
    });
    let workspace = with_pauses(&endpoint, "base_seconds = 1");
    workspace.postings(POSTINGS);
    workspace.run(&["--parallel", &PARALLEL.to_string()]).expect_code(0);

    // only what was under way at the first refusal was refused
    let failures = failures(&workspace, POSTINGS);
    assert!((1..=PARALLEL).contains(&failures.len()), "{failures:?}");
    assert_eq!(asked.lock().unwrap().len(), POSTINGS + failures.len());
    for posting in 1..=POSTINGS {
        let events = workspace.events(posting as i32);
        assert!(names(&events).contains(&"llm_call_completed"), "{events:#?}");
    }
}

/// The same workspace with other delays between attempts.
fn with_pauses(endpoint: &str, delays: &str) -> Workspace {
    let workspace = with_breaker(endpoint, 5, 0.1);
    workspace.amend("base_seconds = 0.01", delays);
    workspace
}

#[test]
fn an_endpoint_that_wants_pauses_for_longer_than_a_posting_has_repeats_costs_no_posting() {
    const POSTINGS: usize = 10;
    let (endpoint, asked) = serve(|number, _| match number {
        0..9 => (429, "", json!({"error": "slow down"})),
        _ => (200, "", json!({"model": "small:1b", "response": "[FAIL]", "done": true})),
    });
    let workspace = with_pauses(&endpoint, "base_seconds = 0.01\nmax_seconds = 0.02");
    workspace.postings(POSTINGS);
    workspace.run(&["--parallel", "1"]).expect_code(0);

    // nobody is tried again before everybody was tried
    let asked = asked.lock().unwrap();
    let advert = |question: &Value| -> usize {
        let prompt = question["prompt"].as_str().unwrap();
        prompt.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    let order: Vec<_> = asked.iter().map(advert).collect();
    assert_eq!(order, (1..=POSTINGS).chain(1..POSTINGS).collect::<Vec<_>>());
    for posting in 1..=POSTINGS {
        let events = workspace.events(posting as i32);
        assert!(names(&events).contains(&"llm_call_completed"), "{events:#?}");
    }
}

#[test]
fn after_a_pause_one_call_tells_whether_others_may_follow() {
    const POSTINGS: usize = 30;
    const PARALLEL: usize = 6;
    const REFUSED: usize = PARALLEL + 3;
    let moments = Arc::new(Mutex::new(Vec::new()));
    let seen = moments.clone();
    let (endpoint, asked) = serve(move |number, _| {
        seen.lock().unwrap().push(Instant::now());
        match number {
            0..REFUSED => (429, "", json!({"error": "slow down"})),
            _ => (200, "", json!({"model": "small:1b", "response": "[FAIL]", "done": true})),
        }
    });
    let workspace = with_pauses(&endpoint, "base_seconds = 0.1\nmax_seconds = 0.1");
    workspace.postings(POSTINGS);
    workspace.run(&["--parallel", &PARALLEL.to_string()]).expect_code(0);

    assert_eq!(asked.lock().unwrap().len(), POSTINGS + REFUSED);
    assert_eq!(failures(&workspace, POSTINGS), ["rate_limited"; REFUSED]);
    let moments = moments.lock().unwrap();
    // all that were under way at the first refusal may be refused
    for calls in moments[PARALLEL - 1..=REFUSED].windows(2) {
        assert!(calls[1] - calls[0] >= Duration::from_millis(100), "{moments:?}");
    }
}

#[test]
fn an_answer_that_is_not_whole_takes_no_rule_of_its_text() {
    for (reason, failure_type, attempts) in
        [("length", "cut_off", 1), ("content_filter", "filtered", 1), ("error", "broken_off", 3)]
    {
        let (endpoint, asked) = serve(move |_, _| {
            let text = "[PASS] The adv";
            (200, "", json!({"response": text, "done": true, "done_reason": reason}))
        });
        // cut off and filtered answers speak against no actor
        let workspace = with_breaker(&endpoint, if attempts == 1 { 1 } else { 100 }, 0.1);
        workspace.run(&[]).expect_code(0);
        assert_eq!(asked.lock().unwrap().len(), 2 * attempts, "{reason}");
        assert_eq!(failures(&workspace, 2), vec![failure_type; 2 * attempts]);
        let events = workspace.events(1);
        assert!(!names(&events).contains(&"script_execution_completed"), "{reason}");
        assert!(!names(&events).contains(&"circuit_breaker_open"), "{reason}");
    }
}
