//! What reaches a script: its input, arguments, environment and folder.

use super::sandbox::*;

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
