//! The commands, from the outside.

use std::process::Stdio;
use std::time::Duration;

use es_pgtest::{Server, TransactionPooler};
use serde_json::json;

use crate::database::{Database, directly, turing};
use crate::support::processes::pause;
use crate::support::{PROGRAM_PID, RUN, Workspace, names};

/// Three postings through three conversations.
fn workspace() -> Workspace {
    Workspace::with_two_scripts(3, ["cat", "cat"])
}

#[test]
fn the_demo_runs_on_a_fresh_database_and_again_adds_nothing() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let report = turing(&workspace, &database.url(), &["demo", "--json", "--parallel", "1"])
        .expect_code(0)
        .json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(19), &json!(0)));
    // as on every other store; side by side there may be other waves
    let sqlite = workspace.turing(&["demo", "--json", "--parallel", "1"]).expect_code(0).json();
    for what in ["ended", "read", "postings", "added_events"] {
        assert_eq!(report[what], sqlite[what], "{what}");
    }
    let events = database.number("SELECT count(*)::text FROM execution_events");
    assert_eq!(events, 417);
    let again = turing(&workspace, &database.url(), &["demo"]).expect_code(0);
    assert!(again.stdout.starts_with("Nothing to do: run "), "{again:#?}");
    assert_eq!(database.number("SELECT count(*)::text FROM execution_events"), events);
}

#[test]
fn what_the_demo_proposes_works() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let answer = turing(&workspace, &database.url(), &["demo"]).expect_code(0);
    let proposed = answer.stdout.lines().skip_while(|line| *line != "Look closer:").skip(1);
    let proposed: Vec<_> = proposed.map(str::to_owned).collect();
    assert_eq!(proposed.len(), 3);
    for line in proposed {
        let mut command = std::process::Command::new("sh");
        let told: crate::support::Answer =
            command.args(["-c", &line]).current_dir(workspace.path()).output().unwrap().into();
        assert!(!told.expect_code(0).stdout.is_empty(), "{line}");
    }
}

#[test]
fn the_demo_runs_through_a_pooling_proxy() {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    // the connection of the run's lock is one of them
    let pooler = TransactionPooler::with_sessions(Server::shared(), 6);
    let pooler = database.runtime.block_on(pooler);
    let url = pooler.url(database.test.name());
    let mark = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{mark}pooled=true");
    let report = turing(&workspace, &url, &["demo", "--json"]).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(19), &json!(0)));
    let state = turing(&workspace, &url, &["state", "posting", "12345", "--json"]);
    assert_eq!(state.expect_code(0).json()["state"]["is_terminal"], true);
    let refused = turing(&workspace, &url, &["migrate"]).expect_code(3);
    assert!(refused.stderr.contains("proxy"), "{refused:#?}");
}

#[test]
fn every_command_looks_at_the_same_truth() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    let report = turing(&workspace, &url, &[&RUN[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(3), &json!(0)));
    let events = turing(&workspace, &url, &["events", "posting", "2", "--json"]).expect_code(0);
    let events = events.json_lines();
    let expected = "SELECT event_type FROM execution_events
         WHERE aggregate_type = 'posting' AND aggregate_id = 2 ORDER BY aggregate_version";
    assert_eq!(names(&events), database.texts(expected));
    let state =
        turing(&workspace, &url, &["state", "posting", "2", "--json"]).expect_code(0).json();
    assert_eq!(state["state"]["is_terminal"], true);
    let runs = turing(&workspace, &url, &["runs", "--json"]).expect_code(0).json();
    let runs = &runs["runs"];
    assert_eq!(runs[0]["status"], "completed");
    let shown = turing(&workspace, &url, &["run", "show", "--json"]).expect_code(0).json();
    assert_eq!(shown["run_id"], runs[0]["run_id"]);
    let nothing = turing(&workspace, &url, &["events", "posting", "99"]).expect_code(1);
    assert!(nothing.stderr.contains("posting 99"), "{nothing:#?}");
    let again = turing(&workspace, &url, &RUN).expect_code(0);
    assert!(again.stdout.starts_with("Nothing to do"), "{again:#?}");
    let registered =
        database.texts("SELECT data->>'job_description' FROM postings ORDER BY posting_id");
    assert_eq!(registered, ["advert 1", "advert 2", "advert 3"]);
}

#[test]
fn measuring_leaves_nothing_in_the_database() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let few = ["bench", "--postings", "2", "--sequence", "3", "--json"];
    let measured = directly(&workspace, &database.url(), &few).expect_code(0).json();
    assert_eq!(
        (&measured["actors"][3]["steps"], &measured["sequence"]["steps"]),
        (&json!(8), &json!(3))
    );
    assert!(measured["sequence"]["ratio"].as_f64().unwrap() > 0.0, "{measured}");
    let schemas = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'";
    assert_eq!(database.texts(schemas), ["public"]);
    let tables = "SELECT count(*)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(database.number(tables), 0);
}

#[test]
fn what_failed_is_retried() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    workspace.script("b.sh", "exit 3");
    let failed = turing(&workspace, &url, &[&RUN[..], &["--json"]].concat()).json();
    assert_eq!(failed["open"], 0, "{failed}");
    workspace.script("b.sh", "cat");
    let retry = ["run", "retry", "--workflow", "workflow.toml", "--json"];
    let retried = turing(&workspace, &url, &retry).expect_code(0).json();
    assert_eq!((&retried["postings"], &retried["open"]), (&json!(3), &json!(0)));
    let again = turing(&workspace, &url, &RUN).expect_code(0);
    assert!(again.stdout.contains("(3 completed), so no event was added"), "{again:#?}");
}

#[test]
fn a_run_that_was_interrupted_goes_on_without_its_input() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    workspace.script("b.sh", &format!("kill -9 {PROGRAM_PID}"));
    turing(&workspace, &url, &[&RUN[..], &["--parallel", "1"]].concat());
    workspace.script("b.sh", "cat");
    workspace.postings(4);
    let told = turing(&workspace, &url, &RUN).expect_code(6).stderr;
    assert!(told.contains("not among them: posting 4 (postings/004.json)"), "{told}");
    let resume = ["run", "resume", "--workflow", "workflow.toml", "--json"];
    let report = turing(&workspace, &url, &resume).expect_code(0).json();
    assert_eq!((&report["postings"], &report["open"]), (&json!(3), &json!(0)));
}

#[test]
fn a_second_run_of_the_workflow_is_told_who_runs_it() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    let started = workspace.path().join("started");
    let goes_on = workspace.path().join("goes_on");
    let (s, g) = (started.display(), goes_on.display());
    workspace.script("a.sh", &format!("cat; : > {s}; while [ ! -e {g} ]; do sleep 0.05; done"));
    let mut first = workspace.command(&RUN).env("TURING_STORE", &url).spawn().unwrap();
    while !started.exists() {
        assert!(first.try_wait().unwrap().is_none(), "the run ended early");
        pause();
    }
    let second = turing(&workspace, &url, &RUN).expect_code(4);
    let process = format!("turing {}", first.id());
    assert!(second.stderr.contains(&process), "{second:#?}");
    let shown = turing(&workspace, &url, &["run", "show"]).expect_code(0).stdout;
    assert!(shown.contains(&format!("in progress, process {process} on ")), "{shown}");
    assert_eq!(database.number("SELECT count(*)::text FROM postings"), 3);
    std::fs::write(goes_on, "").unwrap();
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    workspace.postings(20);
    let mut chance = fastrand::Rng::with_seed(7);
    let mut kills = 0;
    loop {
        let mut command = tokio::process::Command::from(workspace.command(&RUN));
        command.env("TURING_STORE", &url).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = database.runtime.block_on(async {
            let mut child = command.spawn().unwrap();
            let life = Duration::from_millis(chance.u64(20..150) * (1 + kills / 10));
            let ended = tokio::time::timeout(life, child.wait()).await;
            if ended.is_err() {
                child.kill().await.unwrap();
            }
            ended.ok()
        });
        match ended {
            Some(status) => {
                assert!(status.unwrap().success());
                break;
            }
            None => kills += 1,
        }
    }
    assert!(kills > 2, "only {kills} kills");
    let completed = "SELECT count(*)::text FROM execution_events WHERE event_type = 'script_execution_completed'";
    assert_eq!(database.number(completed), 40);
    let twice = "SELECT count(*)::text FROM (
        SELECT 1 FROM execution_events WHERE event_type = 'script_execution_completed'
        GROUP BY aggregate_id, metadata->>'conversation_id' HAVING count(*) > 1) t";
    assert_eq!(database.number(twice), 0);
    assert_eq!(
        database.number(
            "SELECT count(*)::text FROM execution_events WHERE event_type = 'workflow_started'"
        ),
        1
    );
}

#[test]
fn a_run_holds_its_lock_whatever_the_server_is_set_to() {
    let (workspace, database) = (workspace(), Database::migrated());
    let url = database.url();
    turing(&workspace, &format!("{url}&schema=other"), &["migrate"]).expect_code(0);
    let name = database.test.name();
    database.run(&format!(
        "ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '800ms';
         ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
    ));
    let [started, goes_on] = ["started", "goes_on"].map(|name| workspace.path().join(name));
    let (s, g) = (started.display(), goes_on.display());
    workspace.script("a.sh", &format!("cat; : > {s}; while [ ! -e {g} ]; do sleep 0.05; done"));
    let mut first = workspace.command(&RUN).env("TURING_STORE", &url).spawn().unwrap();
    while !started.exists() {
        assert!(first.try_wait().unwrap().is_none(), "the run ended early");
        pause();
    }
    // it waits for longer than the server would let the first one's transaction be
    let second = turing(&workspace, &url, &RUN).expect_code(4);
    assert!(second.stderr.contains(&format!("turing {}", first.id())), "{second:#?}");
    let holds_back = "SELECT count(*)::text FROM pg_stat_activity a
        JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
        WHERE a.datname = current_database() AND a.state = 'idle in transaction'
            AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)";
    assert_eq!(database.number(holds_back), 0, "the lock's transaction keeps a snapshot or an id");
    std::fs::write(goes_on, "").unwrap();
    // another schema is another store
    let other = turing(&workspace, &format!("{url}&schema=other"), &RUN);
    assert!(first.wait().unwrap().success());
    other.expect_code(0);
}
