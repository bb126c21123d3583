//! A program that is stopped for a time, as by a shell or a machine that sleeps, and then goes on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::gates::Gated;
use crate::support::processes::wait_until;

/// The state of a process: `T` if it is stopped, `Z` if it has ended and is not reaped.
fn state(process: &str) -> char {
    let told = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    told.rsplit(") ").next().unwrap().chars().next().unwrap()
}

#[test]
fn a_script_that_ends_while_the_program_is_stopped_is_in_time() {
    const LIMIT: Duration = Duration::from_secs(3);
    let gated = Gated::new(1);
    let body = format!("echo $$ > script; {}", Gated::script("echo ok"));
    gated.workspace.script("a.sh", &body);
    let end = format!(
        "input = \"{{posting_id}}\"\ntimeout_seconds = {}\n[[conversations.branches]]\n",
        LIMIT.as_secs()
    );
    gated.workspace.definition(10, &[(10, "a", &end)]);
    let mut run = gated.start("sqlite:turing.db");
    let gate = gated.gate(1, &mut run);
    // its time has begun before
    let began = Instant::now();
    run.signal(Signal::STOP);
    let program = run.id().to_string();
    wait_until("the program is stopped", || state(&program) == 'T');
    gate.open();
    let script = fs::read_to_string(gated.workspace.path().join("script")).unwrap();
    // its supervisor reaps it, and tells the program
    wait_until("the script has ended", || !Path::new("/proc").join(script.trim()).exists());
    wait_until("its time is over", || began.elapsed() > LIMIT);
    run.signal(Signal::CONT);
    run.end().expect_code(0);
    assert_eq!(gated.begun(), [1], "it is not started again");
}
