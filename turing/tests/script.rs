//! Script actors as real processes: every ending, and what is left behind.
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use turing::script::{ScriptCall, ScriptLimits, ScriptOutcome, resolve_program, run_script};
use turing_domain::FailureType;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own for one test's scripts and for the files that they write.
struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A call of a shell script with that body, in this folder.
    fn call(&self, body: &str) -> ScriptCall {
        let program = self.write("script.sh", &format!("#!/bin/sh\n{body}\n"), 0o755);
        self.call_of(program)
    }

    fn call_of(&self, program: PathBuf) -> ScriptCall {
        ScriptCall {
            program,
            arguments: Vec::new(),
            folder: self.folder.path().to_owned(),
            environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            input: Vec::new(),
            limits: ScriptLimits { time: Duration::from_secs(60), ..ScriptLimits::default() },
        }
    }

    async fn run(&self, body: &str) -> ScriptOutcome {
        run_script(&self.call(body)).await
    }

    /// The process ids that a script has written to a file by now, one per line.
    fn pids(&self, name: &str) -> Vec<Pid> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(|line| Pid::from_raw(line.parse().unwrap()).unwrap()).collect()
    }
}

/// Kills what a test let escape on purpose.
struct Escaped(Pid);

impl Drop for Escaped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::KILL);
    }
}

fn output(outcome: ScriptOutcome) -> String {
    match outcome {
        ScriptOutcome::Completed { output, .. } => output,
        failed => panic!("{failed:?}"),
    }
}

fn failure(outcome: ScriptOutcome) -> (FailureType, String, String) {
    match outcome {
        ScriptOutcome::Failed { failure_type, error, stderr, .. } => (failure_type, error, stderr),
        completed => panic!("{completed:?}"),
    }
}

fn duration(outcome: &ScriptOutcome) -> Duration {
    match outcome {
        ScriptOutcome::Completed { duration, .. } | ScriptOutcome::Failed { duration, .. } => {
            *duration
        }
    }
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

/// Gone, or dead and waiting for a parent that is not us.
fn is_gone(pid: Pid) -> bool {
    match fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
        Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
        Err(_) => rustix::process::test_kill_process(pid).is_err(),
    }
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn all_gone(pids: &[Pid]) {
    eventually("all processes are gone", || pids.iter().all(|pid| is_gone(*pid))).await;
}

// Output

#[tokio::test]
async fn output_is_kept_byte_for_byte_but_for_one_final_line_feed() {
    let sandbox = Sandbox::new();
    assert_eq!(output(sandbox.run(r"printf '  ä\r\n\tb\n\n\n'").await), "  ä\r\n\tb\n\n");
    assert_eq!(output(sandbox.run("printf 'no line feed '").await), "no line feed ");
    assert_eq!(output(sandbox.run("printf '\\n'").await), "");
    assert_eq!(output(sandbox.run(":").await), "");
}

#[tokio::test]
async fn output_up_to_the_limit_is_kept_whole() {
    let sandbox = Sandbox::new();
    let kept = output(sandbox.run("head -c 1048576 /dev/zero | tr '\\0' x").await);
    assert_eq!(kept, "x".repeat(1024 * 1024));
}

#[tokio::test]
async fn output_past_the_limit_is_killed_at_once() {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("echo $$ > pids; yes | head -c 50000000; echo > finished").await;
    let (failure_type, error, _) = failure(outcome);
    assert_eq!(failure_type, FailureType::InvalidOutput);
    assert_contains(&error, "1048576 bytes");
    assert!(!sandbox.path("finished").exists());
    all_gone(&sandbox.pids("pids")).await;
}

#[tokio::test]
async fn one_byte_past_the_limit_fails_even_if_the_script_has_already_exited() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("printf 12345");
    call.limits.output_bytes = 4;
    let (failure_type, error, _) = failure(run_script(&call).await);
    assert_eq!(failure_type, FailureType::InvalidOutput);
    assert_contains(&error, "4 bytes");
    call.limits.output_bytes = 5;
    assert_eq!(output(run_script(&call).await), "12345");
}

#[tokio::test]
async fn output_that_is_not_utf_8_is_refused_with_its_offset() {
    let sandbox = Sandbox::new();
    for (body, offset) in [
        (r"printf 'abc\377def'", "offset 3"),
        (r"printf 'ab\303'", "offset 2"),
        (r"printf 'a\377\000'", "offset 1"),
    ] {
        let (failure_type, error, _) = failure(sandbox.run(body).await);
        assert_eq!(failure_type, FailureType::InvalidOutput, "{body}");
        assert_contains(&error, "not UTF-8");
        assert_contains(&error, offset);
    }
}

#[tokio::test]
async fn output_with_u_0000_is_refused_with_its_offset() {
    let sandbox = Sandbox::new();
    for (body, offset) in [(r"printf 'ab\000c'", "offset 2"), (r"printf '\000\377'", "offset 0")] {
        let (failure_type, error, _) = failure(sandbox.run(body).await);
        assert_eq!(failure_type, FailureType::InvalidOutput, "{body}");
        assert_contains(&error, "U+0000");
        assert_contains(&error, offset);
    }
}

// Input, arguments, surroundings

#[tokio::test]
async fn large_input_is_written_while_output_is_read() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("cat");
    call.input = "0123456789abcde\n".repeat(60_000).into_bytes();
    let echoed = output(run_script(&call).await);
    assert_eq!(echoed.len() + 1, call.input.len());
    assert_eq!(echoed.as_bytes(), &call.input[..echoed.len()]);
}

#[tokio::test]
async fn a_script_need_not_read_its_input() {
    let sandbox = Sandbox::new();
    for body in ["echo ok", "exec <&-; echo ok"] {
        let mut call = sandbox.call(body);
        call.input = vec![b'x'; 10_000_000];
        assert_eq!(output(run_script(&call).await), "ok");
    }
}

#[tokio::test]
async fn the_input_ends() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("cat; echo end");
    call.input = b"{\"posting_id\":1}\n".to_vec();
    assert_eq!(output(run_script(&call).await), "{\"posting_id\":1}\nend");
}

#[tokio::test]
async fn the_environment_is_only_what_the_call_names() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call_of(PathBuf::from("/usr/bin/env"));
    call.environment = BTreeMap::from([
        ("GREETING".to_owned(), "grüß dich".to_owned()),
        ("LC_ALL".to_owned(), "C".to_owned()),
    ]);
    let printed = output(run_script(&call).await);
    let mut lines: Vec<_> = printed.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["GREETING=grüß dich", "LC_ALL=C"]);
}

#[tokio::test]
async fn arguments_and_folder_reach_the_script() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("inner")).unwrap();
    let mut call = sandbox.call(r#"pwd -P; printf '<%s>' "$@""#);
    call.folder = sandbox.path("inner");
    call.arguments = vec!["a b".into(), "".into(), "$HOME 'x'".into()];
    let folder = fs::canonicalize(&call.folder).unwrap();
    assert_eq!(
        output(run_script(&call).await),
        format!("{}\n<a b><><$HOME 'x'>", folder.display())
    );
}

#[tokio::test]
async fn scripts_that_run_at_once_do_not_mix_their_data() {
    let sandbox = Sandbox::new();
    let call = sandbox.call("cat");
    let running: Vec<_> = (0..64)
        .map(|number| {
            let mut call = call.clone();
            call.input = format!("posting {number} ").repeat(5_000).into_bytes();
            tokio::spawn(async move { (call.input.clone(), run_script(&call).await) })
        })
        .collect();
    for task in running {
        let (input, outcome) = task.await.unwrap();
        assert_eq!(output(outcome).into_bytes(), input);
    }
}

// Failures of the script itself

#[tokio::test]
async fn a_non_zero_exit_is_a_script_error_with_its_code_and_standard_error() {
    let sandbox = Sandbox::new();
    let (failure_type, error, stderr) =
        failure(sandbox.run("echo out; echo 'no title' >&2; exit 3").await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, "exited with code 3");
    assert_contains(&error, sandbox.path("script.sh").to_str().unwrap());
    assert_eq!(stderr, "no title\n");
}

#[tokio::test]
async fn a_command_that_the_script_does_not_find_is_explained() {
    let sandbox = Sandbox::new();
    let (failure_type, error, stderr) = failure(sandbox.run("no-such-command").await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, "code 127");
    assert_contains(&error, "not found");
    assert_contains(&stderr, "no-such-command");
}

#[tokio::test]
async fn the_end_of_a_long_standard_error_is_kept_with_a_note() {
    let sandbox = Sandbox::new();
    let script = "seq 100000 >&2; exit 1";
    let (_, _, stderr) = failure(sandbox.run(script).await);
    let total: usize = (1..=100_000).map(|line: u32| line.to_string().len() + 1).sum();
    let (note, kept) = stderr.split_once('\n').unwrap();
    assert_eq!(kept.len(), 64 * 1024);
    assert_eq!(note, format!("[the first {} bytes were cut off]", total - kept.len()));
    assert!(kept.ends_with("\n99999\n100000\n"));
}

#[tokio::test]
async fn standard_error_is_never_cut_within_a_character() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("printf 'aääää' >&2; exit 1");
    call.limits.stderr_bytes = 5;
    let (_, _, stderr) = failure(run_script(&call).await);
    assert_eq!(stderr, "[the first 5 bytes were cut off]\nää");
}

#[tokio::test]
async fn standard_error_is_always_text_that_can_be_stored() {
    let sandbox = Sandbox::new();
    let (_, _, stderr) = failure(sandbox.run(r"printf 'a\377b\000c' >&2; exit 1").await);
    assert_eq!(stderr, "a\u{FFFD}b\u{FFFD}c");
}

#[tokio::test]
async fn endless_standard_error_neither_fills_memory_nor_passes_the_time_limit() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("yes >&2");
    call.limits.time = Duration::from_millis(300);
    let (failure_type, _, stderr) = failure(run_script(&call).await);
    assert_eq!(failure_type, FailureType::Timeout);
    assert!(stderr.len() < 65 * 1024);
}

#[tokio::test]
async fn a_death_by_a_signal_is_named() {
    let sandbox = Sandbox::new();
    for (body, expected, parts) in [
        ("kill -KILL $$", FailureType::Interrupted, ["signal 9 (SIGKILL)", "memory"]),
        ("kill -TERM $$", FailureType::Interrupted, ["signal 15 (SIGTERM)", "killed"]),
        ("kill -SEGV $$", FailureType::ScriptError, ["signal 11 (SIGSEGV)", "killed"]),
        ("exit 137", FailureType::Interrupted, ["code 137", "SIGKILL"]),
        ("sh -c 'kill -TERM $$'; exit $?", FailureType::Interrupted, ["code 143", "SIGTERM"]),
        ("exit 139", FailureType::ScriptError, ["code 139", "SIGSEGV"]),
    ] {
        let (failure_type, error, _) = failure(sandbox.run(body).await);
        assert_eq!(failure_type, expected, "{body}");
        for part in parts {
            assert_contains(&error, part);
        }
    }
}

// Time

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

// What is left behind

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

// Scripts that do not start

#[tokio::test]
async fn a_missing_script_is_not_found() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("absent.sh");
    let (failure_type, error, stderr) = failure(run_script(&sandbox.call_of(path.clone())).await);
    assert_eq!(failure_type, FailureType::NotFound);
    assert_eq!(error, format!("script `{}` does not exist", path.display()));
    assert_eq!(stderr, "");
}

#[tokio::test]
async fn a_script_without_the_run_bit_is_refused_with_the_remedy() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("plain.sh", "#!/bin/sh\necho ok\n", 0o644);
    let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path.clone())).await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, &format!("chmod +x '{}'", path.display()));
}

#[tokio::test]
async fn a_missing_interpreter_is_named() {
    let sandbox = Sandbox::new();
    for (first_line, interpreter) in
        [("#!/no/such/shell -e\n", r#""/no/such/shell""#), ("#!/bin/sh\r\n", r#""/bin/sh\r""#)]
    {
        let path = sandbox.write("script.sh", &format!("{first_line}echo ok\n"), 0o755);
        let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path.clone())).await);
        assert_eq!(failure_type, FailureType::NotFound);
        assert_contains(&error, interpreter);
        assert_contains(&error, path.to_str().unwrap());
    }
}

#[tokio::test]
async fn a_text_without_an_interpreter_is_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("script.sh", "echo ok\n", 0o755);
    let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path)).await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, "#!/bin/sh");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("echo ok");
    call.folder = sandbox.path("absent");
    let (failure_type, error, _) = failure(run_script(&call).await);
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, call.folder.to_str().unwrap());
}

#[tokio::test]
async fn a_folder_is_not_a_script() {
    let sandbox = Sandbox::new();
    let (failure_type, error, _) =
        failure(run_script(&sandbox.call_of(sandbox.folder.path().to_owned())).await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, "is not a file");
}

#[tokio::test]
async fn what_no_command_line_can_hold_is_invalid_input() {
    let sandbox = Sandbox::new();
    let mut call = sandbox.call("echo ok");
    for argument in ["a\0b".to_owned(), "x".repeat(8 * 1024 * 1024)] {
        call.arguments = vec![argument.into()];
        let (failure_type, error, _) = failure(run_script(&call).await);
        assert_eq!(failure_type, FailureType::InvalidInput, "{error}");
    }
}

#[tokio::test]
async fn a_script_that_is_still_being_written_is_waited_for() {
    let sandbox = Sandbox::new();
    let call = sandbox.call("echo ok");
    let writer = fs::OpenOptions::new().append(true).open(&call.program).unwrap();
    let (outcome, ()) = tokio::join!(biased; run_script(&call), async { drop(writer) });
    assert_eq!(output(outcome), "ok");
}

#[tokio::test]
async fn a_script_that_stays_open_for_writing_is_interrupted() {
    let sandbox = Sandbox::new();
    let call = sandbox.call("echo ok");
    let _writer = fs::OpenOptions::new().append(true).open(&call.program).unwrap();
    let (failure_type, error, _) = failure(run_script(&call).await);
    assert_eq!(failure_type, FailureType::Interrupted);
    assert_contains(&error, call.program.to_str().unwrap());
    assert_contains(&error, "busy");
}

// Finding the program

#[test]
fn a_command_with_a_slash_is_relative_to_the_definition() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("actors")).unwrap();
    let path = sandbox.write("actors/validate.sh", "#!/bin/sh\n", 0o755);
    let resolve = |command: &str| {
        resolve_program(command, sandbox.folder.path(), &BTreeMap::new())
            .map_err(|error| (error.failure_type(), error.to_string()))
    };
    assert_eq!(resolve("actors/validate.sh"), Ok(path));
    assert_eq!(resolve("/bin/sh"), Ok(PathBuf::from("/bin/sh")));
    let (failure_type, error) = resolve("actors/absent.sh").unwrap_err();
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, sandbox.path("actors/absent.sh").to_str().unwrap());
}

#[test]
fn a_bare_command_is_looked_up_in_the_path_of_the_actor() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("tool", "#!/bin/sh\n", 0o755);
    sandbox.write("notes", "text", 0o644);
    let environment =
        |path: &Path| BTreeMap::from([("PATH".to_owned(), format!("/nowhere:{}", path.display()))]);
    let here = environment(sandbox.folder.path());
    let elsewhere = Path::new("/");
    assert_eq!(resolve_program("tool", elsewhere, &here).unwrap(), program);
    for (command, environment) in
        [("notes", here), ("tool", environment(elsewhere)), ("sh", BTreeMap::new())]
    {
        let error = resolve_program(command, sandbox.folder.path(), &environment).unwrap_err();
        assert_eq!(error.failure_type(), FailureType::NotFound);
        assert_contains(&error.to_string(), command);
    }
}
