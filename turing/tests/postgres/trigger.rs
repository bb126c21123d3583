//! What the trigger on the table of events costs, and for whom it works.

use es_postgres::sqlx::Row;
use es_postgres::sqlx::{self, AssertSqlSafe, Connection, PgPool};

use crate::database::{Database, turing};
use crate::projected::Projected;
use crate::support::{END, RUN, Workspace};

/// How many transaction ids a statement takes; nobody else is on the server's database, and others
/// only make the figure larger.
async fn ids_taken(pool: &PgPool, statement: &str) -> i64 {
    let mut connection = pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let id = "SELECT pg_current_xact_id()::text::bigint AS id";
    let before: i64 = sqlx::query(id).fetch_one(&mut *transaction).await.unwrap().get(0);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await.unwrap();
    // a subtransaction that writes has an id of its own, which is in the rows that it wrote
    let of_rows = "SELECT count(DISTINCT p.xmin::text) FROM posting_state_rows p \
                   WHERE p.xmin::text::bigint >= $1";
    let taken = sqlx::query(of_rows).bind(before).fetch_one(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    taken.get(0)
}

/// Inserts the version of each posting up to a number, with an output of so many bytes.
fn insert(postings: i32, version: i32, bytes: usize) -> String {
    format!(
        "INSERT INTO execution_events
         (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
         SELECT 'posting', n, {version}, 'script_execution_completed',
             jsonb_build_object('output', repeat('x', {bytes})), '{{\"conversation_id\": 1}}'::jsonb
         FROM generate_series(1, {postings}) n"
    )
}

#[test]
fn ordinary_statements_take_no_subtransaction() {
    Projected::in_a_database(async |projected| {
        projected.clear(400).await;
        // new postings, large events of several, and more than 64 kB of all together
        for (postings, version, bytes) in [(100, 1, 50), (40, 2, 2_048), (100, 3, 10_000)] {
            let taken = ids_taken(&projected.pool, &insert(postings, version, bytes)).await;
            assert_eq!(taken, 1, "{postings} postings, {bytes} bytes");
            if version == 1 {
                projected.run(&insert(400, 1, 50).replace("(1, 400)", "(101, 400)")).await;
            }
            if postings == 40 {
                projected.run(&insert(400, 2, 50).replace("(1, 400)", "(41, 400)")).await;
            }
        }
        // one that may be too large costs itself only
        let one = format!(
            "{} WHERE n <> 7 UNION ALL SELECT 'posting', 7, 4, 'script_execution_completed',
             jsonb_build_object('output', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 40000) i)),
             '{{\"conversation_id\": 1}}'::jsonb",
            insert(100, 4, 50)
        );
        assert_eq!(ids_taken(&projected.pool, &one).await, 2);
        let versions = "SELECT DISTINCT aggregate_version FROM posting_state_projection
                        WHERE posting_id <= 100";
        assert_eq!(projected.texts(versions).await, ["4"]);
    });
}

#[test]
fn a_row_that_somebody_wrote_ahead_of_its_events_refuses_no_append() {
    Projected::in_a_database(async |projected| {
        projected.clear(2).await;
        projected.run(&insert(2, 1, 10)).await;
        let (first, highest) = (2, i32::MAX);
        for (version, ahead) in (first..).zip([highest, highest - 1, 7, 4]) {
            projected
                .run(&format!(
                    "UPDATE posting_state_projection
                     SET aggregate_version = {ahead}, outputs = '{{}}' WHERE posting_id = 1"
                ))
                .await;
            projected.run(&insert(2, version, 10)).await;
            for posting in [1, 2] {
                projected.assert_equals_fold(posting, &format!("behind a row at {ahead}")).await;
            }
        }
    });
}

#[test]
fn the_trigger_works_for_no_other_table() {
    Projected::in_a_database(async |projected| {
        projected.clear(3).await;
        projected
            .run(
                "CREATE TABLE bait (
                     aggregate_type TEXT, aggregate_id INT, aggregate_version INT, event_data JSONB
                 );
                 CREATE TRIGGER bait AFTER INSERT ON bait REFERENCING NEW TABLE AS added
                 FOR EACH STATEMENT EXECUTE FUNCTION project_posting_events()",
            )
            .await;
        let error = projected.refused("INSERT INTO bait VALUES ('posting', 3, 1, '{}')").await;
        assert_eq!(error.code, "42501", "{error:?}");
        assert!(projected.rows().await.is_empty());
    });
}

#[test]
fn the_trigger_works_in_every_session() {
    let workspace = Workspace::with_script(3, "echo", END, "cat");
    let database = Database::migrated();
    let url = database.url();
    let name = database.texts("SELECT current_database()").remove(0);
    // what a restore or a replication may leave behind
    database.run(&format!("ALTER DATABASE \"{name}\" SET session_replication_role = 'replica'"));
    turing(&workspace, &url, &RUN).expect_code(0);
    assert_eq!(database.number("SELECT count(*) FROM posting_state_projection"), 3);
    turing(&workspace, &url, &["validate"]).expect_code(0);
}

/// Of whichever crate it is: one that is merely enabled is left out where `session_replication_role`
/// is `replica`. Of a view there are no others.
#[test]
fn every_trigger_of_the_store_fires_in_every_session() {
    let (database, _workspace) = (Database::migrated(), Workspace::new());
    let triggers = |enabled: &str| {
        database.texts(&format!(
            "SELECT tgrelid::regclass || ' ' || tgname FROM pg_trigger
             WHERE NOT tgisinternal AND tgtype & 64 = 0 AND tgenabled {enabled} ORDER BY tgname"
        ))
    };
    assert_eq!(triggers("<> 'A'"), [""; 0], "ENABLE ALWAYS TRIGGER in the step that makes it");
    let always = [
        "execution_events execution_events_are_append_only",
        "execution_events execution_events_check_row",
        "execution_events execution_events_check_sequence",
        "execution_events project_posting_events",
    ];
    assert_eq!(triggers("= 'A'"), always);
}

/// Events of every type, of one run.
const OF_EVERY_TYPE: &str = r#"
    INSERT INTO execution_events
        (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
    SELECT 'posting', 1, e.version, e.event_type, e.event_data::jsonb,
        '{"event_version": "1.0", "conversation_id": 7, "run_id": "0193a1d4-0000-7000-8000-000000000001"}'
    FROM (VALUES
        (1, 'posting_entered_run', '{"run_id": "0193a1d4-0000-7000-8000-000000000001", "workflow_id": 1, "entry_conversation_id": 7}'),
        (2, 'llm_call_failed', '{"failure_type": {"odd": 1}, "error": "x"}'),
        (3, 'retry_scheduled', '{"attempt": 1, "failure_type": "timeout", "due_at": "2025-03-30T02:30:00Z"}'),
        (4, 'llm_call_completed', '{"output": "x"}'),
        (5, 'branch_taken', '{"rule": 1, "priority": 0, "condition": "*", "to": 8}'),
        (6, 'circuit_breaker_open', '{}'),
        (7, 'path_ended', '{"reason": "completed"}'),
        (8, 'posting_terminal', '{"reason": "done"}'),
        (9, 'posting_state_imported', '{"source": "theirs", "row_digest": "", "is_terminal": true, "replaces": true, "execution_sequence": [7], "outputs": {"7": "y"}, "recorded_at": "2025-03-30T02:30:00Z"}'),
        (10, 'posting_moved_to_definition', '{"definition_digest": "d"}')
    ) e (version, event_type, event_data)"#;

/// A function in SQL that is not put into the expression that calls it is planned in each transaction; one
/// that is put there is not called, and so in no statistics.
#[test]
fn an_append_has_no_function_in_sql_planned() {
    Projected::in_a_database(async |projected| {
        projected.clear(1).await;
        let mut transaction = projected.pool.begin().await.unwrap();
        let statements = format!("SET LOCAL track_functions = 'all'; {OF_EVERY_TYPE}");
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *transaction).await.unwrap();
        let called = "SELECT p.proname::text, l.lanname::text
                      FROM pg_stat_xact_user_functions f
                      JOIN pg_proc p ON p.oid = f.funcid
                      JOIN pg_language l ON l.oid = p.prolang";
        let called: Vec<(String, String)> =
            sqlx::query_as(called).fetch_all(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let is_called = |name: &str| called.iter().any(|(called, _)| called == name);
        assert!(is_called("posting_states") && is_called("posting_event_kind"), "{called:?}");
        let planned: Vec<_> = called.iter().filter(|(_, language)| language == "sql").collect();
        assert!(planned.is_empty(), "{planned:?}");
        projected.assert_equals_fold(1, "of every type").await;
    });
}
