//! Nothing of a script outlives its call.

use super::sandbox::*;

#[tokio::test]
async fn a_child_that_outlives_its_script_is_killed() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("sleep 1000 & echo $! > pids; echo done").await;
    assert!(duration(&outcome) < PATIENCE);
    assert_eq!(output(outcome), "done");
    let pids = sandbox.pids("pids");
    assert_eq!(pids.len(), 1);
    all_gone(&pids).await;
}

#[tokio::test]
async fn a_descendant_in_another_session_does_not_hold_the_call() {
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .run(
            "setsid sh -c 'echo $$ > pids.new; mv pids.new pids; exec sleep 1000' &
             while [ ! -e pids ]; do :; done
             echo done; echo warning >&2",
        )
        .await;
    let escaped: Vec<_> = sandbox.pids("pids").into_iter().map(Escaped).collect();
    assert!(duration(&outcome) < PATIENCE);
    assert_eq!(output(outcome), "done");
    assert_eq!(escaped.len(), 1);
    assert!(!is_gone(escaped[0].0), "it must still hold the pipes for this test to tell");
}

#[tokio::test]
async fn all_that_a_script_printed_is_read_although_its_pipe_stays_open() {
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .run(
            "setsid sh -c 'echo $$ > pids.new; mv pids.new pids; exec sleep 1000' &
             while [ ! -e pids ]; do :; done
             seq 10000",
        )
        .await;
    let _escaped: Vec<_> = sandbox.pids("pids").into_iter().map(Escaped).collect();
    let expected: Vec<_> = (1..=10_000).map(|line| line.to_string()).collect();
    assert_eq!(output(outcome), expected.join("\n"));
}

#[tokio::test]
async fn dropping_the_call_kills_the_whole_group() {
    let sandbox = Sandbox::new();
    let call = sandbox.call(
        "trap '' TERM; sleep 1000 & echo $$ > pids.new; echo $! >> pids.new; mv pids.new pids; wait",
    );
    let running = tokio::spawn(async move { run_script(&call).await });
    eventually("the script has started", || sandbox.path("pids").exists()).await;
    let pids = sandbox.pids("pids");
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| !is_gone(*pid)));

    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    all_gone(&pids).await;
    eventually("the script is reaped", || rustix::process::test_kill_process(pids[0]).is_err())
        .await;
}

#[tokio::test]
async fn a_finished_script_is_reaped_before_the_call_returns() {
    let sandbox = Sandbox::new();
    for body in ["echo $$", "echo $$ >&2; exit 1"] {
        let pid = match sandbox.run(body).await {
            ScriptOutcome::Completed { output, .. } => output,
            ScriptOutcome::Failed { stderr, .. } => stderr,
        };
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn calls_leave_no_descriptors_open() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let sandbox = Sandbox::new();
    let good = sandbox.call("echo ok");
    let bad = sandbox.call_of(sandbox.write("bad.sh", "#!/no/such\n", 0o755));
    let before = open();
    for _ in 0..200 {
        run_script(&good).await;
        run_script(&bad).await;
    }
    // Other tests of this process may run at the same time, but never that many.
    assert!(open() < before + 100, "{before} before, {} after", open());
}
