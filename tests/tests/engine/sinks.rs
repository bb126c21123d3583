//! What runs projections over a sink that fails, or that does not answer. Time is tokio's, which
//! passes at once where everybody waits.

use std::sync::Arc;
use std::time::Duration;

use es_core::backend::{
    Definition, ListParked, ProjectionSink, RawKeying, SinkError, Slot, StoreErrorKind,
};
use es_core::event::EventFilter;
use es_core::execution::Retry;
use es_core::projection::{FailurePolicy, Keying, ReadModel, Rebuild, RebuildError, TroubleKind};
use es_core::{BoxError, Envelope, Event, Projection, Runner};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::{Call, Faults, Gate};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::account::append;

#[derive(Event)]
enum Happening {
    Happened,
}

/// Counts the events of each stream.
#[derive(Serialize, Deserialize)]
struct Counted(u64);

impl Projection for Counted {
    const NAME: &'static str = "counted";
    type Event = Happening;
    type Key = String;

    fn keying() -> Keying<Self> {
        Keying::<Self>::across_streams(|event| event.stream.to_string())
    }

    fn evolve(
        _: &String,
        row: &mut Option<Self>,
        _: &Envelope<'_, Happening>,
    ) -> Result<(), BoxError> {
        row.get_or_insert(Self(0)).0 += 1;
        Ok(())
    }
}

/// Something happened on account 1, so often.
async fn happened(store: &MemoryStore, times: usize) {
    append(store, "account/1", &vec!["happened"; times]).await;
}

/// A store with three events, whose leases last as long as nobody steps its clock.
async fn stored() -> (Arc<MemoryStore>, Faults) {
    let store = Arc::new(MemoryStore::with_clock(Arc::new(ManualClock::new())));
    happened(&store, 3).await;
    (store, Faults::new())
}

const LEASE: Duration = Duration::from_secs(10);

/// Lets every call of this kind wait from now on, until the gate is open.
fn hang(faults: &Faults, call: Call) -> Gate {
    let gate = Gate::new();
    // more than any of these tests makes
    (1..=1_000).for_each(|nth| faults.delay(call, nth, gate.clone()));
    gate
}

fn runner(store: &Arc<MemoryStore>, faults: &Faults) -> Runner {
    Runner::new(faults.over(store.clone())).holder("one").lease(LEASE).projection::<Counted>()
}

async fn counted(store: &MemoryStore) -> Option<u64> {
    let row = ReadModel::<Counted>::new(store.clone()).get("account/1").await;
    row.ok().flatten().map(|row| row.0)
}

const CALLS: [Call; 4] = [Call::Acquire, Call::Renew, Call::Commit, Call::Status];

#[tokio::test(start_paused = true)]
async fn catching_up_with_a_sink_that_hangs_ends_with_an_error() {
    for call in CALLS {
        let (store, faults) = stored().await;
        let gate = hang(&faults, call);
        let mut runner = runner(&store, &faults);
        let began = Instant::now();
        let error = runner.catch_up().await.unwrap_err();
        assert_eq!(error.stopped[0].cause.kind(), TroubleKind::Store, "{call:?}: {error}");
        assert!(error.to_string().contains("have not answered"), "{call:?}: {error}");
        assert!(began.elapsed() <= LEASE * 6, "{call:?}: {:?}", began.elapsed());
        gate.open();
        runner.catch_up().await.unwrap();
        assert_eq!(counted(&store).await, Some(3), "{call:?}: each event once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_delays_a_stop_by_two_seconds_at_most() {
    for call in CALLS.into_iter().chain([Call::Release]) {
        for is_run in [true, false] {
            let (store, faults) = stored().await;
            hang(&faults, call);
            let mut runner = runner(&store, &faults);
            let handle = runner.handle();
            let stop = async {
                while faults.calls(call) == 0 && call != Call::Release {
                    tokio::task::yield_now().await;
                }
                handle.stop();
                Instant::now()
            };
            let work = async { if is_run { runner.run().await } else { runner.catch_up().await } };
            let (ended, stopped) = tokio::join!(work, stop);
            assert!(ended.is_ok(), "{call:?}: stopping is no failure: {ended:?}");
            ends_within_grace(stopped, &format!("{call:?}, {is_run}"));
        }
    }
}

/// Two seconds, and what tokio's clock rounds up.
fn ends_within_grace(stopped: Instant, what: &str) {
    let took = stopped.elapsed();
    assert!(took <= Duration::from_millis(2_002), "{what}: {took:?}");
}

fn rebuild(store: &Arc<MemoryStore>, faults: &Faults) -> Rebuild {
    let backoff =
        Retry { retries: 0, base: Duration::from_millis(10), longest: Duration::from_secs(1) };
    Rebuild::projection::<Counted>(faults.over(store.clone()))
        .holder("one")
        .lease(LEASE)
        .backoff(backoff)
}

#[tokio::test(start_paused = true)]
async fn a_release_that_hangs_delays_the_end_of_a_rebuild_by_two_seconds_at_most() {
    let (store, faults) = stored().await;
    hang(&faults, Call::Release);
    let mut filled = rebuild(&store, &faults);
    filled.fill().await.unwrap();
    let stopped = Instant::now();
    filled.release().await;
    assert_eq!(faults.calls(Call::Release), 1, "it was asked to");
    ends_within_grace(stopped, "a release");

    let (store, faults) = stored().await;
    hang(&faults, Call::Release);
    faults.fail_each(Call::Commit, Some(StoreErrorKind::Corrupt));
    let stopped = Instant::now();
    rebuild(&store, &faults).run().await.unwrap_err();
    assert_eq!(faults.calls(Call::Release), 1, "it was asked to");
    ends_within_grace(stopped, "a rebuild that gave up");
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_outlasts_renewals_that_fail_and_pass() {
    let (store, faults) = stored().await;
    // the commit takes as long as renewals are failing
    let gate = hang(&faults, Call::Commit);
    for nth in 1..=3 {
        faults.fail(Call::Renew, nth, StoreErrorKind::Unavailable);
    }
    let mut rebuild = rebuild(&store, &faults);
    let filling = async {
        let filled = tokio::time::timeout(LEASE * 20, rebuild.fill()).await;
        assert!(
            filled.is_err(),
            "renewals keep the lease, however long a commit takes: {filled:?}"
        );
    };
    filling.await;
    assert!(faults.calls(Call::Renew) > 20, "{}", faults.calls(Call::Renew));
    gate.open();
    rebuild.switch().await.unwrap();
    assert_eq!(counted(&store).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_whose_lease_cannot_be_kept_ends_and_gives_it_back() {
    for kind in [StoreErrorKind::Corrupt, StoreErrorKind::Unavailable] {
        let (store, faults) = stored().await;
        hang(&faults, Call::Commit);
        faults.fail_each(Call::Renew, Some(kind));
        let began = Instant::now();
        let error = rebuild(&store, &faults).run().await.unwrap_err();
        match error {
            RebuildError::Sink(SinkError::Store(error)) => assert_eq!(error.kind(), kind),
            other => panic!("the renewals failed, but: {other}"),
        }
        assert!(began.elapsed() <= LEASE * 4, "{kind:?}: {:?}", began.elapsed());
        // at once, under another name
        let another = Rebuild::projection::<Counted>(store.clone()).holder("another");
        another.run().await.unwrap();
        assert_eq!(counted(&store).await, Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_joins_a_parked_key_costs_no_renewal() {
    let (store, faults) = stored().await;
    let selection = EventFilter::all();
    let definition = Definition::rows("sums", 1, selection, RawKeying::Streams, |_, row, _| {
        let _: Option<u64> = row;
        Err("it is poison".into())
    });
    let definition = definition.on_failure(FailurePolicy::park_key());
    let runner = Runner::new(faults.over(store.clone())).holder("one").definition(definition);
    let mut run = std::pin::pin!(runner.run());
    let moment = LEASE / 100;
    assert!(tokio::time::timeout(moment, run.as_mut()).await.is_err());
    let before = faults.calls(Call::Renew);
    for _ in 0..20 {
        happened(&store, 1).await;
        assert!(tokio::time::timeout(moment, run.as_mut()).await.is_err());
    }
    // a fifth of the time of the lease has passed
    let renewals = faults.calls(Call::Renew) - before;
    assert!(renewals <= 1, "{renewals} renewals");
    let parked = store.parked("sums", Slot::Active, &ListParked::default()).await.unwrap();
    assert_eq!(parked.len(), 23);
    // who is left without anything before it is tried at once
    store.discard("sums", Slot::Active, &parked[0].id(), "by hand").await.unwrap();
    happened(&store, 1).await;
    assert!(tokio::time::timeout(moment, run.as_mut()).await.is_err());
    let parked = store.parked("sums", Slot::Active, &ListParked::waiting("account/1")).await;
    assert_eq!(parked.unwrap()[0].attempts, 1);
}
