//! Both sides at once: writers of the old table beside writers of events, and who may do what.

use std::sync::Mutex;
use std::thread;

use es_pgtest::Server;
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use fastrand::Rng;
use tokio::runtime::Handle;

use super::STATEMENTS;
use crate::database::{Database, turing};
use crate::support::Workspace;

const POSTINGS: i32 = 12;
const WRITERS: u64 = 3;
const ROUNDS: usize = 40;

/// Executes the statements of an action as a role that may, and enters the phase.
fn act(database: &Database, role: Option<&str>, action: &str, phase: i32) {
    let asked = role.map_or_else(String::new, |role| format!("SET ROLE {role}; "));
    let asked = asked + &STATEMENTS.replace("{action}", action);
    let statements = database.texts(&asked).join(";\n");
    let entered = format!("UPDATE public.cutovers SET phase = {phase}");
    let script = format!("BEGIN; {statements}; {entered}; COMMIT");
    database.try_run(role, &script).unwrap();
}

/// What an older program does to the old table: nothing that the order of postings does not allow.
fn old_write(chance: &mut Rng) -> String {
    let mut postings: Vec<_> = (0..chance.usize(1..4)).map(|_| chance.i32(1..=POSTINGS)).collect();
    postings.sort_unstable();
    postings.dedup();
    let mut statements = String::from("BEGIN;");
    for posting in postings {
        let step = 10 * chance.i32(1..=3);
        statements += &match chance.u8(..8) {
            0 => format!("DELETE FROM old_states WHERE posting = {posting};"),
            1 | 2 => format!(
                "INSERT INTO old_states_base (posting, step) VALUES ({posting}, {step})
                 ON CONFLICT (posting) DO UPDATE SET step = excluded.step;"
            ),
            3 => format!("UPDATE old_states SET note = 'n' WHERE posting = {posting};"),
            _ => format!(
                "UPDATE old_states SET step = {step}, steps_done = coalesce(steps_done, '{{}}') || {step},
                     results = coalesce(results, '{{}}') || '{{\"{step}\": {posting}}}'
                 WHERE posting = {posting};"
            ),
        };
    }
    statements + if chance.u8(..8) == 0 { "ROLLBACK" } else { "COMMIT" }
}

/// What a program of Turing's appends, to postings in any order.
fn new_write(chance: &mut Rng) -> String {
    let mut statements = String::from("BEGIN;");
    for _ in 0..chance.usize(1..4) {
        let (posting, conversation) = (chance.i32(1..=POSTINGS), 10 * chance.i32(1..=4));
        let noted = format!("'{{\"conversation_id\": {conversation}}}'");
        statements += &match chance.u8(..6) {
            0 => format!(
                "SELECT append_event('posting_terminal', {posting}, '{{\"reason\": \"r\"}}');"
            ),
            1 => format!(
                "SELECT dual_write('llm_call_completed', {posting}, '{{\"output\": 1}}', {noted},
                     old_row => '{{\"note\": \"dual\"}}');"
            ),
            _ => format!(
                "SELECT append_event('llm_call_completed', {posting}, '{{\"output\": 2}}', {noted});"
            ),
        };
    }
    statements + "COMMIT"
}

/// Does it, and answers the SQLSTATE of the refusal if there is one.
async fn attempt(session: &mut PgConnection, statements: &str) -> Option<String> {
    let done = sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *session).await;
    let error = done.err()?;
    sqlx::raw_sql("ROLLBACK").execute(&mut *session).await.unwrap();
    Some(error.as_database_error().expect(statements).code().unwrap().into_owned())
}

/// Writers of events are refused and try again; nobody else is.
fn storm(database: &Database, seed: u64) {
    let handle: Handle = database.runtime.handle().clone();
    let refused = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for writer in 0..2 * WRITERS {
            let (handle, refused, options) = (&handle, &refused, database.test.options());
            scope.spawn(move || {
                let mut chance = Rng::with_seed(seed + writer);
                let mut session = handle.block_on(options.connect()).unwrap();
                for _ in 0..ROUNDS {
                    let is_old = writer < WRITERS;
                    let statements =
                        if is_old { old_write(&mut chance) } else { new_write(&mut chance) };
                    while let Some(code) = handle.block_on(attempt(&mut session, &statements)) {
                        if is_old || !["40001", "40P01"].contains(&code.as_str()) {
                            refused.lock().unwrap().push(format!("{code}: {statements}"));
                            break;
                        }
                    }
                }
                handle.block_on(session.close()).unwrap();
            });
        }
    });
    let refused = refused.into_inner().unwrap();
    assert!(refused.is_empty(), "seed {seed}: {refused:#?}");
}

#[test]
fn in_a_storm_no_old_writer_is_refused_and_both_sides_agree() {
    let database = Database::migrated();
    database.run(&format!(
        "CREATE TABLE old_states (posting INT PRIMARY KEY, step INT, results JSONB, steps_done INT[], note TEXT);
         INSERT INTO postings (posting_id) SELECT generate_series(1, {POSTINGS});
         INSERT INTO old_states (posting, step) SELECT n, 10 FROM generate_series(1, 6) n;
         INSERT INTO cutovers (phase, mapping) VALUES (1, '{{
             \"schema\": \"public\", \"table\": \"old_states\", \"posting_id\": \"posting\",
             \"current\": \"step\", \"outputs\": \"results\", \"history\": \"steps_done\"
         }}')"
    ));
    act(&database, None, "create", 1);
    act(&database, None, "dual-write", 2);
    database.run(super::BACKFILL);
    let seed = fastrand::u64(..1 << 32);
    storm(&database, seed);
    let differences = database.texts("SELECT d::text FROM cutover_differences(NULL) d");
    assert!(differences.is_empty(), "seed {seed}: {differences:#?}");
    let kept = "SELECT d::text FROM cutover_discrepancies d";
    assert_eq!(database.texts(kept), [""; 0], "seed {seed}");
    let findings = "SELECT f::text FROM validate_event_store() f WHERE f.severity = 'error'";
    assert_eq!(database.texts(findings), [""; 0], "seed {seed}");
}

/// Roles are of the whole server: here nobody else makes them.
#[test]
fn members_of_both_owners_move_writers_write_twice_and_readers_look() {
    let server = Server::private(&[]);
    let (workspace, database) = (Workspace::new(), Database::on(&server));
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
    turing(&workspace, &database.url(), &["migrate", "--roles"]).expect_code(0);
    database.run(include_str!("roles.sql"));
    let mapping = r#"'{"schema": "theirs", "table": "states", "posting_id": "posting", "current": "step"}'::jsonb"#;

    let wanting = format!("SET ROLE mover; SELECT m.cure FROM cutover_check_mapping({mapping}) m");
    let grants = database.texts(&wanting);
    let expected = [
        "GRANT legacy TO mover",
        "GRANT CREATE ON SCHEMA theirs TO mover",
        "GRANT USAGE ON SCHEMA theirs TO turing_owner",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON theirs.states TO turing_owner",
    ];
    assert_eq!(grants, expected);
    for grant in &grants {
        database.run(grant);
    }
    assert_eq!(database.texts(&wanting), [""; 0]);

    let mover = Some("mover");
    database
        .try_run(mover, &format!("INSERT INTO cutovers (phase, mapping) VALUES (1, {mapping})"))
        .unwrap();
    act(&database, mover, "create", 1);
    act(&database, mover, "dual-write", 2);
    database.try_run(mover, super::BACKFILL).unwrap();
    database.try_run(Some("legacy"), "UPDATE theirs.states SET step = 20").unwrap();
    let by = "SELECT metadata ->> 'imported_by' FROM execution_events ORDER BY position";
    assert_eq!(database.texts(by), ["mover", "legacy"]);

    // rows that the store's owner cannot see are refused by the events, and not taken for gone
    let legacy = Some("legacy");
    let hidden =
        "ALTER TABLE theirs.states ENABLE ROW LEVEL SECURITY; UPDATE theirs.states SET step = 30";
    database.try_run(legacy, hidden).unwrap();
    let kept = "SELECT kind FROM cutover_discrepancies";
    assert_eq!(database.texts(kept), ["import_refused"]);
    let current = "SELECT current_conversation_id::text FROM posting_state_projection";
    assert_eq!(database.texts(current), ["20"]);
    let shown =
        "ALTER TABLE theirs.states DISABLE ROW LEVEL SECURITY; UPDATE theirs.states SET step = 20";
    database.try_run(legacy, shown).unwrap();

    let dual = "SELECT dual_write('llm_call_completed', 1, '{}', '{\"conversation_id\": 30}', old_row => '{\"note\": \"x\"}')";
    database.try_run(Some("worker"), dual).unwrap();
    let note = "SELECT step || ' ' || note FROM theirs.states";
    assert_eq!(database.texts(note), ["30 x"]);
    let looks = [
        "SELECT * FROM cutovers",
        "SELECT * FROM cutover_open_discrepancies",
        "SELECT * FROM cutover_old_states",
        "SELECT * FROM cutover_differences(NULL)",
        "SELECT * FROM validate_event_store()",
    ];
    for look in looks {
        database.try_run(Some("looker"), look).unwrap();
    }
    let moves = [
        "SELECT cutover_import(1, NULL)",
        "SELECT cutover_write_old('{1}')",
        "SELECT cutover_backfill(NULL, 1)",
        "SELECT cutover_validate(NULL, 1)",
        "SELECT cutover_resolve(1, NULL, 'accepted', 'x')",
        "UPDATE cutovers SET phase = 0",
        "DELETE FROM cutover_discrepancies",
        "SELECT * FROM theirs.states",
    ];
    for (role, statements) in
        [("worker", &moves[..]), ("looker", &moves[..]), ("looker", &[dual][..])]
    {
        for statement in statements {
            let error = database.try_run(Some(role), statement).expect_err(statement);
            let code = error.as_database_error().unwrap().code().unwrap().into_owned();
            assert_eq!(code, "42501", "{role}: {statement}: {error}");
        }
    }

    act(&database, mover, "switch-reads", 4);
    turing(&workspace, &database.url(), &["migrate", "--roles"]).expect_code(0);
    database.try_run(Some("legacy"), "UPDATE theirs.states SET step = 10").unwrap();
    assert_eq!(database.texts(note), ["10 x"]);
    act(&database, mover, "deprecate", 5);
    act(&database, mover, "undo-deprecate", 4);
    act(&database, mover, "undo-switch-reads", 3);
    act(&database, mover, "undo-dual-write", 1);
    act(&database, mover, "undo-create", 0);
    let left = "SELECT relname::text FROM pg_class WHERE relnamespace = 'theirs'::regnamespace AND relkind <> 'i'";
    assert_eq!(database.texts(left), ["states"]);
}
