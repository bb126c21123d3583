//! `turing trace` and `turing snapshot`: what belongs together, and what is kept.

use std::sync::Arc;

use es_core::ExpectedVersion;
use es_core::backend::{AppendRequest, EventStore, NewEvent};
use es_core::event::{EventId, Metadata, Payload};
use es_sqlite::SqliteStore;
use serde_json::{Value, json};

use crate::support::{END, RUN, Workspace};

/// A workspace whose postings went through six conversations.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(2);
    workspace.script("a.sh", "cat");
    let onward: Vec<_> = (2..=6).map(|to| format!("{END}to = {}", to * 10)).collect();
    let mut conversations: Vec<_> =
        (1..=5).map(|number| (number * 10, "a", onward[number as usize - 1].as_str())).collect();
    conversations.push((60, "a", END));
    workspace.definition(10, &conversations[..1]);
    // one actor is enough
    let mut text = workspace.workflow();
    for (id, name, rest) in &conversations[1..] {
        text += &format!(
            "[[conversations]]\nid = {id}\nname = \"{name}{id}\"\nactor = 10\n\
             execution_order = {id}\n{rest}\n"
        );
    }
    workspace.file("workflow.toml", text);
    workspace
}

#[test]
fn a_trace_shows_everything_that_a_workflow_did_to_a_posting() {
    let workspace = workspace();
    workspace.run(&[]).expect_code(0);
    let events = workspace.events(1);
    let id = events[0]["metadata"]["correlation_id"].as_str().unwrap();
    assert_eq!(id, "workflow_3001_posting_1");
    let traced = workspace.turing(&["trace", id, "--json"]).expect_code(0).json();
    let nodes = traced["events"].as_array().unwrap();
    let mut found: Vec<_> = nodes.iter().map(|node| node["event"].clone()).collect();
    found.sort_by_key(|event| event["version"].as_u64());
    assert_eq!(found, events);
    assert_eq!((&traced["correlation_id"], &traced["missing_causes"]), (&json!(id), &json!([])));
    // what a completed execution led to stands below it
    for (index, node) in nodes.iter().enumerate() {
        let cause = &node["event"]["metadata"]["causation_id"];
        if node["cause"] == "above" {
            let above = nodes[..index]
                .iter()
                .rfind(|above| above["depth"].as_u64() < node["depth"].as_u64());
            assert_eq!(above.unwrap()["event"]["event_id"], *cause, "{node}");
        } else {
            assert_eq!(node["depth"], 0);
        }
    }
    assert!(nodes.iter().any(|node| node["cause"] == "above"), "{traced}");
    let text = workspace.turing(&["trace", id]).expect_code(0).stdout;
    let lines = text.lines().filter(|line| line.contains("posting/1 ")).count();
    assert_eq!(lines, events.len(), "{text}");
    assert!(
        text.contains("\n  posting/1 ") && text.contains(" script_execution_completed at 10"),
        "{text}"
    );
}

#[test]
fn a_trace_of_a_run_shows_its_waves_and_its_end() {
    let workspace = workspace();
    // side by side a conversation may have more than one
    workspace.run(&["--parallel", "1"]).expect_code(0);
    let runs = workspace.turing(&["events", "workflow", "3001", "--json"]).json_lines();
    let id = runs[0]["event_id"].as_str().unwrap();
    assert_eq!(runs[0]["metadata"]["correlation_id"], id);
    let traced = workspace.turing(&["trace", id, "--json"]).expect_code(0).json();
    let nodes = traced["events"].as_array().unwrap();
    assert_eq!((&nodes[0]["event"], &nodes[0]["depth"]), (&runs[0], &json!(0)));
    assert_eq!(nodes.last().unwrap()["event"], runs[1]);
    assert!(nodes[1..].iter().all(|node| node["depth"] == 1), "{traced}");
    let begun = nodes.iter().filter(|node| node["event"]["event_type"] == "conversation_started");
    assert_eq!(begun.count(), 6, "{traced}");
}

/// An event of a posting, with an id, a cause and a correlation.
fn event(number: u8, cause: Option<u8>, correlation: Option<&str>) -> NewEvent {
    let id = |number: u8| -> EventId {
        format!("00000000-0000-7000-8000-0000000000{number:02}").parse().unwrap()
    };
    let mut metadata = Metadata::new();
    metadata.causation_id = cause.map(id);
    metadata.correlation_id = correlation.map(str::to_owned);
    let payload = Payload::of(&json!({"reason": "completed"})).unwrap();
    NewEvent::new(id(number), "posting_terminal", payload).with_metadata(metadata)
}

#[test]
fn missing_causes_others_and_circles_are_told_and_nothing_hangs() {
    let workspace = Workspace::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(SqliteStore::open(workspace.path().join("turing.db")).await.unwrap());
        let first = "00000000-0000-7000-8000-000000000001";
        for (stream, event) in [
            ("posting/1", event(1, None, None)),
            ("posting/2", event(2, Some(1), Some(first))),
            ("posting/1", event(3, Some(2), Some(first))),
            ("posting/3", event(10, Some(3), Some("x"))),
            ("posting/3", event(11, Some(99), Some("x"))),
            ("posting/3", event(12, Some(99), Some("x"))),
            ("posting/3", event(13, Some(13), Some("x"))),
            ("posting/4", event(14, Some(15), Some("x"))),
            ("posting/4", event(15, Some(14), Some("x"))),
        ] {
            let request =
                AppendRequest::to(stream.parse().unwrap(), ExpectedVersion::Any, vec![event]);
            store.append(request).await.unwrap();
        }
        store.close().await;
    });
    let lines = |id: &str| -> Vec<String> {
        let text = workspace.turing(&["trace", id]).expect_code(0).stdout;
        // without the times
        text.lines().map(|line| line.split("  20").next().unwrap().to_owned()).collect()
    };
    let id = |number: u8| format!("00000000-0000-7000-8000-0000000000{number:02}");
    assert_eq!(
        lines(&id(1)),
        [
            "posting/1 1 posting_terminal",
            "  posting/2 1 posting_terminal",
            "    posting/1 2 posting_terminal",
        ]
    );
    let text = workspace.turing(&["trace", "x"]).expect_code(0).stdout;
    let told: Vec<_> = text.lines().collect();
    let begins = [
        "posting/1 2 posting_terminal  20".to_owned(),
        "  posting/3 1 posting_terminal".to_owned(),
        format!("event {}  (missing", id(99)),
        "  posting/3 2 posting_terminal".to_owned(),
        "  posting/3 3 posting_terminal".to_owned(),
        format!("event {}  (a circle", id(13)),
        "  posting/3 4 posting_terminal".to_owned(),
        format!("event {}  (a circle", id(15)),
        "  posting/4 1 posting_terminal".to_owned(),
        "    posting/4 2 posting_terminal".to_owned(),
    ];
    assert_eq!(told.len(), begins.len(), "{text}");
    for (line, begin) in told.iter().zip(&begins) {
        assert!(line.starts_with(begin.as_str()), "{line} should begin with {begin}");
    }
    assert!(told[0].ends_with("(not of this correlation)"), "{text}");
    let traced = workspace.turing(&["trace", "x", "--json"]).expect_code(0).json();
    assert_eq!(traced["missing_causes"], json!([id(99)]));
    let causes: Vec<_> =
        traced["events"].as_array().unwrap().iter().map(|node| node["cause"].clone()).collect();
    assert_eq!(causes, ["elsewhere", "missing", "missing", "circular", "circular", "above"]);
    assert_eq!(traced["events"][0]["cause_event"]["event_id"], id(3));
    let nothing = workspace.turing(&["trace", "y"]).expect_code(1);
    assert!(
        nothing.stderr.contains("no event in sqlite:") && nothing.stderr.contains("correlation y")
    );
}

fn versions(workspace: &Workspace, more: &[&str]) -> Vec<(String, u64)> {
    let listed = workspace.turing(&[&["snapshot", "list", "--json"], more].concat()).expect_code(0);
    let version = |one: &Value| {
        (one["stream"].as_str().unwrap().to_owned(), one["version"].as_u64().unwrap())
    };
    listed.json_lines().iter().map(version).collect()
}

#[test]
fn the_interval_of_snapshots_is_taken_from_the_environment() {
    for (interval, every) in [(None, 10), (Some(""), 10), (Some("5"), 5), (Some(" 7 "), 7)] {
        let workspace = workspace();
        let mut command = workspace.command(&RUN);
        command.env_remove("EVENT_SNAPSHOT_INTERVAL");
        if let Some(interval) = interval {
            command.env("EVENT_SNAPSHOT_INTERVAL", interval);
        }
        assert!(command.output().unwrap().status.success());
        let count = workspace.events(1).len() as u64;
        let kept = versions(&workspace, &["posting", "1"]);
        assert_eq!(kept.len() as u64, count / every, "{kept:?} of {count} events");
        // an append of several events may pass a multiple without ending at it
        for ((_, version), passed) in kept.iter().zip(1..) {
            assert_eq!(version / every, passed, "{kept:?}");
        }
    }
}

#[test]
fn an_interval_that_is_none_is_refused_by_its_name() {
    let workspace = workspace();
    for bad in ["0", "-1", "ten", "1.5", "99999999999999999999"] {
        let mut command = workspace.command(&RUN);
        let answer: crate::support::Answer =
            command.env("EVENT_SNAPSHOT_INTERVAL", bad).output().unwrap().into();
        let answer = answer.expect_code(2);
        assert!(answer.stderr.contains("EVENT_SNAPSHOT_INTERVAL"), "{answer:#?}");
        assert!(answer.stderr.contains("a whole number of events from 1"), "{answer:#?}");
        assert!(answer.stderr.contains(&format!("not `{bad}`")), "{answer:#?}");
        assert!(!workspace.path().join("turing.db").exists());
    }
    // what keeps no state does not mind
    workspace.run(&[]).expect_code(0);
    let mut command = workspace.command(&["run", "show"]);
    let answer: crate::support::Answer =
        command.env("EVENT_SNAPSHOT_INTERVAL", "ten").output().unwrap().into();
    answer.expect_code(0);
}

#[test]
fn kept_states_are_listed_and_pruned_and_no_answer_changes() {
    let workspace = workspace();
    workspace.run(&["--snapshot-interval", "3"]).expect_code(0);
    let before: Vec<_> = (1..=2).map(|posting| workspace.state(posting)).collect();
    let all = versions(&workspace, &[]);
    let of = |all: &[(String, u64)], stream: &str| -> Vec<u64> {
        all.iter().filter(|(of, _)| of == stream).map(|(_, version)| *version).collect()
    };
    let (first, second) = (of(&all, "posting/1"), of(&all, "posting/2"));
    assert!(first.len() > 2 && second.len() > 2, "{all:?}");
    assert_eq!(first.len() + second.len(), all.len());
    assert_eq!(of(&versions(&workspace, &["posting", "2"]), "posting/2"), second);
    assert_eq!(versions(&workspace, &["posting", "3"]), []);
    let text = workspace.turing(&["snapshot", "list"]).expect_code(0).stdout;
    assert_eq!(text.lines().count(), all.len() + 1, "{text}");
    assert!(text.starts_with("stream") && text.contains("posting r"), "{text}");

    let pruned = workspace.turing(&["snapshot", "prune", "--keep", "2", "--json"]).expect_code(0);
    let removed = all.len() - 4;
    assert_eq!(pruned.json(), json!({"removed": removed, "streams": 2}));
    let left = versions(&workspace, &[]);
    assert_eq!(of(&left, "posting/1"), first[first.len() - 2..]);
    assert_eq!(of(&left, "posting/2"), second[second.len() - 2..]);
    let told = workspace.turing(&["snapshot", "prune"]).expect_code(0).stdout;
    assert_eq!(told, "2 kept states of 2 streams removed; of each the newest 1 stay\n");
    workspace.turing(&["snapshot", "prune", "--keep", "0"]).expect_code(0);
    assert_eq!(workspace.turing(&["snapshot", "list"]).stdout, "no state is kept\n");
    let after: Vec<_> = (1..=2).map(|posting| workspace.state(posting)).collect();
    assert_eq!(before, after);
    workspace.run(&["--again"]).expect_code(0);
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let workspace = Workspace::new();
    for command in [&["snapshot", "list"][..], &["snapshot", "prune"], &["trace", "x"]] {
        let answer = workspace.turing(command).expect_code(3);
        assert!(answer.stderr.contains("turing.db"), "{answer:#?}");
    }
    assert!(!workspace.path().join("turing.db").exists());
    workspace.turing(&["snapshot", "list", "posting"]).expect_code(2);
}
