//! What the format's page says about language models, against a server of our own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use super::{CONVERSATION, FORMAT, HEADER, code, table};
use crate::support::{Workspace, find};

/// A server that answers each question, by its path and its text, with a status, headers and a body.
fn serve(answer: impl Fn(&str, &str) -> (u16, &'static str, Value) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    // the thread ends with the test's process
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let Some((path, input)) = read(&connection) else { continue };
            let (status, headers, body) = answer(&path, &input);
            let body = body.to_string();
            let length = body.len();
            let _ = write!(
                connection,
                "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            );
        }
    });
    endpoint
}

/// The path of a request, and what the model is asked.
fn read(connection: &TcpStream) -> Option<(String, String)> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length:"))?;
    let mut body = vec![0; length.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let question: Value = serde_json::from_slice(&body).ok()?;
    let asked = question.get("prompt").or_else(|| question.pointer("/messages/0/content"))?;
    Some((path, asked.as_str()?.to_owned()))
}

/// A workspace in which one model is asked for the key `case` of each posting, once.
fn asking(endpoint: &str, protocol: &str, cases: &[String]) -> Workspace {
    let workspace = Workspace::new();
    let policy = "[workflow.retry]\nretries = 0\n[workflow.circuit_breaker]\nfailures = 1000\n";
    let actor = format!(
        "[[actors]]\nid = 1\nname = \"a\"\ntype = \"llm\"\nmodel = \"m\"\n\
         endpoint = \"{endpoint}\"\nprotocol = \"{protocol}\"\n"
    );
    let rest = "input = \"{case}\"\nbranches = [{}]\n";
    workspace.file("workflow.toml", [HEADER, policy, &actor, CONVERSATION, rest].concat());
    let lines = (1..).zip(cases).map(|(id, case)| json!({"posting_id": id, "case": case}));
    let lines: Vec<_> = lines.map(|line| line.to_string()).collect();
    workspace.file("postings/all.jsonl", lines.join("\n"));
    workspace
}

/// How each case fails.
fn failures(endpoint: &str, protocol: &str, cases: &[String]) -> BTreeMap<String, String> {
    let workspace = asking(endpoint, protocol, cases);
    workspace.run(&[]).expect_code(1);
    let failure_type = |(id, case): (i32, &String)| {
        let events = workspace.events(id);
        let failed = find(&events, "llm_call_failed");
        (case.clone(), failed["payload"]["failure_type"].as_str().unwrap().to_owned())
    };
    (1..).zip(cases).map(failure_type).collect()
}

#[test]
fn each_protocol_is_spoken_as_it_is_said() {
    let protocols = table(FORMAT, "protocol | asked at `endpoint` and | `system`");
    assert_eq!(protocols.len(), 3);
    for row in protocols {
        let (path, place) = (code(&row[1]).to_owned(), code(&row[3]).to_owned());
        let endpoint = serve(move |asked, _| match asked == path {
            true => (200, "", at(&place, "[PASS] grüße")),
            false => (404, "", json!({})),
        });
        let workspace = asking(&endpoint, code(&row[0]), &["hello".to_owned()]);
        workspace.run(&[]).expect_code(0);
        assert_eq!(workspace.state(1)["outputs"]["1"], "[PASS] grüße", "{row:?}");
    }
}

/// JSON with a text at a place such as `choices[0].message.content`.
fn at(place: &str, text: &str) -> Value {
    place.rsplit('.').fold(json!(text), |value, key| match key.strip_suffix("[0]") {
        Some(key) => json!({key: [value]}),
        None => json!({key: value}),
    })
}

/// The whole numbers of a text that are statuses.
fn statuses(text: &str) -> Vec<&str> {
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    numbers.filter(|number| number.len() == 3).collect()
}

#[test]
fn each_status_fails_as_it_is_said() {
    let listed = table(FORMAT, "what the endpoint does | failure type | repeated");
    let mut expected = BTreeMap::new();
    for row in listed.iter().filter(|row| row[0].contains("status")) {
        for status in statuses(&row[0]) {
            let is_later = row[0].contains(&format!("{status} with `Retry-After`"));
            let case = if is_later { format!("{status} later") } else { status.to_owned() };
            expected.insert(case, code(&row[1]).to_owned());
        }
    }
    assert!(expected.len() >= 14, "{expected:?}");
    let endpoint = serve(|_, case| {
        let (status, later) = case.split_once(' ').unwrap_or((case, ""));
        let headers = if later.is_empty() { "" } else { "retry-after: 0\r\n" };
        (status.parse().unwrap(), headers, json!({"error": "so it is"}))
    });
    let cases: Vec<_> = expected.keys().cloned().collect();
    assert_eq!(failures(&endpoint, "ollama_generate", &cases), expected);
    listed.iter().for_each(|row| assert_repeated(row));
}

/// The repeat that a row tells of is that of its failure type.
fn assert_repeated(row: &[String]) {
    let failure_type = turing_domain::FailureType::from(code(&row[1]));
    assert_eq!(row[2], if failure_type.is_retried() { "yes" } else { "no" }, "{row:?}");
}

#[test]
fn each_answer_that_is_not_whole_fails_as_it_is_said() {
    let listed = table(FORMAT, "why the answer ends | failure type | repeated");
    let mut expected = BTreeMap::new();
    for row in &listed {
        assert_repeated(row);
        for reason in row[0].split(", ").map(code) {
            expected.insert(reason.to_owned(), code(&row[1]).to_owned());
        }
    }
    assert!(expected.len() >= 10, "{expected:?}");
    let cases: Vec<_> = expected.keys().cloned().collect();
    let endpoint = serve(|_, reason| {
        let choice = json!({"message": {"content": "[PASS]"}, "finish_reason": reason});
        (200, "", json!({"choices": [choice]}))
    });
    assert_eq!(failures(&endpoint, "openai_chat", &cases), expected);
    let endpoint = serve(|_, reason| (200, "", json!({"response": "a", "done_reason": reason})));
    assert_eq!(failures(&endpoint, "ollama_generate", &cases), expected);
}

#[test]
fn each_word_of_a_refusal_counts_as_it_is_said() {
    let mut expected = BTreeMap::new();
    for row in table(FORMAT, "words | failure type") {
        for words in row[0].split(", ").map(code) {
            expected.insert(words.to_owned(), code(&row[1]).to_owned());
        }
    }
    assert!(expected.len() >= 13, "{expected:?}");
    let endpoint = serve(|_, words| (500, "", json!({"error": words})));
    let cases: Vec<_> = expected.keys().cloned().collect();
    assert_eq!(failures(&endpoint, "ollama_generate", &cases), expected);
}
