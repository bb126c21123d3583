//! What somebody else has put into the schema or the server before: it is never run, and no right
//! comes of it.

use es_pgtest::Server;

use crate::database::{Database, turing};
use crate::support::{ID_END, RUN, Workspace};

/// On a server of its own, because roles are of the whole server. Everybody may create in the
/// schema, as up to PostgreSQL 14.
fn open_to_everybody(server: &Server) -> Database {
    let database = Database::on(server);
    database.run("GRANT CREATE ON SCHEMA public TO PUBLIC");
    database
}

fn workspace() -> Workspace {
    Workspace::with_script(2, "a", ID_END, "cat")
}

#[test]
fn what_stands_first_in_the_path_is_never_run() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), open_to_everybody(&server));
    database.run("CREATE ROLE planter LOGIN");
    database.try_run(Some("planter"), include_str!("beside/in_the_path.sql")).unwrap();
    let name = database.test.name();
    database.run(&format!("ALTER DATABASE {name} SET search_path = public, pg_catalog"));
    let url = database.url();
    let run = &RUN[..];
    let again = [run, &["--again"]].concat();
    for command in [
        &["migrate"][..],
        run,
        &again,
        &["runs"],
        &["state", "posting", "1"],
        &["trace", "workflow_3001_posting_1"],
        &["snapshot", "list"],
        &["projection", "list"],
        &["projection", "rebuild", "posting_state"],
        &["migrate", "--roles"],
    ] {
        turing(&workspace, &url, command).expect_code(0);
    }
    let validated = turing(&workspace, &url, &["validate"]).expect_code(0);
    assert!(!validated.stdout.contains("error ["), "{validated:#?}");
}

#[test]
fn overloads_of_the_stores_functions_are_never_run_and_never_given_away() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), open_to_everybody(&server));
    let url = database.url();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    database.run("CREATE ROLE planter LOGIN");
    database.try_run(Some("planter"), include_str!("beside/overloads.sql")).unwrap();
    let planted = "SELECT count(*)::text FROM pg_proc WHERE proowner = 'planter'::regrole";
    assert!(database.number(planted) > 300);

    turing(&workspace, &url, &RUN).expect_code(0);
    turing(&workspace, &url, &["projection", "rebuild", "posting_state"]).expect_code(0);
    database.run(
        "SELECT append_event('llm_call_completed'::text, 1);
         SELECT maybe_create_snapshot(1, 1);
         SELECT rebuild_posting_state(1), rebuild_all_posting_states();
         SELECT * FROM validate_event_store()",
    );

    let validated = turing(&workspace, &url, &["validate"]).expect_code(1);
    assert!(
        validated.stdout.contains("[object_of_another_owner]: public.posting_states("),
        "{validated:#?}"
    );
    assert!(validated.stdout.contains("PUBLIC has CREATE on public"), "{validated:#?}");
    let refused = turing(&workspace, &url, &["migrate", "--roles"]).expect_code(3);
    assert!(refused.stderr.contains("belongs to planter"), "{refused:#?}");
    for repair in repairs(&workspace, &database) {
        database.run(&repair);
    }
    turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
    let validated = turing(&workspace, &url, &["validate"]).expect_code(0);
    assert!(validated.stdout.ends_with("0 errors, 0 warnings\n"), "{validated:#?}");
}

/// What `validate` advises.
fn repairs(workspace: &Workspace, database: &Database) -> Vec<String> {
    let validated = turing(workspace, &database.url(), &["validate", "--json"]);
    let findings = validated.json();
    let findings = findings.as_array().unwrap();
    findings.iter().map(|finding| finding["repair"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_table_of_migrations_of_somebody_else_is_refused() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), open_to_everybody(&server));
    database.run("CREATE ROLE planter LOGIN");
    for table in ["execution_events_migrations", "turing_migrations"] {
        let planted = include_str!("beside/migrations.sql").replace("{table}", table);
        database.try_run(Some("planter"), &planted).unwrap();
        let refused = turing(&workspace, &database.url(), &["migrate"]).expect_code(3);
        assert!(
            refused.stderr.contains(&format!("{table}, which belongs to planter")),
            "{refused:#?}"
        );
        database.run(&format!("DROP TABLE {table}; DROP FUNCTION planted()"));
    }
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
}

#[test]
fn roles_of_another_store_are_refused_whatever_their_members_have_granted_them() {
    let server = Server::private(&[]);
    let workspace = Workspace::new();
    let stores = [Database::on(&server), Database::on(&server)];
    for store in &stores {
        turing(&workspace, &store.url(), &["migrate"]).expect_code(0);
    }
    let [first, second] = &stores;
    let roles = ["migrate", "--roles"];
    turing(&workspace, &first.url(), &roles).expect_code(0);
    first.run("CREATE ROLE worker LOGIN; GRANT turing_writer TO worker");
    second
        .try_run(
            Some("worker"),
            "SELECT lo_create(4711); GRANT SELECT ON LARGE OBJECT 4711 TO turing_writer",
        )
        .unwrap();
    let refused = turing(&workspace, &second.url(), &roles).expect_code(3);
    assert!(refused.stderr.contains("--role-prefix"), "{refused:#?}");

    // two stores of one database are two stores, too
    let beside = format!("{}&schema=beside", first.url());
    turing(&workspace, &beside, &["migrate"]).expect_code(0);
    let refused = turing(&workspace, &beside, &roles).expect_code(3);
    assert!(refused.stderr.contains("--role-prefix"), "{refused:#?}");
    turing(&workspace, &beside, &["migrate", "--roles", "--role-prefix", "beside"]).expect_code(0);
    // each again
    turing(&workspace, &first.url(), &roles).expect_code(0);
}

#[test]
fn who_has_rights_in_the_schema_keeps_its_use_and_strangers_do_not() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), Database::on(&server));
    database.run(
        "CREATE ROLE stranger LOGIN; CREATE ROLE theirs LOGIN; CREATE ROLE granted LOGIN;
         CREATE TABLE public.postings (posting_id INT PRIMARY KEY);
         CREATE TABLE public.reports (x INT);
         ALTER TABLE public.postings OWNER TO theirs;
         GRANT SELECT (x) ON public.reports TO granted",
    );
    let url = database.url();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    let told = turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
    assert!(told.stdout.contains("PUBLIC may not use the schema public"), "{told:#?}");
    database.try_run(Some("granted"), "SELECT x FROM public.reports").unwrap();
    database.try_run(Some("theirs"), "SELECT FROM public.postings").unwrap();
    let refused = database.try_run(Some("stranger"), "SELECT FROM public.reports").unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501");
    turing(&workspace, &url, &RUN).expect_code(0);

    // once it is closed, the administrator decides
    database.run("REVOKE USAGE ON SCHEMA public FROM granted");
    turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
    database.try_run(Some("granted"), "SELECT x FROM public.reports").unwrap_err();
}

#[test]
fn the_owner_of_adopted_postings_gets_the_use_of_the_schema() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), Database::on(&server));
    database.run(
        "CREATE ROLE theirs LOGIN; CREATE SCHEMA jobs;
         CREATE TABLE jobs.postings (posting_id INT PRIMARY KEY);
         ALTER TABLE jobs.postings OWNER TO theirs",
    );
    let url = format!("{}&schema=jobs", database.url());
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    turing(&workspace, &url, &RUN).expect_code(0);
    // what hides postings is named
    database.run(
        "CREATE ROLE store_owner; GRANT USAGE, CREATE ON SCHEMA jobs TO store_owner;
         GRANT ALL ON ALL TABLES IN SCHEMA jobs TO store_owner;
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA jobs TO store_owner;
         ALTER FUNCTION jobs.project_posting_events() OWNER TO store_owner;
         INSERT INTO jobs.postings VALUES (77);
         ALTER TABLE jobs.postings ENABLE ROW LEVEL SECURITY",
    );
    let append = "SELECT jobs.append_event('llm_call_completed', 77)";
    let hidden = database.try_run(None, append).unwrap_err();
    assert!(hidden.to_string().contains("row security on \"jobs\".postings may hide"), "{hidden}");
}

#[test]
fn rights_that_came_some_other_way_are_told_with_what_takes_them_away() {
    let server = Server::private(&[]);
    let (workspace, database) = (workspace(), Database::on(&server));
    let url = database.url();
    database.run(
        "CREATE ROLE other LOGIN;
         -- as it is from 15 on
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO other;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO other;
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO other",
    );
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    // without the roles rights are given by hand
    turing(&workspace, &url, &["validate"]).expect_code(0);
    assert_eq!(repairs(&workspace, &database), [""; 0]);
    let told = turing(&workspace, &url, &["migrate", "--roles"]).expect_code(0);
    assert!(told.stdout.contains("[rights_of_others]: other has EXECUTE on "), "{told:#?}");
    // as after restoring without rights
    database.run("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC");
    database.run("GRANT INSERT (position) ON execution_events TO PUBLIC");
    let found = repairs(&workspace, &database);
    assert!(found.iter().any(|repair| repair.ends_with("FROM PUBLIC")), "{found:#?}");
    assert!(found.iter().any(|repair| repair.starts_with("REVOKE ALL ON SEQUENCE")), "{found:#?}");
    for repair in found {
        database.run(&repair);
    }
    assert_eq!(repairs(&workspace, &database), [""; 0]);
    let refused = database.try_run(Some("other"), "SELECT append_event('llm_call_completed', 1)");
    assert_eq!(refused.unwrap_err().as_database_error().unwrap().code().unwrap(), "42501");
}
