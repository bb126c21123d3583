//! The past, kept states and traces on PostgreSQL.

use serde_json::json;

use crate::database::{Database, turing};
use crate::support::{Answer, RUN, Workspace};

/// Two postings through two conversations, on PostgreSQL, which is migrated, and on SQLite.
fn workspace(database: &Database) -> Workspace {
    let workspace = Workspace::with_two_scripts(2, ["echo first", "echo second"]);
    for url in [database.url(), "sqlite:turing.db".to_owned()] {
        let run = [&RUN[..], &["--snapshot-interval", "2"]].concat();
        turing(&workspace, &url, &run).expect_code(0);
    }
    workspace
}

#[test]
fn states_of_the_past_are_those_of_every_other_store() {
    let database = Database::migrated();
    let workspace = workspace(&database);
    let ask = |url: &str, more: &[&str]| -> Answer {
        turing(&workspace, url, &[&["state", "posting", "1", "--json"], more].concat())
    };
    let count = workspace.events(1).len();
    for version in 1..=count {
        let version = version.to_string();
        for moment in [vec!["--at-version", &version], vec!["--diff", &format!("{version}..")[..]]]
        {
            if version == count.to_string() && moment[0] == "--diff" {
                continue;
            }
            // the ids of runs and the times differ from store to store
            let told = |url: &str| {
                let answer = ask(url, &moment).expect_code(0).json();
                let differences = answer["differences"].as_array().map(|all| {
                    let paths = all.iter().map(|one| one["path"].as_str().unwrap().to_owned());
                    paths.filter(|path| !path.contains("run")).collect::<Vec<_>>()
                });
                let state = &answer["state"];
                let facts = ["outputs", "is_terminal", "execution_sequence"];
                let facts = facts.map(|fact| state[fact].clone());
                (answer["version"].clone(), differences, facts)
            };
            assert_eq!(told(&database.url()), told("sqlite:turing.db"), "{moment:?}");
        }
    }
    let first =
        "SELECT to_char(min(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')
        FROM execution_events WHERE aggregate_type = 'posting' AND aggregate_id = 1";
    let instant = database.texts(first).remove(0);
    let then = ask(&database.url(), &["--at", &instant]).expect_code(0).json();
    let of_then = format!(
        "SELECT count(*)::text FROM execution_events
         WHERE aggregate_type = 'posting' AND aggregate_id = 1 AND created_at <= '{instant}'"
    );
    assert_eq!(then["version"], database.number(&of_then));
    let past = (count + 1).to_string();
    let answer = ask(&database.url(), &["--at-version", &past]).expect_code(1);
    assert!(answer.stderr.contains(&format!("there is no version {past}")), "{answer:#?}");
}

#[test]
fn kept_states_are_listed_and_pruned() {
    let database = Database::migrated();
    let workspace = workspace(&database);
    let url = database.url();
    let count = "SELECT count(*)::text FROM posting_state_snapshots";
    let kept = database.number(count);
    assert!(kept >= 4, "{kept}");
    let listed = turing(&workspace, &url, &["snapshot", "list", "--json"]).expect_code(0);
    assert_eq!(listed.json_lines().len() as i64, kept);
    let pruned = turing(&workspace, &url, &["snapshot", "prune", "--json"]).expect_code(0).json();
    assert_eq!(pruned, json!({"removed": kept - 2, "streams": 2}));
    assert_eq!(database.number(count), 2);
    let one = turing(&workspace, &url, &["snapshot", "list", "posting", "2", "--json"]);
    let one = one.expect_code(0).json_lines();
    assert_eq!((one.len(), &one[0]["stream"]), (1, &json!("posting/2")));
}

#[test]
fn a_trace_is_that_of_every_other_store() {
    let database = Database::migrated();
    let workspace = workspace(&database);
    let traced = |url: &str| {
        let answer = turing(&workspace, url, &["trace", "workflow_3001_posting_2", "--json"]);
        let answer = answer.expect_code(0).json();
        let nodes = answer["events"].as_array().unwrap().iter();
        let nodes = nodes.map(|node| {
            let event = &node["event"];
            (node["depth"].clone(), event["stream"].clone(), event["event_type"].clone())
        });
        nodes.collect::<Vec<_>>()
    };
    let found = traced(&database.url());
    assert!(found.len() >= 4, "{found:?}");
    assert_eq!(found, traced("sqlite:turing.db"));
    // the first event of a correlation is called by its own id
    let first =
        "SELECT event_id::text FROM execution_events WHERE aggregate_type = 'workflow' LIMIT 1";
    let id = database.texts(first).remove(0);
    let answer = turing(&workspace, &database.url(), &["trace", &id]).expect_code(0);
    assert!(answer.stdout.starts_with("workflow/3001 1 workflow_started"), "{answer:#?}");
    turing(&workspace, &database.url(), &["trace", "nothing"]).expect_code(1);
}

#[test]
fn the_search_for_a_trace_uses_an_index_if_there_is_one() {
    let database = Database::migrated();
    // as the page on PostgreSQL proposes it
    let page = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/postgresql.md"),
    );
    let page = page.unwrap();
    let proposed = page.lines().find(|line| line.starts_with("CREATE INDEX")).unwrap();
    database.run(&proposed.replace(" CONCURRENTLY", ""));
    let plan_of = |statement: &str, first: &str, second: &str| {
        let statement = statement
            .replace("{schema}", "public")
            .replace("{events}", "execution_events")
            .replace("$1", first)
            .replace("$2", second);
        database.texts(&format!("SET enable_seqscan = off; EXPLAIN {statement}")).join("\n")
    };
    let by_correlation = include_str!("../../src/store/lookup/places_by_correlation.sql");
    let plan = plan_of(by_correlation, "'x'", "'00000000-0000-7000-8000-000000000001'");
    assert!(plan.contains("idx_execution_events_correlation"), "{plan}");
    assert!(plan.contains("execution_events_pkey") && !plan.contains("Seq Scan"), "{plan}");
    let by_id = include_str!("../../src/store/lookup/places_by_id.sql");
    let plan = plan_of(by_id, "ARRAY['00000000-0000-7000-8000-000000000001'::uuid]", "");
    assert!(plan.contains("execution_events_pkey") && !plan.contains("Seq Scan"), "{plan}");
}
