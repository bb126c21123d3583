//! `docs/troubleshooting.md`: each trouble is brought about, seen as the guide says, and cured.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use es_pgtest::Server;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection};
use rusqlite::Connection;

use super::page::{self, Block};
use super::reader::{Reader, folder};
use crate::database::{Database, directly};
use crate::support::gates::Gated;
use crate::support::process::Process;
use crate::support::{Answer, END, PROGRAM_PID, RUN, Workspace};

const GUIDE: &str = "troubleshooting.md";

/// The sections by their headings, in their order, each with the test that follows it.
macro_rules! followed {
    ($($test:ident: $heading:literal,)*) => {
        $(
            #[test]
            fn $test() {
                let sections = page::sections(GUIDE);
                let section = sections.iter().find(|section| section.heading == $heading);
                stages::$test(&section.expect($heading).blocks);
            }
        )*

        #[test]
        fn every_section_is_followed_and_stands_in_the_table_of_symptoms() {
            let sections = page::sections(GUIDE);
            assert!(sections[0].blocks.is_empty(), "nobody follows what stands before the first");
            let headings: Vec<_> = sections.iter().skip(1).map(|it| it.heading.as_str()).collect();
            assert_eq!(headings, [$($heading),*]);
            assert!(sections.iter().skip(1).all(|section| !section.blocks.is_empty()));
            let rows = page::table(GUIDE, "what you see");
            let linked: Vec<_> = rows.iter().filter_map(|row| row[1].strip_prefix('[')).collect();
            let linked: Vec<_> = linked.iter().filter_map(|link| link.split_once("](#")).collect();
            let linked: Vec<_> = linked.iter().map(|(heading, _)| *heading).collect();
            assert_eq!(linked, headings[1..], "each symptom leads to its section");
        }
    };
}

followed! {
    a_whole_store_is_looked_at: "Where to look first",
    a_posting_says_why_it_does_not_go_on: "A posting does not go on",
    a_state_that_is_out_of_sync_is_made_anew: "A state does not match its events",
    a_writer_that_was_too_late_decides_again: "Two writers took the same version",
    a_slow_query_gets_its_index: "Queries are slow",
    an_unknown_posting_is_registered: "A posting is not registered",
    an_unreadable_event_is_gone_around: "An event cannot be read",
    whoever_holds_the_log_back_is_found: "New events do not appear",
    whoever_holds_a_stream_is_found: "An append waits for somebody",
    a_lost_answer_is_asked_for_again: "A connection was lost within an append",
    a_wrong_snapshot_is_removed: "A kept state is wrong",
    a_sequence_that_is_behind_is_set: "Nothing can be written after a restore",
    a_missing_right_is_granted: "A login may not do it",
    an_old_store_is_migrated: "The store is of another version",
    a_run_under_way_is_stopped_and_goes_on: "A run is under way, or was interrupted",
    a_run_in_the_way_is_finished: "Another run is in the way",
    an_open_breaker_is_closed: "An actor gets no more calls",
    failed_postings_are_repeated: "Postings have failed",
    a_read_model_catches_up: "A read model is behind",
    a_parked_event_is_discarded: "An event is parked",
    a_full_disk_gets_room: "The disk is full",
    a_damaged_file_is_restored: "The file is damaged",
    a_file_leaves_the_network: "The file is on a network drive",
}

/// A migrated database in which posting 12345 has one event.
fn database() -> Database {
    prepared(Database::migrated())
}

fn prepared(database: Database) -> Database {
    // before 15 everybody may create there, which is told
    database.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.run("INSERT INTO postings (posting_id) VALUES (12345)");
    database.run(
        "SELECT append_event('llm_call_completed', 12345, '{\"output\": \"Berlin\"}',
             '{\"conversation_id\": 9184}', idempotency_key => '3001/12345/9184/1')",
    );
    database
}

/// Follows the blocks in a database, after this was done in it.
fn follow_in_a_database(blocks: &[Block], trouble: &str) {
    let (workspace, database) = (Workspace::new(), database());
    if !trouble.is_empty() {
        database.run(trouble);
    }
    Reader::of_a_database(&workspace, &database).follow(blocks);
}

/// A session that stays open with what it has done.
fn open_session(database: &Database, statement: &str) -> PgConnection {
    database.runtime.block_on(async {
        let options = database.test.options().application_name("importer");
        let mut session = options.connect().await.unwrap();
        let begin = format!("BEGIN; {statement}");
        sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut session).await.unwrap();
        session
    })
}

/// Three postings whose script lacks something until there is a file `mended`.
fn lacking(body: &str) -> Workspace {
    let body = format!("{body}; echo why >&2; echo 'jq: not found' >&2; exit 127");
    Workspace::with_script(3, "check", END, &body)
}

/// Changes the file of the store behind the program's back.
fn tamper(workspace: &Workspace, statement: &str) {
    let connection = Connection::open(workspace.path().join("turing.db")).unwrap();
    connection.execute_batch(statement).unwrap();
}

/// An event that somebody else writes into the file.
fn foreign_event(workspace: &Workspace, posting: i32, event_type: &str) {
    let version = workspace.events(posting).len() + 1;
    tamper(
        workspace,
        &format!(
            "INSERT INTO execution_events (event_id, aggregate_type, aggregate_id,
                 aggregate_version, event_type, event_data)
             VALUES ('01a2077e-0ecf-7430-baf5-be8edd359d01', 'posting', '{posting}', {version},
                 '{event_type}', '{{}}')"
        ),
    );
}

/// The program under a limit of the size of its files, past which writing fails as on a full disk.
fn run_with_room(workspace: &Workspace, blocks: u32) -> Answer {
    let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_turing")]).args(RUN);
    command.current_dir(workspace.path()).env_remove("TURING_STORE").stdin(Stdio::null());
    command.output().unwrap().into()
}

/// The file as an older program has left it: with the first migrations only.
fn old_file(workspace: &Workspace, migrations: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../es-sqlite/migrations");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files[..migrations] {
        tamper(workspace, &fs::read_to_string(file).unwrap());
    }
}

/// What is wrong before each section is read.
mod stages {
    use super::*;

    pub(super) fn a_whole_store_is_looked_at(blocks: &[Block]) {
        let workspace = Workspace::with_script(3, "check", END, "cat");
        workspace.run(&[]).expect_code(0);
        Reader::of_a_file(&workspace).follow(blocks);
    }

    pub(super) fn a_posting_says_why_it_does_not_go_on(blocks: &[Block]) {
        let gated = Gated::new(2);
        let mut run = gated.start("sqlite:turing.db");
        let gate = gated.gate(1, &mut run);
        let reader = Reader::of_a_file(&gated.workspace).meaning("4711", &run.id().to_string());
        let (before, after) = blocks.split_at(1);
        reader.follow(before);
        // it is killed
        drop(run);
        drop(gate);
        reader.follow(after);
    }

    pub(super) fn a_state_that_is_out_of_sync_is_made_anew(blocks: &[Block]) {
        follow_in_a_database(blocks, "UPDATE posting_state_projection SET outputs = '{}'");
    }

    pub(super) fn a_writer_that_was_too_late_decides_again(blocks: &[Block]) {
        follow_in_a_database(blocks, "");
    }

    pub(super) fn a_slow_query_gets_its_index(blocks: &[Block]) {
        let many = "INSERT INTO postings (posting_id) SELECT generate_series(1, 2000);
            SELECT append_event('circuit_breaker_open', n) FROM generate_series(1, 2000) n;
            ANALYZE execution_events";
        follow_in_a_database(blocks, many);
    }

    pub(super) fn an_unknown_posting_is_registered(blocks: &[Block]) {
        follow_in_a_database(blocks, "");
    }

    pub(super) fn an_unreadable_event_is_gone_around(blocks: &[Block]) {
        let insert = "INSERT INTO execution_events
                (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
            VALUES ('posting', 12345, 2, 'moon_rose', '{}')";
        follow_in_a_database(blocks, insert);
    }

    pub(super) fn whoever_holds_the_log_back_is_found(blocks: &[Block]) {
        let (workspace, database) = (Workspace::new(), database());
        database.run("INSERT INTO postings (posting_id) VALUES (1)");
        let importer = open_session(&database, "SELECT append_event('circuit_breaker_open', 1)");
        database.run("SELECT append_event('circuit_breaker_open', 12345)");
        Reader::of_a_database(&workspace, &database).follow(blocks);
        drop(importer);
    }

    pub(super) fn whoever_holds_a_stream_is_found(blocks: &[Block]) {
        const APPEND: &str = "SELECT append_event('circuit_breaker_open', 12345)";
        let (workspace, database) = (Workspace::new(), database());
        let importer = open_session(&database, APPEND);
        let options = database.test.options().application_name("worker");
        let worker = database.runtime.spawn(async move {
            let mut session = options.connect().await.unwrap();
            sqlx::raw_sql(APPEND).execute(&mut session).await.map(drop)
        });
        let waiting = "SELECT count(*)::text FROM pg_stat_activity
            WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0";
        while database.number(waiting) == 0 {
            assert!(!worker.is_finished(), "nobody holds it up");
        }
        Reader::of_a_database(&workspace, &database).follow(blocks);
        database.runtime.block_on(worker).unwrap().unwrap();
        drop(importer);
    }

    pub(super) fn a_lost_answer_is_asked_for_again(blocks: &[Block]) {
        follow_in_a_database(blocks, "");
    }

    pub(super) fn a_wrong_snapshot_is_removed(blocks: &[Block]) {
        let kept = "SELECT maybe_create_snapshot(12345, 1);
            UPDATE posting_state_snapshots SET state = state || '{\"is_terminal\": true}'";
        follow_in_a_database(blocks, kept);
    }

    pub(super) fn a_sequence_that_is_behind_is_set(blocks: &[Block]) {
        let restored = "SELECT append_event('circuit_breaker_open', 12345)
                FROM generate_series(1, 3);
            SELECT setval(pg_get_serial_sequence('execution_events', 'position'), 1)";
        follow_in_a_database(blocks, restored);
    }

    pub(super) fn a_missing_right_is_granted(blocks: &[Block]) {
        // roles are of the whole server, and those of other databases are refused
        let server = Server::private(&[]);
        let (workspace, database) = (Workspace::new(), prepared(Database::migrated_on(&server)));
        directly(&workspace, &database.url(), &["migrate", "--roles"]).expect_code(0);
        database.run("CREATE ROLE clerk LOGIN; GRANT turing_reader TO clerk");
        database.run("SELECT maybe_create_snapshot(12345, 1)");
        let reader = Reader::of_a_database(&workspace, &database);
        reader.with("TURING_STORE", &database.url_as("clerk")).follow(blocks);
    }

    pub(super) fn an_old_store_is_migrated(blocks: &[Block]) {
        let workspace = Workspace::new();
        old_file(&workspace, 5);
        Reader::of_a_file(&workspace).follow(blocks);
    }

    pub(super) fn a_run_under_way_is_stopped_and_goes_on(blocks: &[Block]) {
        let gated = Gated::new(2);
        let mut run = gated.start("sqlite:turing.db");
        let gate = gated.gate(1, &mut run);
        let reader = Reader::of_a_file(&gated.workspace).meaning("4711", &run.id().to_string());
        let (before, after) = blocks.split_at(2);
        reader.follow(before);
        gate.open();
        run.end().expect_code(75);
        gated.workspace.script("a.sh", "echo ok");
        reader.follow(after);
    }

    pub(super) fn a_run_in_the_way_is_finished(blocks: &[Block]) {
        let body = format!(
            "if grep -q 'advert 3' && [ ! -e healed ]; then kill -9 {PROGRAM_PID}; exit 1; fi\n\
             echo ok"
        );
        let workspace = Workspace::with_script(4, "check", END, &body);
        workspace.run(&["--parallel", "1"]);
        workspace.file("healed", "");
        workspace.file("postings/005.json", r#"{"posting_id":5,"job_description":"advert 5"}"#);
        Reader::of_a_file(&workspace).follow(blocks);
    }

    pub(super) fn an_open_breaker_is_closed(blocks: &[Block]) {
        let workspace = lacking("[ -e mended ] && exec cat");
        workspace.breaker(2, 100_000.0);
        let mut command = workspace.command(&[&RUN[..], &["--parallel", "1"]].concat());
        let mut run = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        run.told().up_to("circuit breaker is open");
        let reader = Reader::of_a_file(&workspace);
        let (before, after) = blocks.split_at(1);
        reader.follow(before);
        workspace.file("mended", "");
        reader.follow(after);
        let report = run.stdout();
        assert!(report.contains("3 postings = 3 ended + 0 open"), "{report}");
    }

    pub(super) fn failed_postings_are_repeated(blocks: &[Block]) {
        let body = "if grep -q 'advert 3' || [ -e mended ]; then echo ok; exit; fi";
        let workspace = lacking(body);
        workspace.run(&[]).expect_code(1);
        let reader = Reader::of_a_file(&workspace);
        let (before, after) = blocks.split_at(1);
        reader.follow(before);
        workspace.file("mended", "");
        reader.follow(after);
    }

    pub(super) fn a_read_model_catches_up(blocks: &[Block]) {
        let workspace = Workspace::with_script(3, "check", END, "cat");
        workspace.run(&[]).expect_code(0);
        foreign_event(&workspace, 2, "circuit_breaker_open");
        Reader::of_a_file(&workspace).follow(blocks);
    }

    pub(super) fn a_parked_event_is_discarded(blocks: &[Block]) {
        let workspace = Workspace::with_script(7, "check", END, "cat");
        workspace.run(&[]).expect_code(0);
        foreign_event(&workspace, 7, "moon_rose");
        workspace.turing(&["projection", "run", "--once"]).expect_code(0);
        let parked = ["projection", "parked", "posting_state", "--json"];
        let parked = workspace.turing(&parked).expect_code(1).json();
        let position = parked[0]["position"].as_str().unwrap();
        Reader::of_a_file(&workspace).meaning("90017", position).follow(blocks);
    }

    pub(super) fn a_full_disk_gets_room(blocks: &[Block]) {
        let workspace = Workspace::with_script(30, "check", END, "cat");
        let refused = run_with_room(&workspace, 300).expect_code(3);
        assert!(refused.stderr.contains("turing.db"), "{refused:#?}");
        Reader::of_a_file(&workspace).having_seen(refused.told()).follow(blocks);
    }

    pub(super) fn a_damaged_file_is_restored(blocks: &[Block]) {
        let workspace = Workspace::with_script(2, "check", END, "echo ok");
        workspace.run(&[]).expect_code(0);
        folder(&workspace, "backups");
        workspace.turing(&["backup", "--to", "backups/turing.db"]).expect_code(0);
        let path = workspace.path().join("turing.db");
        let store = Connection::open(&path).unwrap();
        let table = "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots'";
        let page = store.query_row(table, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
        let size = store.pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0));
        let size = size.unwrap() as usize;
        drop(store);
        let mut bytes = fs::read(&path).unwrap();
        bytes[(page - 1) * size..page * size].fill(0xA5);
        fs::write(&path, bytes).unwrap();
        Reader::of_a_file(&workspace).follow(blocks);
    }

    pub(super) fn a_file_leaves_the_network(blocks: &[Block]) {
        let workspace = Workspace::with_script(2, "check", END, "echo ok");
        workspace.run(&[]).expect_code(0);
        let local = folder(&workspace, "local");
        Reader::of_a_file(&workspace).meaning("/var/lib/turing", &local).follow(blocks);
    }
}
