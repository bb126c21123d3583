//! What the code of a projection, and a store that fails for a while, may and may not do to others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use es_core::backend::{
    Batch, Definition, Lease, RawKeying, Renewal, Renewed, SinkError, Slot, StoreErrorKind,
};
use es_core::event::{EventFilter, RecordedEvent};
use es_core::layer::{LayeredSink, SinkLayer};
use es_core::projection::{FailurePolicy, Keying, Rebuild, StopCause, TroubleKind, WaitError};
use es_core::{BoxError, Envelope, Projection};
use serde::{Deserialize, Serialize};

use super::ProjectionFixture;
use super::models::*;
use super::parts::*;
use crate::fault::{Call, Faults};

/// One row of all accounts; poison has no key until it is healed.
fn keyed(poison: Poison) -> Definition {
    let keying = RawKeying::Across(Arc::new(move |event: &RecordedEvent| {
        poison.check(event)?;
        Ok(vec!["all".to_owned()])
    }));
    let selection = accounts();
    Definition::rows("keyed", 1, selection, keying, |_, row, event| Ok(taken(row, event)))
}

pub(super) async fn an_event_without_keys_waits_for_them(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=2).await;
    append(&store, &stream("1"), ANY, vec![typed_event(POISON, 3)]).await;
    accounts_paid(&store, &["1", "2"], 4..=5).await;
    let bad = Poison::refused(u32::MAX);
    let mut stopping = runner(&store, &sink, "one").definition(keyed(bad.clone()));
    let error = soon("it stops", stopping.catch_up()).await.expect_err("an event has no keys");
    assert_eq!(error.stopped[0].cause.kind(), TroubleKind::Poison, "{error}");
    assert_eq!(stored(&sink, "keyed", Slot::Active).await["all"], numbers_of(&[1, 1, 2, 2]));

    let policy = FailurePolicy::park_key();
    let mut parking =
        runner(&store, &sink, "one").definition(keyed(bad.clone()).on_failure(policy));
    caught_up(&mut parking).await;
    let all = async || stored(&sink, "keyed", Slot::Active).await["all"].clone();
    assert_eq!(all().await, numbers_of(&[1, 1, 2, 2, 4, 5]), "the other stream goes on");
    let waiting = es_core::backend::ListParked::default();
    let waiting = sink.parked("keyed", Slot::Active, &waiting).await.expect("the model is there");
    assert_eq!(waiting.len(), 3, "the event and what follows it in its stream");
    let key = waiting[0].key.clone();
    let retry = async || retried(&sink, "keyed", &key).await;
    retry().await;
    caught_up(&mut parking).await;
    assert_eq!(all().await, numbers_of(&[1, 1, 2, 2, 4, 5]), "nothing was mended");
    bad.heal();
    retry().await;
    accounts_paid(&store, &["1"], 6..=6).await;
    caught_up(&mut parking).await;
    assert_eq!(all().await, numbers_of(&[1, 1, 2, 2, 4, 5, 3, 4, 5, 6]), "nothing is lost");
}

/// The same, with a panic for the keys.
fn panicking() -> Definition {
    let keys =
        |_: &RecordedEvent| -> Result<Vec<String>, BoxError> { panic!("this is how a bug looks") };
    let keying = RawKeying::Across(Arc::new(keys));
    Definition::rows("panicking", 1, accounts(), keying, |_, row, event| Ok(taken(row, event)))
}

/// A projection that panics when it is asked what it wants.
#[derive(Serialize, Deserialize)]
struct Unsure;

impl Projection for Unsure {
    const NAME: &'static str = "unsure";
    type Event = AccountEvent;
    type Key = String;

    fn selection() -> EventFilter {
        panic!("this is how a bug looks")
    }

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.stream.to_string())
    }

    fn evolve(
        _: &String,
        _: &mut Option<Self>,
        _: &Envelope<'_, AccountEvent>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

pub(super) async fn a_panic_stops_no_other_projection(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1"], 1..=3).await;
    let runner = runner(&store, &sink, "one").definition(panicking());
    let runner = runner.projection::<Unsure>().definition(Seen::model());
    let handle = runner.handle();
    let running = tokio::spawn(runner.run());
    let definition = Seen::model();
    for number in 4..=6 {
        let appended = append(&store, &stream("1"), ANY, vec![event(number)]).await;
        let place = appended.streams[0].events[0].position;
        let wait = waited(&store, &sink, &definition, place, Duration::from_secs(60));
        let reached = soon("the healthy projection goes on", wait).await;
        assert!(reached.is_ok(), "{reached:?}");
    }
    handle.stop();
    let ended = soon("a stopped runner ends", running).await;
    assert!(matches!(ended, Ok(Ok(()))), "no panic reaches the runner: {ended:?}");
    let active = status(&sink, "panicking").await.and_then(|status| status.active);
    let trouble = active.and_then(|active| active.trouble).expect("it says what is wrong");
    assert!(trouble.message.contains("how a bug looks"), "{trouble:?}");
    assert!(status(&sink, "unsure").await.is_none(), "what cannot be run makes no model");
    let rebuilt = Rebuild::projection::<Unsure>(with_models(&store, &sink)).run().await;
    assert!(rebuilt.is_err_and(|error| error.to_string().contains("how a bug looks")));
    let kept = fixture.sink().keep_inline(Definition::of::<Unsure>()).await;
    assert!(matches!(kept, Err(SinkError::Unusable { .. })), "{kept:?}");
}

pub(super) async fn a_wait_for_what_stopped_says_why(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    append(&store, &stream("1"), ANY, vec![typed_event(POISON, 1)]).await;
    let bad = Poison::refused(u32::MAX);
    let mut stopping = runner(&store, &sink, "one").definition(Seen::failing(bad));
    let stopped = soon("it stops", stopping.catch_up()).await;
    assert!(stopped.is_err(), "an event cannot be taken");
    let end = end_of_log(&store).await;
    let definition = Seen::model();
    // far longer than any scenario may take
    let wait = waited(&store, &sink, &definition, end, Duration::from_secs(86_400));
    match soon("a wait for what stopped ends", wait).await {
        Err(WaitError::Stopped { projection, trouble, .. }) => {
            assert_eq!((projection.as_str(), trouble.kind()), ("seen", TroubleKind::Poison));
        }
        other => panic!("the projection has stopped, but: {other:?}"),
    }
    // what is other code's never comes there either, nor does what cannot be run at all, though
    // nothing is wrong with the model
    let mut healthy = runner(&store, &sink, "one").definition(Seen::model());
    caught_up(&mut healthy).await;
    healthy.release().await;
    accounts_paid(&store, &["1"], 2..=2).await;
    let end = end_of_log(&store).await;
    for definition in [Doubled::model(), Definition::of::<Unsure>()] {
        let wait = waited(&store, &sink, &definition, end, Duration::from_secs(86_400));
        match soon("a wait for what cannot be run ends", wait).await {
            Err(WaitError::Sink(SinkError::Changed { .. } | SinkError::Unusable { .. })) => {}
            other => panic!("nobody runs it, but: {other:?}"),
        }
    }
}

pub(super) async fn trouble_of_the_store_passes(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let faults = Faults::new();
    accounts_paid(&store, &["1"], 1..=2).await;
    let faulty = behind(&faults, &store, &sink);
    let mut runner = runner(&store, &faulty, "one").definition(Seen::model());
    caught_up(&mut runner).await;
    let away = |is_away: bool| {
        for call in [Call::Renew, Call::Commit] {
            faults.fail_each(call, is_away.then_some(StoreErrorKind::Unavailable));
        }
    };
    away(true);
    let failed = soon("it fails", runner.catch_up()).await.expect_err("the store is away");
    assert_eq!(failed.stopped[0].cause.kind(), TroubleKind::Store, "{failed}");
    let trouble = async || {
        let active = status(&sink, "seen").await.and_then(|status| status.active);
        active.and_then(|active| active.trouble).map(|trouble| trouble.kind())
    };
    assert_eq!(trouble().await, Some(TroubleKind::Store));
    away(false);
    caught_up(&mut runner).await;
    assert_eq!(trouble().await, None, "it has passed, though there is nothing to commit");
}

pub(super) async fn rows_across_streams_survive_slices(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let accounts: Vec<_> = (1..=8).map(|number| number.to_string()).collect();
    let accounts: Vec<_> = accounts.iter().map(String::as_str).collect();
    accounts_paid(&store, &accounts, 1..=3).await;
    // a shadow that is there in slices, begun by code that could be divided
    let definition = keyed(Poison::refused(0));
    let mut claim = claim_of("keyed", "before");
    (claim.slot, claim.slices) = (Slot::Shadow, 4);
    claim.fingerprint = definition.fingerprint().to_owned();
    let lease = acquired(&sink, &claim).await;
    assert!(sink.release(&lease).await.is_ok());
    rebuilt(Rebuild::definition(with_models(&store, &sink), definition).slices(4)).await;
    let live = lives(&store, keyed(Poison::refused(0))).await;
    assert_eq!(stored(&sink, "keyed", Slot::Active).await, live);
}

pub(super) async fn a_rebuild_waits_out_a_failing_store(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2", "3"], 1..=4).await;
    let faults = Faults::new();
    faults.fail_each(Call::Commit, Some(StoreErrorKind::Unavailable));
    (2..=5).for_each(|nth| faults.fail(Call::ReadLog, nth, StoreErrorKind::Unavailable));
    let faulty = faults.over(with_models(&store, &sink));
    let rebuild = Rebuild::definition(faulty, Seen::model()).slices(2);
    let rebuild = rebuild.batches(es_core::projection::BatchLimit::events(2)).backoff(no_delay(0));
    let running = tokio::spawn(rebuild.lease(Duration::from_secs(86_400)).run());
    // a few attempts later it is back
    while faults.calls(Call::ReadLog) + faults.calls(Call::ReadStream) < 12 {
        tokio::task::yield_now().await;
    }
    faults.lose_answer(Call::Commit, 1);
    faults.fail_each(Call::Commit, None);
    let rebuilt = soon("a rebuild ends", running).await;
    assert!(matches!(rebuilt, Ok(Ok(()))), "failures that pass end nothing: {rebuilt:?}");
    let live = lives(&store, Seen::model()).await;
    assert_eq!(stored(&sink, "seen", Slot::Active).await, live);
}

pub(super) async fn one_name_is_one_projection(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let mut twice =
        runner(&store, &sink, "one").definition(Seen::model()).definition(Seen::model());
    let error = twice.catch_up().await.expect_err("a name is there twice");
    assert!(matches!(error.stopped[0].cause, StopCause::NamedTwice), "{error}");
    assert_eq!(error.stopped[0].projection, "seen");
    assert!(status(&sink, "seen").await.is_none(), "nothing was run");
    caught_up(&mut runner(&store, &sink, "one").definition(Seen::model())).await;
    assert!(status(&sink, "seen").await.is_some());
}

/// A sink of which one model is locked by somebody while a test says so.
struct LockedModel {
    inner: Sink,
    projection: &'static str,
    is_free: tokio::sync::watch::Receiver<bool>,
    /// How often leases of the others were renewed.
    renewals: Arc<AtomicU64>,
}

impl LockedModel {
    async fn unlocked(&self, projection: &str) {
        if projection == self.projection {
            // who was to unlock it is gone with the test
            let _ = self.is_free.clone().wait_for(|is_free| *is_free).await;
        }
    }
}

#[async_trait]
impl SinkLayer for LockedModel {
    fn inner(&self) -> &Sink {
        &self.inner
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        self.unlocked(&lease.projection).await;
        let renewed = self.inner.renew(lease, renewal).await;
        self.renewals.fetch_add(u64::from(lease.projection != self.projection), Ordering::SeqCst);
        renewed
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        self.unlocked(&lease.projection).await;
        self.inner.commit(lease, batch).await
    }
}

pub(super) async fn a_model_that_somebody_locked_holds_up_no_other(
    fixture: &dyn ProjectionFixture,
) {
    let (store, sink) = (fixture.store(), fixture.sink());
    let (lock, is_free) = tokio::sync::watch::channel(true);
    let renewals = Arc::new(AtomicU64::new(0));
    let locked = LockedModel {
        inner: sink.clone(),
        projection: "seen",
        is_free,
        renewals: renewals.clone(),
    };
    let locked: Sink = Arc::new(LayeredSink(locked));
    accounts_paid(&store, &["1"], 1..=2).await;
    let both =
        runner(&store, &locked, "one").definition(Seen::model()).definition(Crossing::model());
    // leases so short that they are renewed while the other model is locked
    let both = both.lease(Duration::from_millis(300));
    let handle = both.handle();
    let running = tokio::spawn(both.run());
    let reaches = async |projection: Definition, position| {
        let wait = waited(&store, &sink, &projection, position, Duration::from_secs(60));
        let reached = soon("a projection whose model is free goes on", wait).await;
        assert!(reached.is_ok(), "{reached:?}");
    };
    let end = end_of_log(&store).await;
    reaches(Seen::model(), end).await;
    reaches(Crossing::model(), end).await;
    lock.send_replace(false);
    for number in 3..=6 {
        let appended = append(&store, &stream("1"), ANY, vec![event(number)]).await;
        reaches(Crossing::model(), appended.streams[0].events[0].position).await;
    }
    let before = renewals.load(Ordering::SeqCst);
    let renewed = async {
        while renewals.load(Ordering::SeqCst) < before + 3 {
            tokio::task::yield_now().await;
        }
    };
    soon("the leases of the others are kept", renewed).await;
    let seen = status(&sink, "seen").await.and_then(|status| status.active);
    let seen = seen.expect("the model is there");
    assert_eq!(seen.checkpoint().position, end, "it is locked");
    lock.send_replace(true);
    let end = end_of_log(&store).await;
    reaches(Seen::model(), end).await;
    handle.stop();
    let ended = soon("a stopped runner ends", running).await;
    assert!(matches!(ended, Ok(Ok(()))), "a lock is no failure: {ended:?}");
    serves_the_fold(&store, &sink, Seen::model()).await;
    serves_the_fold(&store, &sink, Crossing::model()).await;
}
