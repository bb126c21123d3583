//! Rebuilding the state of postings while others append, and appends that commit in the wrong order.

use es_postgres::sqlx::{self, AssertSqlSafe, Connection, PgConnection, PgPool};
use fastrand::Rng;
use futures_util::future::join_all;

use crate::database::Database;
use crate::histories::{Draft, any_event};
use crate::projected::Projected;
use crate::read_models::{call, insert};

const POSTINGS: i32 = 5;

async fn execute(connection: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

fn completed(conversation: i32) -> Draft {
    Draft {
        event_type: "llm_call_completed",
        payload: serde_json::json!({"output": conversation}).into(),
        metadata: serde_json::json!({"conversation_id": conversation}),
    }
}

/// Appends by hand: the version is looked up, and another may be faster.
async fn insert_next(pool: &PgPool, posting: i32, draft: &Draft) {
    loop {
        let head = format!(
            "SELECT coalesce(max(aggregate_version), 0) FROM execution_events
             WHERE aggregate_type = 'posting' AND aggregate_id = {posting}"
        );
        let head: i32 = sqlx::query_scalar(AssertSqlSafe(head)).fetch_one(pool).await.unwrap();
        let statement = insert(&[(posting, head + 1, draft.clone())]);
        match sqlx::raw_sql(AssertSqlSafe(statement)).execute(pool).await {
            Ok(_) => return,
            Err(error) => {
                let code = error.as_database_error().unwrap().code().unwrap().into_owned();
                assert_eq!(code, "23505", "{error}");
            }
        }
    }
}

/// Writes a wrong state by hand. The statement is refused where the state changed under it.
async fn spoil(pool: &PgPool, posting: i32) {
    let statement = format!(
        "UPDATE posting_state_projection
         SET aggregate_version = 0, outputs = NULL, execution_sequence = NULL, run = NULL, terminal = NULL,
             ended_runs = NULL, is_terminal = FALSE, current_conversation_id = NULL
         WHERE posting_id = {posting}"
    );
    while let Err(error) = sqlx::raw_sql(AssertSqlSafe(statement.as_str())).execute(pool).await {
        let code = error.as_database_error().unwrap().code().unwrap().into_owned();
        assert_eq!(code, "40001", "{error}");
    }
}

#[test]
fn a_storm_of_writers_and_rebuilds_ends_with_the_fold() {
    Projected::in_a_database(async |projected| {
        projected.clear(POSTINGS).await;
        let writers = (0..5_u64).map(|seed| {
            let pool = projected.pool.clone();
            async move {
                let mut chance = Rng::with_seed(seed);
                for _ in 0..60 {
                    let (posting, draft) = (chance.i32(1..=POSTINGS), any_event(&mut chance));
                    match chance.u32(..10) {
                        0..=4 => {
                            let statement = call(posting, &draft);
                            let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&pool).await;
                            done.unwrap();
                        }
                        5..=7 => insert_next(&pool, posting, &draft).await,
                        8 => {
                            let rebuild = format!("SELECT rebuild_posting_state({posting})");
                            let done = sqlx::raw_sql(AssertSqlSafe(rebuild)).execute(&pool).await;
                            done.unwrap();
                        }
                        _ => {
                            spoil(&pool, posting).await;
                            let rebuild = "SELECT rebuild_all_posting_states()";
                            sqlx::raw_sql(rebuild).execute(&pool).await.unwrap();
                        }
                    }
                }
            }
        });
        join_all(writers).await;
        for posting in 1..=POSTINGS {
            projected.assert_equals_fold(posting, "after the storm").await;
        }
        let events = "SELECT count(*)::text FROM execution_events";
        assert!(projected.texts(events).await[0].parse::<i32>().unwrap() > 200);
        assert_eq!(projected.texts("SELECT rebuild_all_posting_states()::text").await, ["0"]);
    });
}

/// Two sessions, each in a transaction that has begun at this isolation level.
async fn sessions(database: &Database, isolation: &str) -> [PgConnection; 2] {
    let options = database.test.options();
    let mut sessions = [
        PgConnection::connect_with(&options).await.unwrap(),
        PgConnection::connect_with(&options).await.unwrap(),
    ];
    for session in &mut sessions {
        let begin = format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1 FROM postings");
        execute(session, &begin).await.unwrap();
    }
    sessions
}

/// Returns when so many sessions wait for locks.
async fn until_waiting(projected: &Projected, sessions: &str) {
    let waits = "SELECT count(*)::text FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while projected.texts(waits).await[0] != sessions {
        tokio::task::yield_now().await;
    }
}

#[test]
fn an_event_waits_for_its_predecessor_whichever_commits_first() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        for is_first_late in [false, true] {
            projected.clear(1).await;
            projected.run(&insert(&[(1, 1, completed(1))])).await;
            let [mut second, mut third] = sessions(&database, "READ COMMITTED").await;
            // the third event's row comes first, so the other session waits for its lock
            execute(&mut third, &insert(&[(1, 3, completed(3))])).await.unwrap();
            let statement = insert(&[(1, 2, completed(2))]);
            let waiting = async {
                execute(&mut second, &statement).await.unwrap();
                execute(&mut second, if is_first_late { "COMMIT" } else { "ROLLBACK" })
                    .await
                    .unwrap();
            };
            let ending = async {
                let waits = "SELECT count(*)::text FROM pg_locks WHERE NOT granted AND database IN
                    (SELECT oid FROM pg_database WHERE datname = current_database())
                    OR NOT granted AND locktype = 'transactionid'";
                while projected.texts(waits).await[0] == "0" {
                    tokio::task::yield_now().await;
                }
                execute(&mut third, "COMMIT").await.unwrap();
            };
            tokio::join!(waiting, ending);
            let expected = if is_first_late { "3" } else { "1" };
            let version = "SELECT aggregate_version::text FROM get_posting_state(1)";
            assert_eq!(
                projected.texts(version).await,
                [expected],
                "the gap is closed: {is_first_late}"
            );
            projected.assert_equals_fold(1, "in the end").await;
            if !is_first_late {
                projected.run(&statement).await;
                assert_eq!(projected.texts(version).await, ["3"], "what waited is folded, too");
                projected.assert_equals_fold(1, "with the gap closed").await;
            }
        }
    });
}

#[test]
fn a_transaction_with_an_older_view_fails_instead_of_folding_beside_another() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
            projected.clear(1).await;
            projected.run(&insert(&[(1, 1, completed(1))])).await;
            let [mut old, _] = sessions(&database, isolation).await;
            // nothing can be folded of it yet, but the row is written
            projected.run(&insert(&[(1, 3, completed(3))])).await;
            let error = execute(&mut old, &insert(&[(1, 2, completed(2))])).await.unwrap_err();
            let code = error.as_database_error().unwrap().code().unwrap().into_owned();
            assert_eq!(code, "40001", "{isolation}: {error}");
            execute(&mut old, "ROLLBACK").await.unwrap();
            projected.run(&insert(&[(1, 2, completed(2))])).await;
            projected.assert_equals_fold(1, isolation).await;
        }
    });
}

#[test]
fn a_posting_without_events_has_no_row_and_gets_none() {
    Projected::in_a_database(async |projected| {
        projected.clear(3).await;
        projected.run("INSERT INTO posting_state_projection (posting_id) VALUES (1), (2)").await;
        projected.run("SELECT rebuild_posting_state(1), rebuild_posting_state(3)").await;
        assert_eq!(projected.rows().await.len(), 1);
        assert_eq!(projected.texts("SELECT rebuild_all_posting_states()::text").await, ["1"]);
        assert!(projected.rows().await.is_empty());
        projected.run("SELECT rebuild_posting_state(4711)").await;
        assert!(projected.rows().await.is_empty());
    });
}

#[test]
fn of_two_that_wait_for_a_third_the_later_folds_all() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        for round in 0..15 {
            projected.clear(1).await;
            projected.run(&insert(&[(1, 1, completed(1))])).await;
            let mut first = sessions(&database, "READ COMMITTED").await;
            execute(&mut first[0], &insert(&[(1, 4, completed(4))])).await.unwrap();
            let [mut second, mut third] = sessions(&database, "READ COMMITTED").await;
            let append = async |session: &mut PgConnection, version: i32| {
                execute(session, &insert(&[(1, version, completed(version))])).await.unwrap();
                execute(session, "COMMIT").await.unwrap();
            };
            let ending = async {
                until_waiting(&projected, "2").await;
                execute(&mut first[0], "COMMIT").await.unwrap();
            };
            tokio::join!(append(&mut second, 3), append(&mut third, 2), ending);
            let version = "SELECT aggregate_version::text FROM get_posting_state(1)";
            assert_eq!(projected.texts(version).await, ["4"], "round {round}");
            projected.assert_equals_fold(1, "in the end").await;
        }
    });
}

#[test]
fn several_postings_are_locked_in_one_order_also_where_one_has_no_row() {
    let database = Database::migrated();
    database.runtime.block_on(async {
        let projected = Projected::new(&database.test).await;
        projected.clear(3).await;
        projected.run(&insert(&[(1, 1, completed(1)), (3, 1, completed(1))])).await;
        let [mut first, mut second] = sessions(&database, "READ COMMITTED").await;
        execute(&mut first, &insert(&[(2, 1, completed(1))])).await.unwrap();
        let rows = [(1, 2, completed(2)), (2, 2, completed(2)), (3, 3, completed(3))];
        let waiting = async {
            execute(&mut second, &insert(&rows)).await.unwrap();
            execute(&mut second, "COMMIT").await.unwrap();
        };
        let going_on = async {
            until_waiting(&projected, "1").await;
            // the row that comes last is not locked by who waits for one before it
            execute(&mut first, &insert(&[(3, 2, completed(2))])).await.unwrap();
            execute(&mut first, "COMMIT").await.unwrap();
        };
        tokio::join!(waiting, going_on);
        for (posting, version) in [(1, "2"), (2, "2"), (3, "3")] {
            let kept = format!("SELECT aggregate_version::text FROM get_posting_state({posting})");
            assert_eq!(projected.texts(&kept).await, [version], "posting {posting}");
            projected.assert_equals_fold(posting, "in the end").await;
        }
    });
}
