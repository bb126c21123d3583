//! The runner: effect once, order, restart, leases.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{ReadStream, Slot, StoreError, StoreErrorKind, StreamPage};
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{
    BatchLimit, FailurePolicy, ReadModel, StopCause, TroubleKind, WaitError,
};

use super::ProjectionFixture;
use super::cut::{Side, cut};
use super::models::*;
use super::parts::*;
use crate::fault::{Call, Faults};

pub(super) async fn every_event_has_its_effect_once(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let small = BatchLimit::events(5).rows(2);
    let mut runner = runner(&store, &sink, "one")
        .definition(Seen::model())
        .definition(Crossing::model())
        .batches(small);
    caught_up(&mut runner).await;
    for round in 0..5 {
        accounts_paid(&store, &["1", "2", "3"], round * 7..=round * 7 + 6).await;
        append(&store, &typed_stream("audit", "1"), ANY, events(1..=3)).await;
        append(&store, &stream("2"), ANY, vec![typed_event(CLOSED, 0)]).await;
        caught_up(&mut runner).await;
        serves_the_fold(&store, &sink, Seen::model()).await;
        serves_the_fold(&store, &sink, Crossing::model()).await;
    }
    let seen = stored(&sink, "seen", Slot::Active).await;
    let all: Vec<_> = (0..35).collect();
    assert_eq!(seen["account/1"], numbers_of(&all), "in the order of the log");
    assert_eq!(seen.get("account/2"), None, "the last event removed the row");
}

pub(super) async fn a_runner_goes_on_after_any_cut(fixture: &dyn ProjectionFixture) {
    const CALLS: u64 = 12;
    let (store, sink) = (fixture.store(), fixture.sink());
    let poison = Poison::refused(u32::MAX);
    for at in 0..CALLS {
        for side in [Side::Before, Side::After] {
            accounts_paid(&store, &["1", "2"], at * 10..=at * 10 + 2).await;
            append(&store, &stream("p"), ANY, vec![typed_event(POISON, at)]).await;
            let cut_off = cut(&sink, at, side);
            let model = || Seen::failing(poison.clone()).on_failure(FailurePolicy::park_key());
            let mut first =
                runner(&store, &cut_off, "one").definition(model()).batches(BatchLimit::events(2));
            // whether it notices depends on how many calls it makes
            let _ = soon("a runner that is cut off comes back", first.catch_up()).await;
            drop(first);
            let mut second = runner(&store, &sink, "one").definition(model());
            caught_up(&mut second).await;
            let mut expected = lives(&store, Seen::model()).await;
            let waiting = expected.remove("account/p").map_or(0, |row| row.numbers.len());
            let seen = stored(&sink, "seen", Slot::Active).await;
            assert_eq!(seen, expected, "cut {side:?} call {at}");
            let active = status(&sink, "seen").await.and_then(|status| status.active);
            let active = active.expect("the model is there");
            assert_eq!(active.waiting, waiting as u64, "cut {side:?} call {at}");
        }
    }
    poison.heal();
    retried(&sink, "seen", "account/p").await;
    let mut last = runner(&store, &sink, "one").definition(Seen::failing(poison));
    caught_up(&mut last).await;
    serves_the_fold(&store, &sink, Seen::model()).await;
}

pub(super) async fn two_runners_double_nothing(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let mut first = runner(&store, &sink, "one").definition(Seen::model());
    let mut second = runner(&store, &sink, "two").definition(Seen::model());
    accounts_paid(&store, &["1", "2"], 1..=3).await;
    caught_up(&mut first).await;
    match second.catch_up().await {
        Err(error) => {
            assert!(error.to_string().contains("`one`"), "it says who has the lease: {error}");
        }
        Ok(()) => panic!("two runners at once"),
    }
    for turn in 0..6 {
        // the one that has the lease sleeps for too long
        fixture.clock().step(TTL + Duration::from_secs(1));
        accounts_paid(&store, &["1", "2"], turn * 10..=turn * 10 + 3).await;
        let (awake, asleep) =
            if turn % 2 == 0 { (&mut second, &mut first) } else { (&mut first, &mut second) };
        caught_up(awake).await;
        accounts_paid(&store, &["1", "2"], turn * 10 + 4..=turn * 10 + 5).await;
        let answer = asleep.catch_up().await;
        assert!(answer.is_err(), "who lost its lease cannot go on");
        caught_up(awake).await;
        serves_the_fold(&store, &sink, Seen::model()).await;
    }
}

pub(super) async fn projections_share_one_reading(fixture: &dyn ProjectionFixture) {
    let faults = Faults::new();
    let (store, sink) = (faults.over(fixture.store()).event_store().clone(), fixture.sink());
    let reads_made = || faults.calls(Call::ReadLog) + faults.calls(Call::ReadStream);
    accounts_paid(&store, &["1", "2"], 1..=20).await;
    let mut alone = runner(&store, &sink, "one").definition(Seen::model()).batches(few());
    let reads = reads_made();
    caught_up(&mut alone).await;
    let by_one = reads_made() - reads;
    assert!(by_one >= 10, "the pages are small, but {by_one} were enough");
    alone.release().await;

    // the second begins at the start, catches up by itself, and joins the first
    let mut both = runner(&store, &sink, "one")
        .definition(Seen::model())
        .definition(Crossing::model())
        .batches(few());
    caught_up(&mut both).await;
    accounts_paid(&store, &["1", "2"], 21..=40).await;
    let reads = reads_made();
    caught_up(&mut both).await;
    let by_both = reads_made() - reads;
    assert!(
        by_both <= by_one + 2,
        "two projections at one place need {by_both} reads, one alone {by_one}"
    );
    serves_the_fold(&store, &sink, Seen::model()).await;
    serves_the_fold(&store, &sink, Crossing::model()).await;
}

pub(super) async fn who_is_behind_joins_without_overlap(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    // the page of the one that is behind ends within that of the other
    accounts_paid(&store, &["1", "2"], 1..=5).await;
    let mut behind = runner(&store, &sink, "one").definition(Crossing::model());
    caught_up(&mut behind).await;
    behind.release().await;
    accounts_paid(&store, &["1", "2"], 6..=6).await;
    let mut before = runner(&store, &sink, "one").definition(Seen::model());
    caught_up(&mut before).await;
    before.release().await;
    accounts_paid(&store, &["1", "2"], 7..=15).await;
    let mut both = runner(&store, &sink, "one")
        .definition(Seen::model())
        .definition(Crossing::model())
        .batches(few());
    caught_up(&mut both).await;
    serves_the_fold(&store, &sink, Seen::model()).await;
    serves_the_fold(&store, &sink, Crossing::model()).await;
}

fn few() -> BatchLimit {
    BatchLimit::events(4)
}

pub(super) async fn a_changed_projection_is_noticed(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1"], 1..=3).await;
    let mut old = runner(&store, &sink, "one").definition(Seen::model());
    caught_up(&mut old).await;
    old.release().await;
    let before = stored(&sink, "seen", Slot::Active).await;
    let mut new =
        runner(&store, &sink, "one").definition(Doubled::model()).definition(Crossing::model());
    accounts_paid(&store, &["1"], 4..=5).await;
    let error = new.catch_up().await.expect_err("the model was built by other code");
    assert_eq!(error.stopped.len(), 1, "the others go on");
    assert_eq!(error.stopped[0].projection, "seen");
    let cause = &error.stopped[0].cause;
    assert_eq!(cause.kind(), TroubleKind::Changed);
    let reason = cause.to_string();
    assert!(reason.contains("v1") && reason.contains("v2"), "it names both: {reason}");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, before, "the model is not touched");
    serves_the_fold(&store, &sink, Crossing::model()).await;
}

/// A store that was restored from elsewhere: events of this type of streams have other ids.
struct Restored(Store, &'static str);

#[async_trait::async_trait]
impl StoreLayer for Restored {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.0.read_stream(read).await?;
        let others = page.events.iter_mut();
        let others = others.filter(|event| event.stream.aggregate_type() == self.1);
        others.for_each(|event| event.event_id = new_id());
        Ok(page)
    }
}

pub(super) async fn a_restored_log_is_noticed(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=3).await;
    caught_up(&mut runner(&store, &sink, "one").definition(Seen::model())).await;
    let before = stored(&sink, "seen", Slot::Active).await;
    let restored: Store = Arc::new(Layered(Restored(store.clone(), "account")));
    accounts_paid(&store, &["1"], 4..=4).await;
    let mut runner = runner(&restored, &sink, "one").definition(Seen::model());
    let error = runner.catch_up().await.expect_err("the log is another one");
    let cause = &error.stopped[0].cause;
    assert!(matches!(cause, StopCause::Diverged { .. }), "it says what is wrong: {cause}");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, before, "the model is not touched");
}

pub(super) async fn who_selected_nothing_notices_a_restored_log(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let restored: Store = Arc::new(Layered(Restored(store.clone(), "audit")));
    for before in [0, 1] {
        // it stands behind events that it did not select, and behind one of its own before these
        accounts_paid(&store, &["1"], 1..=before).await;
        append(&store, &typed_stream("audit", "1"), ANY, events(2..=9)).await;
        let mut first = runner(&store, &sink, "one").definition(Seen::model());
        caught_up(&mut first).await;
        first.release().await;
        append(&store, &typed_stream("audit", "1"), ANY, events(10..=11)).await;
        let mut second = runner(&restored, &sink, "one").definition(Seen::model());
        let error = second.catch_up().await.expect_err("the log is another one");
        let cause = &error.stopped[0].cause;
        assert!(matches!(cause, StopCause::Diverged { .. }), "it says what is wrong: {cause}");
    }
}

pub(super) async fn a_failing_store_is_waited_out(fixture: &dyn ProjectionFixture) {
    let faults = Faults::new();
    let (store, sink) = (faults.over(fixture.store()).event_store().clone(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=3).await;
    for read in 1..4 {
        faults.fail(Call::ReadLog, read, StoreErrorKind::Unavailable);
    }
    let runner = runner(&store, &sink, "one").definition(Seen::model()).batches(few());
    let handle = runner.handle();
    let running = tokio::spawn(runner.run());
    let end = end_of_log(&fixture.store()).await;
    let reached = waited(&store, &sink, &Seen::model(), end, Duration::from_secs(60)).await;
    assert!(reached.is_ok(), "a runner that runs goes on: {reached:?}");
    handle.stop();
    let ended = soon("a stopped runner ends", running).await;
    assert!(matches!(ended, Ok(Ok(()))), "stopping is no failure: {ended:?}");
    serves_the_fold(&fixture.store(), &sink, Seen::model()).await;
}

pub(super) async fn own_writes_are_read(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let runner = runner(&store, &sink, "one").definition(Seen::model());
    let handle = runner.handle();
    let running = tokio::spawn(runner.run());
    let definition = Seen::model();
    for number in 1..=rounds(20, 500) {
        let appended = append(&store, &stream("1"), ANY, vec![event(number)]).await;
        let place = appended.streams[0].events[0].position;
        let wait = waited(&store, &sink, &definition, place, Duration::from_secs(60));
        let reached = soon("the projection comes to what was appended", wait).await;
        assert!(reached.is_ok(), "waiting failed: {reached:?}");
        let row = ReadModel::<SeenRow>::new(with_models(&store, &sink)).get("account/1").await;
        let row = row.unwrap_or_else(|error| panic!("reading failed: {error}"));
        let last = row.and_then(|row| row.numbers.last().copied());
        assert_eq!(last, Some(number), "what was waited for is in the model");
    }
    // one that is not selected is passed, too
    let other = typed_stream("audit", "1");
    let appended = append(&store, &other, ANY, vec![event(1)]).await;
    let place = appended.streams[0].events[0].position;
    let reached = waited(&store, &sink, &Seen::model(), place, Duration::from_secs(60)).await;
    assert!(reached.is_ok(), "waiting failed: {reached:?}");
    handle.stop();
    let ended = soon("a stopped runner ends", running).await;
    assert!(matches!(ended, Ok(Ok(()))), "stopping is no failure: {ended:?}");
    let active = status(&sink, "seen").await.and_then(|status| status.active);
    let holder = active.and_then(|active| active.holder);
    assert_eq!(holder, None, "a stopped runner gives its lease back");
}

pub(super) async fn a_wait_tells_how_far_it_is(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1"], 1..=2).await;
    caught_up(&mut runner(&store, &sink, "one").definition(Seen::model())).await;
    let before = end_of_log(&store).await;
    accounts_paid(&store, &["1"], 3..=3).await;
    let end = end_of_log(&store).await;
    match waited(&store, &sink, &Seen::model(), end, Duration::from_millis(5)).await {
        Err(WaitError::TimedOut { projection, wanted, at, holder, .. }) => {
            assert_eq!((projection.as_str(), wanted, at), ("seen", end, before));
            assert_eq!(holder.as_deref(), Some("one"));
        }
        other => panic!("nobody runs the projection, but: {other:?}"),
    }
}
