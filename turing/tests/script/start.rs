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
async fn a_byte_order_mark_before_the_first_line_is_named() {
    let sandbox = Sandbox::new();
    for mark in [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"] {
        let path = sandbox.write("script.sh", "", 0o755);
        fs::write(&path, [mark, b"#!/bin/sh\necho ok\n"].concat()).unwrap();
        let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path)).await);
        assert_eq!(failure_type, FailureType::ScriptError);
        assert_contains(&error, "byte order mark");
    }
}

#[tokio::test]
async fn a_first_line_that_the_system_does_not_read_to_its_end_is_told() {
    let sandbox = Sandbox::new();
    let folder = ["a".repeat(120), "b".repeat(120)].join("/");
    fs::create_dir_all(sandbox.path(&folder)).unwrap();
    let interpreter = sandbox.path(&folder).join("sh");
    std::os::unix::fs::symlink("/bin/sh", &interpreter).unwrap();
    let line = format!("#!{}\n", interpreter.display());
    let path = sandbox.write("script.sh", &format!("{line}echo ok\n"), 0o755);
    let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path)).await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, &format!("{} bytes", line.len() - 1));
    assert_contains(&error, "reads 255");

    // what is cut off an argument is no matter of ours
    let line = format!("#!/bin/sh -e{}\n", " ".repeat(300));
    let path = sandbox.write("script.sh", &format!("{line}echo ok\n"), 0o755);
    assert_eq!(output(run_script(&sandbox.call_of(path)).await), "ok");
    let line = format!("#!/no/such/shell {}\n", "x".repeat(300));
    let path = sandbox.write("script.sh", &line, 0o755);
    let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path)).await);
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, r#""/no/such/shell""#);
}

#[tokio::test]
async fn a_program_for_another_system_is_told_so() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("program", "", 0o755);
    // the beginning of an ELF file whose machine is none
    let elf = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[2, 0, 0, 0], &[0; 44]].concat();
    fs::write(&path, elf).unwrap();
    let (failure_type, error, _) = failure(run_script(&sandbox.call_of(path)).await);
    assert_eq!(failure_type, FailureType::ScriptError);
    assert_contains(&error, "another system");
}

#[tokio::test]
async fn a_supervisor_that_is_none_is_no_failure_of_the_script() {
    let sandbox = Sandbox::new();
    let call = sandbox.call("echo ran >> ran");
    let killed = sandbox.started_here("killed", "kill -9 $$");
    for (supervisor, told) in [
        (sandbox.path("absent"), "could not be started"),
        (PathBuf::from("/bin/false"), "exited with code 1"),
        (killed, "SIGKILL"),
    ] {
        let outcome = Supervisors::new(&supervisor).run(&call).await;
        let ScriptOutcome::NotStarted { passes, error } = outcome else {
            panic!("{} started a script", supervisor.display());
        };
        assert_contains(&error, told);
        assert_contains(&error, supervisor.to_str().unwrap());
        assert_eq!(passes, told == "SIGKILL", "{error}");
    }
    assert!(!sandbox.path("ran").exists());
}

#[tokio::test]
async fn a_supervisor_that_was_one_before_is_waited_for() {
    let sandbox = Sandbox::new();
    let good = sandbox.path("supervisor");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_turing"), &good).unwrap();
    let supervisors = Supervisors::new(&good);
    // another is needed after that
    let call = sandbox.call("kill -9 $PPID");
    assert_contains(&failure(supervisors.run(&call).await).1, "lost its supervisor");
    let is_waited_for = |outcome| matches!(outcome, ScriptOutcome::NotStarted { passes: true, .. });
    fs::remove_file(&good).unwrap();
    assert!(is_waited_for(supervisors.run(&call).await), "it is gone");
    std::os::unix::fs::symlink("/bin/false", &good).unwrap();
    assert!(is_waited_for(supervisors.run(&call).await), "it does nothing");
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
