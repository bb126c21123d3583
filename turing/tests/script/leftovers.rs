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

/// Ways by which a script leaves something behind; `hold` holds on to what the test watches.
const WAYS: [&str; 10] = [
    "hold &",
    "timeout 1000 ./hold &",
    "setsid ./hold &",
    "nohup ./hold > /dev/null 2>&1 &",
    "(setsid sh -c './hold & ./hold & ./hold & exit' &)",
    "env -i setsid setsid -f /bin/sh ./hold",
    "setsid sh -c 'trap \"\" TERM HUP INT; timeout 1000 ./hold & wait' &",
    "sh -c 'set -m; ./hold & ./hold &'",
    "(exec timeout 1000 env -i /bin/sh ./hold) < /dev/null > /dev/null 2>&1 &",
    // the system cuts its name within a character
    "setsid ./12345678901234ä.sh > /dev/null 2>&1 &",
];

/// A script that leaves something behind in one way, and goes on when that is there.
fn leaving(sandbox: &Sandbox, held: &Held, way: &str, then: &str) -> ScriptCall {
    sandbox.write("hold", &format!("#!/bin/sh\n{}\nexec sleep 1000\n", held.hold()), 0o755);
    let endless = format!("#!/bin/sh\n{}\nwhile :; do sleep 1000; done\n", held.hold());
    sandbox.write("12345678901234ä.sh", &endless, 0o755);
    let body = format!(
        "hold() {{ . ./hold; }}\n{way}\nwhile [ ! -s {counted} ]; do :; done\n{then}",
        counted = held.counted()
    );
    sandbox.call(&body)
}

#[tokio::test]
async fn nothing_that_a_script_left_outlives_its_call() {
    for way in WAYS {
        for (then, is_good) in [("echo done", true), ("echo bad >&2; exit 3", false)] {
            let sandbox = Sandbox::new();
            let held = sandbox.held();
            let outcome = run_script(&leaving(&sandbox, &held, way, then)).await;
            assert!(duration(&outcome) < PATIENCE, "{way}");
            assert!(held.is_free(), "{way} left something behind");
            match is_good {
                true => assert_eq!(output(outcome), "done", "{way}"),
                false => assert_contains(&failure(outcome).1, "exited with code 3"),
            }
        }
    }
}

#[tokio::test]
async fn nothing_that_a_script_left_outlives_its_time_limit() {
    for way in WAYS {
        for then in ["wait; exec sleep 1000", "trap '' TERM; wait; while :; do sleep 1000; done"] {
            let sandbox = Sandbox::new();
            let held = sandbox.held();
            let mut call = leaving(&sandbox, &held, way, then);
            call.limits.time = Duration::from_millis(500);
            call.limits.grace = Duration::from_millis(200);
            assert_eq!(failure(run_script(&call).await).0, FailureType::Timeout, "{way}");
            assert!(held.is_free(), "{way} left something behind");
        }
    }
}

#[tokio::test]
async fn nothing_that_a_script_left_outlives_a_call_that_is_given_up() {
    for way in WAYS {
        let sandbox = Sandbox::new();
        let held = sandbox.held();
        let call = leaving(&sandbox, &held, way, "exec sleep 1000");
        let running = tokio::spawn(async move { run_script(&call).await });
        eventually("it holds on", || !held.is_free()).await;
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        eventually(way, || held.is_free()).await;
    }
}

#[tokio::test]
async fn what_another_script_started_is_let_live() {
    let sandbox = Sandbox::new();
    let held = sandbox.held();
    let long = leaving(&sandbox, &held, "setsid ./hold &", "cat go; echo done");
    let go = sandbox.fifo("go");
    let running = tokio::spawn(async move { run_script(&long).await });
    eventually("it holds on", || !held.is_free()).await;
    let other = Sandbox::new();
    for number in 0..20 {
        let other_held = other.held();
        let other = leaving(&other, &other_held, "setsid ./hold &", &format!("echo {number}"));
        assert_eq!(output(run_script(&other).await), number.to_string());
        assert!(other_held.is_free());
        assert!(!held.is_free());
    }
    fs::write(go, "").unwrap();
    assert_eq!(output(running.await.unwrap()), "done");
    assert!(held.is_free());
}

#[tokio::test]
async fn every_process_of_a_script_is_asked_to_end_before_it_is_killed() {
    let sandbox = Sandbox::new();
    let tidy = "#!/bin/sh\ntrap 'echo $$ >> tidied; exit' TERM\necho $$ >> there\n\
                while :; do sleep 1000 & wait; done\n";
    sandbox.write("tidy", tidy, 0o755);
    let mut call = sandbox
        .call("trap 'wait; exit' TERM; ./tidy & setsid ./tidy & timeout 1000 ./tidy & wait; wait");
    call.limits.time = Duration::from_secs(2);
    call.limits.grace = PATIENCE;
    let outcome = run_script(&call).await;
    assert!(duration(&outcome) < PATIENCE);
    assert_eq!(failure(outcome).0, FailureType::Timeout);
    let numbers = |name: &str| {
        let pids = sandbox.pids(name).into_iter().map(|pid| pid.as_raw_nonzero().get());
        pids.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(numbers("there").len(), 3);
    // `timeout` hands the signal on, so that one may come twice
    assert_eq!(numbers("tidied"), numbers("there"));
}

#[tokio::test]
async fn a_script_that_kills_its_supervisor_is_interrupted() {
    let sandbox = Sandbox::new();
    let (failure_type, error, _) = failure(sandbox.run("kill -9 $PPID").await);
    assert_eq!(failure_type, FailureType::Interrupted);
    assert_contains(&error, "lost its supervisor");
    assert_contains(&error, "SIGKILL");
}

#[tokio::test]
async fn a_supervisor_that_is_asked_to_end_lets_its_script_end_first() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let sandbox = Sandbox::new();
        let held = sandbox.held();
        let cleanup = format!(
            "trap 'echo cleaned; exit 0' {signal}; kill -{signal} $PPID $$; while :; do :; done"
        );
        let call = leaving(&sandbox, &held, "setsid ./hold &", &cleanup);
        assert_eq!(output(run_script(&call).await), "cleaned", "{signal}");
        assert!(held.is_free(), "{signal}");
    }
    // what the supervisor does not heed, the script does
    let (_, error, _) =
        failure(Sandbox::new().run("kill -TERM $PPID $$; while :; do :; done").await);
    assert_contains(&error, "SIGTERM");
}

#[tokio::test]
async fn a_supervisor_that_is_stopped_holds_no_call() {
    let sandbox = Sandbox::new();
    let held = sandbox.held();
    let mut call = leaving(&sandbox, &held, "setsid ./hold &", "kill -STOP $PPID; exec sleep 1000");
    call.limits.time = Duration::from_millis(500);
    assert_eq!(failure(run_script(&call).await).0, FailureType::Timeout);
    assert!(held.is_free());

    let sandbox = Sandbox::new();
    let held = sandbox.held();
    let then = "kill -STOP $PPID; echo > stopped; exec sleep 1000";
    let call = leaving(&sandbox, &held, "setsid ./hold &", then);
    let running = tokio::spawn(async move { run_script(&call).await });
    eventually("its supervisor is stopped", || sandbox.path("stopped").exists()).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    eventually("nothing holds on", || held.is_free()).await;
}

#[tokio::test]
async fn a_supervisor_that_hears_nothing_holds_no_call() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("echo ok");
    let body = format!("echo $$ > {}; exec sleep 1000", sandbox.path("pids").display());
    let deaf = Supervisors::new(sandbox.started_here("deaf", &body));
    call.limits.time = Duration::from_millis(500);
    call.limits.grace = Duration::from_millis(1);
    assert_eq!(failure(deaf.run(&call).await).0, FailureType::Timeout);
    all_gone(&sandbox.pids("pids")).await;
}

#[tokio::test]
async fn all_that_a_script_printed_is_read() {
    let sandbox = Sandbox::new();
    let held = sandbox.held();
    let call = leaving(&sandbox, &held, "setsid ./hold &", "seq 10000");
    let expected: Vec<_> = (1..=10_000).map(|line| line.to_string()).collect();
    assert_eq!(output(run_script(&call).await), expected.join("\n"));
}

#[tokio::test]
async fn orphans_of_a_script_that_goes_on_do_not_stay_zombies() {
    let sandbox = Sandbox::new();
    // its supervisor is their parent; where they are not reaped the script never ends
    let body = "for i in 1 2 3 4 5; do (true &); (sleep 0.01 &); done\n\
                while cat /proc/[0-9]*/status 2> /dev/null | awk -v parent=$PPID '\n\
                    /^State:/ { state = $2 } /^PPid:/ && $2 == parent && state == \"Z\" { n++ }\n\
                    END { exit !n }'; do :; done\necho done";
    assert_eq!(output(sandbox.run(body).await), "done");
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
            missing @ ScriptOutcome::NotStarted { .. } => panic!("{missing:?}"),
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
