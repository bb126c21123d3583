//! Loads, page by page: the next one is read while one is folded, and errors keep their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::backend::{PageLimit, StoreErrorKind};
use es_core::execution::LoadError;
use es_core::{Aggregate, Repository};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults, Gate};
use futures_util::FutureExt;

use super::account::*;

static FOLDED: AtomicU64 = AtomicU64::new(0);

/// An account that tells of each event that is folded.
#[derive(Clone, Default)]
struct Watched(u64);

impl Aggregate for Watched {
    const TYPE: &'static str = Account::TYPE;
    type Id = String;
    type Event = AccountEvent;

    fn evolve(&mut self, _: &AccountEvent) {
        self.0 += 1;
        FOLDED.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_page_is_folded_while_the_next_one_is_read() {
    let (store, faults, gate) = (store(), Faults::new(), Gate::new());
    (0..5).for_each(|_| slip_in(&store, "a", 1));
    let accounts = Repository::<Watched>::new(faults.over(store));
    let accounts = accounts.with_page_limit(PageLimit::events(2));
    faults.delay(Call::ReadStream, 2, gate.clone());
    let mut load = Box::pin(accounts.load("a"));
    assert!((&mut load).now_or_never().is_none(), "the second page is not there");
    assert_eq!((faults.calls(Call::ReadStream), FOLDED.load(Ordering::Relaxed)), (2, 2));
    gate.open();
    let loaded = load.await.unwrap();
    assert_eq!((loaded.state.0, loaded.version.as_u64()), (5, 5));
    assert_eq!((faults.calls(Call::ReadStream), FOLDED.load(Ordering::Relaxed)), (3, 5));
}

#[tokio::test]
async fn what_is_wrong_with_a_page_is_told_before_what_is_wrong_behind_it() {
    let load = async |store: &Arc<MemoryStore>, failing: u64| {
        let faults = Faults::new();
        let accounts = Repository::<Account>::new(faults.over(store.clone()));
        let accounts = accounts.with_page_limit(PageLimit::events(1));
        faults.fail(Call::ReadStream, failing, StoreErrorKind::Unavailable);
        accounts.load("a").await.unwrap_err()
    };
    let well = store();
    (0..3).for_each(|_| slip_in(&well, "a", 1));
    assert!(matches!(load(&well, 2).await, LoadError::Store(_)));
    assert!(matches!(load(&well, 3).await, LoadError::Store(_)));
    let odd = store();
    append(&odd, "account/a", &["account_renamed"]).await;
    slip_in(&odd, "a", 1);
    let error = load(&odd, 2).await;
    assert!(
        matches!(&error, LoadError::Decode { version, .. } if version.as_u64() == 1),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_page_waits_for_no_other() {
    let (store, faults) = (store(), Faults::new());
    append(&store, "account/a", &["account_renamed"]).await;
    slip_in(&store, "a", 1);
    let accounts = Repository::<Account>::new(faults.over(store));
    let accounts = accounts.with_page_limit(PageLimit::events(1));
    // it never opens
    faults.delay(Call::ReadStream, 2, Gate::new());
    let load = accounts.load("a").now_or_never().expect("the second page is not waited for");
    assert!(matches!(load, Err(LoadError::Decode { .. })), "{load:?}");
    assert_eq!(faults.calls(Call::ReadStream), 2);
}

#[tokio::test]
async fn a_long_page_is_folded_with_turns_for_others_and_whole() {
    let store = store();
    (0..1_000).for_each(|_| slip_in(&store, "a", 1));
    let accounts = accounts(&store);
    let mut load = Box::pin(accounts.load("a"));
    assert!((&mut load).now_or_never().is_none(), "others have a turn");
    assert_eq!(load.await.unwrap().state.balance, 1_000);
}
