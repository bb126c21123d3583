//! What a store says of itself: which one it is, and what it can do beside its events.

use std::time::Duration;

use es_core::backend::{Batch, Checkpoint, Claim, Content, RowChange, Slot, check_active_model};
use es_core::execution::StreamVersion;

use super::parts::{NONE, append, events, read, snapshot_after, stream};
use crate::fixture::Fixture;

pub(super) async fn handles_are_one_store(fixture: &dyn Fixture) {
    let identity = fixture.store().capabilities().identity;
    for handle in [fixture.store(), fixture.store()] {
        for _ in 0..2 {
            let again = handle.clone().capabilities().identity;
            assert_eq!(again, identity, "every handle of one store says the same, each time");
        }
    }
    if fixture.reopen().await {
        let reopened = fixture.store().capabilities().identity;
        assert_ne!(reopened, identity, "a store that was opened again is another one");
    }
}

pub(super) async fn what_is_named_is_there(fixture: &dyn Fixture) {
    let (store, account) = (fixture.store(), stream("1"));
    append(&store, &account, NONE, events(1..=3)).await;
    let written = read(&store, &account).await;
    let (named, again) = (store.clone().capabilities(), fixture.store().capabilities());
    let own = fixture.snapshots();
    assert_eq!(named.snapshots.is_some(), own.is_some(), "it names snapshots if it has any");
    if let (Some(named), Some(own)) = (named.snapshots, own) {
        for (saved, found, event) in [(&named, &own, &written[1]), (&own, &named, &written[2])] {
            let snapshot = snapshot_after(event);
            let answer = saved.save_snapshot(snapshot.clone()).await;
            assert!(answer.is_ok(), "a snapshot can be kept: {answer:?}");
            let latest = found.latest_snapshot(&account, StreamVersion::MAX).await;
            let latest = latest.expect("a snapshot can be looked up");
            assert_eq!(latest, Some(snapshot), "the named snapshots are those of the store");
        }
    }
    let (Some(named), Some(again)) = (named.models, again.models) else { return };
    let time = Duration::from_secs(30);
    let claim = Claim::new("named", "named v1", Slot::Active, "one", time);
    let lease = named.acquire(&claim).await.expect("nobody has the model");
    let row = &written[2].payload;
    let change = RowChange { key: "1".to_owned(), value: Some(row.clone()) };
    let to = Checkpoint::at(&written[2]);
    let batch = Batch::moving(0, lease.checkpoints[0].clone(), to);
    let committed = named.commit(&lease, &batch.content(Content::Rows(vec![change]))).await;
    assert!(committed.is_ok(), "a model can be written: {committed:?}");
    let rows = again.rows("named", Slot::Active, None, 10).await;
    let rows = rows.expect("every handle names the same models");
    let is_there = rows.len() == 1 && rows[0].key == "1" && rows[0].value.same_json(row);
    assert!(is_there, "the row was committed, but: {rows:?}");
    let history = check_active_model(&*store, &*again, "named").await;
    assert!(history.is_ok(), "the model is of what the log holds: {history:?}");
}
