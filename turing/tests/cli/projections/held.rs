//! Read models that somebody else has, or has left: who it is, and for how long.

use std::process::{Child, Stdio};
use std::time::Duration;

use es_core::backend::Lease;
use es_core::environment::{Clock, SystemClock};
use es_core::event::Timestamp;
use rustix::process::Signal;
use serde_json::json;

use super::{NAMES, projection, rows, tamper, workspace};
use crate::support::Workspace;
use crate::support::process::Process;
use crate::support::processes::pause;

/// When the longest lease ends that is given now, less a minute for clocks.
fn later() -> Timestamp {
    SystemClock.now().plus(Lease::LONGEST - Duration::from_secs(60))
}

/// A time as SQLite keeps it.
fn stored(time: Timestamp) -> String {
    time.to_string().replace('T', " ").replace('Z', "")
}

#[test]
fn a_read_model_of_other_code_is_named_with_its_cure_and_keeps_no_other_from_its_place() {
    let workspace = workspace();
    tamper(
        &workspace,
        "UPDATE projection_models SET fingerprint = 'old' WHERE projection = 'run_progress'",
    );
    let before = rows(&workspace, "conversation_statistics");
    let run = workspace.run(&["--again"]).expect_code(1);
    let cure = "`turing projection rebuild run_progress --switch`";
    assert!(run.stdout.contains(cure), "{run:#?}");
    assert_ne!(rows(&workspace, "conversation_statistics"), before);
    projection(&workspace, &["rebuild", "run_progress", "--switch"]).expect_code(0);
    projection(&workspace, &["run", "--once"]).expect_code(0);
}

#[test]
fn what_a_program_kept_within_its_appends_is_released_for_who_runs_it() {
    let workspace = workspace();
    let hold = |holder: &str| {
        let held = format!("UPDATE projection_models SET holder = '{holder}'");
        tamper(&workspace, &format!("{held}, expires_at = '{}'", stored(later())));
    };
    hold("the append");
    let refused = projection(&workspace, &["run", "run_progress", "--once"]).expect_code(1);
    assert!(
        refused.stderr.contains("the append") && refused.stderr.contains("release"),
        "{refused:#?}"
    );
    for _ in 0..2 {
        let told = projection(&workspace, &["release", "run_progress"]).expect_code(0);
        assert!(told.stdout.contains("projection run run_progress"), "{told:#?}");
    }
    projection(&workspace, &["run", "run_progress", "--once"]).expect_code(0);
    projection(&workspace, &["run", "posting_state", "--once"]).expect_code(1);
    // nobody else's lease ends
    hold("turing 7");
    let told = projection(&workspace, &["release", "run_progress", "--json"]).expect_code(0);
    assert_eq!(told.json()["holder"], "turing 7");
    tamper(&workspace, "DELETE FROM projection_models");
    let none = projection(&workspace, &["release", "run_progress"]).expect_code(1);
    assert!(none.stderr.contains("projection run --once run_progress"), "{none:#?}");
}

/// A program that keeps the read models up to date.
struct Keeper(Child);

impl Keeper {
    fn start(workspace: &Workspace) -> Self {
        let mut command = workspace.command(&["projection", "run"]);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // it may have been killed before
        let _ = (self.0.kill(), self.0.wait());
    }
}

#[test]
fn who_asks_a_program_that_keeps_the_read_models_is_answered_and_does_not_end_it() {
    let workspace = workspace();
    let mut command = workspace.command(&["projection", "run"]);
    let mut keeper = Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut told = keeper.told();
    told.up_to("keeping up to date until interrupted");
    for _ in 0..2 {
        keeper.signal(Signal::USR1);
        told.up_to("run_progress: 0 events behind");
    }
    keeper.signal(Signal::TERM);
    assert_eq!(keeper.code(), Some(0));
}

#[test]
fn a_program_that_keeps_the_read_models_is_no_news_to_who_runs() {
    let workspace = workspace();
    let list = || projection(&workspace, &["list", "--json"]).expect_code(0).json();
    let _keeper = Keeper::start(&workspace);
    let is_kept = |row: &serde_json::Value| row["health"]["holder"].is_string();
    while !list().as_array().unwrap().iter().all(is_kept) {
        pause();
    }
    let report = workspace.run(&["--again", "--json"]).expect_code(1).json();
    assert_eq!(report["read_models"], json!([]));
    let lag = |row: &serde_json::Value| row["health"]["lag_events"].clone();
    let lags: Vec<_> = list().as_array().unwrap().iter().map(lag).collect();
    assert_eq!(lags, [0, 0, 0], "they are up to date when the run ends");
}

#[test]
fn who_was_killed_is_named_until_its_leases_end() {
    let workspace = workspace();
    let health = |index: usize| {
        let listed = projection(&workspace, &["list", "--json"]).expect_code(0).json();
        listed[index]["health"].clone()
    };
    let mut keeper = Keeper::start(&workspace);
    let holder = format!("turing {} (", keeper.0.id());
    let is_held =
        |index| health(index)["holder"].as_str().is_some_and(|it| it.starts_with(&holder));
    while !(0..NAMES.len()).all(is_held) {
        assert_eq!(keeper.0.try_wait().unwrap(), None, "it runs until it is interrupted");
    }
    keeper.kill();
    let until: Timestamp = health(0)["held_until"].as_str().unwrap().parse().unwrap();
    let soon = SystemClock.now().plus(Duration::from_secs(10));
    assert!(until <= soon, "{until} is at most ten seconds from now");
    // as if the program had told that and was killed just now, however slow this machine is
    let at = later();
    let held = format!("UPDATE projection_models SET expires_at = '{}'", stored(at));
    tamper(&workspace, &format!("{held}, rate = 12.5"));
    let at = at.to_string();
    assert_eq!(health(0)["held_until"], at);
    assert_eq!(health(0)["rate"], 12.5);
    let text = projection(&workspace, &["list"]).expect_code(0).stdout;
    for part in [at.trim_end_matches('Z'), holder.as_str(), " 12.5 "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ran = workspace.run(&["--again"]).expect_code(1);
    let left = format!("left to `{holder}");
    assert_eq!(ran.stdout.matches(&left).count(), 1, "{ran:#?}");
    for name in NAMES {
        assert!(ran.stdout.contains(name), "{ran:#?}");
    }
    assert!(ran.stdout.contains("turing projection run --once"), "{ran:#?}");
    let told = workspace.run(&["--again", "--json"]).expect_code(1).json()["read_models"].take();
    assert!(told[0].as_str().unwrap().starts_with(&left), "{told}");
    assert!(health(0)["lag_events"].as_u64() > Some(0), "nobody has taken them");
    // its leases end
    tamper(&workspace, "UPDATE projection_models SET expires_at = '2001-01-01 00:00:00.000000'");
    assert_eq!((&health(0)["holder"], &health(0)["rate"]), (&json!(null), &json!(null)));
    projection(&workspace, &["run", "--once"]).expect_code(0);
    assert_eq!(health(0)["lag_events"], 0);
    assert!(!workspace.run(&["--again"]).expect_code(1).stdout.contains("left to"));
}
