//! A store that takes its time.

use std::time::Instant;

use es_core::backend::{Batch, Claim, Lease, LogPage, ReadLog, Renewal, Renewed};
use es_core::layer::{LayeredSink, SinkLayer};

use super::*;

/// A store each call of which takes long, and when it was told of the lease.
#[derive(Clone)]
struct Slow {
    store: Arc<MemoryStore>,
    events: Arc<dyn EventStore>,
    sink: Arc<dyn ProjectionSink>,
    leased: Arc<Mutex<Vec<Instant>>>,
}

/// A quarter of the time of a lease.
async fn pause() {
    SystemRuntime.sleep_until(SystemRuntime.now() + LEASE / 4).await;
}

impl Slow {
    fn lease(&self) {
        self.leased.lock().unwrap().push(SystemRuntime.now());
    }
}

#[async_trait]
impl StoreLayer for Slow {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.events
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        pause().await;
        self.events.read_stream(read).await
    }

    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        pause().await;
        self.events.read_log(read).await
    }
}

#[async_trait]
impl SinkLayer for Slow {
    fn inner(&self) -> &Arc<dyn ProjectionSink> {
        &self.sink
    }

    async fn acquire(&self, claim: &Claim) -> Result<Lease, SinkError> {
        pause().await;
        self.lease();
        self.sink.acquire(claim).await
    }

    async fn renew(&self, lease: &Lease, renewal: &Renewal) -> Result<Renewed, SinkError> {
        pause().await;
        self.lease();
        self.sink.renew(lease, renewal).await
    }

    async fn commit(&self, lease: &Lease, batch: &Batch) -> Result<(), SinkError> {
        pause().await;
        self.sink.commit(lease, batch).await
    }

    async fn parked(
        &self,
        projection: &str,
        slot: Slot,
        list: &ListParked,
    ) -> Result<Vec<Parked>, SinkError> {
        pause().await;
        self.sink.parked(projection, slot, list).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_is_told_of_the_lease_in_time() {
    let (store, doing) = (stored(), failing_for("p"));
    let slow = Slow { events: store.clone(), sink: store.clone(), leased: Arc::default(), store };
    let over = Store::from(Layered(slow.clone())).with_models(Arc::new(LayeredSink(slow.clone())));
    let mut run = pin!(runner(over, &doing).run());
    // until there is a model to ask for
    assert!(timeout(LEASE, run.as_mut()).await.is_err());
    for _ in 0..60 {
        for account in ["a", "b", "p"] {
            slip_in(&slow.store, account, 1);
        }
        // somebody asks for another attempt, and somebody discards what comes next
        for entry in parked(&slow.store).await.into_iter().filter(Parked::is_waiting).take(2) {
            let (name, key) = (Doing::NAME, &entry.key);
            let _ = slow.store.request_retry(name, Slot::Active, key).await;
            slow.store.discard(name, Slot::Active, &entry.id(), "by hand").await.unwrap();
        }
        assert!(timeout(LEASE / 3, run.as_mut()).await.is_err());
    }
    let leased = slow.leased.lock().unwrap();
    assert!(leased.len() > 20, "{}", leased.len());
    for pair in leased.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap < LEASE, "nobody else takes it over: {gap:?}");
    }
    for account in ["a", "b"] {
        let calls: Vec<_> = doing.calls(account).into_iter().map(|(version, _)| version).collect();
        assert!(calls.len() > 30, "{account}: {}", calls.len());
        assert!(calls.is_sorted_by(|one, next| one < next), "{account}: each is made once");
    }
}
