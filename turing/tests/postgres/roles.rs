//! `turing migrate --roles`: what each role may do.

use es_pgtest::Server;

use crate::database::{Database, turing};
use crate::support::{ID_END, RUN, Workspace};

fn workspace() -> Workspace {
    Workspace::with_script(2, "a", ID_END, "cat")
}

/// Roles are of the whole server, which other tests use, too: members are named after the database.
fn members(database: &Database) -> [String; 3] {
    ["writer", "reader", "projector"].map(|role| {
        let member = format!("{role}_{}", database.test.name());
        database.run(&format!("CREATE ROLE {member} LOGIN; GRANT turing_{role} TO {member}"));
        member
    })
}

fn refuse(database: &Database, role: &str, statements: &[&str]) {
    for statement in statements {
        let error = database.try_run(Some(role), statement).expect_err(statement);
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        // insufficient_privilege, or that the value is the database's to give
        assert!(["42501", "428C9"].contains(&code.as_str()), "{role}: {statement}: {error}");
    }
}

#[test]
fn each_role_may_do_its_work_and_nothing_else() {
    // roles are of the whole server, and those of other databases are refused
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), Database::on(&server));
    let url = database.url();
    let too_early = turing(&workspace, &url, &["migrate", "--roles"]).expect_code(3);
    assert!(too_early.stderr.contains("migrate it"), "{too_early:#?}");
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    let executed_by_everybody = "SELECT p.oid::regprocedure::text FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
            AND (p.proacl IS NULL
                OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))";
    assert_eq!(database.texts(executed_by_everybody), [""; 0]);
    for _ in 0..2 {
        let made = turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
        assert!(made.stdout.contains("turing_writer"), "{made:#?}");
    }
    let printed = turing(&workspace, &url, &["migrate", "--roles", "--print"]).expect_code(0);
    database.run(&printed.stdout);
    let [writer, reader, projector] = members(&database);

    let run = [&RUN[..], &["--snapshot-interval", "1"]].concat();
    let ran = turing(&workspace, &database.url_as(&writer), &run).expect_code(0);
    let grant = format!("GRANT turing_projector TO {writer}");
    assert!(ran.stdout.contains("run_progress, conversation_statistics; "), "{ran:#?}");
    assert!(ran.stdout.contains(&grant), "{ran:#?}");
    let again = [&run[..], &["--json"]].concat();
    let again = turing(&workspace, &database.url_as(&writer), &again).expect_code(0).json();
    assert!(again["read_models"][0].as_str().unwrap().contains(&grant), "{again}");
    assert_eq!(database.number("SELECT count(*)::text FROM postings"), 2);
    let kept = database.number("SELECT count(*)::text FROM posting_state_snapshots");
    assert!(kept > 2, "the writer keeps states: {kept}");
    database.run("INSERT INTO postings (posting_id) VALUES (77), (78)");
    let columns = "aggregate_type, aggregate_id, aggregate_version, event_type, event_data";
    let values = "'posting', 77, 1, 'x', '{}'";
    let explicit =
        format!("INSERT INTO execution_events (position, {columns}) VALUES (1, {values})");
    let overriding = format!(
        "INSERT INTO execution_events (position, {columns}) OVERRIDING SYSTEM VALUE VALUES (1, {values})"
    );
    let nobody = [
        "UPDATE execution_events SET event_type = 'x'",
        "DELETE FROM execution_events",
        "TRUNCATE execution_events",
        &explicit,
        &overriding,
        "ALTER TABLE execution_events DISABLE TRIGGER ALL",
        "DROP TABLE execution_events",
        "CREATE TABLE public.theirs (x INT)",
        "SELECT nextval('execution_events_position_seq')",
        "SELECT setval('execution_events_position_seq', 1)",
        "DELETE FROM postings",
        "DELETE FROM turing_migrations",
    ];
    for role in [&writer, &reader, &projector] {
        refuse(&database, role, &nobody);
    }
    database
        .try_run(
            Some(&writer),
            &format!("INSERT INTO execution_events ({columns}) VALUES ({values})"),
        )
        .unwrap();

    for command in [
        &["runs"][..],
        &["events", "posting", "1"],
        &["state", "posting", "1"],
        &["state", "posting", "1", "--diff", "1.."],
        &["why", "1"],
        &["snapshot", "list"],
        &["trace", "workflow_3001_posting_1"],
    ] {
        turing(&workspace, &database.url_as(&reader), command).expect_code(0);
    }
    let refused = turing(&workspace, &database.url_as(&reader), &[&RUN[..], &["--again"]].concat());
    let refused = refused.expect_code(3);
    assert!(refused.stderr.contains("privilege"), "{refused:#?}");
    let grant = format!("GRANT turing_writer TO {reader}");
    assert!(refused.stderr.contains(&grant), "{refused:#?}");
    let prune = ["snapshot", "prune"];
    let refused = turing(&workspace, &database.url_as(&reader), &prune).expect_code(3);
    assert!(refused.stderr.contains("privilege"), "{refused:#?}");
    let as_json = [&prune[..], &["--json"]].concat();
    let told = turing(&workspace, &database.url_as(&reader), &as_json).expect_code(3).json();
    assert!(told["causes"].as_array().unwrap().contains(&grant.into()), "{told}");
    turing(&workspace, &database.url_as(&writer), &prune).expect_code(0);
    assert_eq!(database.number("SELECT count(*)::text FROM posting_state_snapshots"), 2);
    let appended = "SELECT append_event('circuit_breaker_open', 77)";
    database.try_run(Some(&writer), appended).unwrap();
    let kept = "SELECT aggregate_version::text FROM posting_state_projection WHERE posting_id = 77";
    assert_eq!(database.number(kept), 2, "the trigger has its owner's rights");
    let derived = "INSERT INTO posting_state_projection (posting_id) VALUES (78)";
    let falsified = "UPDATE posting_state_projection SET is_terminal = TRUE";
    let rebuilt = "SELECT rebuild_posting_state(77)";
    refuse(&database, &writer, &[derived, falsified, rebuilt]);
    refuse(&database, &projector, &[derived, falsified]);
    database.run(derived);
    for looking in ["SELECT get_aggregate_events('posting', 77)", "SELECT validate_event_store()"] {
        database.try_run(Some(&reader), looking).unwrap();
    }
    refuse(&database, &reader, &[appended, rebuilt]);
    let insert = format!("INSERT INTO execution_events ({columns}) VALUES ({values})");
    refuse(&database, &reader, &[derived, &insert, "INSERT INTO postings (posting_id) VALUES (9)"]);
    let model = "INSERT INTO execution_events_projection_models (projection, slot, fingerprint) VALUES ('x', 'active', '')";
    refuse(&database, &reader, &[model]);
    refuse(&database, &writer, &[model]);
    refuse(&database, &projector, &[&insert]);
    for repair in
        [rebuilt, "SELECT rebuild_all_posting_states()", "SELECT maybe_create_snapshot(77, 1)"]
    {
        database.try_run(Some(&projector), repair).unwrap();
    }
    let phantom = "SELECT count(*)::text FROM posting_state_projection WHERE posting_id = 78";
    assert_eq!(database.number(phantom), 0);
    for statement in [
        model,
        "SELECT outcome FROM execution_events_projection_acquire('y', 'shadow', 'v1', 2, 'me', 1)",
        "UPDATE execution_events_projection_models SET expires_at = NULL, holder = NULL",
        "SELECT outcome FROM execution_events_projection_abandon('y')",
        "SELECT count(*) FROM execution_events_projection_active",
    ] {
        database.try_run(Some(&projector), statement).unwrap();
    }
    let public = "SELECT count(*)::text FROM information_schema.role_table_grants
                  WHERE grantee = 'PUBLIC' AND table_schema = 'public'";
    assert_eq!(database.number(public), 0);
    for member in [writer, reader, projector] {
        database.run(&format!("DROP OWNED BY {member}; DROP ROLE {member}"));
    }
}

#[test]
fn the_owner_of_a_database_makes_the_roles_without_being_superuser() {
    // roles are of the whole server: here nobody else makes them
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), Database::on(&server));
    let name = database.test.name();
    database.run(&format!(
        "CREATE ROLE maker LOGIN CREATEROLE; ALTER DATABASE {name} OWNER TO maker;
         CREATE ROLE worker LOGIN"
    ));
    let url = database.url_as("maker");
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    for _ in 0..2 {
        turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
    }
    database.try_run(Some("maker"), "GRANT turing_writer TO worker").unwrap();
    turing(&workspace, &database.url_as("worker"), &RUN).expect_code(0);
    // who gave the tables away can still migrate them
    database.try_run(Some("maker"), "ALTER TABLE execution_events ADD COLUMN mine INT").unwrap();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
}
