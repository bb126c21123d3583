//! `turing migrate`.

use serde_json::json;

use es_postgres::Layout;
use turing::store::postgres::migrations;

use crate::database::{Database, turing};
use crate::support::{END, RUN, Workspace};

/// How many migrations the program knows.
fn known() -> usize {
    migrations(&Layout::default()).iter().map(es_postgres::Migrations::count).sum()
}

#[test]
fn migrating_says_what_it_did() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    let first = turing(&workspace, &url, &["migrate"]).expect_code(0);
    let told = format!("{} migrations applied to database ", known());
    assert!(first.stdout.starts_with(&told), "{first:#?}");
    let second = turing(&workspace, &url, &["migrate"]).expect_code(0);
    assert!(second.stdout.starts_with("nothing to do: database "), "{second:#?}");
    let third = turing(&workspace, &url, &["migrate", "--json"]).expect_code(0).json();
    assert_eq!(third, json!({"applied": 0}));
    let others: [(&str, &[&str]); 3] = [
        ("memory:", &["migrate"]),
        ("sqlite:x.db", &["migrate", "--print"]),
        ("sqlite:x.db", &["migrate", "--roles"]),
    ];
    for (store, arguments) in others {
        let answer = turing(&workspace, store, arguments).expect_code(2);
        assert!(answer.stderr.contains("name a PostgreSQL database"), "{answer:#?}");
    }
}

#[test]
fn two_migrators_at_once_are_one_migration() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    let start = || {
        workspace
            .command(&["migrate", "--json"])
            .env("TURING_STORE", &url)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let migrators: Vec<_> = (0..4).map(|_| start()).collect();
    for migrator in migrators {
        assert!(migrator.wait_with_output().unwrap().status.success());
    }
    let steps = "SELECT count(*)::text FROM (
        SELECT 1 FROM execution_events_migrations UNION ALL SELECT 1 FROM turing_migrations) s";
    assert_eq!(usize::try_from(database.number(steps)), Ok(known()));
}

#[test]
fn the_printed_script_makes_the_same_database() {
    let (workspace, by_script, by_program) = (Workspace::new(), Database::new(), Database::new());
    let printed = turing(&workspace, &by_script.url(), &["migrate", "--print"]).expect_code(0);
    by_script.run(&printed.stdout);
    turing(&workspace, &by_program.url(), &["migrate"]).expect_code(0);
    let dump = "
        SELECT format('%s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
        UNION ALL SELECT conname || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        ORDER BY 1";
    assert_eq!(by_script.texts(dump), by_program.texts(dump));
    let nothing = turing(&workspace, &by_script.url(), &["migrate", "--json"]).expect_code(0);
    assert_eq!(nothing.json(), json!({"applied": 0}));
    turing(&workspace, &by_script.url(), &["demo"]).expect_code(0);
}

#[test]
fn the_states_of_postings_have_room_on_their_page_and_are_compressed_by_lz4_where_there_is_one() {
    let database = Database::migrated();
    let table = "'public.posting_state_rows'::regclass";
    let options =
        format!("SELECT array_to_string(reloptions, ',') FROM pg_class WHERE oid = {table}");
    assert_eq!(database.texts(&options), ["fillfactor=50"]);
    let has_lz4 = "SELECT count(*)::text FROM pg_settings
        WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";
    let compressed = format!(
        "SELECT attname FROM pg_attribute
         WHERE attrelid = {table} AND attcompression = 'l' ORDER BY attname"
    );
    let expected: &[&str] = match database.number(has_lz4) {
        0 => &[],
        _ => &["ended_runs", "execution_sequence", "outputs", "run"],
    };
    assert_eq!(database.texts(&compressed), expected);
}

#[test]
fn the_printed_script_asks_no_right_to_make_schemas() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let role = format!("plain_{}", database.test.name());
    database.run(&format!("CREATE ROLE {role} LOGIN; CREATE SCHEMA theirs AUTHORIZATION {role}"));
    let url = format!("{}&schema=theirs", database.url_as(&role));
    let printed = turing(&workspace, &url, &["migrate", "--print"]).expect_code(0);
    database.try_run(Some(&role), &printed.stdout).unwrap();
    let up_to_date = turing(&workspace, &url, &["migrate", "--json"]).expect_code(0);
    assert_eq!(up_to_date.json(), json!({"applied": 0}));
    database.run(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
}

#[test]
fn a_table_postings_of_the_application_is_adopted() {
    let (workspace, database) = (Workspace::new(), Database::new());
    database.run(
        "CREATE TABLE postings (posting_id INT PRIMARY KEY, title TEXT NOT NULL DEFAULT '');
         INSERT INTO postings VALUES (12345, 'theirs')",
    );
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
    let kept = "SELECT title || data::text FROM postings WHERE posting_id = 12345";
    assert_eq!(database.texts(kept), ["theirs{}"]);
    let refused = turing(&workspace, &database.url(), &["demo"]).expect_code(0);
    // its data are theirs, so the demo's posting of this id is refused by name
    assert!(
        refused.stderr.contains("posting_id 12345 is registered with other content"),
        "{refused:#?}"
    );
    database.run("INSERT INTO posting_state_projection (posting_id) VALUES (12345)");
    assert!(
        database
            .try_run(None, "INSERT INTO posting_state_projection (posting_id) VALUES (1)")
            .is_err()
    );
}

#[test]
fn a_table_postings_that_cannot_be_used_is_refused_and_kept() {
    for columns in [
        "id INT PRIMARY KEY",
        "posting_id BIGINT PRIMARY KEY",
        "posting_id INT",
        "posting_id TEXT UNIQUE",
        "posting_id INT UNIQUE DEFERRABLE",
    ] {
        let (workspace, database) = (Workspace::new(), Database::new());
        database.run(&format!("CREATE TABLE postings ({columns})"));
        let answer = turing(&workspace, &database.url(), &["migrate"]).expect_code(3);
        assert!(
            answer.stderr.contains("posting_id must be of type integer and unique"),
            "{answer:#?}"
        );
        let columns =
            "SELECT count(*)::text FROM information_schema.columns WHERE table_name = 'postings'";
        assert_eq!(database.number(columns), 1);
    }
}

#[test]
fn a_database_that_is_not_up_to_date_is_refused_with_the_command_that_mends_it() {
    let (workspace, database) = (Workspace::new(), Database::new());
    let url = database.url();
    let answer = turing(&workspace, &url, &["runs"]).expect_code(3);
    assert!(answer.stderr.contains("turing migrate --store 'postgres:///"), "{answer:#?}");
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    turing(&workspace, &url, &["runs"]).expect_code(0);
    database.run(
        "CREATE TABLE kept AS SELECT * FROM turing_migrations ORDER BY version DESC LIMIT 1;
         DELETE FROM turing_migrations WHERE version IN (SELECT version FROM kept)",
    );
    for command in ["runs", "demo"] {
        let answer = turing(&workspace, &url, &[command]).expect_code(3);
        let told = format!("{} of the {} migrations", known() - 1, known());
        assert!(answer.stderr.contains(&told), "{answer:#?}");
        assert!(answer.stderr.contains("turing migrate"), "{answer:#?}");
    }
    database.run(
        "INSERT INTO turing_migrations TABLE kept;
         INSERT INTO turing_migrations VALUES (999, 'x', now(), TRUE, '', 0)",
    );
    for command in ["runs", "demo", "migrate"] {
        let answer = turing(&workspace, &url, &[command]).expect_code(3);
        assert!(answer.stderr.contains("use a newer program"), "{answer:#?}");
    }
}

/// Runs two postings on a database that does not take the first of them.
#[track_caller]
fn refuses_the_first(database: &Database, refused: &str) {
    let workspace = Workspace::with_script(2, "a", END, "cat");
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
    let answer = turing(&workspace, &database.url(), &RUN).expect_code(1);
    assert!(answer.stderr.contains(refused), "{answer:#?}");
    assert!(answer.stdout.contains("1 posting = 1 ended + 0 open"), "{answer:#?}");
}

#[test]
fn a_table_postings_whose_data_are_of_another_type_is_refused_and_null_is_no_data() {
    let (workspace, database) = (Workspace::new(), Database::new());
    database.run("CREATE TABLE postings (posting_id INT PRIMARY KEY, data TEXT)");
    let answer = turing(&workspace, &database.url(), &["migrate"]).expect_code(3);
    assert!(answer.stderr.contains("its column data must be of type jsonb"), "{answer:#?}");
    database.run(
        "ALTER TABLE postings ALTER data TYPE JSONB USING data::jsonb;
         INSERT INTO postings VALUES (1, NULL), (2, '{\"job_description\": \"advert 2\"}')",
    );
    refuses_the_first(&database, "posting_id 1 is registered with other content");
}

#[test]
fn tables_of_other_programs_are_left_as_they_are() {
    let every_name = "SELECT relname::text FROM pg_class
                      WHERE relnamespace = 'public'::regnamespace ORDER BY 1";
    for table in ["execution_events", "postings", "posting_state_snapshots"] {
        let (workspace, database) = (Workspace::new(), Database::new());
        database.run(&format!("CREATE TABLE {table} (theirs INT)"));
        for command in ["runs", "demo"] {
            let answer = turing(&workspace, &database.url(), &[command]).expect_code(3);
            assert!(answer.stderr.contains("turing migrate --store"), "{answer:#?}");
        }
        assert_eq!(database.texts(every_name), [table]);
        let answer = turing(&workspace, &database.url(), &["migrate"]).expect_code(3);
        let told = ["did not make it", "cannot be used"];
        assert!(told.iter().any(|told| answer.stderr.contains(told)), "{answer:#?}");
        let columns = "SELECT attname::text FROM pg_attribute WHERE attnum > 0 AND attrelid = ";
        assert_eq!(database.texts(&format!("{columns}'{table}'::regclass")), ["theirs"]);
    }
}

#[test]
fn a_posting_of_the_application_whose_data_are_no_object_is_refused_alone() {
    let database = Database::new();
    database.run(
        "CREATE TABLE postings (posting_id INT PRIMARY KEY, data JSONB);
         INSERT INTO postings VALUES (1, '[7]')",
    );
    let refused = "posting_id 1 is in the table postings already, with data that is no JSON object";
    refuses_the_first(&database, refused);
}

#[test]
fn who_appended_before_a_migration_appends_after_it() {
    let (workspace, database) = (Workspace::new(), Database::before("reserved key grants"));
    let url = database.url();
    let role = format!("appends_{}", database.test.name());
    // rights that somebody granted one by one, before there was the newest function
    database.run(&format!(
        "CREATE ROLE {role};
         GRANT USAGE ON SCHEMA public TO {role};
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role};
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role};
         REVOKE EXECUTE ON FUNCTION posting_has_reserved_key(JSONB) FROM {role};
         INSERT INTO postings (posting_id) VALUES (1)"
    ));
    let append = format!("SET ROLE {role}; SELECT append_event('posting_terminal', 1); RESET ROLE");
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    database.run(&append);
    assert_eq!(database.number("SELECT count(*)::text FROM execution_events"), 1);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}
