//! What is asked of a store when no run goes on: read models, checks, and a copy that is restored.

use es_pgtest::{Server, TestDatabase};
use tokio::process::Command;

use crate::looks::{copied, findings};
use crate::scene::Scene;
use crate::support::Answer;
use crate::workflow::STEADY;

/// Nothing is wrong with the store, nor with a copy of it.
pub(crate) async fn night(scene: &Scene) {
    // who was killed while keeping a model is waited for
    scene.until_well(&["projection", "run", "--once"]).await;
    let listed = scene.until_well(&["projection", "list", "--json"]).await;
    for model in listed.json().as_array().unwrap() {
        let health = &model["health"];
        let is_current = health["lag_events"] == 0 && health["parked"] == 0;
        assert!(health.is_null() || is_current, "{model:#}; {}", scene.kept());
    }
    check(scene, &scene.url).await;
    match &scene.database {
        None => {
            let copy = copied(scene, "last").await;
            check(scene, &format!("sqlite:{}", copy.display())).await;
        }
        Some(database) => {
            let copy = restored(scene, database).await;
            check(scene, &copy.url()).await;
        }
    }
}

/// Nothing is wrong there, all runs are there, and none is left to be done.
async fn check(scene: &Scene, url: &str) {
    let validated = scene.ask_of(url, &["validate", "--json"]).await;
    let is_sound = validated.code == Some(0) && findings(&validated).is_empty();
    assert!(is_sound, "{url}: {validated:#?}; {}", scene.kept());
    let [there, here] =
        [scene.ask_of(url, &["runs", "--json"]).await, scene.ask(&["runs", "--json"]).await];
    assert_eq!(there.json(), here.json(), "{url}; {}", scene.kept());
    let mut again = scene.run(STEADY, 0);
    again.args(["--store", url]);
    let again: Answer = Command::from(again).output().await.unwrap().into();
    let is_done = again.code == Some(0) && again.stdout.starts_with("Nothing to do");
    assert!(is_done, "{url}: {again:#?}; {}", scene.kept());
}

/// Another database, made of what the server's own program makes of this one.
async fn restored(scene: &Scene, database: &TestDatabase) -> TestDatabase {
    let dump = scene.folder.join("backups").join("last.dump").display().to_string();
    let copy = database.server().database().await;
    program("pg_dump", &["--format=custom", "--file", &dump, &database.url()]).await;
    program("pg_restore", &["--exit-on-error", "--dbname", &copy.url(), &dump]).await;
    scene.count("backups");
    copy
}

async fn program(name: &str, arguments: &[&str]) {
    let done = Command::new(Server::program(name)).args(arguments).output().await;
    let done: Answer = match done {
        Ok(done) => done.into(),
        Err(error) => panic!("{name}, which comes with the server: {error}"),
    };
    assert_eq!(done.code, Some(0), "{name}: {done:#?}");
}
