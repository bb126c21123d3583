//! What is only tried: it changes nothing, and prints exactly what is done then.

use std::collections::BTreeSet;

use crate::scene::{MAPPING_FILE, OLD, Scene};

/// Keeps the text of each statement that changes what there is, from here on.
const WATCH: &str = "
    CREATE SCHEMA watching;
    CREATE TABLE watching.statements (number BIGINT GENERATED ALWAYS AS IDENTITY, statement TEXT);
    CREATE FUNCTION watching.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO watching.statements (statement) VALUES (current_query());
    END;
    $$;
    CREATE EVENT TRIGGER watching ON ddl_command_start EXECUTE FUNCTION watching.note();";

/// Everything that is in the schema: tables with their rows, columns, triggers, functions, rights.
fn everything(scene: &Scene) -> BTreeSet<String> {
    let objects = scene.texts(
        "SELECT concat_ws(' ', 'relation', oid, relname, relkind, relowner, relacl, relrowsecurity)
         FROM pg_class WHERE relnamespace = 'public'::regnamespace
         UNION ALL
         SELECT concat_ws(' ', 'column', c.relname, a.attname, a.atttypid, a.attnotnull, a.attacl)
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace
         UNION ALL
         SELECT concat_ws(' ', 'trigger', t.tgenabled, pg_get_triggerdef(t.oid))
         FROM pg_class c JOIN pg_trigger t ON t.tgrelid = c.oid
         WHERE c.relnamespace = 'public'::regnamespace
         UNION ALL
         SELECT concat_ws(' ', 'view', v.viewname, v.definition) FROM pg_views v
         WHERE v.schemaname = 'public'
         UNION ALL
         SELECT concat_ws(' ', 'function', p.oid, p.proname, p.proacl, md5(p.prosrc)) FROM pg_proc p
         WHERE p.pronamespace = 'public'::regnamespace",
    );
    let tables = scene.texts(
        "SELECT relname::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    );
    let rows = tables.iter().map(|table| {
        let digest = format!(
            "SELECT concat(count(*), ' ', md5(string_agg(t::text, '' ORDER BY t::text))) FROM \"{table}\" t"
        );
        format!("rows {table} {}", scene.text(&digest))
    });
    let rows: Vec<_> = rows.collect();
    objects.into_iter().chain(rows).collect()
}

/// A statement without what does not count.
fn trimmed(statement: &str) -> String {
    statement.trim().trim_end_matches(';').trim().to_owned()
}

/// A statement without the instant at which it was made.
fn timeless(statement: impl AsRef<str>) -> String {
    let mut parts = statement.as_ref().split("'::timestamptz");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, after| {
        let written = before.rsplit_once('\'').map_or(&*before, |(before, _)| before);
        format!("{written}'…'::timestamptz{after}")
    })
}

/// True for what an event trigger is told of.
fn is_watched(statement: &str) -> bool {
    let first = statement.split_whitespace().next().unwrap_or_default().to_uppercase();
    ["CREATE", "ALTER", "DROP", "COMMENT", "GRANT", "REVOKE"].contains(&first.as_str())
}

#[test]
fn what_is_only_tried_changes_nothing_and_prints_what_is_done_then() {
    let scene = Scene::agreeing(40);
    scene.run(WATCH);
    let steps: [(&[&str], bool); 12] = [
        (&["create", "--mapping", MAPPING_FILE], true),
        (&["dual-write"], true),
        (&["backfill"], true),
        (&["validate"], true),
        (&["switch-reads"], true),
        (&["deprecate"], true),
        (&["deprecate", "--archive", "old.csv"], true),
        (&["rollback"], true),
        (&["rollback"], true),
        (&["rollback"], false),
        (&["rollback"], true),
        (&["rollback"], true),
    ];
    for (arguments, has_statements) in steps {
        let before = everything(&scene);
        let tried = scene.cutover(&[arguments, &["--dry-run", "--json"]].concat()).expect_code(0);
        let told = tried.json();
        let text = scene.cutover(&[arguments, &["--dry-run"]].concat()).expect_code(0).stdout;
        assert_eq!(everything(&scene), before, "{arguments:?} changed something");
        let archives = arguments.contains(&"--archive");
        assert!(!archives || !scene.workspace.path().join("old.csv").exists());
        let statements = told["statements"].as_array().unwrap();
        let statements: Vec<_> = statements.iter().map(|it| it.as_str().unwrap()).collect();
        assert_eq!(!statements.is_empty(), has_statements, "{arguments:?}: {told:#}");
        for statement in &statements {
            assert!(
                timeless(&text).contains(timeless(statement).trim()),
                "{arguments:?}: {statement}\nis not in\n{text}"
            );
        }

        scene.run("TRUNCATE watching.statements");
        scene.cutover(arguments).expect_code(0);
        let done = scene.texts("SELECT statement FROM watching.statements ORDER BY number");
        let done: Vec<_> = done.iter().map(|it| timeless(trimmed(it))).collect();
        let tried: Vec<_> = statements.iter().map(|it| timeless(trimmed(it))).collect();
        let tried: Vec<_> = tried.into_iter().filter(|it| is_watched(it)).collect();
        assert_eq!(done, tried, "{arguments:?}");
    }
    assert_eq!(scene.phase(), 0);
}

#[test]
fn what_is_only_tried_counts_what_there_is() {
    let scene = Scene::agreeing(40);
    scene.run("INSERT INTO postings (posting_id) VALUES (1000)");
    scene.forward_to(2);
    let told = scene.cutover(&["backfill", "--dry-run", "--json"]).expect_code(0).json();
    assert_eq!((&told["phase"], &told["then"]), (&"dual-write".into(), &"dual-write".into()));
    // two of them have events and no row
    assert_eq!(told["counts"]["postings"], 40, "{told:#}");
    scene.cutover(&["backfill"]).expect_code(0);
    scene.run(&format!("UPDATE {OLD} SET execution_count = 70 WHERE posting_id IN (1, 2, 4)"));
    let told = scene.cutover(&["validate", "--dry-run", "--json"]).json();
    assert_eq!(told["counts"]["postings"], 40, "{told:#}");
    assert_eq!(told["counts"]["counter_differs"], 3, "{told:#}");
    let rounds =
        "SELECT count(*)::text FROM execution_events WHERE event_type = 'validation_completed'";
    assert_eq!(scene.number(rounds), 0);
    assert_eq!(scene.open(), [""; 0], "nothing is recorded");
    scene.cutover(&["validate"]).expect_code(1);
    let resolve =
        ["validate", "--resolve", "from-events", "--reason", "a test", "--dry-run", "--json"];
    let told = scene.cutover(&resolve).json();
    assert_eq!(told["counts"]["counter_differs"], 3, "{told:#}");
    assert_eq!(scene.open().len(), 3, "nothing is resolved");
}
