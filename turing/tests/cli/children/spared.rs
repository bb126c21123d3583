//! Processes that a run may not end, or has no right to.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn orphans_of_what_whoever_started_a_run_left_to_it_are_let_live() {
    let workspace = Workspace::new();
    workspace.postings(1);
    let path = |name: &str| workspace.path().join(name);
    let held = Held::new(path("held"));
    let (_begin, end) = (fifo(path("begin")), fifo(path("end")));
    workspace.script("hold.sh", &format!("{}\ncat end", held.hold()));
    workspace.script(
        "check.sh",
        &format!(
            "case $(cat) in *'\"attempt\":1,'*) ;; *) echo ok; exit ;; esac\n\
             echo > begin; while [ ! -s {} ]; do :; done\n\
             flock child true; kill -9 $PPID",
            held.counted()
        ),
    );
    workspace.definition(10, &[(10, "check", END)]);
    // a child that it had before, and that leaves one itself
    let child = "(exec 8> child; flock 8; cat begin; ./hold.sh 8>&- &) > /dev/null 2>&1 &";
    in_shell(&workspace, child, &[]).expect_code(0);
    assert_eq!(names(&workspace.events(1)).iter().filter(|n| **n == FAILED).count(), 1);
    assert!(!held.is_free());
    fs::write(end, "").unwrap();
    eventually("it ends by itself", || held.is_free()).await;
}

const FAILED: &str = "script_execution_failed";

#[test]
fn who_may_not_be_killed_holds_no_attempt_and_is_reaped_at_its_end() {
    assert!(geteuid().is_root(), "this test makes a process of another user, which takes root");
    let workspace = Workspace::new();
    workspace.postings(1);
    // as `sudo` is: whoever runs it may become root
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    fs::copy("/usr/bin/setpriv", &root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o4755)).unwrap();
    fifo(workspace.path().join("go"));
    // more than an output may have, and so it is to be killed at once
    workspace.script("stay.sh", "head -c 2000000 /dev/zero; exec cat go");
    workspace.script(
        "leave.sh",
        &format!(
            "case $(cat) in *'\"attempt\":1,'*) ;; *) echo ok; exit ;; esac\n\
             echo $$ > stays; exec {} --reuid=0 ./stay.sh",
            root.display()
        ),
    );
    workspace.script(
        "go.sh",
        "echo > go; while grep -q '^State:.[^Z]' /proc/$(cat stays)/status; do :; done; echo ok",
    );
    workspace.script("look.sh", "while [ -e /proc/$(cat stays) ]; do :; done; echo ok");
    let to = |next: i32| format!("timeout_seconds = 20\n{}to = {next}\n", END);
    let (leave, go, look) = (to(20), to(30), format!("timeout_seconds = 20\n{END}"));
    workspace.definition(10, &[(10, "leave", &leave), (20, "go", &go), (30, "look", &look)]);
    let run = as_a_user_with_limits(&workspace, &[]).wait_with_output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let events = workspace.events(1);
    let failed = find(&events, FAILED);
    assert_eq!(failed["payload"]["failure_type"], "invalid_output", "{failed}");
    assert_eq!(names(&events).iter().filter(|name| **name == FAILED).count(), 1, "{events:#?}");
}

#[test]
fn a_supervisor_finds_its_libraries_and_its_script_does_not_hear_of_them() {
    let body = "tr '\\0' ' ' < /proc/$PPID/environ; env";
    let workspace = Workspace::with_script(1, "check", END, body);
    let libraries = "export LD_LIBRARY_PATH=/not/there SECRET=secret";
    in_shell(&workspace, libraries, &[]).expect_code(0);
    let state = workspace.state(1);
    let output = state["outputs"]["10"].as_str().unwrap();
    let script = output.strip_prefix("LD_LIBRARY_PATH=/not/there ").unwrap_or_default();
    assert!(script.contains("PATH=/usr/bin"), "{output}");
    assert!(!script.contains("LD_LIBRARY_PATH") && !script.contains("SECRET"), "{output}");
}
