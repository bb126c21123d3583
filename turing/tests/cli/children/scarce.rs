//! Runs that the system gives too little to start scripts.

use crate::support::process::Process;

use super::*;

/// From where the program cannot even open its store to where it has enough.
const LIMITS: [u32; 24] =
    [6, 7, 8, 9, 10, 11, 12, 14, 16, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30, 32, 36, 40, 64];

/// Limits that a program may raise, as this one does for itself; its scripts get them as they are.
const OF_SCRIPTS: [u32; 5] = [5, 7, 9, 12, 16];

#[test]
fn few_descriptors_are_enough_or_end_a_run_in_time_with_what_to_do_and_no_failure() {
    // all at the same time: some wait until it is certain that nothing becomes free
    let hard = LIMITS.map(|limit| format!("-n {limit}"));
    let soft = OF_SCRIPTS.map(|limit| format!("-S -n {limit}"));
    let limits: Vec<_> = hard.into_iter().chain(soft).collect();
    let start = |limit: String| {
        let workspace = Workspace::with_script(3, "check", END, "echo ok");
        let script = format!("ulimit {limit}; exec \"$0\" \"$@\"");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, TURING]).args(RUN).args(["--parallel", "1"]);
        shell.current_dir(workspace.path()).env_remove("TURING_STORE");
        let run = Process::spawn(shell.stdout(Stdio::null()).stderr(Stdio::piped()));
        (limit, workspace, run)
    };
    let runs: Vec<_> = limits.into_iter().map(start).collect();
    let mut enough = Vec::new();
    for (limit, workspace, mut run) in runs {
        let code = run.code();
        let told = run.told().rest();
        if code == Some(0) {
            enough.push(limit.clone());
        } else {
            assert_eq!(code, Some(3), "{limit}: {told}");
            let (_, error) = told.split_once("error: ").unwrap();
            assert!(error.contains("`ulimit -n`"), "{limit}: {told}");
            assert!(!told.contains("panicked"), "{limit}: {told}");
            // what the program lacks itself is missing before anything is begun, and nobody waits for it
            let is_its_own = !limit.starts_with("-S");
            assert!(!is_its_own || !told.contains("wait until their"), "{limit}: {told}");
            // what it has is as good as it was
            workspace.run(&[]).expect_code(0);
        }
        for posting in 1..=3 {
            let events = workspace.events(posting);
            assert!(!names(&events).contains(&"script_execution_failed"), "{limit}: {events:#?}");
            assert_eq!(names(&events).last(), Some(&"posting_terminal"), "{limit}");
        }
    }
    let is_enough = |limit: &str| enough.iter().any(|enough| enough == limit);
    assert!(is_enough("-n 64") && !is_enough("-n 12") && is_enough("-S -n 16"), "{enough:?}");
}

#[test]
fn who_asks_for_json_is_told_in_json_that_nothing_can_be_begun() {
    let workspace = Workspace::new();
    let answer = in_shell(&workspace, "ulimit -n 7", &["--json"]).expect_code(3);
    let told = answer.json();
    assert_eq!(told["exit_code"], 3, "{answer:#?}");
    assert!(told["error"].as_str().unwrap().contains("Too many open files"), "{answer:#?}");
    assert!(answer.stderr.contains("the limit of 7 open files is too low"), "{answer:#?}");
}

/// A user that no other test's processes are of: the system counts those of a user together.
const ANOTHER: u32 = 54_322;

#[test]
fn a_thread_that_is_not_to_be_had_is_told_with_what_to_do_and_no_panic() {
    let workspace = Workspace::with_script(1, "check", END, "echo ok");
    let program = given_to(&workspace, ANOTHER);
    for count in 1..=6 {
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={count}")).arg(&program);
        command.args(["runs", "--store", "memory:", "--json"]).current_dir(workspace.path());
        if geteuid().is_root() {
            command.uid(ANOTHER).gid(ANOTHER);
        }
        let answer = Answer::from(command.output().expect("prlimit of util-linux"));
        assert!(!answer.stderr.contains("panicked"), "{count}: {answer:#?}");
        if count == 1 || answer.code != Some(0) {
            let told = answer.expect_code(3).json();
            assert!(told["error"].as_str().unwrap().contains("`ulimit -u`"), "{count}: {told}");
        }
    }
}

#[test]
fn a_small_stack_is_enough() {
    let workspace = Workspace::with_script(2, "check", END, "echo ok");
    in_shell(&workspace, "ulimit -s 512", &[]).expect_code(0);
}

#[test]
fn without_proc_it_is_told_to_mount_it() {
    let workspace = Workspace::with_script(1, "check", END, "echo ok");
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
    command.args(["--mount", "/bin/sh", "-c", script, TURING]).args(RUN);
    command.current_dir(workspace.path()).env_remove("TURING_STORE");
    let answer = Answer::from(command.output().unwrap()).expect_code(3);
    assert!(answer.stderr.contains("mount -t proc proc /proc"), "{answer:#?}");
    workspace.run(&[]).expect_code(0);
}
