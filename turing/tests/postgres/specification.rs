//! The specification's SQL, word for word, against a database in which Turing has worked.

use std::fmt::Write as _;

use crate::database::{Database, turing};
use crate::support::{ID_END, RUN, Workspace};

/// 300 postings through a workflow: 1,500 events and more, analysed.
fn worked() -> (Workspace, Database) {
    let (workspace, database) = (Workspace::new(), Database::migrated());
    let mut lines = String::new();
    for id in 12_200..12_500 {
        let _ = writeln!(lines, r#"{{"posting_id":{id},"job_description":"advert {id}"}}"#);
    }
    workspace.file("postings/all.jsonl", lines);
    workspace.script("a.sh", "cat");
    workspace.script("b.sh", "cat");
    let conversations = [
        (9184, "a", "input = \"{job_description}\"\n[[conversations.branches]]\nto = 9185"),
        (9185, "b", ID_END),
    ];
    workspace.definition(9184, &conversations);
    turing(&workspace, &database.url(), &RUN).expect_code(0);
    assert!(database.number("SELECT count(*)::text FROM execution_events") >= 1_000);
    database.run("ANALYZE");
    (workspace, database)
}

fn plan(database: &Database, statement: &str) -> String {
    database.texts(&format!("EXPLAIN ANALYZE {statement}")).join("\n")
}

#[test]
fn the_specifications_queries_run_as_written_and_by_its_indexes() {
    let (_workspace, database) = worked();
    let events =
        database.number("SELECT count(*)::text FROM execution_events WHERE aggregate_id = 12345");
    assert!(events >= 4);
    // time travel
    let until = |instant: &str| {
        database.texts(&format!(
            "SELECT * FROM execution_events
             WHERE aggregate_id = 12345
               AND created_at <= '{instant}';"
        ))
    };
    assert_eq!(until("2025-11-19 10:00:00").len(), 0);
    assert_eq!(until("2999-11-19 10:00:00").len(), usize::try_from(events).unwrap());

    // the events of one aggregate
    let by_id = plan(&database, "SELECT * FROM execution_events WHERE aggregate_id = 12345;");
    assert!(by_id.contains("Index Scan using idx_execution_events_aggregate"), "{by_id}");
    let by_name =
        "SELECT * FROM execution_events WHERE aggregate_type = 'posting' AND aggregate_id = 12345";
    let by_name = plan(&database, by_name);
    assert!(by_name.contains("Index Scan using"), "{by_name}");
    // filters
    let conversation = "SELECT * FROM execution_events WHERE metadata->>'conversation_id' = '9184'";
    assert!(database.texts(conversation).len() >= 300);
    let rare = "SELECT * FROM execution_events WHERE metadata->>'conversation_id' = '4711'";
    let rare = plan(&database, rare);
    assert!(rare.contains("idx_execution_events_conversation"), "{rare}");
    let newest =
        plan(&database, "SELECT * FROM execution_events ORDER BY created_at DESC LIMIT 10");
    assert!(newest.contains("Index Scan using idx_execution_events_created"), "{newest}");
    // a state, and nothing of what has moved out of its row
    let state = "SELECT current_conversation_id, is_terminal FROM posting_state_projection \
                 WHERE posting_id = 12345";
    let state = plan(&database, state);
    assert!(state.contains("Index Scan using posting_state_projection_pkey"), "{state}");
    assert!(!state.contains("SubPlan"), "{state}");
}

#[test]
fn the_specifications_constraint_speaks_and_nothing_is_changed_or_removed() {
    let (_workspace, database) = worked();
    let insert = "INSERT INTO execution_events
        (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
        VALUES ('posting', 12345, 1, 'script_execution_completed', '{\"output\": \"x\"}')";
    // in the words of the specification, whatever the server's language
    let english = format!("SET lc_messages TO 'C'; {insert}");
    let error = database.try_run(None, &english).unwrap_err();
    let error = error.as_database_error().unwrap();
    assert_eq!(error.code().as_deref(), Some("23505"));
    assert_eq!(error.constraint(), Some("unique_aggregate_version"));
    let words = "duplicate key value violates unique constraint \"unique_aggregate_version\"";
    assert!(error.message().contains(words), "{error}");
    for statement in [
        "UPDATE execution_events SET event_data = '{}'",
        "DELETE FROM execution_events",
        "TRUNCATE execution_events",
    ] {
        let error = database.try_run(None, statement).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    // a raw INSERT of what comes next is taken, and read by the program
    let next = insert.replace(", 1, 'script", ", 900, 'script");
    database.run(&next);
}

/// The specification's own DDL, in a schema of its own, beside what the migrations made.
#[test]
fn the_tables_are_the_specifications_with_columns_added() {
    let database = Database::migrated();
    let ddl = include_str!("specification.sql");
    database.run(&format!("CREATE SCHEMA specified; SET search_path = specified; {ddl}"));
    for table in ["execution_events", "posting_state_projection", "posting_state_snapshots"] {
        let columns = |schema: &str| {
            database.texts(&format!(
                "SELECT format('%s %s %s', column_name, data_type, replace(coalesce(column_default, ''), 'specified.', ''))
                 FROM information_schema.columns
                 WHERE table_schema = '{schema}' AND table_name = '{table}'
                 ORDER BY ordinal_position"
            ))
        };
        let (specified, ours) = (columns("specified"), columns("public"));
        assert!(specified.len() >= 5, "{table}: {specified:?}");
        assert_eq!(ours[..specified.len()], specified, "{table}");
        // the rows of what is a view of ours
        let rows = match table {
            "posting_state_projection" => "posting_state_rows",
            table => table,
        };
        let nullable = |schema: &str, table: &str| {
            database.texts(&format!(
                "SELECT format('%s %s', column_name, is_nullable) FROM information_schema.columns
                 WHERE table_schema = '{schema}' AND table_name = '{table}'
                 ORDER BY ordinal_position"
            ))
        };
        let specified = nullable("specified", table);
        assert_eq!(nullable("public", rows)[..specified.len()], specified, "{table}");
        let indexes = |schema: &str, of: &str| {
            database.texts(&format!(
                "SELECT replace(replace(indexdef, '{schema}.', ''), ' {of} ', ' {table} ')
                 FROM pg_indexes WHERE schemaname = '{schema}' AND tablename = '{of}' ORDER BY 1"
            ))
        };
        let ours = indexes("public", rows);
        for index in indexes("specified", table) {
            assert!(ours.contains(&index), "{index} is not among {ours:#?}");
        }
        let constraints = |schema: &str, of: &str| {
            database.texts(&format!(
                "SELECT format('%s %s', conname, replace(pg_get_constraintdef(oid), '{schema}.', ''))
                 FROM pg_constraint WHERE conrelid = '{schema}.{of}'::regclass ORDER BY 1"
            ))
        };
        let ours = constraints("public", rows);
        for constraint in constraints("specified", table) {
            assert!(ours.contains(&constraint), "{constraint} is not among {ours:#?}");
        }
    }
}
