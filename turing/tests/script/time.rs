//! What happens when a script's time is over.

use super::sandbox::*;

#[tokio::test]
async fn the_time_limit_ends_the_whole_group() {
    let sandbox = Sandbox::new();
    let mut call = sandbox
        .call("echo $$ > pids; sleep 1000 & echo $! >> pids; echo waiting >&2; echo part; wait");
    call.limits.time = Duration::from_secs(1);
    let outcome = run_script(&call).await;
    assert!(duration(&outcome) >= Duration::from_secs(1));
    assert!(duration(&outcome) < PATIENCE);
    let (failure_type, error, stderr) = failure(outcome);
    assert_eq!(failure_type, FailureType::Timeout);
    assert_contains(&error, "time limit of 1s");
    assert_eq!(stderr, "waiting\n");
    let pids = sandbox.pids("pids");
    assert_eq!(pids.len(), 2);
    all_gone(&pids).await;
}

#[tokio::test]
async fn a_script_may_clean_up_when_its_time_is_over() {
    let sandbox = Sandbox::new();
    let mut call =
        sandbox.call("trap 'rm lock; exit 0' TERM; : > lock; : > locked; sleep 1000 & wait");
    call.limits.time = Duration::from_secs(1);
    call.limits.grace = PATIENCE;
    let outcome = run_script(&call).await;
    assert!(duration(&outcome) < PATIENCE);
    assert_eq!(failure(outcome).0, FailureType::Timeout);
    assert!(sandbox.path("locked").exists());
    assert!(!sandbox.path("lock").exists());
}

#[tokio::test]
async fn a_script_that_ignores_sigterm_is_killed_after_the_grace() {
    let sandbox = Sandbox::new();
    let mut call =
        sandbox.call("trap '' TERM; echo $$ > pids; sleep 1000 & echo $! >> pids; wait; wait");
    call.limits.time = Duration::from_millis(800);
    call.limits.grace = Duration::from_millis(200);
    let outcome = run_script(&call).await;
    assert!(duration(&outcome) >= Duration::from_secs(1));
    assert_eq!(failure(outcome).0, FailureType::Timeout);
    let pids = sandbox.pids("pids");
    assert_eq!(pids.len(), 2);
    all_gone(&pids).await;
}
