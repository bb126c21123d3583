//! Metrics of a call that runs a workflow: what they say, whom they tell it, and whom not.

mod scrape;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::gates::{Gated, Running};
use crate::support::model::serve;
use crate::support::process::{Process, Told};
use crate::support::processes::fifo;
use crate::support::{END, ID_END, RUN, Workspace};
use scrape::{Page, address_of, answer, ask, request, scrape};

const STORE: &str = "sqlite:turing.db";
const ANYWHERE: [&str; 2] = ["--metrics", "127.0.0.1:0"];

/// A run whose script waits at a gate for each posting, and that serves metrics.
struct Scene {
    gated: Gated,
    run: Running,
    address: String,
    // who is told goes on reading
    _told: Told,
}

impl Scene {
    fn new(postings: usize, end: &str, more: &[&str]) -> Self {
        let gated = Gated::new(postings);
        gated.workspace.script("a.sh", &Gated::script(end));
        let mut run = gated.start_with(STORE, &[&ANYWHERE[..], more].concat());
        let mut told = run.told();
        let address = address_of(&mut told);
        Self { gated, run, address, _told: told }
    }

    /// Waits until a posting's script waits, scrapes, and lets it go on.
    #[track_caller]
    fn at_gate(&mut self, posting: usize) -> Page {
        let gate = self.gated.gate(posting, &mut self.run);
        let page = scrape(&self.address);
        gate.open();
        page
    }

    fn account(&self) -> Value {
        let show = ["run", "show", "--json", "--store", STORE];
        self.gated.workspace.turing(&show).expect_code(0).json()
    }
}

const ACTOR: (&str, &str) = ("actor", "a");

fn attempts(page: &Page, outcome: &str) -> Option<f64> {
    page.get("turing_attempts_total", &[ACTOR, ("kind", "script"), ("outcome", outcome)])
}

#[test]
fn what_a_run_does_is_counted_as_its_account_says() {
    let mut scene = Scene::new(4, "[ \"$id\" = 2 ] && exit 1; echo ok", &["--json"]);
    let first = scene.at_gate(1);
    assert_eq!(first.value("turing_run_in_progress", &[]), 1.0);
    assert_eq!(first.value("turing_workflow_info", &[("workflow", "test")]), 1.0);
    assert_eq!(first.value("turing_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(first.value("turing_positions_in_progress", &[ACTOR]), 1.0);
    assert_eq!(first.value("turing_positions_ready", &[ACTOR]), 3.0);
    for reason in ["breaker", "pause", "paused", "person", "retry", "store"] {
        let waiting = [ACTOR, ("reason", reason)];
        assert_eq!(first.value("turing_positions_waiting", &waiting), 0.0, "{reason}");
    }
    assert_eq!(first.value("turing_postings_open", &[]), 4.0);
    assert_eq!(attempts(&first, "completed"), Some(0.0));
    for (state, is_it) in [("closed", 1.0), ("half_open", 0.0), ("open", 0.0)] {
        let state = [ACTOR, ("state", state)];
        assert_eq!(first.value("turing_circuit_breaker_state", &state), is_it);
    }
    assert_eq!(first.value("turing_store_away", &[]), 0.0);
    // the run has begun, each posting has entered it, and so has the wave
    assert!(first.value("turing_events_appended_total", &[]) >= 5.0);
    // nobody has kept them yet
    let lag = first.value("turing_read_model_lag_events", &[("model", "run_progress")]);
    assert!(lag >= 1.0, "{lag}");

    let second = scene.at_gate(2);
    second.expect_after(&first);
    assert_eq!(attempts(&second, "completed"), Some(1.0));
    let ended =
        |page: &Page, reason| page.get("turing_postings_ended_total", &[("reason", reason)]);
    assert_eq!(ended(&second, "completed"), Some(1.0));
    scene.at_gate(3).expect_after(&second);

    let gate = scene.gated.gate(4, &mut scene.run);
    let last = scrape(&scene.address);
    last.expect_after(&second);
    let account = scene.account();
    let there = &account["conversations"]["10"];
    assert_eq!(attempts(&last, "completed"), there["done"].as_f64());
    assert_eq!(attempts(&last, "script_error"), there["failed"]["script_error"].as_f64());
    assert_eq!(Some(last.value("turing_postings_open", &[])), account["open"].as_f64());
    assert_eq!(ended(&last, "completed"), Some(2.0));
    assert_eq!(ended(&last, "actor_failed"), Some(1.0));
    let kind = [ACTOR, ("kind", "script")];
    assert_eq!(last.value("turing_attempt_duration_seconds_count", &kind), 3.0);
    assert_eq!(last.value("turing_positions_in_progress", &[ACTOR]), 1.0);
    assert_eq!(last.value("turing_positions_ready", &[ACTOR]), 0.0);
    assert_eq!(last.value("turing_oldest_ready_age_seconds", &[ACTOR]), 0.0);

    gate.open();
    let report = scene.run.end().expect_code(1).json();
    let there = &report["conversations"]["10"];
    assert_eq!((&there["completed"], &there["failed"]), (&json!(3), &json!({"script_error": 1})));
    let events = last.value("turing_events_appended_total", &[]);
    assert!(events < report["events"].as_f64().unwrap(), "{events}, {report}");
}

#[test]
fn the_manual_lists_what_there_is() {
    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `turing_"));
    let rows = rows.map(|row| row.split(" | ").map(|cell| cell.trim_matches(['`', ' ', '|'])));
    let listed = rows.filter_map(|mut cells| {
        let (name, kind) = (cells.next()?, cells.next()?);
        ["counter", "gauge", "histogram"]
            .contains(&kind)
            .then(|| (name.to_owned(), kind.to_owned()))
    });
    let listed: BTreeMap<_, _> =
        listed.map(|(name, kind)| (format!("turing_{name}"), kind)).collect();
    let mut scene = Scene::new(1, "echo ok", &[]);
    assert_eq!(scene.at_gate(1).kinds, listed);
    scene.run.end().expect_code(0);
}

#[test]
fn no_label_has_an_id() {
    let mut scene = Scene::new(2, "echo ok", &[]);
    let page = scene.at_gate(1);
    let run_id = scene.account()["run_id"].as_str().unwrap().to_owned();
    assert!(!page.text.contains(&run_id));
    for (name, said) in page.labels() {
        // no name of the definition has a digit
        let may_have_digits = ["le", "version"].contains(&name);
        assert!(may_have_digits || !said.contains(|c: char| c.is_ascii_digit()), "{name}: {said}");
    }
    scene.at_gate(2);
    scene.run.end().expect_code(0);
}

#[test]
fn names_of_actors_are_told_whatever_is_in_them() {
    let body = "touch begun; read -r line < gate; echo ok";
    let workspace = Workspace::with_script(1, "check", ID_END, body);
    fifo(workspace.path().join("gate"));
    workspace.amend("name = \"check\"\ntype", "name = \"a \\\"b\\\" \\\\ ü\"\ntype");
    let mut command = workspace.command(&[&RUN[..], &ANYWHERE].concat());
    let mut run = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut told = run.told();
    let address = address_of(&mut told);
    run.made(&workspace.path().join("begun"));
    let page = scrape(&address);
    assert_eq!(page.value("turing_positions_in_progress", &[("actor", "a \"b\" \\ ü")]), 1.0);
    std::fs::write(workspace.path().join("gate"), "go\n").unwrap();
    assert_eq!(run.code(), Some(0));
}

/// A run in its own process, which tells this before it waits.
fn waiting(workspace: &Workspace, told_before: &str) -> (Process, Told, Page) {
    let arguments = [&RUN[..], &ANYWHERE, &["--parallel", "1"]].concat();
    let mut command = workspace.command(&arguments);
    let mut run = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut told = run.told();
    let address = address_of(&mut told);
    told.up_to(told_before);
    let page = scrape(&address);
    (run, told, page)
}

#[test]
fn what_waits_for_a_breaker_is_told_and_so_is_its_state() {
    let workspace = Workspace::with_script(3, "check", END, "exit 1");
    workspace.breaker(1, 1000.0);
    let (_run, _told, page) = waiting(&workspace, "whose circuit breaker is open");
    let actor = ("actor", "check");
    assert_eq!(page.value("turing_circuit_breaker_state", &[actor, ("state", "open")]), 1.0);
    assert_eq!(page.value("turing_circuit_breaker_state", &[actor, ("state", "closed")]), 0.0);
    assert_eq!(page.value("turing_positions_waiting", &[actor, ("reason", "breaker")]), 2.0);
    assert_eq!(page.value("turing_positions_ready", &[actor]), 0.0);
    assert!(page.value("turing_oldest_ready_age_seconds", &[actor]) > 0.0);
}

#[test]
fn tokens_pauses_and_repeats_of_a_model_are_told() {
    let (endpoint, _) = serve(|number, _| match number {
        0 => {
            let counts = json!({"model": "small:1b", "response": "ok", "done": true,
                "prompt_eval_count": 12, "eval_count": 5});
            (200, "", counts)
        }
        _ => (429, "retry-after: 1000\r\n", json!({"error": "slow down"})),
    });
    let workspace = Workspace::new();
    workspace.postings(3);
    let text = format!(
        "[workflow]\nid = 3001\nname = \"graded\"\nentry = 10\n\
         [[actors]]\nid = 80\nname = \"grader\"\ntype = \"llm\"\nmodel = \"small:1b\"\n\
         endpoint = \"{endpoint}\"\n\
         [[conversations]]\nid = 10\nname = \"grade\"\nactor = 80\n{END}"
    );
    workspace.file("workflow.toml", text);
    let (_run, _told, page) = waiting(&workspace, "which asked for a pause");
    let actor = ("actor", "grader");
    for (direction, count) in [("input", 12.0), ("output", 5.0)] {
        let of = [("direction", direction), ("model", "small:1b")];
        assert_eq!(page.value("turing_llm_tokens_total", &of), count);
    }
    let limited = [actor, ("kind", "llm"), ("outcome", "rate_limited")];
    assert_eq!(page.value("turing_attempts_total", &limited), 1.0);
    assert_eq!(page.value("turing_positions_waiting", &[actor, ("reason", "retry")]), 1.0);
    assert_eq!(page.value("turing_positions_waiting", &[actor, ("reason", "pause")]), 1.0);
    let host = endpoint.strip_prefix("http://").unwrap();
    assert!(page.value("turing_pause_left_seconds", &[actor, ("endpoint", host)]) > 0.0);
}

#[test]
fn other_names_paths_and_methods_get_no_metrics() {
    let mut scene = Scene::new(1, "echo ok", &[]);
    let gate = scene.gated.gate(1, &mut scene.run);
    let address = scene.address.clone();
    for (request, status, said) in [
        ("GET /metrics HTTP/1.1\r\nHost: example.org\r\n\r\n", "403", "at localhost"),
        ("GET /metrics HTTP/1.1\r\n\r\n", "403", "at localhost"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "403", "at localhost"),
        ("GET http://example.org/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "403", ""),
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "at /metrics"),
        ("GET /metrics/ HTTP/1.1\r\nHost: localhost\r\n\r\n", "404", "at /metrics"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405", "read"),
        ("DELETE /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405", "read"),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "200", "turing_build_info"),
        ("GET /metrics?a=b HTTP/1.1\r\nHost: [::1]:9464\r\n\r\n", "200", "turing_build_info"),
        ("no request\r\n\r\n", "400", ""),
    ] {
        let answer = ask(&address, request);
        let is_so = answer.split(' ').nth(1) == Some(status) && answer.contains(said);
        assert!(is_so, "{request}\n{answer}");
        assert_eq!(answer.to_ascii_lowercase().contains("\r\nallow: get\r\n"), status == "405");
        assert!(status == "200" || !answer.contains("turing_"), "{answer}");
    }
    gate.open();
    scene.run.end().expect_code(0);
}

#[test]
fn whoever_connects_and_says_nothing_keeps_nobody_out() {
    const MANY: usize = 64;
    let mut scene = Scene::new(1, "echo ok", &[]);
    let gate = scene.gated.gate(1, &mut scene.run);
    let connect = |_| TcpStream::connect(&scene.address).unwrap();
    let mut silent: Vec<_> = (0..MANY).map(connect).collect();
    let mut asking: Vec<_> = (0..MANY).map(connect).collect();
    for connection in &mut asking {
        connection.write_all(request(&scene.address).as_bytes()).unwrap();
    }
    for connection in &mut asking {
        let answer = answer(connection);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    // they had to make room
    for connection in &mut silent {
        assert!(matches!(connection.read(&mut [0]), Ok(0) | Err(_)));
    }
    scrape(&scene.address);
    gate.open();
    scene.run.end().expect_code(0);
}

#[test]
fn metrics_are_for_this_machine_alone() {
    let workspace = Workspace::with_script(1, "check", END, "echo ok");
    for address in ["0.0.0.0:9464", "[::]:9464", "192.0.2.1:9464"] {
        let refused = workspace.run(&["--metrics", address]).expect_code(2);
        assert!(refused.stderr.contains("give a loopback address, such as"), "{refused:#?}");
    }
    for text in ["9464", "localhost:9464", "127.0.0.1"] {
        let refused = workspace.run(&["--metrics", text]).expect_code(2);
        assert!(refused.stderr.contains("such as 127.0.0.1:9464"), "{refused:#?}");
    }
    assert!(!workspace.path().join("turing.db").exists());
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_begun() {
    let workspace = Workspace::with_script(1, "check", END, "touch begun; echo ok");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = format!("--metrics: nothing can be served at {address}; give another port");
    let refused = workspace.run(&["--metrics", &address]).expect_code(3);
    assert!(refused.stderr.contains(&words), "{refused:#?}");
    assert!(refused.stderr.contains("caused by: "), "{refused:#?}");
    let refused = workspace.run(&["--metrics", &address, "--json"]).expect_code(3);
    assert!(refused.json()["error"].as_str().unwrap().contains(&words), "{refused:#?}");
    assert!(!workspace.path().join("turing.db").exists());
    assert!(!workspace.path().join("begun").exists());
}

#[test]
fn every_call_that_runs_a_workflow_serves_metrics() {
    let workspace = Workspace::with_script(1, "check", END, "[ -e healed ] && echo ok");
    workspace.run(&ANYWHERE).expect_code(1);
    workspace.script("healed", "");
    let retry = ["run", "retry", "--workflow", "workflow.toml", "--quiet"];
    let answer = workspace.turing(&[&retry[..], &ANYWHERE].concat()).expect_code(0);
    // who asks for any port is told which it is, however quiet the call is to be
    assert!(answer.stderr.contains("metrics are at http://127.0.0.1:"), "{answer:#?}");
    let resume = ["run", "resume", "--workflow", "workflow.toml"];
    let answer = workspace.turing(&[&resume[..], &ANYWHERE].concat()).expect_code(1);
    assert!(answer.stderr.contains("metrics are at http://127.0.0.1:"), "{answer:#?}");
}
