//! Hot statements find their rows by the intended index.

use es_sqlite::rusqlite::Connection;

use crate::statements::statements;
use crate::support::Folder;

/// The steps of the plan, in a database without statistics, as stores are.
fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    for parameter in 1..=explained.parameter_count() {
        explained.raw_bind_parameter(parameter, 1).unwrap();
    }
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get("detail").unwrap());
    }
    steps
}

const STREAM: &str = "sqlite_autoindex_execution_events_2 (aggregate_id=? AND aggregate_type=?";

#[tokio::test]
async fn hot_statements_use_their_index() {
    let expected = [
        ("stream_version", format!("SEARCH execution_events USING COVERING INDEX {STREAM})")),
        (
            "read_stream_forwards",
            format!(
                "SEARCH execution_events USING INDEX {STREAM} AND aggregate_version>? AND aggregate_version<?)"
            ),
        ),
        (
            "read_stream_backwards",
            format!(
                "SEARCH execution_events USING INDEX {STREAM} AND aggregate_version>? AND aggregate_version<?)"
            ),
        ),
        ("first_later_version", format!("SEARCH execution_events USING INDEX {STREAM})")),
        ("read_log", "SEARCH execution_events USING INTEGER PRIMARY KEY (rowid>?)".to_owned()),
        (
            "read_request",
            "SEARCH execution_events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)".to_owned(),
        ),
        (
            "find_key",
            "SEARCH idempotency_keys USING PRIMARY KEY \
             (aggregate_id=? AND aggregate_type=? AND idempotency_key=?)"
                .to_owned(),
        ),
        (
            "list_snapshots",
            "SEARCH snapshots USING INDEX sqlite_autoindex_snapshots_1 \
             ((aggregate_id,aggregate_type,aggregate_version)>(?,?,?))"
                .to_owned(),
        ),
        (
            "latest_snapshot",
            "SEARCH snapshots USING INDEX sqlite_autoindex_snapshots_1 \
             (aggregate_id=? AND aggregate_type=? AND aggregate_version<?)"
                .to_owned(),
        ),
        (
            "projection_rows",
            "SEARCH projection_rows USING PRIMARY KEY (generation=? AND key>?)".to_owned(),
        ),
        (
            "projection_parked",
            "SEARCH projection_parked USING INDEX projection_parked_in_order \
             (generation=? AND (position,key)>(?,?))"
                .to_owned(),
        ),
        (
            "projection_parked_of_key",
            "SEARCH projection_parked USING PRIMARY KEY (generation=? AND key=? AND position>?)"
                .to_owned(),
        ),
    ];
    let folder = Folder::new();
    folder.store().await;
    let connection = folder.connection();
    let statements = statements();
    for (name, step) in expected {
        let (_, statement) = statements.iter().find(|(found, _)| found == name).unwrap();
        assert_eq!(plan(&connection, statement), [step], "{name}");
    }
}

#[tokio::test]
async fn a_page_of_work_looks_at_nothing_but_its_own_rows() {
    let folder = Folder::new();
    folder.store().await;
    let connection = folder.connection();
    for (name, statement) in statements() {
        // all models are looked at for the status of all
        if name == "projection_status" {
            continue;
        }
        for step in plan(&connection, &statement) {
            // a statement may go through the keys that it has found itself
            let scans =
                step.starts_with("SCAN") && !["SCAN CONSTANT ROW", "SCAN k"].contains(&&*step);
            assert!(!scans || !name.starts_with("projection_"), "{name}: {step}");
        }
    }
}

#[tokio::test]
async fn no_statement_scans_or_sorts_the_events() {
    let folder = Folder::new();
    folder.store().await;
    let connection = folder.connection();
    for (name, statement) in statements() {
        for step in plan(&connection, &statement) {
            let scans = step.starts_with("SCAN") && step.contains("execution_events");
            // one step along the primary key; what counts all, of a small store, when it is opened
            let scans = scans && !["newest_event", "entries_differ"].contains(&name.as_str());
            assert!(!scans && !step.contains("TEMP B-TREE"), "{name}: {step}");
        }
    }
}

#[tokio::test]
async fn an_operators_query_by_id_and_time_uses_the_index_too() {
    let folder = Folder::new();
    folder.store().await;
    let steps = plan(
        &folder.connection(),
        "SELECT * FROM execution_events
         WHERE aggregate_id = 12345 AND created_at <= '2025-11-19 10:00:00'",
    );
    assert_eq!(
        steps,
        [
            "SEARCH execution_events USING INDEX sqlite_autoindex_execution_events_2 (aggregate_id=?)"
        ]
    );
}
