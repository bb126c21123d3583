//! What a script prints: kept byte for byte, or refused.

use super::sandbox::*;

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
