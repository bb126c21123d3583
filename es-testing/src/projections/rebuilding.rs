//! Making models anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use es_core::Runner;
use es_core::backend::{
    Lease, LogPage, Position, ReadLog, ReadStream, SinkError, Slot, StoreError, StoreErrorKind,
    StreamPage,
};
use es_core::environment::{Environment, Runtime, SystemRuntime};
use es_core::event::Payload;
use es_core::execution::StreamVersion;
use es_core::layer::{Layered, LayeredSink, SinkLayer, StoreLayer};
use es_core::projection::{
    BatchLimit, FailurePolicy, Rebuild, RebuildError, RowDifference, TroubleKind,
};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;

use super::ProjectionFixture;
use super::cut::{Side, cut};
use super::models::*;
use super::parts::*;
use crate::fault::{Call, Faults};

fn rebuild_of(store: &Store, sink: &Sink) -> Rebuild {
    Rebuild::definition(with_models(store, sink), Doubled::model())
        .slices(3)
        .batches(BatchLimit::events(4))
        .holder("rebuild")
        .lease(TTL)
}

/// Some accounts, and the model of older code over them.
async fn projected(fixture: &dyn ProjectionFixture) -> (Store, Sink) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2", "3", "4", "5", "6", "7"], 1..=6).await;
    append(&store, &typed_stream("audit", "1"), ANY, events(1..=9)).await;
    let mut runner = runner(&store, &sink, "one").definition(Seen::model());
    caught_up(&mut runner).await;
    runner.release().await;
    (store, sink)
}

/// A runtime without tasks.
#[derive(Debug)]
struct Alone;

impl Runtime for Alone {
    fn now(&self) -> Instant {
        SystemRuntime.now()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        SystemRuntime.sleep_until(at)
    }

    fn spawn(&self, _: BoxFuture<'static, ()>) -> bool {
        false
    }
}

pub(super) async fn a_rebuilt_model_is_the_live_one(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    rebuilt(rebuild_of(&store, &sink)).await;
    let live = lives(&store, Doubled::model()).await;
    assert_eq!(stored(&sink, "seen", Slot::Active).await, live);
    // with tasks of its own and without, over the same code, and in one slice
    for slices in [1, 2, 5] {
        for environment in [Environment::default(), Environment::default().with_runtime(Alone)] {
            let rebuild = rebuild_of(&store, &sink).slices(slices).environment(environment);
            rebuilt(rebuild).await;
            assert_eq!(stored(&sink, "seen", Slot::Active).await, live, "{slices} slices");
        }
    }
    // and the new code goes on with it
    accounts_paid(&store, &["1", "9"], 7..=8).await;
    let mut runner = runner(&store, &sink, "one").definition(Doubled::model());
    caught_up(&mut runner).await;
    serves_the_fold(&store, &sink, Doubled::model()).await;
    // one that cannot be divided, and that never ran
    let crossing = Rebuild::definition(with_models(&store, &sink), Crossing::model()).slices(4);
    rebuilt(crossing.batches(BatchLimit::events(3))).await;
    serves_the_fold(&store, &sink, Crossing::model()).await;
}

pub(super) async fn a_rebuild_goes_on_after_any_cut(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let live = lives(&store, Doubled::model()).await;
    let mut at = 0;
    loop {
        let mut ended = 0;
        for side in [Side::Before, Side::After] {
            let cut_off = cut(&sink, at, side);
            let first = soon("a rebuild that is cut off ends", rebuild_of(&store, &cut_off).run());
            ended += u32::from(first.await.is_ok());
            rebuilt(rebuild_of(&store, &sink)).await;
            let seen = stored(&sink, "seen", Slot::Active).await;
            assert_eq!(seen, live, "cut {side:?} call {at}");
        }
        if ended == 2 {
            assert!(at > 10, "a rebuild makes more than {at} calls");
            return;
        }
        at += 1;
    }
}

pub(super) async fn a_rebuild_ends_under_writers(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let old = runner(&store, &sink, "old").definition(Seen::model());
    let handle = old.handle();
    let is_over = Arc::new(AtomicBool::new(false));
    let runner: BoxFuture<'static, ()> = Box::pin(async move {
        // the switch ends it: the model is another code's
        let ended = old.run().await;
        assert!(ended.is_err(), "the old code must not go on with the new model");
    });
    let writer: BoxFuture<'static, ()> = {
        let (store, is_over) = (store.clone(), is_over.clone());
        Box::pin(async move {
            let mut number = 100;
            // with batches so small, writers may be faster than any rebuild: they end at some time
            let last = number + rounds(300, 3_000);
            while !is_over.load(Ordering::SeqCst) && number < last {
                let account = stream(&(number % 5).to_string());
                append(&store, &account, ANY, vec![event(number)]).await;
                number += 1;
                tokio::task::yield_now().await;
            }
        })
    };
    let rebuild: BoxFuture<'static, ()> = {
        let (store, sink) = (store.clone(), sink.clone());
        Box::pin(async move {
            rebuilt(rebuild_of(&store, &sink)).await;
            is_over.store(true, Ordering::SeqCst);
            // something more, so that the old runner looks
            append(&store, &stream("1"), ANY, vec![event(99)]).await;
        })
    };
    together("a rebuild ends while others write", [runner, writer, rebuild]).await;
    handle.stop();
    let mut new = super::models::runner(&store, &sink, "new").definition(Doubled::model());
    caught_up(&mut new).await;
    serves_the_fold(&store, &sink, Doubled::model()).await;
}

/// A sink whose active model is moved on just before the first two switches.
struct Overtaken {
    inner: Sink,
    store: Store,
    active: tokio::sync::Mutex<(u32, Runner)>,
}

#[async_trait::async_trait]
impl SinkLayer for Overtaken {
    fn inner(&self) -> &Sink {
        &self.inner
    }

    async fn switch(&self, lease: &Lease) -> Result<(), SinkError> {
        let mut active = self.active.lock().await;
        let (times, runner) = &mut *active;
        if *times < 2 {
            *times += 1;
            accounts_paid(&self.store, &["1", "9"], 70..=71).await;
            caught_up(runner).await;
        }
        self.inner.switch(lease).await
    }
}

pub(super) async fn a_switch_catches_up_with_who_moved_on(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let active = runner(&store, &sink, "one").definition(Seen::model());
    let overtaken: Sink = Arc::new(LayeredSink(Overtaken {
        inner: sink.clone(),
        store: store.clone(),
        active: tokio::sync::Mutex::new((0, active)),
    }));
    rebuilt(rebuild_of(&store, &overtaken)).await;
    serves_the_fold(&store, &sink, Doubled::model()).await;
}

pub(super) async fn the_old_model_is_served_until_the_switch(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let before = stored(&sink, "seen", Slot::Active).await;
    let mut rebuild = rebuild_of(&store, &sink);
    let filled = soon("a shadow is filled", rebuild.fill()).await;
    assert!(filled.is_ok(), "nothing keeps it from its end: {filled:?}");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, before, "the old model is served");
    let changes: Vec<_> = match rebuild.differences().try_collect().await {
        Ok(changes) => changes,
        Err(error) => panic!("listing the differences failed: {error}"),
    };
    let row = |numbers: &[u64]| Some(Payload::of(&numbers_of(numbers)).expect("it is JSON"));
    let (old, new) = (row(&[1, 2, 3, 4, 5, 6]), row(&[2, 4, 6, 8, 10, 12]));
    let expected = (1..=7).map(|account| RowDifference {
        key: format!("account/{account}"),
        old: old.clone(),
        new: new.clone(),
    });
    assert_eq!(changes, expected.collect::<Vec<_>>());
    accounts_paid(&store, &["1", "8"], 7..=7).await;
    let switched = soon("a rebuild switches", rebuild.switch()).await;
    assert!(switched.is_ok(), "nothing keeps it from switching: {switched:?}");
    assert_eq!(
        stored(&sink, "seen", Slot::Active).await,
        lives(&store, Doubled::model()).await,
        "what was appended since is in it"
    );
    let gone = rebuild.differences().try_collect::<Vec<_>>().await;
    assert!(matches!(gone, Err(SinkError::NoModel { .. })), "nothing to compare, but: {gone:?}");
}

pub(super) async fn a_second_rebuild_is_refused(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let mut first = rebuild_of(&store, &sink);
    let filled = soon("a shadow is filled", first.fill()).await;
    assert!(filled.is_ok(), "nothing keeps it from its end: {filled:?}");
    let second = rebuild_of(&store, &sink).holder("another").run().await;
    match second {
        Err(RebuildError::Sink(error @ SinkError::RebuildRunning { .. })) => {
            let text = error.to_string();
            assert!(text.contains("seen") && text.contains("`rebuild`"), "by name: {text}");
        }
        other => panic!("a second rebuild must be refused, but: {other:?}"),
    }
    let switched = soon("a rebuild switches", first.switch()).await;
    assert!(switched.is_ok(), "the refused one changed nothing: {switched:?}");
}

pub(super) async fn poison_is_parked_in_the_shadow(fixture: &dyn ProjectionFixture) {
    let (store, sink) = (fixture.store(), fixture.sink());
    accounts_paid(&store, &["1", "2"], 1..=2).await;
    append(&store, &stream("1"), ANY, vec![typed_event(POISON, 3)]).await;
    accounts_paid(&store, &["1", "2"], 4..=5).await;
    let bad = Poison::refused(u32::MAX);
    let rebuild = |policy| {
        let model = Seen::failing(bad.clone()).on_failure(policy);
        Rebuild::definition(with_models(&store, &sink), model).slices(2).holder("rebuild")
    };
    match soon("a rebuild stops", rebuild(FailurePolicy::stop()).run()).await {
        Err(RebuildError::Stopped { projection, cause }) => {
            assert_eq!((projection.as_str(), cause.kind()), ("seen", TroubleKind::Poison));
            let reason = cause.to_string();
            assert!(reason.contains("number 3 is poison"), "it says why: {reason}");
        }
        other => panic!("an event cannot be taken, but: {other:?}"),
    }
    rebuilt(rebuild(FailurePolicy::park_key())).await;
    let seen = stored(&sink, "seen", Slot::Active).await;
    assert_eq!(seen["account/1"], numbers_of(&[1, 2]));
    assert_eq!(seen["account/2"], numbers_of(&[1, 2, 4, 5]));
    bad.heal();
    let retry = sink.request_retry("seen", Slot::Active, "account/1").await;
    assert!(retry.is_ok(), "what was parked in the shadow is parked: {retry:?}");
    let mut runner = runner(&store, &sink, "one").definition(Seen::failing(bad));
    caught_up(&mut runner).await;
    serves_the_fold(&store, &sink, Seen::model()).await;
}

/// A store into which an empty backup was restored.
struct Emptied(Store);

#[async_trait::async_trait]
impl StoreLayer for Emptied {
    fn inner(&self) -> &Store {
        &self.0
    }

    async fn read_stream(&self, _: &ReadStream) -> Result<StreamPage, StoreError> {
        Ok(StreamPage::new(Vec::new(), StreamVersion::EMPTY, false))
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        match read.after {
            Position::START => Ok(LogPage::new(Vec::new(), Position::START, None, true)),
            cursor => Err(StoreError::beyond_the_end(cursor, Position::START)),
        }
    }

    async fn end_of_log(&self) -> Result<Position, StoreError> {
        Ok(Position::START)
    }
}

pub(super) async fn a_log_that_was_emptied_is_rebuilt(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    // somebody wanted to look at it before the switch
    let mut left = rebuild_of(&store, &sink);
    let filled = soon("a shadow is filled", left.fill()).await;
    assert!(filled.is_ok(), "nothing keeps it from its end: {filled:?}");
    left.release().await;
    let emptied: Store = Arc::new(Layered(Emptied(store.clone())));
    let mut diverged = runner(&emptied, &sink, "one").definition(Seen::model());
    let error = diverged.catch_up().await.expect_err("the model is of another history");
    assert_eq!(error.stopped[0].cause.kind(), TroubleKind::Diverged, "{error}");
    // the cure that it names, by the same code and by other code
    rebuilt(rebuild_of(&emptied, &sink)).await;
    assert!(stored(&sink, "seen", Slot::Active).await.is_empty(), "there are no events");
    caught_up(&mut runner(&emptied, &sink, "one").definition(Doubled::model())).await;
    caught_up(&mut runner(&store, &sink, "one").definition(Doubled::model())).await;
    serves_the_fold(&store, &sink, Doubled::model()).await;
}

pub(super) async fn a_switch_outlasts_failures_that_pass(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let faults = Faults::new();
    let rebuild = || rebuild_of(&store, &behind(&faults, &store, &sink)).backoff(no_delay(0));
    let before = stored(&sink, "seen", Slot::Active).await;
    faults.fail(Call::Switch, 1, StoreErrorKind::Corrupt);
    let failed = soon("a switch that fails ends", rebuild().run()).await;
    assert!(failed.is_err(), "it does not pass by itself");
    assert_eq!(stored(&sink, "seen", Slot::Active).await, before, "the old model is served");
    faults.fail(Call::Switch, 1, StoreErrorKind::Unavailable);
    faults.fail(Call::Switch, 2, StoreErrorKind::Busy);
    // at once, under another name
    rebuilt(rebuild().holder("another")).await;
    serves_the_fold(&store, &sink, Doubled::model()).await;
}

pub(super) async fn its_progress_is_told(fixture: &dyn ProjectionFixture) {
    let (store, sink) = projected(fixture).await;
    let environment = Environment::default().with_clock(fixture.clock());
    let mut rebuild = rebuild_of(&store, &sink).environment(environment);
    let watch = rebuild.watch();
    assert_eq!(watch.progress().events, 0);
    let filled = soon("a shadow is filled", rebuild.fill()).await;
    assert!(filled.is_ok(), "nothing keeps it from its end: {filled:?}");
    fixture.clock().step(Duration::from_secs(6));
    let progress = watch.progress();
    assert_eq!((progress.events, progress.estimated_total), (42, 42), "what was taken");
    assert_eq!((progress.rate, progress.remaining), (7.0, Some(Duration::ZERO)));
}
