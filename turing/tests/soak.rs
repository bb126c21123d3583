//! A compressed day of work: whatever happens to programs, servers, clocks and disks, all adds up.
//!
//! Of each of two stores, a file and a database, side by side:
//!
//! - three *rough* workflows, a program each: it is killed, asked to stop once or twice, left without
//!   room or server; the same command goes on, round after round;
//! - the *steady* workflow, one program from the morning to the evening that nobody ends;
//! - `projection run`, one program from the morning to the night;
//! - scripts, which note each execution outside of the store, fail, hang and leave processes behind;
//!   and a model in this process, which refuses some questions once;
//! - a reader, which asks one thing after the other, `validate` among them;
//! - copies of the file while all write to it, each of which is validated;
//! - a plan, made of a seed: kills, requests to stop, clock steps of hours and days, full disks,
//!   restarts of the server;
//! - a watch over memory, descriptors, threads, children, and the write-ahead log.
//!
//! What must hold, whatever the order:
//!
//! - a program ends with an exit code that is documented for what was done to it, and nothing that it
//!   started outlives it;
//! - who reads is answered, or told that the server is away; each copy is whole;
//! - long-lived programs hold at last what they held before, within the bounds in `watch`;
//! - events follow one another in their streams and in the log, none is there twice;
//! - each posting that was given ends once, and well; each run and each wave ends once;
//! - an attempt that is recorded is the one that its actor made last, so that nothing recorded was
//!   done again; what was done without a record is explained by programs that were cut off;
//! - read models are current, `validate` finds nothing, and a copy restores to the same.
//!
//! `ES_SEED` repeats a day's plan. After a failure the folder that is named is kept: `out` has all that
//! the programs told, each workflow's folder its definition, postings and ledger.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a broken assumption must fail the test")]
#![allow(clippy::print_stdout, reason = "a campaign prints what it did")]

mod support;

#[path = "soak/day.rs"]
mod day;
#[path = "soak/ledger.rs"]
mod ledger;
#[path = "soak/looks.rs"]
mod looks;
#[path = "soak/night.rs"]
mod night;
#[path = "soak/plan.rs"]
mod plan;
#[path = "soak/runs.rs"]
mod runs;
#[path = "soak/scene.rs"]
mod scene;
#[path = "soak/totals.rs"]
mod totals;
#[path = "soak/watch.rs"]
mod watch;
#[path = "soak/workflow.rs"]
mod workflow;

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, Mutex};

use es_pgtest::Server;
use fastrand::Rng;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::plan::{Plan, Size};
use crate::runs::KILLS;
use crate::scene::Scene;

/// One store's day and night; answers what there is to tell.
async fn live(scene: Arc<Scene>, plan: Plan, questions: Arc<Mutex<Vec<Value>>>) -> String {
    let watched = day::day(Arc::clone(&scene), plan).await;
    watched.check(&scene);
    let questions = questions.lock().unwrap().clone();
    let totals = totals::add_up(&scene, &questions).await;
    night::night(&scene).await;
    assert!(scene.counted(KILLS) > 0, "nobody was killed; {}", scene.kept());
    format!("{}: {totals}; {}\n{watched}", scene.name, scene.all_counted())
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_campaign() {
    let is_full = std::env::var_os("ES_CAMPAIGN").is_some_and(|campaign| campaign == "full");
    let size = if is_full { Size::FULL } else { Size::QUICK };
    let seed =
        std::env::var("ES_SEED").map_or_else(|_| fastrand::u64(..), |it| it.parse().unwrap());
    let mut chance = Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap().keep().canonicalize().unwrap();
    println!("a day of {:?}, seed {seed}, in {}", size.length, folder.display());

    let seen = Mutex::new(HashSet::new());
    let (endpoint, questions) = support::model::serve(move |number, question| {
        let asked = ledger::asked_in(question).to_owned();
        ledger::answer(number, question, seen.lock().unwrap().insert(asked))
    });
    let file = Scene::of_a_file(&folder, size, seed, &endpoint);
    let server = tokio::task::spawn_blocking(|| Server::private(&[])).await.unwrap();
    let database = server.database().await;
    let database = Scene::of_a_server(&folder, size, seed, &endpoint, database);
    let migrated = database.ask(&["migrate"]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:#?}");

    let plans = [Plan::of_a_file(&size, &mut chance), Plan::of_a_server(&size, &mut chance)];
    let mut lives = JoinSet::new();
    for (scene, plan) in [file, database].into_iter().zip(plans) {
        lives.spawn(live(Arc::new(scene), plan, Arc::clone(&questions)));
    }
    let mut told = Vec::new();
    while let Some(lived) = lives.join_next().await {
        match lived {
            Ok(all) => told.push(all),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    println!("{}", told.join("\n"));
    println!("  (processes are judged from {} looks on)", size.judged);
    // after a failure it is kept
    fs::remove_dir_all(folder).unwrap();
}
