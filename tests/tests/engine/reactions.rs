//! Reactions over a store that fails, is late, or has lost something. Time is tokio's, which passes at
//! once where everybody waits.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{
    FailurePolicy, ListParked, Parked, ProjectionSink, Runner, Slot, TroubleKind,
};
use es_core::{
    BoxError, Delivery, EventStore, Reaction, ReactionPolicy, ReadStream, Start, Store, StoreError,
    StreamPage,
};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use futures_util::future::BoxFuture;

use super::account::*;

/// What is done in a call.
type Act =
    dyn Fn(&Delivery<AccountEvent>) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync;

/// Does this, and notes the calls that begin: of which account, and which attempt at which version.
#[derive(Clone)]
struct Doing {
    policy: ReactionPolicy,
    act: Arc<Act>,
    begun: Arc<Mutex<Vec<(String, u64, u32)>>>,
}

impl Doing {
    fn new(
        policy: ReactionPolicy,
        act: impl Fn(&Delivery<AccountEvent>) -> BoxFuture<'static, Result<(), BoxError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { policy, act: Arc::new(act), begun: Arc::default() }
    }

    /// The versions and attempts of the calls for an account.
    fn calls(&self, account: &str) -> Vec<(u64, u32)> {
        let begun = self.begun.lock().unwrap();
        let of_account = begun.iter().filter(|(of, _, _)| of == account);
        of_account.map(|(_, version, attempt)| (*version, *attempt)).collect()
    }
}

impl Reaction for Doing {
    const NAME: &'static str = "doing";
    const START: Start = Start::Beginning;
    type Event = AccountEvent;

    async fn react(&self, event: &Delivery<AccountEvent>) -> Result<(), BoxError> {
        let account = event.stream.aggregate_id().to_owned();
        self.begun.lock().unwrap().push((account, event.version.as_u64(), event.attempt()));
        (self.act)(event).await
    }

    fn policy(&self) -> ReactionPolicy {
        self.policy
    }
}

fn parking() -> ReactionPolicy {
    ReactionPolicy::default().on_failure(FailurePolicy::park_key())
}

/// Fails for what is paid to this account.
fn failing_for(account: &'static str) -> Doing {
    Doing::new(parking(), move |event| {
        let fails = event.stream.aggregate_id() == account;
        Box::pin(async move { if fails { Err("it is away".into()) } else { Ok(()) } })
    })
}

/// A store whose leases last as long as nobody steps its clock.
fn stored() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::with_clock(Arc::new(ManualClock::new())))
}

fn runner(store: impl Into<Store>, doing: &Doing) -> Runner {
    Runner::new(store).holder("one").reaction(doing.clone())
}

async fn parked(store: &MemoryStore) -> Vec<Parked> {
    store.parked(Doing::NAME, Slot::Active, &ListParked::default()).await.unwrap()
}

/// A store that has lost a stream.
struct Without(Arc<dyn EventStore>, &'static str);

#[async_trait]
impl StoreLayer for Without {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.0.read_stream(read).await?;
        if read.stream == stream(self.1) {
            page.events.clear();
        }
        Ok(page)
    }
}

#[tokio::test]
async fn a_parked_event_that_is_lost_stops_its_stream_only() {
    let (store, doing) = (stored(), failing_for("p"));
    slip_in(&store, "p", 1);
    slip_in(&store, "a", 1);
    runner(store.clone(), &doing).catch_up().await.unwrap();
    store.request_retry(Doing::NAME, Slot::Active, "account/p").await.unwrap();
    slip_in(&store, "a", 1);
    let lost = Store::from(Layered(Without(store.clone(), "p")));
    runner(lost, &doing).catch_up().await.unwrap();
    assert_eq!((doing.calls("p"), doing.calls("a")), (vec![(1, 1)], vec![(1, 1), (2, 1)]));
    let entry = parked(&store).await.remove(0);
    assert!(entry.is_waiting() && entry.reason.contains("the log does not hold"), "{entry:?}");
    assert_eq!(entry.attempts, 2);
    store.discard(Doing::NAME, Slot::Active, &entry.id(), "lost").await.unwrap();
}

#[tokio::test]
async fn a_reaction_to_another_history_is_told_what_it_can_do() {
    let (before, restored, doing) = (stored(), stored(), failing_for("nobody"));
    slip_in(&before, "a", 1);
    slip_in(&restored, "b", 1);
    runner(before.clone(), &doing).catch_up().await.unwrap();
    let restored = Store::from(restored).with_models(before);
    let stopped = runner(restored, &doing).catch_up().await.unwrap_err().stopped;
    assert_eq!(stopped[0].cause.kind(), TroubleKind::Diverged);
    let text = stopped[0].cause.to_string();
    assert!(text.contains("give the reaction another name"), "{text}");
    assert_eq!(doing.calls("b"), [], "it is not called");
}
