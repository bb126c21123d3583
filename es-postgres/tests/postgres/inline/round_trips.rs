//! What an append with inline projections costs, and what becomes of one that is cut off.

use es_core::ExpectedVersion;
use es_core::backend::AppendRequest;
use es_pgtest::Direction;

use super::*;
use crate::round_trips::counted;
use crate::support::{events, key, open, to};

#[tokio::test]
async fn an_append_costs_what_the_documentation_says() {
    let (_database, proxy, store) = counted().await;
    let mut round_trips = Vec::new();
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    for number in 0..6 {
        if number == 3 {
            store.keep_inline(Definition::of::<Again>()).await.unwrap();
        }
        proxy.reset();
        store.append(to("account/a")).await.unwrap();
        round_trips.push(proxy.syncs());
    }
    // the first ones prepare their statements
    assert_eq!((round_trips[2], round_trips[5]), (10, 15));
}

#[tokio::test]
async fn appends_that_wait_share_a_transaction() {
    const CALLERS: u64 = 200;
    let (_database, proxy, store) = counted().await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    store.append(to("account/a")).await.unwrap();
    proxy.reset();
    let appends = (0..CALLERS).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.append(to(&format!("account/{number}"))).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    assert!(proxy.syncs() <= CALLERS, "{} round trips", proxy.syncs());
    assert_is_fold::<Order>(&store).await;
}

#[tokio::test]
async fn an_append_that_is_cut_at_any_message_is_in_the_model_or_not_written() {
    let (database, proxy, store) = counted().await;
    // it looks on through no proxy
    let witness = open(&database).await;
    store.keep_inline(Definition::of::<Order>()).await.unwrap();
    let stream = || "account/a".parse().unwrap();
    let (mut lost, mut unknown) = (0, 0);
    for direction in [Direction::ToServer, Direction::ToClient] {
        for message in (1..=64).step_by(3) {
            let _ = store.append(to("account/warm")).await;
            let once = key(&format!("{direction:?}-{message}"));
            let request = AppendRequest::to(stream(), ExpectedVersion::Any, events(1));
            let request = request.with_key(once.clone());
            proxy.cut_after(direction, message);
            let answer = store.append(request.clone()).await;
            proxy.reset();
            // a session that works on is waited for by who asks again
            let is_written = witness.find_append(&stream(), &once).await.unwrap().is_some();
            if let Err(AppendError::Store(error)) = &answer {
                lost += 1;
                unknown += usize::from(error.is_outcome_unknown());
                assert!(error.is_outcome_unknown() || !is_written, "{error:?}");
            }
            assert!(answer.is_err() || is_written);
            if answer.is_ok() {
                // what was cut behind the answer is found out by who comes next
                let _ = store.append(to("account/warm")).await;
            }
            store.append(request).await.unwrap();
            assert_is_fold::<Order>(&witness).await;
        }
    }
    assert!(lost > 20 && unknown > 0, "{lost} cuts, {unknown} of unknown outcome");
}
