//! A transaction holds back what it may still precede, and nothing else.

use std::pin::pin;

use es_core::backend::EventStore;
use es_postgres::IdType;

use crate::support::sessions::{execute, insert, past, positions_after, session};
use crate::support::waiting::{is_pending, soon};
use crate::support::{database, empty_store, events, open, run, to};

#[tokio::test]
async fn each_of_several_open_transactions_holds_back_only_what_it_may_precede() {
    let (database, store) = empty_store().await;
    let (mut a, mut b) = (session(&database).await, session(&database).await);
    let mut other = session(&database).await;
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    execute(&mut a, "BEGIN").await;
    assert_eq!(insert(&mut a, "a", 1..=1).await, [1]);
    assert_eq!(insert(&mut other, "x", 1..=1).await, [2]);
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    execute(&mut b, "BEGIN").await;
    assert_eq!(insert(&mut b, "b", 1..=1).await, [3]);
    assert_eq!(insert(&mut other, "x", 2..=2).await, [4]);
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    execute(&mut a, "COMMIT").await;
    assert_eq!(positions_after(&store, 0).await, [1, 2], "b was first seen after 2");
    execute(&mut b, "ROLLBACK").await;
    assert_eq!(positions_after(&store, 2).await, [4]);
}

#[tokio::test]
async fn writers_that_overlap_without_end_do_not_stop_the_log() {
    let (database, store) = empty_store().await;
    let mut other = session(&database).await;
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    assert_eq!(insert(&mut slow, "0", 1..=1).await, [1]);
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    let mut shown = Vec::new();
    for round in 1..=8 {
        let mut next = session(&database).await;
        execute(&mut next, "BEGIN").await;
        insert(&mut next, &round.to_string(), 1..=1).await;
        insert(&mut other, "x", round..=round).await;
        // at each look somebody is open who was there at the one before
        let looked = positions_after(&store, 0).await;
        execute(&mut slow, "COMMIT").await;
        shown.push((looked.len(), positions_after(&store, 0).await.len()));
        slow = next;
    }
    // each holds back what was not visible before it was first seen
    let expected = [(0, 0), (0, 3), (3, 5), (5, 7), (7, 9), (9, 11), (11, 13), (13, 15)];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_savepoint_that_was_rolled_back_holds_back_nothing() {
    let (database, store) = empty_store().await;
    let (mut slow, mut fast) = (session(&database).await, session(&database).await);
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    execute(&mut slow, "BEGIN; CREATE TABLE mail (text TEXT); SAVEPOINT a").await;
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [1]);
    assert_eq!(insert(&mut fast, "fast", 1..=1).await, [2]);
    assert_eq!(positions_after(&store, 0).await, [0; 0]);
    execute(&mut slow, "ROLLBACK TO SAVEPOINT a").await;
    assert_eq!(positions_after(&store, 0).await, [2], "1 will never be");
    // the transaction is the same, and takes the lock anew
    assert_eq!(insert(&mut slow, "slow", 1..=1).await, [3]);
    assert_eq!(insert(&mut fast, "fast", 2..=2).await, [4]);
    assert_eq!(positions_after(&store, 2).await, [0; 0]);
    execute(&mut slow, "COMMIT").await;
    assert_eq!(positions_after(&store, 2).await, [3, 4]);
}

#[tokio::test]
async fn what_is_refused_within_a_transaction_holds_back_nothing() {
    let (database, store) = empty_store().await;
    store.append(to("account/a")).await.unwrap();
    let mut slow = session(&database).await;
    execute(&mut slow, "BEGIN").await;
    let stale = es_core::backend::AppendRequest::to(
        "account/a".parse().unwrap(),
        es_core::ExpectedVersion::NoStream,
        events(1),
    );
    assert!(store.append_in(&mut slow, stale).await.is_err());
    store.append(to("account/b")).await.unwrap();
    assert_eq!(positions_after(&store, 0).await.len(), 2);
    execute(&mut slow, "ROLLBACK").await;
}

#[tokio::test]
async fn transactions_that_write_nothing_here_hold_back_nothing() {
    let database = database(IdType::Text).await;
    let elsewhere = database.server().database().await;
    let store = open(&database).await;
    let mut sessions = Vec::new();
    for (place, statements) in [
        (&database, "BEGIN; SELECT pg_current_xact_id()"),
        (&elsewhere, "BEGIN; SELECT pg_current_xact_id()"),
        (&database, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM execution_events"),
        (&database, "BEGIN; LOCK execution_events_snapshots"),
        (&database, "BEGIN; LOCK execution_events IN SHARE UPDATE EXCLUSIVE MODE"),
        (&database, "BEGIN; SELECT FROM execution_events FOR KEY SHARE"),
    ] {
        let mut session = session(place).await;
        execute(&mut session, statements).await;
        sessions.push(session);
    }
    let mut fast = session(&database).await;
    assert_eq!(insert(&mut fast, "fast", 1..=2).await, [1, 2]);
    assert_eq!(positions_after(&store, 0).await, [1, 2]);
    for mut session in sessions {
        execute(&mut session, "COMMIT").await;
    }
}

#[tokio::test]
async fn a_prepared_transaction_holds_back_until_it_is_decided() {
    for (end, expected) in [("COMMIT", vec![4, 5]), ("ROLLBACK", vec![5])] {
        let (database, store) = empty_store().await;
        for _ in 0..3 {
            store.append(to("account/before")).await.unwrap();
        }
        assert_eq!(positions_after(&store, 0).await, [1, 2, 3]);
        let (mut slow, mut fast) = (session(&database).await, session(&database).await);
        execute(&mut slow, "BEGIN").await;
        assert_eq!(insert(&mut slow, "slow", 1..=1).await, [4]);
        execute(&mut slow, &format!("PREPARE TRANSACTION '{}'", database.name())).await;
        assert_eq!(insert(&mut fast, "fast", 1..=1).await, [5]);
        assert_eq!(positions_after(&store, 3).await, [0; 0]);
        let mut waiting = pin!(past(&store, 3));
        assert!(is_pending(waiting.as_mut()).await);
        run(&database, &format!("{end} PREPARED '{}'", database.name())).await;
        soon(end, waiting).await.unwrap();
        assert_eq!(positions_after(&store, 3).await, expected, "after {end}");
    }
}
