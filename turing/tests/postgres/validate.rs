//! Planted faults: each is found, and gone after the command that the finding names.

use std::collections::BTreeSet;

use es_postgres::sqlx::{self, AssertSqlSafe, Row};
use fastrand::Rng;

use crate::database::{Database, turing};
use crate::histories::any_event;
use crate::projected::Projected;
use crate::read_models::call;
use crate::support::Workspace;

const POSTINGS: i32 = 12;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    kind: String,
    severity: String,
    posting: Option<i32>,
    detail: String,
    repair: Option<String>,
}

async fn findings(projected: &Projected) -> Vec<Finding> {
    let statement =
        "SELECT kind, severity, aggregate_id, detail, repair FROM validate_event_store()";
    let rows = sqlx::query(AssertSqlSafe(statement)).fetch_all(&projected.pool).await.unwrap();
    let finding = |row: &sqlx::postgres::PgRow| Finding {
        kind: row.get(0),
        severity: row.get(1),
        posting: row.get(2),
        detail: row.get(3),
        repair: row.get(4),
    };
    let unreadable = |finding: &Finding| finding.kind == "event_unreadable";
    rows.iter().map(finding).filter(|finding| !unreadable(finding)).collect()
}

/// A posting with 30 events and two kept states for each number.
async fn stored(database: &Database) -> Projected {
    let projected = Projected::new(&database.test).await;
    projected.clear(POSTINGS + 1).await;
    let mut chance = Rng::with_seed(3);
    for event in 0..30 {
        for posting in 1..=POSTINGS {
            projected.run(&call(posting, &any_event(&mut chance))).await;
        }
        if event % 12 == 11 {
            projected.run("SELECT maybe_create_snapshot(posting_id) FROM postings").await;
        }
    }
    assert_eq!(findings(&projected).await, [], "nothing is wrong yet");
    projected
}

/// A statement that plants a fault, and the kinds and postings of what must be found, exactly.
const FAULTS: [(&str, &[(&str, i32)]); 21] = [
    (
        "UPDATE posting_state_projection SET outputs = outputs || '{\"77\": 1}' WHERE posting_id = 1",
        &[("projection_differs", 1)],
    ),
    (
        "UPDATE posting_state_projection SET is_terminal = NOT is_terminal WHERE posting_id = 1",
        &[("projection_differs", 1)],
    ),
    (
        "UPDATE posting_state_projection SET execution_sequence = execution_sequence || 1 WHERE posting_id = 2",
        &[("projection_differs", 2)],
    ),
    (
        "UPDATE posting_state_projection SET run = '{}', current_conversation_id = 4711 WHERE posting_id = 2",
        &[("projection_differs", 2)],
    ),
    ("DELETE FROM posting_state_projection WHERE posting_id = 3", &[("projection_missing", 3)]),
    ("INSERT INTO posting_state_projection (posting_id) VALUES (13)", &[("projection_phantom", 13)]),
    (
        "UPDATE posting_state_projection SET aggregate_version = 29 WHERE posting_id = 4",
        &[("projection_stale", 4)],
    ),
    (
        "UPDATE posting_state_projection SET aggregate_version = 31 WHERE posting_id = 4",
        &[("projection_differs", 4)],
    ),
    (
        "UPDATE posting_state_snapshots SET state = state || '{\"is_terminal\": null}'
         WHERE posting_id = 5 AND event_sequence = 12",
        &[("snapshot_differs", 5)],
    ),
    (
        "UPDATE posting_state_snapshots s SET state = (
             SELECT o.state FROM posting_state_snapshots o WHERE o.posting_id = 6 AND o.event_sequence = 12)
         WHERE posting_id = 6 AND event_sequence = 24",
        &[("snapshot_differs", 6)],
    ),
    (
        "UPDATE posting_state_snapshots SET schema = 'posting r1 []' WHERE posting_id = 7",
        &[("snapshot_of_another_schema", 7), ("snapshot_of_another_schema", 7)],
    ),
    (
        "UPDATE posting_state_snapshots SET event_sequence = 31 WHERE posting_id = 8 AND event_sequence = 24",
        &[("snapshot_newer_than_stream", 8)],
    ),
    (
        "ALTER TABLE execution_events DISABLE TRIGGER project_posting_events;
         SELECT append_event('posting_terminal', 9);
         ALTER TABLE execution_events ENABLE ALWAYS TRIGGER project_posting_events",
        &[("projection_stale", 9)],
    ),
    (
        "ALTER TABLE execution_events DISABLE TRIGGER execution_events_are_append_only;
         ALTER TABLE execution_events DISABLE TRIGGER execution_events_check_row;
         ALTER TABLE execution_events DISABLE TRIGGER execution_events_check_sequence;
         ALTER TABLE execution_events DISABLE TRIGGER project_posting_events",
        &[("trigger_disabled", 0); 4],
    ),
    (
        "ALTER TABLE execution_events ENABLE TRIGGER execution_events_are_append_only;
         ALTER TABLE execution_events ENABLE TRIGGER execution_events_check_row;
         ALTER TABLE execution_events ENABLE TRIGGER execution_events_check_sequence;
         ALTER TABLE execution_events ENABLE TRIGGER project_posting_events",
        &[("trigger_disabled", 0); 4],
    ),
    (
        "DROP TRIGGER execution_events_are_append_only ON execution_events;
         DROP TRIGGER execution_events_check_row ON execution_events;
         DROP TRIGGER execution_events_check_sequence ON execution_events;
         DROP TRIGGER project_posting_events ON execution_events",
        &[("trigger_disabled", 0); 4],
    ),
    (
        "DROP TRIGGER project_posting_events ON execution_events;
         SELECT append_event('posting_terminal', 9)",
        &[("projection_stale", 9), ("trigger_disabled", 0)],
    ),
    (
        "UPDATE posting_state_snapshots SET state = '5' WHERE posting_id = 11 AND event_sequence = 12",
        &[("snapshot_differs", 11)],
    ),
    (
        "SELECT setval(pg_get_serial_sequence('execution_events', 'position'), 1)",
        &[("sequence_behind", 0)],
    ),
    (
        "SELECT setval(pg_get_serial_sequence('execution_events', 'position'), max(position) - 1)
         FROM execution_events",
        &[("sequence_behind", 0)],
    ),
    (
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('posting', 10, 33, 'posting_terminal', '{}')",
        &[("gap_in_versions", 10)],
    ),
];

fn found(findings: &[Finding]) -> Vec<(&str, i32)> {
    let errors = findings.iter().filter(|finding| finding.severity == "error");
    let mut found: Vec<_> =
        errors.map(|finding| (finding.kind.as_str(), finding.posting.unwrap_or(0))).collect();
    found.sort_unstable();
    found
}

/// What somebody else has made beside a function that repairs; text without a type means it.
const BESIDE: &str = "CREATE FUNCTION append_event(
        event_type TEXT, aggregate_id INT, event_data TEXT, aggregate_type TEXT,
        aggregate_version INT
    ) RETURNS INT LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'append_event is planted'; END $$";

/// Runs what the findings name. Where somebody has to say what is missing, it is an event that
/// tells of an open circuit breaker.
async fn repair(projected: &Projected, findings: &[Finding]) {
    for finding in findings {
        if let Some(repair) = &finding.repair {
            let repair = repair.replace("'…'", "'circuit_breaker_open'").replace("'{…}'", "'{}'");
            projected.run(&repair).await;
        }
    }
}

#[test]
fn every_planted_fault_is_found_and_repaired_by_the_command_that_is_named() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = stored(&database).await;
        projected.run(BESIDE).await;
        for (fault, expected) in FAULTS {
            projected.run(fault).await;
            let mut findings_then = findings(&projected).await;
            assert_eq!(found(&findings_then), expected, "{fault}: {findings_then:#?}");
            for rounds in 0.. {
                repair(&projected, &findings_then).await;
                findings_then = findings(&projected).await;
                if found(&findings_then).is_empty() {
                    break;
                }
                // a gap of several events takes a command for each
                assert!(rounds < 3, "{fault}: {findings_then:#?}");
            }
        }
        for posting in 1..=POSTINGS {
            projected.assert_equals_fold(posting, "after the repairs").await;
        }
        let left: BTreeSet<_> = findings(&projected).await.into_iter().map(|f| f.kind).collect();
        let warnings = ["clock_reversed", "order_reversed"].map(str::to_owned);
        assert_eq!(left, BTreeSet::from(warnings), "what cannot be undone stays known");
    });
}

#[test]
fn the_command_tells_of_findings_and_repairs_and_answers_1() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    // before 15 everybody may create there, which is told
    database.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    turing(&workspace, &url, &["demo"]).expect_code(0);
    let clean = turing(&workspace, &url, &["validate"]).expect_code(0);
    assert_eq!(clean.stdout, "0 errors, 0 warnings\n");
    database.run("DELETE FROM posting_state_projection WHERE posting_id = 12345");
    let found = turing(&workspace, &url, &["validate"]).expect_code(1);
    let repair = "SELECT \"public\".rebuild_posting_state(12345)";
    let told = format!(
        "error [projection_missing] posting 12345: it has events, but no row in \
         posting_state_projection\n  repair: {repair};\n1 error, 0 warnings\n"
    );
    assert_eq!(found.stdout, told);
    let json = turing(&workspace, &url, &["validate", "--json"]).expect_code(1).json();
    assert_eq!(json[0]["repair"], repair);
    assert_eq!(json[0]["aggregate_id"], "12345");
    database.run(repair);
    assert_eq!(
        turing(&workspace, &url, &["validate", "--json"]).expect_code(0).json(),
        serde_json::json!([])
    );
    // the stores without a projection are looked at by their log
    workspace.turing(&["demo"]).expect_code(0);
    let sqlite = workspace.turing(&["validate"]).expect_code(0);
    assert_eq!(sqlite.stdout, "0 errors, 0 warnings\n");
}

#[test]
fn faults_at_the_same_time_are_all_found() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = stored(&database).await;
        let mut expected = Vec::new();
        // one of each posting, and no trigger that is off while the later ones are planted
        let mut postings = BTreeSet::new();
        for (fault, kinds) in FAULTS {
            if kinds[0].1 != 0 && postings.insert(kinds[0].1) {
                projected.run(fault).await;
                expected.extend(kinds.iter().copied());
            }
        }
        expected.sort_unstable();
        assert!(expected.len() >= 11, "{expected:?}");
        let all = findings(&projected).await;
        assert_eq!(found(&all), expected, "{all:#?}");
    });
}

#[test]
fn what_is_out_of_order_is_told_for_every_kind_of_stream() {
    Projected::in_a_database(async |projected| {
        let row = |version: i32, at: &str| {
            format!(
                "INSERT INTO execution_events
                     (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, created_at)
                 VALUES ('workflow', 3001, {version}, 'workflow_started', '{{}}', '{at}')"
            )
        };
        projected.run(&row(2, "2025-11-19 10:00:00Z")).await;
        let gap = findings(&projected).await;
        assert_eq!(found(&gap), [("gap_in_versions", 3001)]);
        assert!(gap[0].detail.contains("no event 1, but event 2"), "{gap:#?}");
        projected.run(&row(1, "2025-11-19 11:00:00Z")).await;
        let kinds: Vec<_> = findings(&projected).await.into_iter().map(|f| f.kind).collect();
        assert_eq!(kinds, ["order_reversed", "clock_reversed"]);
    });
}
