//! How a script can fail by itself.

use super::sandbox::*;

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
