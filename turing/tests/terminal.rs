//! Standard error: progress that nobody reads holds up nothing, and a bar is drawn where it can be.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

mod support;

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};
use support::process::{Process, full_pipe};
use support::processes::wait_until;
use support::{RUN, Workspace, names};

const END: &str = "input = \"{job_description}\"\n[[conversations.branches]]\n";

/// `count` postings at one conversation.
fn workspace(count: usize, body: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(count);
    workspace.script("check.sh", body);
    workspace.definition(10, &[(10, "check", END)]);
    workspace
}

/// A run that never ends by itself, wave after wave.
fn endless() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(1);
    workspace.script("check.sh", "touch begun; echo ok");
    let again = "input = \"{job_description}\"\n[[conversations.branches]]\nto = 10\n\
                 max_iterations = 1000000\n";
    workspace.definition(10, &[(10, "check", again)]);
    workspace
}

#[test]
fn a_run_whose_progress_nobody_reads_ends_by_itself_with_all_its_events() {
    let workspace = Workspace::new();
    workspace.postings(1);
    let ids: Vec<_> = (10..70).collect();
    let rules: Vec<_> = ids
        .iter()
        .map(|id| match id {
            69 => END.to_owned(),
            id => format!("{END}to = {}\n", id + 1),
        })
        .collect();
    workspace.script("check.sh", "echo ok");
    let conversations: Vec<_> =
        ids.iter().zip(&rules).map(|(id, rule)| (*id, "check", rule.as_str())).collect();
    workspace.definition(10, &conversations);
    let (_reader, full) = full_pipe();
    let mut command = workspace.command(&RUN);
    let mut run = Process::spawn(command.arg("--json").stderr(full).stdout(Stdio::piped()));
    drop(command);
    let report = run.stdout();
    assert_eq!(run.code(), Some(0));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["postings"], &report["open"]), (&json!(1), &json!(0)));
    assert_eq!(report["conversations"].as_object().unwrap().len(), ids.len());
    let events = workspace.events(1);
    let completed = names(&events).iter().filter(|name| name.ends_with("_completed")).count();
    assert_eq!(completed, ids.len());
}

#[test]
fn a_run_whose_progress_nobody_reads_stops_when_it_is_asked_to() {
    let workspace = endless();
    let (_reader, full) = full_pipe();
    let mut command = workspace.command(&RUN);
    let mut run = Process::spawn(command.arg("--json").stderr(full).stdout(Stdio::piped()));
    drop(command);
    run.made(&workspace.path().join("begun"));
    run.signal(Signal::TERM);
    let report: Value = serde_json::from_str(&run.stdout()).unwrap();
    assert_eq!(run.code(), Some(75));
    assert_eq!((&report["postings"], &report["open"]), (&json!(1), &json!(1)));
    let told = report["read_models"][0].as_str().unwrap();
    assert!(told.contains("because the run was interrupted"), "{told}");
}

#[test]
fn a_run_whose_progress_nobody_reads_ends_at_once_when_it_is_asked_twice() {
    let workspace = workspace(1, "touch begun; exec sleep 1000");
    let (_reader, full) = full_pipe();
    let mut command = workspace.command(&RUN);
    let mut run = Process::spawn(command.stderr(full).stdout(Stdio::null()));
    drop(command);
    run.made(&workspace.path().join("begun"));
    // two that are the same at the same time would be one
    run.signal(Signal::TERM);
    run.signal(Signal::INT);
    assert_eq!(run.code(), Some(75));
}

#[test]
fn a_report_that_nobody_reads_keeps_no_signal_away_and_the_verdict_stays() {
    for (body, code) in [("cat", 0), ("exit 3", 1)] {
        let workspace = workspace(2, body);
        let (_reader, full) = full_pipe();
        let mut command = workspace.command(&RUN);
        let mut run = Process::spawn(command.stdout(full).stderr(Stdio::null()));
        drop(command);
        // the last that a run does before it prints is to bring the read models up to date
        wait_until("the read models are up to date", || {
            // there may be no store yet
            let told = |arguments: &[&str]| {
                serde_json::from_str(&workspace.turing(arguments).stdout).unwrap_or(Value::Null)
            };
            let is_kept = |model: &Value| {
                model["health"]["lag_events"] == 0 && model["health"]["holder"].is_null()
            };
            let models = ["projection", "list", "--json"];
            told(&["runs", "--json"])["runs"][0]["status"] == "completed"
                && told(&models).as_array().is_some_and(|models| models.iter().all(is_kept))
        });
        assert!(!run.is_over(), "nobody has read the report");
        run.end_with(Signal::TERM);
        assert_eq!(run.code(), Some(code), "{body}");
    }
}

/// Runs on a terminal so many columns wide, and goes on when this is seen; the exit code, and all
/// that is seen there.
fn on_terminal(terminal: Option<&str>, columns: u16, go_on: &str) -> (Option<i32>, String) {
    let workspace = workspace(3, "while [ ! -e go ]; do sleep 0.01; done; cat");
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let mut command = workspace.command(&RUN);
    command.stdout(Stdio::null()).stderr(ioctl_tiocgptpeer(&master, flags).unwrap());
    command.env("NO_COLOR", "1");
    match terminal {
        Some(terminal) => command.env("TERM", terminal),
        None => command.env_remove("TERM"),
    };
    let mut run = Process::spawn(&mut command);
    drop(command);
    let (mut master, mut piece, mut seen) = (File::from(master), [0; 4096], Vec::new());
    // it ends with an error when nobody has the other side open any more
    while let Ok(count) = master.read(&mut piece) {
        seen.extend_from_slice(&piece[..count]);
        if String::from_utf8_lossy(&seen).contains(go_on) {
            workspace.file("go", "");
        }
    }
    (run.code(), String::from_utf8(seen).unwrap())
}

#[test]
fn a_terminal_that_cannot_draw_gets_plain_lines() {
    for terminal in [None, Some(""), Some("dumb")] {
        let (code, seen) = on_terminal(terminal, 80, " begins with ");
        assert_eq!(code, Some(0), "{seen}");
        assert!(seen.contains(" begins with 3 postings\r\n"), "{terminal:?}: {seen}");
        assert!(seen.contains("  10 check: 3 done\r\n"), "{terminal:?}: {seen}");
        assert!(!seen.contains('\u{1b}'), "{terminal:?}: {seen:?}");
    }
}

#[test]
fn a_bar_is_drawn_on_any_width_and_taken_away() {
    // in one column the bar is higher than the terminal
    for (columns, go_on) in [(80, "postings ended"), (1, " begins with "), (0, "postings ended")] {
        let (code, seen) = on_terminal(Some("xterm"), columns, go_on);
        assert_eq!(code, Some(0), "{columns}: {seen}");
        assert!(seen.contains("begins with 3 postings"), "{columns}: {seen:?}");
        if columns != 1 {
            let last = seen.rsplit("postings ended").next().unwrap();
            assert!(last.contains("\u{1b}[2K"), "the bar is cleared: {seen:?}");
        }
    }
}
