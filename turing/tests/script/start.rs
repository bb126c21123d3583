//! Scripts that cannot be started, and what is told about them.

use super::sandbox::*;

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
