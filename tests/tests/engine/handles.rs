//! One handle to a store, whatever it is made of and whatever the store can do.

use std::sync::Arc;

use es_core::backend::{Capabilities, EventStore, EventStoreExt, ReadStream, SinkError};
use es_core::layer::{Layered, StoreLayer};
use es_core::projection::{ReadModel, Rebuild, RebuildError, StopCause, Subscription};
use es_core::{Repository, Runner, Store};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;

use super::account::*;

/// A store that has events only.
struct Bare(Arc<dyn EventStore>);

impl StoreLayer for Bare {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.0
    }

    fn capabilities(&self, inner: Capabilities) -> Capabilities {
        Capabilities::of(inner.identity, inner.system)
    }
}

#[tokio::test]
async fn a_handle_is_made_of_whatever_is_a_store_and_is_that_store() {
    let memory = MemoryStore::new();
    slip_in(&Arc::new(memory.clone()), "a", 7);
    let shared: Arc<dyn EventStore> = Arc::new(memory.clone());
    let store = Store::from(memory.clone());
    let handles = [
        Store::from(&store),
        store.clone(),
        Arc::new(memory.clone()).into(),
        shared.clone().into(),
        Layered(Bare(shared.clone())).into(),
        store.clone().with_models(Arc::new(MemoryStore::new())),
        store.clone().with_snapshots(Arc::new(MemoryStore::new())),
    ];
    for handle in &handles {
        assert!(handle.is(&store) && store.is(handle), "{handle:?}");
        assert_eq!(handle.capabilities().system, "es.memory");
        let read = ReadStream::new(stream("a"));
        let events: Vec<_> = handle.events(read).try_collect().await.unwrap();
        assert_eq!(events.len(), 1);
        let accounts = Repository::<Account>::new(handle);
        assert_eq!(accounts.load("a").await.unwrap().state.balance, 7);
        assert!(accounts.store().is(&store));
    }
    assert!(!Store::from(MemoryStore::new()).is(&store), "another one");
}

#[tokio::test]
async fn what_a_store_cannot_do_is_told_for_each_projection() {
    let memory = store();
    slip_in(&memory, "a", 1);
    let bare = Store::from(Layered(Bare(memory.clone())));
    let is_told = |error: &SinkError, name: &str| match error {
        SinkError::Unusable { projection, reason } => {
            assert_eq!((projection.as_str(), reason.as_str()), (name, "the store keeps no models"));
        }
        other => panic!("the store keeps no models, but: {other:?}"),
    };
    let runner = || Runner::new(&bare).projection::<Counted<false>>().projection::<Counted<true>>();
    let (caught_up, run) = (runner().catch_up().await, runner().run().await);
    for ended in [caught_up, run] {
        let stopped = ended.unwrap_err().stopped;
        assert_eq!(stopped.len(), 2);
        for (stopped, name) in stopped.iter().zip(["first", "second"]) {
            assert_eq!(stopped.projection, name);
            let StopCause::Sink(error) = &stopped.cause else { panic!("{stopped:?}") };
            is_told(error, name);
        }
    }
    match Rebuild::projection::<Counted<false>>(&bare).run().await {
        Err(RebuildError::Sink(error)) => is_told(&error, "first"),
        other => panic!("the store keeps no models, but: {other:?}"),
    }
    let asked = Subscription::projection::<Counted<true>>(&bare).health().await;
    is_told(&asked.unwrap_err(), "second");
    let read = ReadModel::<Counted<true>>::new(&bare).get("a").await;
    is_told(&read.unwrap_err(), "second");
    // with models from elsewhere it can
    let store = bare.with_models(memory);
    Runner::new(&store).projection::<Counted<false>>().catch_up().await.unwrap();
    let read = ReadModel::<Counted<false>>::new(&store).get("a").await;
    assert_eq!(read.unwrap(), Some(Counted(1)));
}

#[tokio::test]
async fn commands_go_on_where_no_states_are_kept() {
    let memory = store();
    let bare = Store::from(Layered(Bare(memory.clone())));
    let accounts = Repository::<Account>::new(bare).snapshot_every(1);
    for balance in 1..=3 {
        let executed = accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
        assert_eq!(executed.state.balance, balance);
    }
    assert!(accounts.flush_snapshots().await);
    let kept = es_core::backend::SnapshotStore::list_snapshots(&*memory, None, 10).await.unwrap();
    assert_eq!(kept, [], "nothing was given to be kept");
}

#[tokio::test]
async fn a_layer_keeps_models_and_snapshots_where_the_handle_under_it_does() {
    let (memory, elsewhere) = (store(), store());
    slip_in(&memory, "a", 1);
    let handle = Store::from(memory.clone()).with_models(elsewhere.clone());
    let handle = handle.with_snapshots(elsewhere.clone());
    let layered = Store::from(Layered(Around(handle.event_store().clone())));
    assert!(layered.is(&handle) && layered.is(&Store::from(memory.clone())));
    Runner::new(&layered).projection::<Counted<false>>().catch_up().await.unwrap();
    let read = ReadModel::<Counted<false>>::new(elsewhere.clone()).get("a").await;
    assert_eq!(read.unwrap(), Some(Counted(1)));
    let read = ReadModel::<Counted<false>>::new(memory.clone()).get("a").await;
    assert!(matches!(read, Err(SinkError::NoModel { .. })), "{read:?}");
    let accounts = Repository::<Account>::new(&layered).snapshot_every(1);
    accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
    assert!(accounts.flush_snapshots().await);
    for (kept, count) in [(&elsewhere, 1), (&memory, 0)] {
        let kept =
            es_core::backend::SnapshotStore::list_snapshots(&**kept, None, 10).await.unwrap();
        assert_eq!(kept.len(), count);
    }
}
