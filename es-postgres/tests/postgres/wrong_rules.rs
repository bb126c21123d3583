//! Each wrong rule for following the log loses or reverses events in a script of a few steps. The
//! store, asked at the same steps, delivers all of them once and in order.
//!
//! Nothing here is left to chance: sessions are stepped by the test.

use std::collections::HashMap;
use std::time::Duration;

use es_core::backend::{EventStore, Position, ReadLog};
use es_pgtest::{Server, TestDatabase};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions, PgConnection};
use es_postgres::{IdType, PostgresStore};

use crate::support::{database, database_on, open, run, try_run};

/// The transactions that hold the lock of a writer on the table of events.
const HOLDERS: &str = "
    SELECT coalesce(array_agg(DISTINCT virtualtransaction), '{}') FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'execution_events'::regclass AND granted
        AND mode = 'RowExclusiveLock'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
const HIGHEST: &str = "SELECT coalesce(max(position), 0) FROM execution_events";

/// A database, two sessions that write, one that reads by a wrong rule, and the store.
struct Script {
    database: TestDatabase,
    a: PgConnection,
    b: PgConnection,
    reader: PgConnection,
    /// How far the wrong rule has read, and what it has seen.
    after: i64,
    wrong: Vec<i64>,
    store: PostgresStore,
    store_after: Position,
    right: Vec<i64>,
}

impl Script {
    async fn new() -> Self {
        Self::on(database(IdType::Text).await).await
    }

    async fn on(database: TestDatabase) -> Self {
        let connect = async || database.options().connect().await.unwrap();
        let (a, b, reader) = (connect().await, connect().await, connect().await);
        let store = open(&database).await;
        let (wrong, right) = (Vec::new(), Vec::new());
        Self { database, a, b, reader, after: 0, wrong, store, store_after: Position::START, right }
    }

    /// What the store lets be read now.
    async fn read_right(&mut self) {
        let page = self.store.read_log(&ReadLog::after(self.store_after)).await.unwrap();
        assert!(page.at_end);
        self.store_after = page.next;
        let events = page.events.iter();
        self.right.extend(events.map(|event| event.position.to_sequence().cast_signed()));
    }

    /// What stands between the cursor of the wrong rule and `to`, which is where it then is.
    async fn read_wrong(&mut self, to: i64) {
        let page = format!(
            "SELECT position FROM execution_events
             WHERE position > {} AND position <= {to} ORDER BY position",
            self.after
        );
        let page = positions(&mut self.reader, &page).await;
        self.after = page.last().copied().unwrap_or(0).max(self.after);
        self.wrong.extend(page);
    }

    async fn highest(&mut self) -> i64 {
        sqlx::query_scalar(HIGHEST).fetch_one(&mut self.reader).await.unwrap()
    }

    async fn holders(&mut self) -> Vec<String> {
        sqlx::query_scalar(HOLDERS).fetch_one(&mut self.reader).await.unwrap()
    }

    /// The wrong rule reads past what `a` has begun, and the store shows nothing before that is there.
    async fn end_with_a_passed_over(mut self) {
        self.read_wrong(i64::MAX).await;
        self.read_right().await;
        assert!(self.right.is_empty());
        step(&mut self.a, "COMMIT").await;
        self.read_wrong(i64::MAX).await;
        self.end(&[2]).await;
    }

    /// Both have read to the end: the store saw everything in order, the wrong rule `seen`.
    async fn end(mut self, seen: &[i64]) {
        self.read_right().await;
        let all = "SELECT position FROM execution_events ORDER BY position";
        let all = positions(&mut self.reader, all).await;
        assert_eq!(self.right, all, "the store");
        assert_eq!(self.wrong, seen, "the wrong rule");
        assert_ne!(self.wrong, all, "the rule is right after all");
    }
}

async fn positions(connection: &mut PgConnection, statement: &str) -> Vec<i64> {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::query_scalar(statement).fetch_all(connection).await.unwrap()
}

async fn step(connection: &mut PgConnection, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(connection).await.unwrap();
}

/// An event by hand.
fn insert(stream: &str, version: u32) -> String {
    format!(
        "INSERT INTO execution_events (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         VALUES ('account', '{stream}', {version}, 'amount_paid_in', '{{}}')"
    )
}

/// `a` draws a position and stays open; `b` draws the next and commits.
async fn overtaken(script: &mut Script) {
    step(&mut script.a, &format!("BEGIN; {}", insert("a", 1))).await;
    step(&mut script.b, &insert("b", 1)).await;
}

#[tokio::test]
async fn a_cursor_alone_loses_what_commits_late() {
    let mut script = Script::new().await;
    overtaken(&mut script).await;
    script.end_with_a_passed_over().await;
}

#[tokio::test]
async fn bound_and_page_in_one_statement_lose_what_commits_in_between() {
    // the snapshot is taken, then the statement waits for the script, then it reads the locks
    const STATEMENT: &str = "
        WITH gate AS MATERIALIZED (SELECT pg_advisory_lock(7)::text AS passed)
        SELECT e.position
        FROM gate
        CROSS JOIN LATERAL (
            SELECT count(*) AS count FROM pg_locks
            WHERE gate.passed IS NOT NULL
                AND locktype = 'relation' AND relation = 'execution_events'::regclass
                AND granted AND mode = 'RowExclusiveLock'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ) holders
        CROSS JOIN execution_events e
        WHERE holders.count = 0
        ORDER BY e.position";
    let mut script = Script::new().await;
    let mut keeper = script.database.options().connect().await.unwrap();
    step(&mut keeper, "SELECT pg_advisory_lock(7)").await;
    overtaken(&mut script).await;
    script.read_right().await;
    let mut reader = script.database.options().connect().await.unwrap();
    let reading = tokio::spawn(async move { positions(&mut reader, STATEMENT).await });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while positions(&mut keeper, waits).await == [0] {}
    step(&mut script.a, "COMMIT").await;
    step(&mut keeper, "SELECT pg_advisory_unlock(7)").await;
    script.wrong = reading.await.unwrap();
    script.after = 2;
    script.read_wrong(i64::MAX).await;
    script.end(&[2]).await;
}

#[tokio::test]
async fn the_list_of_writers_before_the_bound_misses_a_writer() {
    let mut script = Script::new().await;
    let holders = script.holders().await;
    overtaken(&mut script).await;
    let highest = script.highest().await;
    assert!(holders.is_empty());
    script.read_wrong(highest).await;
    script.read_right().await;
    step(&mut script.a, "COMMIT").await;
    script.read_wrong(i64::MAX).await;
    script.end(&[2]).await;
}

#[tokio::test]
async fn a_page_in_an_older_snapshot_misses_what_the_bound_knows() {
    let mut script = Script::new().await;
    step(&mut script.reader, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    assert_eq!(script.highest().await, 0);
    step(&mut script.a, &insert("a", 1)).await;
    // the bound is found by another session, and is right
    let bound = positions(&mut script.b, HIGHEST).await[0];
    script.read_wrong(bound).await;
    script.after = bound;
    step(&mut script.reader, "COMMIT").await;
    script.read_right().await;
    step(&mut script.a, &insert("a", 2)).await;
    script.read_wrong(i64::MAX).await;
    script.end(&[2]).await;
}

#[tokio::test]
async fn a_writer_that_is_new_may_have_drawn_below_what_is_visible_now() {
    let mut script = Script::new().await;
    overtaken(&mut script).await;
    let highest = script.highest().await;
    let lows: HashMap<String, i64> =
        script.holders().await.into_iter().map(|holder| (holder, highest)).collect();
    assert_eq!(lows.len(), 1);
    let frontier = lows.values().copied().min().unwrap();
    script.read_wrong(frontier).await;
    script.read_right().await;
    step(&mut script.a, "COMMIT").await;
    script.read_wrong(i64::MAX).await;
    script.end(&[2]).await;
}

/// Events of transactions that are older than every open one, in the order of the transactions.
const BY_XMIN: &str = "
    SELECT position FROM execution_events
    WHERE xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint % (1::bigint << 32)
    ORDER BY xmin::text::bigint, position";

/// On a server of its own, because the rule depends on every transaction of a server.
#[tokio::test]
async fn the_order_of_transactions_reverses_a_stream_and_waits_for_strangers() {
    let server = Server::private(&[]);
    let mut script = Script::on(database_on(&server, IdType::Text).await).await;
    // its id comes from an earlier write of something else
    step(&mut script.a, "BEGIN; SELECT pg_current_xact_id()").await;
    step(&mut script.b, &insert("s", 1)).await;
    script.read_right().await;
    step(&mut script.a, &format!("{}; COMMIT", insert("s", 2))).await;
    script.wrong = positions(&mut script.reader, BY_XMIN).await;
    script.end(&[2, 1]).await;

    let mut script = Script::on(database_on(&server, IdType::Text).await).await;
    let elsewhere = server.database().await;
    let mut stranger = elsewhere.options().connect().await.unwrap();
    step(&mut stranger, "BEGIN; SELECT pg_current_xact_id()").await;
    step(&mut script.a, &insert("a", 1)).await;
    script.wrong = positions(&mut script.reader, BY_XMIN).await;
    script.read_right().await;
    // the stranger is still there
    assert_eq!(script.right, [1]);
    script.end(&[]).await;
}

/// On a server of its own, for the same reason.
#[tokio::test]
async fn a_cursor_over_old_transactions_loses_what_a_younger_one_drew_before() {
    let server = Server::private(&[]);
    let mut script = Script::on(database_on(&server, IdType::Text).await).await;
    step(&mut script.a, "BEGIN; SELECT pg_current_xact_id()").await;
    // the younger transaction draws 1 and stays open, the older draws 2 and commits
    step(&mut script.b, &format!("BEGIN; {}", insert("b", 1))).await;
    step(&mut script.a, &format!("{}; COMMIT", insert("a", 1))).await;
    let read = async |script: &mut Script| {
        let page = positions(&mut script.reader, BY_XMIN).await;
        let page: Vec<i64> = page.into_iter().filter(|at| *at > script.after).collect();
        script.after = page.last().copied().unwrap_or(script.after);
        script.wrong.extend(page);
    };
    read(&mut script).await;
    script.read_right().await;
    assert_eq!((&script.wrong[..], &script.right[..]), (&[2][..], &[][..]));
    step(&mut script.b, "COMMIT").await;
    read(&mut script).await;
    script.end(&[2]).await;
}

/// The store is stopped between its look at the writers and its page: the look ends with the
/// watermark, whose table the script keeps.
#[tokio::test]
async fn what_happens_between_look_and_page_of_the_store_is_seen_later_or_now() {
    for (before, meanwhile, now, later) in [
        // who was open at the look holds back the page, though it has committed by then
        ("BEGIN; {a1}", "COMMIT", &[][..], &[1, 2][..]),
        ("BEGIN; {a1}", "ROLLBACK", &[], &[2]),
        // who comes after the look is behind it
        ("", "BEGIN; {a1}; COMMIT", &[1], &[1, 2]),
        ("", "BEGIN; {a1}", &[1], &[1, 2]),
    ] {
        let mut script = Script::new().await;
        script.read_right().await;
        let a1 = insert("a", 1);
        step(&mut script.a, &before.replace("{a1}", &a1)).await;
        step(&mut script.b, &insert("b", 1)).await;
        let mut keeper = script.database.options().connect().await.unwrap();
        step(&mut keeper, "BEGIN; LOCK TABLE execution_events_watermark").await;
        let store = script.store.clone();
        let reading = tokio::spawn(async move { store.read_log(&ReadLog::from_start()).await });
        let waits = "SELECT count(*) FROM pg_locks
            WHERE relation = 'execution_events_watermark'::regclass AND NOT granted";
        while positions(&mut keeper, waits).await == [0] {}
        step(&mut script.a, &meanwhile.replace("{a1}", &a1)).await;
        step(&mut script.reader, &insert("late", 1)).await;
        step(&mut keeper, "ROLLBACK").await;
        let page = reading.await.unwrap().unwrap();
        let positions = |page: &es_core::backend::LogPage| -> Vec<u64> {
            page.events.iter().map(|event| event.position.to_sequence()).collect()
        };
        assert_eq!(positions(&page), now, "{before}, then {meanwhile}");
        let _ = sqlx::raw_sql("COMMIT").execute(&mut script.a).await;
        let rest = script.store.read_log(&ReadLog::after(page.next)).await.unwrap();
        let all = [positions(&page), positions(&rest)].concat();
        let late = *all.last().unwrap();
        assert_eq!((&all[..all.len() - 1], late), (later, 3), "{before}, then {meanwhile}");
    }
}

#[tokio::test]
async fn a_gap_that_is_passed_over_after_a_while_is_lost() {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut script = Script::new().await;
    overtaken(&mut script).await;
    let (gap_since, mut now) = (Duration::ZERO, Duration::ZERO);
    script.read_right().await;
    // the writer takes its time, by the reader's clock
    now += Duration::from_secs(6);
    assert!(now - gap_since > PATIENCE);
    script.end_with_a_passed_over().await;
}

#[tokio::test]
async fn a_sequence_with_a_cache_gives_low_positions_late_and_is_refused() {
    let script = Script::new().await;
    let Script { database, mut a, mut b, mut reader, store, .. } = script;
    run(&database, "ALTER SEQUENCE execution_events_position_seq CACHE 20").await;
    for connection in [&mut a, &mut b] {
        step(connection, "DISCARD SEQUENCES").await;
    }
    step(&mut a, &insert("a", 1)).await;
    step(&mut b, &insert("b", 1)).await;
    // the store that was opened before trusts in the sequence
    let page = store.read_log(&ReadLog::from_start()).await.unwrap();
    step(&mut a, &insert("a", 2)).await;
    let late = store.read_log(&ReadLog::after(page.next)).await.unwrap();
    assert_eq!((page.events.len(), late.events.len()), (2, 0), "the third event is lost");
    let all =
        positions(&mut reader, "SELECT position FROM execution_events ORDER BY position").await;
    assert_eq!(all, [1, 2, 21]);
    let config = es_postgres::PostgresConfig::new(database.options());
    let error = PostgresStore::open(config).await.unwrap_err();
    assert!(error.to_string().contains("CACHE 1"), "{error}");
}

#[tokio::test]
async fn a_position_drawn_before_the_lock_is_lost_and_writers_cannot_do_it() {
    let script = Script::new().await;
    let Script { database, mut a, mut b, store, .. } = script;
    let drawn = positions(&mut a, "SELECT nextval('execution_events_position_seq')").await[0];
    step(&mut b, &insert("b", 1)).await;
    let page = store.read_log(&ReadLog::from_start()).await.unwrap();
    let late = format!(
        "INSERT INTO execution_events (position, aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
         OVERRIDING SYSTEM VALUE VALUES ({drawn}, 'account', 'a', 1, 'amount_paid_in', '{{}}')"
    );
    step(&mut a, &late).await;
    let lost = store.read_log(&ReadLog::after(page.next)).await.unwrap();
    assert_eq!((page.events.len(), lost.events.len()), (1, 0), "the owner can deceive readers");
    // who has been granted all columns but this one cannot
    let role = format!("writer_of_{}", database.name());
    run(
        &database,
        &format!(
            "CREATE ROLE {role} LOGIN;
             GRANT INSERT (aggregate_type, aggregate_id, aggregate_version, event_type, event_data)
                ON execution_events TO {role}"
        ),
    )
    .await;
    let mut writer = database.options().username(&role).connect().await.unwrap();
    step(&mut writer, &insert("w", 1)).await;
    let late = late.replace("'a', 1", "'w', 2");
    let refused = sqlx::raw_sql(AssertSqlSafe(late)).execute(&mut writer).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("42501"));
    drop(writer);
    try_run(&database, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await.unwrap();
}

#[tokio::test]
async fn the_last_value_of_a_fresh_sequence_is_not_drawn_yet() {
    let mut script = Script::new().await;
    let last =
        positions(&mut script.reader, "SELECT last_value FROM execution_events_position_seq");
    let bound = last.await[0];
    assert_eq!((bound, script.holders().await.len()), (1, 0));
    script.read_wrong(bound).await;
    // nothing is to come up to there, says the rule
    script.after = bound;
    script.read_right().await;
    step(&mut script.a, &insert("a", 1)).await;
    step(&mut script.a, &insert("a", 2)).await;
    script.read_wrong(i64::MAX).await;
    script.end(&[2]).await;
}
