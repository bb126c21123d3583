//! Writing batches.

use es_core::backend::{Content, ListParked, ModelRow, SinkError, Slot};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::ProjectionFixture;
use super::parts::*;

pub(super) async fn model_and_checkpoint_move_together(fixture: &dyn ProjectionFixture) {
    let rounds = rounds(100, 2_000);
    let sink = fixture.sink();
    let lease = acquired(&sink, &claim("one")).await;
    let writer: BoxFuture<'static, ()> = {
        let (sink, lease) = (sink.clone(), lease.clone());
        Box::pin(async move {
            for n in 0..rounds {
                let mut batch = batch(n, n + 1, vec![set("a", n + 1), set("b", n + 1)]);
                batch.park = vec![parked(n + 1, "p", 1)];
                commit(&sink, &lease, batch).await;
                tokio::task::yield_now().await;
            }
        })
    };
    let reader: BoxFuture<'static, ()> = {
        let sink = sink.clone();
        Box::pin(async move {
            loop {
                let before = checkpoint(&sink).await.position.to_sequence();
                let seen = rows(&sink, Slot::Active).await;
                let after = checkpoint(&sink).await.position.to_sequence();
                let active = status(&sink, "totals").await.and_then(|status| status.active);
                let active = active.expect("the model is there");
                let place = active.checkpoint().position.to_sequence();
                assert_eq!(active.waiting, place, "each commit parks one event");
                let values: Vec<u64> = seen.iter().map(|(_, n)| *n).collect();
                if let [a, b] = values[..] {
                    assert_eq!(a, b, "the rows of one commit are seen together");
                    assert!(
                        (before..=after).contains(&a),
                        "the rows are at {a}, the checkpoint was at {before} and then at {after}"
                    );
                } else {
                    assert_eq!((values.len(), before), (0, 0), "rows and checkpoint go together");
                }
                if after == rounds {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    together("commits and readers come to an end", [writer, reader]).await;
}

pub(super) async fn a_dropped_commit_leaves_all_or_nothing(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let mut place = 0;
    for n in 1..=rounds(40, 1_000) {
        let lease = acquired(&sink, &claim("one")).await;
        let mut wanted = batch(place, n, vec![set("a", n)]);
        wanted.park = vec![parked(n, "p", 1)];
        {
            let mut call = sink.commit(&lease, &wanted);
            polled(&mut call, n as usize % 4).await;
        }
        // the next lease tells what became of it, and that is final
        let lease = acquired(&sink, &claim("one")).await;
        let stands = lease.checkpoints[0].position.to_sequence();
        assert!(stands == place || stands == n, "the checkpoint is at {stands}");
        let row = rows(&sink, Slot::Active).await.first().map_or(0, |(_, n)| *n);
        assert_eq!(row, stands, "the row is of the same commit as the checkpoint");
        let all = ListParked { limit: 1_000_000, ..ListParked::default() };
        let last = ids(&sink, &all).await.last().map_or(0, |(n, _)| *n);
        assert_eq!(last, stands, "what is parked is of the same commit as the checkpoint");
        place = stands;
    }
}

pub(super) async fn a_repeated_commit_is_refused(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let again = batch(0, 10, vec![set("a", 2)]);
    lost(sink.commit(&lease, &again).await, "the checkpoint has moved on");
    lost(sink.commit(&lease, &batch(5, 12, vec![set("a", 2)])).await, "it never stood there");
    let mut foreign = batch(0, 12, vec![set("a", 2)]);
    foreign.slice = 1;
    lost(sink.commit(&lease, &foreign).await, "an active model has one slice");
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1)]), "nothing is written twice");
    assert_eq!(checkpoint(&sink).await, at(10));
}

pub(super) async fn racing_commits_have_one_winner(fixture: &dyn ProjectionFixture) {
    let sink = fixture.sink();
    let lease = acquired(&sink, &claim("one")).await;
    for n in 0..rounds(20, 500) {
        let calls = (0..6).map(|racer| -> BoxFuture<'static, Result<(), SinkError>> {
            let (sink, lease) = (sink.clone(), lease.clone());
            let batch = batch(n, n + 1, vec![set(&format!("{n}-{racer}"), n)]);
            Box::pin(async move { sink.commit(&lease, &batch).await })
        });
        let answers = together("racing commits are answered", calls).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(won, 1, "one commit moves the checkpoint from {n}: {answers:?}");
        for answer in answers.into_iter().filter(Result::is_err) {
            lost(answer, "the others came too late");
        }
        assert_eq!(rows(&sink, Slot::Active).await.len() as u64, n + 1, "losers write nothing");
    }
}

pub(super) async fn rows_come_back_as_committed(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let value = payload(&json!({
        "text": "Zoë \"quoted\" \\ \u{1F980} \u{7f}", "numbers": [0, -1, 1.5e300, 9007199254740993u64],
        "nested": { "empty": {}, "null": null, "yes": true }
    }));
    let keys = ["posting/7", "%_", "'; --", "Ä", "\u{1F980}", "with space"];
    let changes = keys
        .map(|key| es_core::backend::RowChange { key: key.to_owned(), value: Some(value.clone()) });
    commit(&sink, &lease, batch(10, 11, changes.to_vec())).await;
    let wanted: Vec<String> =
        keys.iter().chain(&["a", "a", "unknown"]).map(|key| (*key).to_owned()).collect();
    let mut loaded = match sink.load("totals", Slot::Active, &wanted).await {
        Ok(rows) => rows,
        Err(error) => panic!("loading failed: {error}"),
    };
    loaded.sort_by(|a, b| a.key.cmp(&b.key));
    let mut expected: Vec<_> =
        keys.iter().map(|key| ModelRow { key: (*key).to_owned(), value: value.clone() }).collect();
    expected.push(ModelRow { key: "a".to_owned(), value: payload(&json!({ "n": 1 })) });
    expected.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(loaded, expected, "each wanted row that is there comes once, as it was committed");
    let loaded = sink.load("totals", Slot::Active, &[]).await;
    assert_eq!(loaded.map_err(|error| error.to_string()), Ok(vec![]), "no keys, no rows");
    let changes = vec![removed("a"), removed("never there"), set("Ä", 5)];
    commit(&sink, &lease, batch(11, 12, changes)).await;
    let left = model(&sink, "totals", Slot::Active).await;
    assert_eq!(left.len(), keys.len(), "a removed row is gone");
    assert!(left.contains(&("Ä".to_owned(), payload(&json!({ "n": 5 })))), "a row is replaced");
    assert!(matches!(
        sink.load("unknown", Slot::Active, &wanted).await,
        Err(SinkError::NoModel { .. })
    ));
    assert!(matches!(
        sink.load("totals", Slot::Shadow, &wanted).await,
        Err(SinkError::NoModel { .. })
    ));
}

pub(super) async fn rows_are_listed_in_key_order(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let keys = ["B", "a-b", "a", "ab", "ä", "b", "A", "10", "9", "\u{1F980}", "_", "a/1", "a.1"];
    let changes = keys.iter().map(|key| set(key, 1)).collect();
    commit(&sink, &lease, batch(10, 11, changes)).await;
    let mut expected: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    expected.sort_unstable();
    for limit in [0, 1, 3, 100] {
        let (mut seen, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = sink.rows("totals", Slot::Active, after.as_deref(), limit).await;
            let page = page.unwrap_or_else(|error| panic!("listing failed: {error}"));
            assert!(page.len() <= limit.max(1), "a page keeps its limit");
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            seen.extend(page.into_iter().map(|row| row.key));
        }
        assert_eq!(seen, expected, "pages of {limit} join to all keys, byte by byte");
    }
}

pub(super) async fn projections_do_not_mix(fixture: &dyn ProjectionFixture) {
    let (sink, lease) = started(fixture).await;
    let other = acquired(&sink, &claim_of("others", "two")).await;
    commit(&sink, &other, batch(0, 4, vec![set("a", 9), set("b", 9)])).await;
    commit(&sink, &lease, batch(10, 11, vec![set("c", 3)])).await;
    commit(&sink, &other, batch(4, 5, vec![removed("b")])).await;
    assert_eq!(rows(&sink, Slot::Active).await, pairs(&[("a", 1), ("c", 3)]));
    let others = model(&sink, "others", Slot::Active).await;
    assert_eq!(others, [("a".to_owned(), payload(&json!({ "n": 9 })))]);
    assert_eq!(checkpoint(&sink).await, at(11));
    let mut mixed = batch(5, 6, vec![]).content(Content::Rows(vec![set("x", 1)]));
    mixed.park = vec![parked(6, "x", 1)];
    commit(&sink, &other, mixed).await;
    assert_eq!(ids(&sink, &Default::default()).await, [], "parked events do not mix either");
}
