//! The program itself while the machine's clock is set: hours and days, waiting and stopped.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::preload::Preload;
use crate::support::{Answer, END, RUN, Workspace, names};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A run that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// The program by this clock.
    fn by(clock: &Preload, workspace: &Workspace) -> Self {
        let mut command = workspace.command(&RUN);
        clock.load_into(&mut command);
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Calls `told` for every wait that the program tells, each of which must be short, until the
    /// program ends; answers how many waits those were.
    fn follow(mut self, longest: f64, mut told: impl FnMut(usize, Pid)) -> (usize, ExitStatus) {
        let pid = Pid::from_child(&self.0);
        let mut waits = 0;
        for line in BufReader::new(self.0.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            let wait = line.split_once("going on in ");
            if let Some(seconds) = wait.and_then(|(_, wait)| wait.strip_suffix(" s")) {
                let seconds: f64 = seconds.parse().unwrap();
                assert!(seconds <= longest, "{line}, and at most {longest} s are right");
                told(waits, pid);
                waits += 1;
            }
        }
        (waits, self.0.wait().unwrap())
    }
}

/// One posting whose script is interrupted until it was called so often, or the file `healed` is
/// there.
fn workspace(calls: usize, policies: &str) -> Workspace {
    let body = format!(
        "cat > document; echo call >> calls\n\
         [ -e healed ] || [ $(wc -l < calls) -gt {calls} ] || kill -TERM $$\n\
         echo ok"
    );
    let workspace = Workspace::with_script(1, "check", END, &body);
    workspace.amend("[workflow.retry]\nretries = 2\nbase_seconds = 0.01\n", policies);
    workspace
}

/// The clock is set anew each time the program waits.
fn set_while_it_waits(policies: &str, longest: f64) {
    const CALLS: usize = 8;
    let workspace = workspace(CALLS, policies);
    let clock = Preload::clock(workspace.path());
    let steps = [-HOUR, HOUR, -DAY, DAY, 0, -DAY, 2 * DAY, -HOUR];
    let running = Running::by(&clock, &workspace);
    let set = |wait: usize, _| clock.set(steps[wait % steps.len()]);
    let (waits, status) = running.follow(longest, set);
    assert!(status.success() && waits > 0, "{status} after {waits} waits");
    let events = workspace.events(1);
    let failed = names(&events).iter().filter(|name| **name == "script_execution_failed").count();
    assert_eq!(failed, CALLS);
    assert_eq!(names(&events).last(), Some(&"posting_terminal"));
    // that the clock was set is seen in what is recorded
    let times: Vec<_> = events.iter().map(|event| event["recorded_at"].to_string()).collect();
    assert!(!times.is_sorted(), "{times:?}");
}

#[test]
fn repeats_come_in_time_while_the_clock_is_set() {
    let policies = "[workflow.retry]\nretries = 20\nbase_seconds = 0.4\nmax_seconds = 0.4\n\
                    [workflow.circuit_breaker]\nfailures = 1000\n";
    set_while_it_waits(policies, 0.4);
}

#[test]
fn an_open_breaker_lets_a_call_through_in_time_while_the_clock_is_set() {
    let policies = "[workflow.retry]\nretries = 20\nbase_seconds = 0.01\nmax_seconds = 0.01\n\
                    [workflow.circuit_breaker]\nfailures = 1\ncooldown_seconds = 0.3\n";
    set_while_it_waits(policies, 0.3);
}

/// The run is stopped while it waits, and goes on by another clock.
#[test]
fn a_run_that_was_stopped_goes_on_in_time_whatever_the_clock_was_then() {
    let breaker = "[workflow.retry]\nretries = 100000\nbase_seconds = 0.01\nmax_seconds = 0.01\n\
                   [workflow.circuit_breaker]\nfailures = 1\ncooldown_seconds = 0.4\n";
    let repeat = "[workflow.retry]\nretries = 100000\nbase_seconds = 0.4\nmax_seconds = 0.4\n\
                  [workflow.circuit_breaker]\nfailures = 100000\n";
    for policies in [breaker, repeat] {
        for ahead in [DAY, HOUR, -HOUR, -DAY] {
            let workspace = workspace(1_000_000, policies);
            let clock = Preload::clock(workspace.path());
            clock.set(ahead);
            let stop = |wait, pid| {
                if wait == 0 {
                    kill_process(pid, Signal::TERM).unwrap();
                }
            };
            let (waits, _) = Running::by(&clock, &workspace).follow(0.4, stop);
            assert!(waits > 0);
            assert_ne!(workspace.runs()[0]["status"], "completed");
            clock.set(0);
            workspace.file("healed", "");
            let (_, status) = Running::by(&clock, &workspace).follow(0.4, |_, _| {});
            assert!(status.success(), "{ahead}: {status}");
        }
    }
}

#[test]
fn a_clock_before_all_that_can_be_told_is_named_and_keeps_nobody_from_looking() {
    let workspace = workspace(0, "");
    let clock = Preload::clock(workspace.path());
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    workspace.run(&[]).expect_code(0);
    clock.set(-since_1970.cast_signed() - 10 * 365 * DAY);
    for (arguments, code) in [(&RUN[..], 3), (&["runs"][..], 0)] {
        let mut command = workspace.command(arguments);
        clock.load_into(&mut command);
        let answer = Answer::from(command.output().unwrap()).expect_code(code);
        assert!(!answer.stderr.contains("panicked"), "{answer:#?}");
        assert_eq!(answer.stderr.contains("clock stands before 1970"), code == 3, "{answer:#?}");
    }
    assert_eq!(workspace.runs().as_array().unwrap().len(), 1);
}
