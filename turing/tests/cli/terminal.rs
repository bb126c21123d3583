//! Standard error: progress that nobody reads holds up nothing, and a bar is drawn where it can be.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use es_core::event::Timestamp;
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

use crate::support::process::{Process, full_pipe};
use crate::support::processes::wait_until;
use crate::support::{END, PROGRAM_PID, RUN, Workspace, names};

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
fn an_answer_waits_for_nobody_who_reads_what_else_is_told() {
    let workspace = workspace(1, "echo ok");
    workspace.run(&[]).expect_code(0);
    let gone = ["run", "--workflow", "gone.toml", "--postings", "postings", "--json"];
    let cases: [(&[&str], i32); 8] = [
        (&["events", "posting", "99", "--json"], 1),
        (&["state", "posting", "99", "--json"], 1),
        (&["runs", "--json", "--store", "sqlite:gone.db"], 3),
        (&["projection", "show", "run_progress", "gone", "--json"], 1),
        (&["check", "gone.toml", "--json"], 2),
        (&gone, 2),
        (&["run", "--json"], 2),
        (&["events", "posting", "--json", "--odd"], 2),
    ];
    // all at the same time, as each waits for a reader
    let asked = cases.map(|(arguments, code)| {
        let (reader, full) = full_pipe();
        let mut command = workspace.command(arguments);
        let asked = Process::spawn(command.stderr(full).stdout(Stdio::piped()));
        (arguments, code, asked, reader)
    });
    for (arguments, code, mut asked, _reader) in asked {
        assert_eq!(asked.code(), Some(code), "{arguments:?}");
        let told: Value = serde_json::from_str(&asked.stdout()).unwrap();
        assert_eq!(told["exit_code"], code, "{arguments:?}: {told}");
    }
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

#[test]
fn a_log_has_times_and_who_asks_is_told_which_posting_lasts_longest() {
    let workspace = workspace(3, "touch begun; while [ ! -e go ]; do sleep 0.01; done; cat");
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    let mut run = Process::spawn(command.stderr(Stdio::piped()).stdout(Stdio::null()));
    drop(command);
    run.made(&workspace.path().join("begun"));
    run.signal(Signal::USR1);
    let mut told = run.told();
    let mut log =
        told.up_to("   10 check: 0 of 3 ended, 1 at work, the longest is posting 1, for ");
    workspace.file("go", "");
    assert_eq!(run.code(), Some(0), "{log}");
    log += &told.rest();
    assert!(log.contains("   10 check: 3 done\n"), "{log}");
    for line in log.lines() {
        let (time, _) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.parse::<Timestamp>().is_ok(), "{line}");
    }
}

#[test]
fn warnings_about_the_definition_are_told_when_a_run_begins_and_never_again() {
    let workspace = workspace(2, "cat");
    let warned = |arguments: &[&str]| {
        workspace.run(arguments).expect_code(0).stderr.contains("0 errors, 1 warning\n")
    };
    assert!(warned(&[]));
    assert!(!warned(&[]), "there is nothing to do");
    assert!(warned(&["--again"]));
    assert!(!warned(&["--again", "--quiet"]));

    workspace.script("check.sh", &format!("[ -e go ] || kill -9 {PROGRAM_PID}; cat"));
    let killed = workspace.run(&["--again", "--parallel", "1"]);
    assert!(killed.code.is_none() && killed.stderr.contains("1 warning\n"), "{killed:#?}");
    workspace.file("go", "");
    assert!(!warned(&[]), "the run is continued");
}

#[test]
fn a_quiet_run_tells_only_what_is_wrong() {
    let workspace = workspace(2, "cat");
    for (arguments, is_json) in [(&["--quiet"][..], false), (&["--quiet", "--json"][..], true)] {
        // the second time there is nothing to do
        let answer = workspace.run(arguments).expect_code(0);
        assert_eq!(answer.stderr, "", "{answer:#?}");
        assert_eq!(answer.stdout.is_empty(), !is_json, "{answer:#?}");
    }
    let answer = workspace.run(&["--quiet"]).expect_code(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("", ""));
    workspace.script("check.sh", "exit 3");
    let answer = workspace.run(&["--quiet", "--again"]).expect_code(1);
    assert_eq!(answer.stderr, "", "{answer:#?}");
    assert!(answer.stdout.contains("2 postings = 2 ended + 0 open"), "{answer:#?}");
}

/// Runs on a terminal so many columns wide, and goes on when it has seen enough; the exit code, and
/// all that is seen there.
fn on_terminal(
    terminal: Option<&str>,
    locale: &str,
    columns: u16,
    is_enough: impl Fn(&str) -> bool,
) -> (Option<i32>, String) {
    let workspace = workspace(3, "while [ ! -e go ]; do sleep 0.01; done; cat");
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&master, size).unwrap();
    let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
    command.stdout(Stdio::null()).stderr(ioctl_tiocgptpeer(&master, flags).unwrap());
    command.env("NO_COLOR", "1").env("LC_ALL", locale);
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
        if is_enough(&String::from_utf8_lossy(&seen)) {
            workspace.file("go", "");
        }
    }
    (run.code(), String::from_utf8(seen).unwrap())
}

#[test]
fn a_terminal_that_cannot_draw_gets_plain_lines() {
    for terminal in [None, Some(""), Some("dumb")] {
        let begins = |seen: &str| seen.contains(" begins with ");
        let (code, seen) = on_terminal(terminal, "C", 80, begins);
        assert_eq!(code, Some(0), "{seen}");
        assert!(seen.contains(" begins with 3 postings\r\n"), "{terminal:?}: {seen}");
        assert!(seen.contains("  10 check: 3 done\r\n"), "{terminal:?}: {seen}");
        assert!(!seen.contains('\u{1b}'), "{terminal:?}: {seen:?}");
    }
}

#[test]
fn a_bar_is_drawn_on_any_width_in_one_line_and_taken_away() {
    for columns in [80, 60, 40, 20, 1, 0] {
        // in one column the name of the conversation begins
        let text = if columns == 1 { "begins with" } else { "2 to do" };
        let (code, seen) =
            on_terminal(Some("xterm"), "C.UTF-8", columns, |seen| seen.contains(text));
        assert_eq!(code, Some(0), "{columns}: {seen}");
        assert!(seen.contains("begins with 3 postings"), "{columns}: {seen:?}");
        if columns == 1 {
            continue;
        }
        let last = seen.rsplit("to do").next().unwrap();
        assert!(last.contains("\u{1b}[2K"), "the bar is cleared: {seen:?}");
        let widest = if columns == 0 { 80 } else { columns.into() };
        for drawn in seen.split(['\r', '\n']).filter(|piece| piece.contains("to do")) {
            // a line above it is filled up to the width
            let drawn: Vec<_> = drawn.replace("\u{1b}[2K", "").chars().collect();
            let lines: Vec<String> = drawn.chunks(widest).map(String::from_iter).collect();
            let bar = lines.iter().position(|line| line.contains("to do"));
            assert_eq!(bar, Some(lines.len() - 1), "{columns}: {lines:?}");
        }
    }
}

#[test]
fn a_bar_goes_on_while_an_attempt_lasts_and_has_the_characters_of_the_locale() {
    let ticks = |seen: &str| {
        let mut lasted = seen.split("10 check: 2 to do, 1 at work, posting 1 for ").skip(1);
        lasted.any(|rest| rest.starts_with(|first: char| ('1'..='9').contains(&first)))
    };
    for (locale, characters) in [("C", "----------"), ("C.UTF-8", "░░░░░░░░░░")]
    {
        let (code, seen) = on_terminal(Some("xterm"), locale, 80, ticks);
        assert_eq!(code, Some(0), "{locale}: {seen}");
        assert!(seen.contains(characters), "{locale}: {seen:?}");
        assert_eq!(seen.is_ascii(), locale == "C", "{seen:?}");
    }
}
