//! Who reads the store while it is written to, and who makes copies of it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::day::Phase;
use crate::scene::Scene;
use crate::support::Answer;
use crate::workflow::{STEADY, postings};

/// What `validate` may tell after such a day: that clocks were set, and that everybody may create in
/// `public`, as up to PostgreSQL 14.
const TOLD: [&str; 2] = ["clock_reversed", "rights_of_others"];

/// What it tells of the read model of a file whose rows have gone on while it compared them.
const OVERTAKEN: [&str; 2] = ["projection_differs", "projection_phantom"];

/// Reads one thing after the other until the night.
pub(crate) async fn read(scene: Arc<Scene>, phase: watch::Receiver<Phase>) {
    let mut chance = Rng::with_seed(scene.seed);
    let ids: Vec<_> = postings(STEADY, 0, scene.size.steady).collect();
    let workflow = STEADY.to_string();
    let conversation = (STEADY * 100 + 10).to_string();
    let actor = (STEADY * 10 + 2).to_string();
    while *phase.borrow() < Phase::Night {
        let id = ids[chance.usize(..ids.len())];
        let correlation = format!("workflow_{STEADY}_posting_{id}");
        let id = id.to_string();
        let commands: [&[&str]; 13] = [
            &["runs", "--json"],
            &["run", "show", "--json"],
            &["events", "posting", &id, "--json"],
            &["events", "workflow", &workflow],
            &["events", "conversation", &conversation],
            &["state", "posting", &id, "--json"],
            &["state", "posting", &id, "--at-version", "1"],
            &["state", "posting", &id, "--diff", "1.."],
            &["state", "workflow", &workflow],
            &["trace", &correlation],
            &["projection", "list"],
            &["projection", "show", "run_progress", "--json"],
            &["snapshot", "list"],
        ];
        let outages = scene.outages();
        // an actor has events once it has failed
        let arguments: &[&str] = match chance.usize(..20) {
            0 => &["validate", "--json"],
            1 => &["events", "actor", &actor],
            _ => commands[chance.usize(..commands.len())],
        };
        let answer = scene.ask(arguments).await;
        judge(&scene, arguments, &answer, scene.was_out_since(outages));
    }
}

fn judge(scene: &Scene, arguments: &[&str], answer: &Answer, was_out: bool) {
    let is_file = scene.database.is_none();
    match answer.code {
        Some(0) if arguments[0] != "validate" => scene.count("reads"),
        Some(0 | 1) if arguments[0] == "validate" => {
            let mut findings = findings(answer);
            if is_file {
                let found = findings.len();
                findings.retain(|finding| !OVERTAKEN.iter().any(|kind| finding["kind"] == *kind));
                if findings.len() < found {
                    scene.count("validations that were overtaken");
                }
            }
            assert!(findings.is_empty(), "{}: {findings:#?}; {}", scene.name, scene.kept());
            scene.count("validations");
        }
        // it has not failed yet, or a read model is in trouble for a moment
        Some(1) if matches!(arguments, ["events", "actor", _] | ["projection", "list"]) => {
            scene.count("reads");
        }
        Some(3) if !is_file && was_out => scene.count("reads refused while the server was away"),
        _ => panic!("{arguments:?} of {}: {answer:#?}; {}", scene.name, scene.kept()),
    }
}

/// What `validate` has found and should not have.
pub(crate) fn findings(answer: &Answer) -> Vec<Value> {
    let Value::Array(findings) = answer.json() else { panic!("{answer:#?}") };
    let is_told = |finding: &Value| TOLD.iter().any(|kind| finding["kind"] == *kind);
    findings.into_iter().filter(|finding| !is_told(finding)).collect()
}

/// Makes copies of a file at these times of the day.
pub(crate) async fn back_up(scene: Arc<Scene>, times: Vec<Duration>) {
    let began = Instant::now();
    for (number, at) in times.into_iter().enumerate() {
        sleep_until(began + at).await;
        let copy = copied(&scene, &number.to_string()).await;
        fs::remove_dir_all(copy.parent().unwrap()).unwrap();
    }
}

/// Makes a copy of the file in a folder of its own, and judges it.
pub(crate) async fn copied(scene: &Scene, name: &str) -> PathBuf {
    let folder = scene.folder.join("backups").join(name);
    fs::create_dir(&folder).unwrap();
    let copy = folder.join("copy.db");
    let made = scene.ask(&["backup", "--to", &copy.display().to_string()]).await;
    assert_eq!(made.code, Some(0), "{made:#?}; {}", scene.kept());
    let url = format!("sqlite:{}", copy.display());
    let answer = scene.ask_of(&url, &["validate", "--json"]).await;
    let what = format!("{answer:#?} of {}; {}", copy.display(), scene.kept());
    assert!(answer.code == Some(0) && findings(&answer).is_empty(), "{what}");
    scene.count("backups");
    copy
}
