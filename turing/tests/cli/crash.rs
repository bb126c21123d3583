//! `kill -9` at random instants: what is recorded never runs again, and nothing is lost.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::{END, PROGRAM_PID, RUN, Workspace};

const POSTINGS: usize = 20;
const CONVERSATIONS: [i32; 4] = [10, 20, 30, 40];

/// Each script notes outside the store that it starts, under a token of its own, and answers with
/// that token beside an output that depends on its input only.
fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.postings(POSTINGS);
    for (id, name) in CONVERSATIONS.iter().zip(["a", "b", "c", "d"]) {
        let log = workspace.path().join("executions.log");
        let body = format!(
            r#"
            read -r token < /proc/sys/kernel/random/uuid
            document=$(cat)
            # a program that is killed while it writes the document starts nothing
            case $document in *'"workflow_id":3001}}') ;; *) exit 1 ;; esac
            input=$(echo "$document" | sed 's/.*"input":"\([^"]*\)".*/\1/')
            echo "$input {id} $token" >> {log}
            printf '{{"text":"{name}<%s>","token":"%s"}}' "$input" "$token"
            "#,
            log = log.display(),
        );
        workspace.script(&format!("{name}.sh"), &body);
    }
    let conversations = [
        (
            10,
            "a",
            "input = \"{posting_id}\"\n[[conversations.branches]]\nto = 20\n[[conversations.branches]]\nto = 30",
        ),
        (
            20,
            "b",
            "input = \"{posting_id}\"\nparallel_group = \"g\"\n[[conversations.branches]]\nto = 40",
        ),
        (
            30,
            "c",
            "input = \"{posting_id}\"\nparallel_group = \"g\"\n[[conversations.branches]]\nto = 40",
        ),
        (40, "d", "input = \"{posting_id}\"\nwait_for_group = \"g\"\n[[conversations.branches]]\n"),
    ];
    workspace.definition(10, &conversations);
    workspace
}

/// The outputs of every posting, token and text apart.
fn outputs(workspace: &Workspace) -> BTreeMap<(usize, i32), (String, String)> {
    let mut outputs = BTreeMap::new();
    for posting in 1..=POSTINGS {
        let state = workspace.state(posting as i32);
        assert_eq!(state["is_terminal"], true, "posting {posting}: {state}");
        for conversation in CONVERSATIONS {
            let output = state["outputs"][conversation.to_string()].as_str();
            let output: Value = serde_json::from_str(output.unwrap()).unwrap();
            let field = |name: &str| output[name].as_str().unwrap().to_owned();
            outputs.insert((posting, conversation), (field("text"), field("token")));
        }
    }
    outputs
}

/// The token of the last execution that started, for each posting and conversation.
fn last_started(workspace: &Workspace) -> BTreeMap<(usize, i32), String> {
    let log = fs::read_to_string(workspace.path().join("executions.log")).unwrap();
    log.lines()
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            let key = (fields[0].parse().unwrap(), fields[1].parse().unwrap());
            (key, fields[2].to_owned())
        })
        .collect()
}

/// Starts the program and kills it after a random time, unless it finishes before; answers whether
/// it was killed.
async fn run_and_kill(workspace: &Workspace, chance: &mut fastrand::Rng) -> bool {
    let mut command = Command::from(workspace.command(&RUN));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let life = Duration::from_micros(chance.u64(0..300_000));
    match tokio::time::timeout(life, child.wait()).await {
        Ok(status) => {
            assert!(status.unwrap().success());
            false
        }
        Err(_) => {
            child.kill().await.unwrap();
            true
        }
    }
}

#[tokio::test]
async fn kill_campaign_runs_no_recorded_step_again() {
    let is_full = std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full");
    let wanted = if is_full { 250 } else { 25 };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);

    let undisturbed = workspace();
    undisturbed.run(&[]).expect_code(0);
    let expected: Vec<_> = outputs(&undisturbed).into_values().map(|(text, _)| text).collect();

    let (mut kills, mut rounds, mut executions) = (0, 0, 0);
    while kills < wanted {
        let workspace = workspace();
        while run_and_kill(&workspace, &mut chance).await {
            kills += 1;
        }
        rounds += 1;
        let outputs = outputs(&workspace);
        let texts: Vec<_> = outputs.values().map(|(text, _)| text.clone()).collect();
        assert_eq!(texts, expected, "seed {seed}");
        let recorded: BTreeMap<_, _> =
            outputs.into_iter().map(|(key, (_, token))| (key, token)).collect();
        // an execution after the recorded one would have started later
        assert_eq!(recorded, last_started(&workspace), "seed {seed}");
        for posting in 1..=POSTINGS {
            let events = workspace.events(posting as i32);
            let completed =
                events.iter().filter(|event| event["event_type"] == "script_execution_completed");
            assert_eq!(completed.count(), CONVERSATIONS.len(), "posting {posting}, seed {seed}");
        }
        let log = fs::read_to_string(workspace.path().join("executions.log")).unwrap();
        executions += log.lines().count();
        let runs = workspace.runs();
        assert_eq!(runs.as_array().unwrap().len(), 1, "one run was continued: {runs}");
    }
    let recorded = rounds * POSTINGS * CONVERSATIONS.len();
    println!(
        "{kills} kills in {rounds} runs: {recorded} steps recorded, each once; {executions} \
         executions started"
    );
}

#[test]
fn a_wave_that_is_killed_counts_no_repeat_that_it_had_not_made() {
    // each posting fails once; then the program is killed twice, each time at the first repeat
    let body = format!(
        "echo x >> calls; n=$(wc -l < calls); [ $((n)) -gt 3 ] || exit 143; \
         [ $((n)) -gt 5 ] || {{ kill -9 {PROGRAM_PID}; exit 1; }}; echo ok"
    );
    let workspace = Workspace::with_script(3, "a", END, &body);
    for _ in 0..2 {
        workspace.run(&["--parallel", "1"]);
    }
    workspace.run(&["--parallel", "1"]).expect_code(0);
    let events = workspace.turing(&["events", "conversation", "10", "--json"]).expect_code(0);
    let counts = events.json_lines().into_iter();
    let processed: u64 = counts.filter_map(|it| it["payload"]["processed_count"].as_u64()).sum();
    // three failed, and three completed
    assert!((3..=6).contains(&processed), "{processed} of 6 attempts: {}", events.stdout);
}
