//! What the suite cannot know of models in PostgreSQL: handlers, round trips, lost connections, and
//! other processes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use es_core::projection::{
    Batch, Checkpoint, Claim, Content, Lease, ListParked, Parked, ParkedState, ProjectionSink,
    RowChange, SinkError, Slot,
};
use es_core::{
    AppendRequest, BoxError, EventStore, ExpectedVersion, Payload, Position, ReadLog,
    RecordedEvent, StoreErrorKind,
};
use es_pgtest::{Direction, Proxy, Server, TestDatabase};
use es_postgres::sqlx::{self, AssertSqlSafe, ConnectOptions};
use es_postgres::{IdType, ModelTransaction, PostgresConfig, PostgresHandler, PostgresStore};

use crate::support::{database, events, open, run, to, value};

const ANY: ExpectedVersion = ExpectedVersion::Any;
const PATIENCE: Duration = Duration::from_secs(60);

fn claim(slot: Slot, version: u32) -> Claim {
    Claim::new("mail", format!("mail v{version}"), slot, "one", Duration::from_secs(30))
}

fn place(number: u64) -> Checkpoint {
    Checkpoint { position: Position::from_sequence(number), event: None }
}

fn row(key: &str, value: u64) -> RowChange {
    RowChange { key: key.to_owned(), value: Some(Payload::of(&value).unwrap()) }
}

fn rows(from: u64, to: u64, rows: Vec<RowChange>) -> Batch {
    Batch::moving(0, place(from), place(to)).content(Content::Rows(rows))
}

fn handing(events: &[RecordedEvent]) -> Batch {
    let to = Checkpoint::at(events.last().unwrap());
    Batch::moving(0, Checkpoint::START, to).content(Content::Events(events.to_vec()))
}

/// Notes each event in a table, and then runs a statement, whose failure it answers or hides.
struct Mail {
    then: &'static str,
    hides: bool,
}

#[async_trait]
impl PostgresHandler for Mail {
    async fn handle(
        &self,
        model: &mut ModelTransaction<'_>,
        events: &[RecordedEvent],
    ) -> Result<(), BoxError> {
        assert_eq!(model.projection(), "mail");
        let (generation, slot) = (model.generation(), Payload::of(&model.slot().as_str())?);
        for event in events {
            sqlx::query("INSERT INTO public.mail (generation, event_id) VALUES ($1, $2)")
                .bind(generation)
                .bind(event.event_id.as_uuid())
                .execute(model.connection())
                .await?;
            assert_eq!(model.row("last").await?.is_some(), event.version.as_u64() > 1);
            model.set_row("last", Some(&slot)).await?;
            model.set_row("never there", None).await?;
        }
        assert!(self.then != "panic", "no mail today");
        match sqlx::raw_sql(AssertSqlSafe(self.then)).execute(model.connection()).await {
            Err(error) if !self.hides => Err(error.into()),
            _ => Ok(()),
        }
    }
}

const MAIL: &str = "
    CREATE TABLE mail (
        generation BIGINT NOT NULL
            REFERENCES execution_events_projection_models (generation) ON DELETE CASCADE,
        event_id UUID NOT NULL,
        PRIMARY KEY (generation, event_id)
    );
    CREATE VIEW mail_now AS
        SELECT event_id FROM mail JOIN execution_events_projection_models USING (generation)
        WHERE projection = 'mail' AND slot = 'active'";

/// A store with three events, a table and a handler for `mail`.
async fn with_mail(then: &'static str, hides: bool) -> (TestDatabase, PostgresStore, Batch) {
    let database = database(IdType::Text).await;
    run(&database, MAIL).await;
    let store = open(&database).await;
    for _ in 0..3 {
        store.append(to("account/a")).await.unwrap();
    }
    let events = store.read_log(&ReadLog::from_start()).await.unwrap().events;
    store.handle("mail", Mail { then, hides });
    (database, store, handing(&events))
}

async fn count(database: &TestDatabase, table: &str) -> i64 {
    value(database, &format!("SELECT count(*) FROM {table}")).await
}

/// Nothing of the commit is there.
async fn assert_nothing(database: &TestDatabase, store: &PostgresStore) {
    let status = store.status(Some("mail")).await.unwrap().remove(0).active.unwrap();
    assert_eq!(status.checkpoint(), &Checkpoint::START);
    assert_eq!(store.rows("mail", Slot::Active, None, 10).await.unwrap(), []);
    assert_eq!(count(database, "mail").await, 0);
}

#[tokio::test]
async fn a_table_of_the_application_is_rebuilt_beside_the_one_that_is_served() {
    let (database, store, batch) = with_mail("", false).await;
    let active = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    store.commit(&active, &batch).await.unwrap();
    let shadow = store.acquire(&claim(Slot::Shadow, 2)).await.unwrap();
    assert_eq!((count(&database, "mail").await, count(&database, "mail_now").await), (3, 3));
    store.commit(&shadow, &batch).await.unwrap();
    assert_eq!((count(&database, "mail").await, count(&database, "mail_now").await), (6, 3));
    let last = store.load("mail", Slot::Shadow, &["last".to_owned()]).await.unwrap();
    assert_eq!(last[0].value, Payload::of(&"shadow").unwrap());
    store.switch(&shadow).await.unwrap();
    assert_eq!((count(&database, "mail").await, count(&database, "mail_now").await), (3, 3));
    assert_eq!(count(&database, "execution_events_projection_active").await, 1);
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_commits_nothing() {
    for (then, told) in [("SELECT 'refused here'::int", "refused here"), ("panic", "no mail today")]
    {
        let (database, store, batch) = with_mail(then, false).await;
        let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
        let Err(SinkError::Handler { source, .. }) = store.commit(&lease, &batch).await else {
            panic!("{then} is the handler's failure")
        };
        assert!(source.to_string().contains(told), "{source}");
        assert_nothing(&database, &store).await;
    }
}

#[tokio::test]
async fn a_handler_that_hides_a_failure_commits_nothing() {
    let (database, store, batch) = with_mail("SELECT 1/0", true).await;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    let answer = store.commit(&lease, &batch).await;
    assert!(matches!(answer, Err(SinkError::Handler { .. })), "{answer:?}");
    assert_nothing(&database, &store).await;
}

#[tokio::test]
async fn a_handler_that_ends_the_transaction_moves_no_checkpoint() {
    for then in ["ROLLBACK", "COMMIT", "COMMIT; BEGIN"] {
        let (_database, store, batch) = with_mail(then, true).await;
        let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
        let answer = store.commit(&lease, &batch).await;
        assert!(matches!(answer, Err(SinkError::Handler { .. })), "{then}: {answer:?}");
        let status = store.status(Some("mail")).await.unwrap().remove(0).active.unwrap();
        assert_eq!(status.checkpoint(), &Checkpoint::START, "{then}");
        // and the connection is as good as before
        let mut others = claim(Slot::Active, 1);
        others.projection = "others".to_owned();
        let others = store.acquire(&others).await.unwrap();
        store.commit(&others, &rows(0, 1, vec![row("a", 1)])).await.unwrap();
    }
}

#[tokio::test]
async fn a_constraint_that_is_checked_at_the_end_is_the_handlers_failure() {
    let (database, store, batch) = with_mail("", false).await;
    let once =
        "ALTER TABLE mail ADD CONSTRAINT once UNIQUE (generation) DEFERRABLE INITIALLY DEFERRED";
    run(&database, once).await;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    let answer = store.commit(&lease, &batch).await;
    assert!(matches!(answer, Err(SinkError::Handler { .. })), "{answer:?}");
    assert_nothing(&database, &store).await;
}

#[tokio::test]
async fn what_the_server_is_to_blame_for_is_no_poison() {
    let (database, store, batch) =
        with_mail("SELECT pg_terminate_backend(pg_backend_pid())", false).await;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    let Err(SinkError::Store(error)) = store.commit(&lease, &batch).await else {
        panic!("the connection was lost");
    };
    assert!(error.is_transient() && !error.is_outcome_unknown(), "{error}");
    assert_nothing(&database, &store).await;
    run(&database, "DROP TABLE mail CASCADE").await;
    let Err(SinkError::Store(error)) = store.commit(&lease, &batch).await else {
        panic!("the table is missing");
    };
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
}

/// A store behind a proxy, which it uses for projections with one connection.
async fn proxied() -> (TestDatabase, Proxy, PostgresStore, Lease) {
    let database = database(IdType::Text).await;
    let proxy = Proxy::start(Server::shared()).await;
    let config = PostgresConfig::new(proxy.options(database.name())).notifications(false);
    let store = PostgresStore::open(config.projectors(1)).await.unwrap();
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    (database, proxy, store, lease)
}

#[tokio::test]
async fn a_commit_of_rows_is_one_round_trip_once_prepared() {
    let (_database, proxy, store, lease) = proxied().await;
    for number in 0..4 {
        let changes = (0..500).map(|key| row(&key.to_string(), number)).collect();
        let mut batch = rows(number, number + 1, changes);
        let recorded = es_core::projection::EventReference {
            position: Position::from_sequence(number + 1),
            event_id: "0193a1d4-0000-7000-8000-000000000001".parse().unwrap(),
            stream: "account/a".parse().unwrap(),
            version: es_core::StreamVersion::new(1),
        };
        let entry = Parked {
            event: recorded,
            key: "k".to_owned(),
            reason: "it \0failed".to_owned(),
            attempts: u32::MAX,
            parked_at: es_core::Timestamp::EPOCH,
            state: ParkedState::Waiting { is_due: false },
        };
        let gone = Parked { key: "gone".to_owned(), ..entry.clone() };
        batch.unpark = (number > 0)
            .then(|| es_core::projection::ParkedId {
                position: Position::from_sequence(number),
                key: "gone".to_owned(),
            })
            .into_iter()
            .collect();
        batch.park = vec![entry, gone];
        proxy.reset();
        store.commit(&lease, &batch).await.unwrap();
        assert!(number == 0 || proxy.syncs() == 1, "{} round trips", proxy.syncs());
        proxy.reset();
        let keys: Vec<_> = (0..500).map(|key| key.to_string()).collect();
        store.load("mail", Slot::Active, &keys).await.unwrap();
        assert!(number == 0 || proxy.syncs() == 1, "{} round trips", proxy.syncs());
    }
    let parked = store.parked("mail", Slot::Active, &ListParked::waiting("k")).await.unwrap();
    assert_eq!((parked.len(), parked[0].attempts), (4, u32::MAX));
    assert_eq!(parked[0].reason, "it \u{fffd}failed", "the server holds no U+0000");
}

/// Keeps the place of the last event in a row.
struct Keeps;

#[async_trait]
impl PostgresHandler for Keeps {
    async fn handle(
        &self,
        model: &mut ModelTransaction<'_>,
        events: &[RecordedEvent],
    ) -> Result<(), BoxError> {
        for event in events {
            let place = Payload::of(&event.position.to_sequence())?;
            model.set_row("a", Some(&place)).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_commit_that_is_cut_at_any_message_is_whole_or_not_there() {
    let (_database, proxy, store, _) = proxied().await;
    store.handle("mail", Keeps);
    store.append(AppendRequest::to("account/a".parse().unwrap(), ANY, events(100))).await.unwrap();
    let log = store.read_log(&ReadLog::from_start()).await.unwrap().events;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    store.commit(&lease, &rows(0, 1, vec![row("a", 1)])).await.unwrap();
    let (mut before, mut lost, mut unknown) = (1, 0, 0);
    for direction in [Direction::ToServer, Direction::ToClient] {
        for (message, is_handled) in (1..=12).flat_map(|n| [(n, false), (n, true)]) {
            let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
            let content = match is_handled {
                true => Content::Events(vec![log[usize::try_from(before).unwrap()].clone()]),
                false => Content::Rows(vec![row("a", before + 1)]),
            };
            let batch = rows(before, before + 1, vec![]).content(content);
            proxy.cut_after(direction, message);
            let answer = store.commit(&lease, &batch).await;
            proxy.reset();
            // the next lease tells what became of it
            let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
            let stands = lease.checkpoints[0].position.to_sequence();
            let rows = store.rows("mail", Slot::Active, None, 10).await.unwrap();
            assert_eq!(rows[0].value, Payload::of(&stands).unwrap(), "model and checkpoint agree");
            match answer {
                Ok(()) => assert_eq!(stands, before + 1),
                Err(SinkError::Store(error)) => {
                    assert!(error.is_outcome_unknown() || stands == before, "{error}");
                    lost += 1;
                    unknown += usize::from(error.is_outcome_unknown() && stands > before);
                }
                Err(other) => panic!("a lost connection is the store's failure, but: {other}"),
            }
            before = stands;
        }
    }
    assert!(lost > 10 && unknown > 0, "{lost} cuts, {unknown} of them after the commit");
}

#[tokio::test]
async fn a_commit_of_another_process_ends_a_wait() {
    let database = database(IdType::Text).await;
    let (one, other) = (Arc::new(open(&database).await), open(&database).await);
    let lease = other.acquire(&claim(Slot::Active, 1)).await.unwrap();
    for number in 0..3 {
        let position = Position::from_sequence(number + 1);
        let waiters = (0..50).map(|_| {
            let one = one.clone();
            tokio::spawn(async move { one.wait_reached("mail", position).await })
        });
        let waiters: Vec<_> = waiters.collect();
        other.commit(&lease, &rows(number, number + 1, vec![])).await.unwrap();
        for waiter in waiters {
            tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn closing_ends_the_wait_for_a_projection() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let waiting = store.clone();
    let waiter =
        tokio::spawn(async move { waiting.wait_reached("mail", Position::from_sequence(1)).await });
    store.close().await;
    match tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap() {
        Err(SinkError::Store(error)) => assert_eq!(error.kind(), StoreErrorKind::Closed),
        other => panic!("the store is closed, but: {other:?}"),
    }
}

#[tokio::test]
async fn slices_are_committed_beside_one_another() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let shadow = claim(Slot::Shadow, 2).slices(2);
    let lease = store.acquire(&shadow).await.unwrap();
    // somebody is in the middle of a commit of the first slice
    let mut other = database.options().connect().await.unwrap();
    hold_slice(&mut other).await;
    let mut second = rows(0, 1, vec![row("b", 1)]);
    second.slice = 1;
    tokio::time::timeout(PATIENCE, store.commit(&lease, &second)).await.unwrap().unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    store.commit(&lease, &rows(0, 1, vec![row("a", 1)])).await.unwrap();
}

#[tokio::test]
async fn who_wants_the_lease_waits_for_a_commit_that_is_under_way() {
    let database = database(IdType::Text).await;
    let store = open(&database).await;
    let mut expired = claim(Slot::Active, 1);
    expired.time_to_live = Duration::ZERO;
    let lease = store.acquire(&expired).await.unwrap();
    let batch = rows(0, 1, vec![row("a", 1)]);
    let mut other = database.options().connect().await.unwrap();
    let hold = "BEGIN; SELECT FROM execution_events_projection_slices FOR NO KEY UPDATE";
    sqlx::raw_sql(hold).execute(&mut other).await.unwrap();
    let waiting = async |sessions: i64| {
        let count = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while value::<i64>(&database, count).await < sessions {
            tokio::task::yield_now().await;
        }
    };
    let taken = async {
        waiting(1).await;
        store.acquire(&Claim { holder: "two".to_owned(), ..claim(Slot::Active, 1) }).await
    };
    let ended = async {
        waiting(2).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let all = async { tokio::join!(store.commit(&lease, &batch), taken, ended) };
    let (committed, taken, ()) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    committed.unwrap();
    assert_eq!(taken.unwrap().checkpoints, [place(1)]);
}

async fn hold_slice(connection: &mut sqlx::PgConnection) {
    let locks = "BEGIN;
        SELECT FROM execution_events_projection_models FOR SHARE;
        SELECT FROM execution_events_projection_slices WHERE slice = 0 FOR NO KEY UPDATE";
    sqlx::raw_sql(locks).execute(connection).await.unwrap();
}
