//! Supervisors that are used again, and those that must not be.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use rustix::process::{Signal, kill_process};

use super::sandbox::*;

/// The supervisor of a script that says who its parent is.
async fn parent(supervisors: &Supervisors, sandbox: &Sandbox) -> Pid {
    let printed = output(supervisors.run(&sandbox.call("echo $PPID")).await);
    Pid::from_raw(printed.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn a_supervisor_that_has_nothing_left_to_end_is_used_again() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let first = parent(&supervisors, &sandbox).await;
    for (body, is_good) in
        [("setsid sleep 1000 & (sleep 1000 &)", true), ("kill -9 $$", false), ("exit 3", false)]
    {
        let outcome = supervisors.run(&sandbox.call(body)).await;
        assert_eq!(matches!(outcome, ScriptOutcome::Completed { .. }), is_good, "{outcome:?}");
        assert_eq!(parent(&supervisors, &sandbox).await, first, "{body}");
    }
    let mut late = sandbox.call("setsid sleep 1000 & echo $PPID > asked; sleep 1000");
    late.limits.time = Duration::from_millis(300);
    assert_eq!(failure(supervisors.run(&late).await).0, FailureType::Timeout);
    assert_eq!(sandbox.pids("asked"), [first]);
    assert_eq!(parent(&supervisors, &sandbox).await, first);
}

#[tokio::test]
async fn scripts_at_once_have_supervisors_of_their_own_and_there_are_no_more_than_these() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let (a, b) = (sandbox.fifo("a"), sandbox.fifo("b"));
    // each waits for the other
    sandbox.write("one", "#!/bin/sh\necho > a; cat b > /dev/null; echo $PPID\n", 0o755);
    sandbox.write("other", "#!/bin/sh\ncat a > /dev/null; echo > b; echo $PPID\n", 0o755);
    let (one, other) =
        (sandbox.call_of(sandbox.path("one")), sandbox.call_of(sandbox.path("other")));
    let (one, other) = tokio::join!(supervisors.run(&one), supervisors.run(&other));
    let both = [output(one), output(other)];
    assert_ne!(both[0], both[1]);
    for _ in 0..3 {
        let next = parent(&supervisors, &sandbox).await.as_raw_nonzero().to_string();
        assert!(both.contains(&next), "{next} is neither of {both:?}");
    }
    assert!(a.exists() && b.exists());
}

#[tokio::test]
async fn a_supervisor_that_was_killed_or_stopped_between_scripts_holds_nobody() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let first = parent(&supervisors, &sandbox).await;
    kill_process(first, Signal::STOP).unwrap();
    assert_eq!(parent(&supervisors, &sandbox).await, first);
    kill_process(first, Signal::KILL).unwrap();
    all_gone(&[first]).await;
    let second = parent(&supervisors, &sandbox).await;
    assert_ne!(second, first);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        kill_process(second, signal).unwrap();
        assert_eq!(parent(&supervisors, &sandbox).await, second, "{signal:?}");
    }
}

#[tokio::test]
async fn the_supervisor_of_a_call_that_is_given_up_is_not_used_again() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let first = parent(&supervisors, &sandbox).await;
    let held = sandbox.held();
    let body = format!("{}\nexec sleep 1000", held.hold());
    let call = sandbox.call(&body);
    tokio::select! {
        outcome = supervisors.run(&call) => panic!("{outcome:?}"),
        () = eventually("it holds on", || !held.is_free()) => {}
    }
    assert_ne!(parent(&supervisors, &sandbox).await, first);
    eventually("it is ended", || held.is_free()).await;
    all_gone(&[first]).await;
}

#[tokio::test]
async fn a_supervisor_that_could_not_start_a_script_is_used_no_more() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let first = parent(&supervisors, &sandbox).await;
    let program = sandbox.write("text", "no program\n", 0o755);
    failure(supervisors.run(&sandbox.call_of(program)).await);
    all_gone(&[first]).await;
    assert_ne!(parent(&supervisors, &sandbox).await, first);
}

#[tokio::test]
async fn supervisors_end_with_whoever_keeps_them() {
    let sandbox = Sandbox::new();
    let kept = supervisors();
    let first = parent(&kept, &sandbox).await;
    drop(kept);
    all_gone(&[first]).await;
}

#[test]
fn a_supervisor_is_used_again_in_another_runtime() {
    let (supervisors, sandbox) = (supervisors(), Sandbox::new());
    let in_a_runtime = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(parent(&supervisors, &sandbox))
    };
    assert_eq!(in_a_runtime(), in_a_runtime());
}
