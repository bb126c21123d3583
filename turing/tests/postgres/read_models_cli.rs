//! `turing projection` and `turing run` on PostgreSQL.

use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection};
use serde_json::json;

use crate::database::{Database, turing};
use crate::support::{ID_END, RUN, Workspace};

#[test]
fn a_run_keeps_the_read_models_and_the_database_keeps_the_states_of_postings() {
    let workspace = Workspace::with_script(3, "a", ID_END, "cat");
    let database = Database::migrated();
    let url = database.url();
    turing(&workspace, &url, &RUN).expect_code(0);
    let listed = turing(&workspace, &url, &["projection", "list", "--json"]).expect_code(0).json();
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["not running", "kept by the database", "not running"]);
    assert_eq!(listed[2]["health"]["lag_events"], 0);
    let shown = ["projection", "show", "run_progress", "--json"];
    let shown = turing(&workspace, &url, &shown).expect_code(0).json();
    assert_eq!((&shown[0]["entered"], &shown[0]["open"]), (&json!(3), &json!(0)));

    let refused = turing(&workspace, &url, &["projection", "show", "posting_state"]).expect_code(2);
    assert!(refused.stderr.contains("posting_state_projection"), "{refused:#?}");
    database.run(
        "UPDATE posting_state_projection SET is_terminal = FALSE WHERE posting_id = 1;
         DELETE FROM posting_state_projection WHERE posting_id = 2",
    );
    turing(&workspace, &url, &["validate"]).expect_code(1);
    let one = ["projection", "rebuild", "posting_state", "--posting", "1"];
    turing(&workspace, &url, &one).expect_code(0);
    let all = turing(&workspace, &url, &["projection", "rebuild", "posting_state"]).expect_code(0);
    assert!(all.stdout.contains("rows that were wrong: 1"), "{all:#?}");
    turing(&workspace, &url, &["validate"]).expect_code(0);

    for name in ["run_progress", "conversation_statistics"] {
        let rebuilt = ["projection", "rebuild", name, "--switch"];
        let rebuilt = turing(&workspace, &url, &rebuilt).expect_code(0);
        assert!(rebuilt.stdout.contains("0 rows differ"), "{rebuilt:#?}");
    }
}

#[test]
fn a_writer_that_holds_the_log_back_is_named() {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    let url = database.url();
    let insert = |id: i32| {
        format!(
            "INSERT INTO execution_events
                 (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
             VALUES ('posting', {id}, 1, 'posting_terminal', '{{}}')"
        )
    };
    database.run("INSERT INTO postings (posting_id) VALUES (1), (2)");
    let (slow, pid) = database.runtime.block_on(async {
        let options = database.test.options().application_name("importer");
        let mut slow = options.connect().await.unwrap();
        let begin = format!("BEGIN; {}", insert(1));
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut slow).await.unwrap();
        let pid = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut slow).await;
        let pid: i32 = pid.unwrap();
        (slow, pid)
    });
    database.run(&insert(2));
    let list = |more: &[&str]| {
        turing(&workspace, &url, &[&["projection", "list"], more].concat()).expect_code(0)
    };
    let listed = list(&["--json"]).json();
    let blocker = &listed[0]["health"]["blocked_by"];
    assert_eq!(blocker["session"], format!("pid {pid}"));
    assert!(blocker["description"].as_str().unwrap().contains("importer"), "{blocker}");
    assert!(blocker["open_seconds"].as_f64().unwrap() > 0.0, "{blocker}");
    let text = list(&[]).stdout;
    let named = format!("the log is held back by pid {pid} (application `importer`");
    assert_eq!(text.matches(&named).count(), 1, "{text}");
    // where less is shown than was appended, it is said beside it
    for command in [&["runs"][..], &["run", "show"]] {
        let stderr = turing(&workspace, &url, command).stderr;
        assert!(stderr.contains(&named), "{command:?}: {stderr}");
    }
    database.runtime.block_on(slow.close()).unwrap();
    assert!(!turing(&workspace, &url, &["runs"]).stderr.contains("held back"));
    assert!(list(&["--json"]).json()[0]["health"]["blocked_by"].is_null());
}
