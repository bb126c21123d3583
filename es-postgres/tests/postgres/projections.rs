//! What the suite cannot know of models in PostgreSQL: round trips, lost connections, and other
//! processes.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{
    Batch, Checkpoint, Claim, Content, Lease, ListParked, Position, ProjectionSink, RowChange,
    SinkError, Slot, StoreErrorKind,
};
use es_core::event::Payload;
use es_core::projection::{Parked, ParkedState, TableRow};
use es_pgtest::{Direction, Proxy, TestDatabase};
use es_postgres::sqlx::{self, ConnectOptions};
use es_postgres::{IdType, PostgresStore};

use crate::notes::{Note, noting};
use crate::support::{database, empty_store, open, proxied, value};

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

/// A store behind a proxy, which it uses for projections with one connection.
async fn leased() -> (TestDatabase, Proxy, PostgresStore, Lease) {
    let (database, proxy, store) =
        proxied(|config| config.notifications(false).projectors(1)).await;
    let lease = store.acquire(&claim(Slot::Active, 1)).await.unwrap();
    (database, proxy, store, lease)
}

#[tokio::test]
async fn a_commit_of_rows_is_one_round_trip_once_prepared() {
    let (_database, proxy, store, lease) = leased().await;
    for number in 0..4 {
        let changes = (0..500).map(|key| row(&key.to_string(), number)).collect();
        let mut batch = rows(number, number + 1, changes);
        let recorded = es_core::backend::EventReference {
            position: Position::from_sequence(number + 1),
            event_id: "0193a1d4-0000-7000-8000-000000000001".parse().unwrap(),
            stream: "account/a".parse().unwrap(),
            version: es_core::execution::StreamVersion::new(1),
        };
        let entry = Parked {
            event: recorded,
            key: "k".to_owned(),
            reason: "it \0failed".to_owned(),
            attempts: u32::MAX,
            parked_at: es_core::backend::Timestamp::EPOCH,
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

#[tokio::test]
async fn rows_are_compressed_by_lz4_where_there_is_one() {
    let database = database(IdType::Text).await;
    let compressed = "SELECT attcompression = 'l' FROM pg_attribute
        WHERE attrelid = 'execution_events_projection_rows'::regclass AND attname = 'value'";
    let has_lz4 = "SELECT 'lz4' = ANY (enumvals) FROM pg_settings
        WHERE name = 'default_toast_compression'";
    let expected: bool = value(&database, has_lz4).await;
    assert_eq!(value::<bool>(&database, compressed).await, expected);
}

#[tokio::test]
async fn a_commit_that_is_cut_at_any_message_is_whole_or_not_there() {
    let (database, proxy, store, _) = leased().await;
    let claim = claim(Slot::Active, 1).tables([Note::SCHEMA]);
    let lease = store.acquire(&claim).await.unwrap();
    store.commit(&lease, &rows(0, 1, vec![row("a", 1)])).await.unwrap();
    let (mut before, mut lost, mut unknown) = (1, 0, 0);
    for direction in [Direction::ToServer, Direction::ToClient] {
        for (message, is_table) in (1..=12).flat_map(|n| [(n, false), (n, true)]) {
            let lease = store.acquire(&claim).await.unwrap();
            let content = match is_table {
                true => Content::Tables(vec![noting(before + 1)]),
                false => Content::Rows(vec![row("a", before + 1)]),
            };
            let batch = rows(before, before + 1, vec![]).content(content);
            proxy.cut_after(direction, message);
            let answer = store.commit(&lease, &batch).await;
            proxy.reset();
            // the next lease tells what became of it
            let lease = store.acquire(&claim).await.unwrap();
            let stands = lease.checkpoints[0].position.to_sequence();
            let rows = store.rows("mail", Slot::Active, None, 10).await.unwrap();
            let noted = value::<Option<i64>>(&database, "SELECT max(place) FROM notes").await;
            let kept: u64 = rows[0].value.decode().unwrap();
            let newest = kept.max(noted.map_or(0, i64::unsigned_abs));
            assert_eq!(newest, stands, "model and checkpoint agree");
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
    let (_database, store) = empty_store().await;
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
    let (database, store) = empty_store().await;
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
    let (database, store) = empty_store().await;
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
        let mut claim = claim(Slot::Active, 1);
        claim.holder = "two".to_owned();
        store.acquire(&claim).await
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
