//! Scripts that the system does not let start, for longer than a run waits for that.

use std::process::Command;

use turing::run::StepError;

use super::*;
use crate::support::jumping::Jumping;

#[tokio::test]
async fn a_run_whose_scripts_cannot_be_started_ends_and_goes_on_as_if_nothing_had_been() {
    let scene = Scene::new();
    let undisturbed = Arc::new(MemoryStore::new());
    assert!(scene.run(undisturbed.clone()).await);
    let (expected, names) = (ending(&undisturbed).await, names_of(&log(&undisturbed).await));

    // written by another process, so that it is never found open for writing
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "printf '#!/bin/sh\\nkill -9 $$\\n' > killed; chmod +x killed"]);
    assert!(shell.current_dir(scene.workspace.path()).status().unwrap().success());
    let supervisor = scene.workspace.path().join("killed");
    let memory = Arc::new(MemoryStore::new());
    let options = RunOptions { supervisor, timer: Jumping::new(), ..one_by_one() };
    let ended = scene.try_run(memory.clone(), options, &mut Quiet).await.unwrap_err();
    let RunError::Step(StepError::NotStarted { reason }) = &ended else { panic!("{ended:?}") };
    assert!(reason.contains("SIGKILL"), "{reason}");
    assert!(ended.is_of_starts() && !ended.is_of_store(), "{ended}");

    assert!(scene.run(memory.clone()).await);
    assert_eq!(ending(&memory).await, expected);
    let log = log(&memory).await;
    check_log(&log);
    assert_eq!(names_of(&log), names);
}
