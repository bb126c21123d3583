//! Postings with long streams: what an append to them costs, and that their states are whole.

use es_postgres::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use fastrand::Rng;

use crate::database::{Database, turing};
use crate::histories::{Draft, any_event};
use crate::projected::Projected;
use crate::read_models::insert;
use crate::support::Workspace;

/// Inserts events from one version to another: completions in no order, of many conversations, each with
/// an output that cannot be compressed, short or long; now and then the posting ends and enters the next
/// run.
fn history(posting: i32, from: i32, to: i32, conversations: i32) -> String {
    format!(
        "INSERT INTO execution_events
             (aggregate_type, aggregate_id, aggregate_version, event_type, event_data, metadata)
         SELECT 'posting', {posting}, v,
             CASE v % 20
                 WHEN 1 THEN 'posting_entered_run'
                 WHEN 0 THEN 'posting_terminal'
                 ELSE 'llm_call_completed'
             END,
             CASE v % 20
                 WHEN 1 THEN jsonb_build_object(
                     'run_id', '0193a1d4-0000-7000-8000-' || lpad(to_hex(v / 20), 12, '0'),
                     'workflow_id', 3001, 'entry_conversation_id', 1
                 )
                 WHEN 0 THEN '{{\"reason\": \"done\"}}'::jsonb
                 ELSE jsonb_build_object(
                     'output', (
                         SELECT string_agg(md5((v * 100 + i)::text), '')
                         FROM generate_series(1, CASE v % 7 WHEN 0 THEN 60 ELSE 8 END) i
                     )
                 )
             END,
             jsonb_build_object('conversation_id', v::bigint * 7919 % {conversations})
         FROM generate_series({from}, {to}) v
         ORDER BY v"
    )
}

/// How many rows the server has written and looked up for this session, parts of long values included.
/// The figures are the session's own, and do not fall within a transaction.
async fn rows_touched(connection: &mut PgConnection) -> (i64, i64) {
    let counted = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint,
                       coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
                   FROM pg_stat_xact_all_tables
                   WHERE schemaname IN ('public', 'pg_toast')";
    sqlx::query_as(counted).fetch_one(connection).await.unwrap()
}

/// What these appends cost, one after the other, in one transaction.
pub(crate) async fn cost(
    projected: &Projected,
    appends: impl Iterator<Item = String> + Send,
) -> (i64, i64) {
    let mut connection = projected.pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let before = rows_touched(&mut transaction).await;
    for statement in appends {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await.unwrap();
    }
    let after = rows_touched(&mut transaction).await;
    transaction.commit().await.unwrap();
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn an_append_touches_no_more_rows_however_long_the_posting_is() {
    Projected::in_a_database(async |projected| {
        projected.clear(3).await;
        for (posting, events) in [(1, 10), (2, 1_000), (3, 10_000)] {
            projected.run(&history(posting, 1, events, 4_000)).await;
        }
        projected.run("VACUUM ANALYZE").await;
        // as many as move what grows several times
        let appends = 300;
        let append = |posting, from| {
            (from..from + appends).map(move |version| history(posting, version, version, 4_000))
        };
        let (short_written, short_read) = cost(&projected, append(1, 11)).await;
        assert!(short_written >= 2 * i64::from(appends), "{short_written}");
        for (posting, from) in [(2, 1_001), (3, 10_001)] {
            let (written, read) = cost(&projected, append(posting, from)).await;
            let what = format!("{written} and {read} rows, not {short_written} and {short_read}");
            assert!(2 * written <= 3 * short_written, "posting {posting}: {what}");
            assert!(2 * read <= 3 * short_read, "posting {posting}: {what}");
        }
        for posting in 1..=3 {
            projected.assert_equals_fold(posting, "in the end").await;
        }
        assert_eq!(projected.texts("SELECT rebuild_all_posting_states()::text").await, ["0"]);
    });
}

/// The parts of states that have moved out of their rows.
const MOVED: &str = "
    SELECT (SELECT count(*) FROM posting_state_completions)
         + (SELECT count(*) FROM posting_state_values)";

#[test]
fn a_long_posting_is_the_fold_live_and_rebuilt_in_either_order() {
    Projected::in_a_database(async |projected| {
        projected.clear(4).await;
        let mut chance = Rng::with_seed(47);
        for posting in 1..=3 {
            projected.run(&history(posting, 1, 600, 40)).await;
        }
        let parts = projected.texts(MOVED).await[0].parse::<i32>().unwrap();
        assert!(parts > 100, "{parts}");
        // of which some take the place of everything
        for posting in 1..=3 {
            for version in 601..=700 {
                projected.run(&insert(&[(posting, version, any_event(&mut chance))])).await;
            }
            projected.assert_equals_fold(posting, "live").await;
        }
        let live = projected.rows().await;
        projected.run("SELECT rebuild_posting_state(posting_id) FROM postings").await;
        assert_eq!(projected.rows().await, live, "rebuilt");
        // what is new comes to what was rebuilt, also where the later version comes first
        for posting in 1..=3 {
            for version in [702, 701, 704, 705, 703] {
                projected.run(&insert(&[(posting, version, any_event(&mut chance))])).await;
            }
            projected.run(&history(posting, 706, 760, 40)).await;
            projected.assert_equals_fold(posting, "appended after a rebuild").await;
        }
        let live = projected.rows().await;
        projected.run("DELETE FROM posting_state_projection").await;
        assert_eq!(projected.texts(MOVED).await, ["0"], "parts go with their rows");
        projected.run("SELECT rebuild_all_posting_states()").await;
        assert_eq!(projected.rows().await, live, "rebuilt all");
    });
}

#[test]
fn what_has_moved_is_counted_anew_by_the_next_append_where_it_may_be_too_large() {
    Projected::in_a_database(async |projected| {
        projected.clear(1).await;
        projected.run(&history(1, 1, 600, 40)).await;
        projected.run("UPDATE posting_state_rows SET moved_bytes = 250000000").await;
        // which moves nothing
        let (event_type, nothing) = ("circuit_breaker_open", serde_json::json!({}));
        let draft = Draft { event_type, payload: nothing.clone().into(), metadata: nothing };
        projected.run(&insert(&[(1, 601, draft)])).await;
        let counted = projected.texts("SELECT moved_bytes::text FROM posting_state_rows").await;
        let counted = counted[0].parse::<u32>().unwrap();
        assert!((1_000..1_000_000).contains(&counted), "{counted}");
        projected.assert_equals_fold(1, "in the end").await;
    });
}

#[test]
fn who_writes_a_state_by_hand_writes_a_whole_one() {
    Projected::in_a_database(async |projected| {
        projected.clear(2).await;
        projected.run(&history(1, 1, 600, 40)).await;
        assert_ne!(projected.texts(MOVED).await, ["0"]);

        let state = "SELECT (is_terminal, cardinality(execution_sequence), outputs ? '7')::text
                     FROM posting_state_projection WHERE posting_id = 1";
        assert_eq!(projected.texts(state).await, ["(t,540,t)"]);
        let changed =
            "UPDATE posting_state_projection SET is_terminal = FALSE, outputs = outputs - '7'
                       WHERE posting_id = 1 RETURNING posting_id::text";
        assert_eq!(projected.texts(changed).await, ["1"]);
        assert_eq!(projected.texts(state).await, ["(f,540,f)"]);
        assert_eq!(projected.texts(MOVED).await, ["0"]);

        // an append goes on from it, and moves what grows again
        projected.run(&history(1, 601, 640, 40)).await;
        assert_ne!(projected.texts(MOVED).await, ["0"]);
        projected.run("SELECT rebuild_posting_state(1)").await;
        projected.assert_equals_fold(1, "rebuilt").await;

        projected.run("CREATE TABLE kept AS SELECT * FROM posting_state_projection").await;
        projected.run("DELETE FROM posting_state_projection WHERE posting_id = 1").await;
        assert!(projected.rows().await.is_empty());
        projected.run("INSERT INTO posting_state_projection TABLE kept").await;
        projected.assert_equals_fold(1, "put back").await;

        projected.run("INSERT INTO posting_state_projection (posting_id) VALUES (2)").await;
        let defaults = "SELECT (is_terminal, aggregate_version, outputs IS NULL)::text
                        FROM posting_state_projection WHERE posting_id = 2";
        assert_eq!(projected.texts(defaults).await, ["(f,0,t)"]);
        let again =
            projected.refused("INSERT INTO posting_state_projection (posting_id) VALUES (2)").await;
        assert_eq!(again.constraint.as_deref(), Some("posting_state_projection_pkey"), "{again:?}");
        let stranger =
            projected.refused("INSERT INTO posting_state_projection (posting_id) VALUES (3)").await;
        assert_eq!(stranger.code, "23503", "{stranger:?}");
        let bait = "CREATE VIEW bait AS SELECT 1 AS posting_id;
                    CREATE TRIGGER t INSTEAD OF DELETE ON bait
                    FOR EACH ROW EXECUTE FUNCTION write_posting_state_projection()";
        projected.run(bait).await;
        assert_eq!(projected.refused("DELETE FROM bait").await.code, "42501");
    });
}

/// A database that an older program made, with two long postings and a short one.
fn of_older_program() -> (Workspace, Database) {
    let database = Database::before("posting state rows");
    database.run("INSERT INTO postings (posting_id) VALUES (1), (2), (3)");
    for (posting, events) in [(1, 2_000), (2, 500), (3, 3)] {
        database.run(&history(posting, 1, events, 300));
    }
    (Workspace::new(), database)
}

#[test]
fn the_states_of_an_older_program_stay_as_they_are_and_go_on() {
    let (workspace, database) = of_older_program();
    let role = format!("looks_{}", database.test.name());
    database.run(&format!(
        "CREATE ROLE {role};
         GRANT USAGE ON SCHEMA public TO {role};
         GRANT SELECT (posting_id, outputs), UPDATE (outputs) ON posting_state_projection TO {role};
         GRANT EXECUTE ON FUNCTION get_posting_state(INT) TO {role} WITH GRANT OPTION;
         CREATE TABLE theirs (posting_id INT REFERENCES posting_state_projection);
         INSERT INTO theirs VALUES (3)"
    ));
    let states = "SELECT p::text FROM posting_state_projection p ORDER BY posting_id";
    let before = database.texts(states);
    let rights = "SELECT r::text FROM (
            SELECT grantee, privilege_type, column_name, is_grantable
            FROM information_schema.column_privileges
            WHERE table_name = 'posting_state_projection' AND grantee <> current_user
            UNION ALL
            SELECT grantee, privilege_type, routine_name, is_grantable
            FROM information_schema.routine_privileges
            WHERE routine_name ~ 'posting_state' AND grantee <> current_user
        ) r ORDER BY 1";
    let granted = database.texts(rights);
    assert_eq!(granted.len(), 4, "{granted:?}");

    let url = database.url();
    turing(&workspace, &url, &["migrate"]).expect_code(0);
    assert_eq!(database.texts(states), before);
    assert_eq!(database.texts(rights), granted);
    let parts = "SELECT count(*)::text FROM information_schema.column_privileges
                 WHERE table_name = 'posting_state_rows' AND grantee <> current_user";
    assert_eq!(database.number(parts), 0, "rights on the parts are the owner's alone");
    assert!(database.try_run(None, "DELETE FROM posting_state_projection").is_err(), "theirs");

    assert_eq!(database.number(MOVED), 0);
    for (posting, version) in [(1, 2_001), (2, 501), (3, 4)] {
        database.run(&history(posting, version, version, 300));
        database.run(&history(posting, version + 1, version + 40, 300));
    }
    assert!(database.number(MOVED) > 0);
    turing(&workspace, &url, &["validate"]).expect_code(0);
    assert_eq!(database.number("SELECT rebuild_all_posting_states()::text"), 0);
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn what_others_made_that_would_read_parts_of_states_is_refused_by_name() {
    for (made, told, dropped) in [
        (
            "CREATE VIEW theirs AS SELECT outputs FROM posting_state_projection",
            "view public.theirs",
            "DROP VIEW theirs",
        ),
        (
            "CREATE FUNCTION theirs(p posting_state_projection) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function public.theirs(public.posting_state_projection)",
            "DROP FUNCTION theirs",
        ),
        (
            "CREATE VIEW theirs AS SELECT s.outputs FROM get_posting_state(1) s",
            "public.theirs",
            "DROP VIEW theirs",
        ),
        (
            "ALTER TABLE posting_state_projection ENABLE ROW LEVEL SECURITY",
            "row security",
            "ALTER TABLE posting_state_projection DISABLE ROW LEVEL SECURITY",
        ),
    ] {
        let (workspace, database) = of_older_program();
        let url = database.url();
        database.run(made);
        let refused = turing(&workspace, &url, &["migrate"]).expect_code(3);
        assert!(refused.stderr.contains(told), "{made}: {refused:#?}");
        // it is as it was
        database.run(&history(3, 4, 5, 300));
        database.run(dropped);
        turing(&workspace, &url, &["migrate"]).expect_code(0);
        turing(&workspace, &url, &["validate"]).expect_code(0);
    }
}

#[test]
fn a_program_that_is_open_goes_on_while_its_database_is_migrated() {
    let (workspace, database) = of_older_program();
    let mut open = database.runtime.block_on(async {
        let mut open = PgConnection::connect_with(&database.test.options()).await.unwrap();
        // its plans are of the table
        for _ in 0..8 {
            let append = "SELECT append_event('llm_call_completed', 3, '{\"output\": 1}',
                              '{\"conversation_id\": 1}')";
            sqlx::raw_sql(append).execute(&mut open).await.unwrap();
        }
        open
    });
    turing(&workspace, &database.url(), &["migrate"]).expect_code(0);
    database.runtime.block_on(async {
        for posting in [1, 2, 3] {
            let append = format!(
                "SELECT append_event('llm_call_completed', {posting}, '{{\"output\": 2}}',
                     '{{\"conversation_id\": 1}}');
                 SELECT rebuild_posting_state({posting});
                 SELECT maybe_create_snapshot({posting}, 1)"
            );
            sqlx::raw_sql(AssertSqlSafe(append)).execute(&mut open).await.unwrap();
        }
    });
    turing(&workspace, &database.url(), &["validate"]).expect_code(0);
}
