//! States in memory change no answer, and save reading.

use std::future::IntoFuture;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use es_core::backend::{AppendRequest, EventStore, NewEvent, PageLimit, ReadStream};
use es_core::{CommandError, ExpectedVersion, Repository, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use futures_util::FutureExt;
use proptest::prelude::*;

use super::account::*;
use super::histories::Swapped;

/// Accounts of a store that counts its reads, each of one event.
fn counted(store: &Arc<MemoryStore>) -> (Faults, Repository<Account>) {
    let counted = Faults::new();
    let accounts =
        Repository::new(counted.over(store.clone())).with_page_limit(PageLimit::events(1));
    (counted, accounts)
}

#[tokio::test]
async fn only_what_is_new_is_read_whoever_wrote_it() {
    let store = store();
    let (counted, accounts) = counted(&store);
    let accounts = accounts.with_cache(10);
    let reads = async |what: &str, expected: u64, balance: u64| {
        let before = counted.calls(Call::ReadStream);
        let loaded = accounts.load("a").await.unwrap();
        assert_eq!(loaded.state.balance, balance, "{what}");
        assert_eq!(counted.calls(Call::ReadStream) - before, expected, "{what}");
    };
    (0..5).for_each(|_| slip_in(&store, "a", 1));
    reads("the first time, all of it", 5, 5).await;
    reads("the last known event, which tells that it is this history", 1, 5).await;
    slip_in(&store, "a", 10);
    reads("and what another process wrote", 2, 15).await;
    // what is decided here is known here, and each clone knows it
    let before = counted.calls(Call::ReadStream);
    let decided = accounts.clone().by_id("a").decide(|account| account.deposit(100)).await;
    assert_eq!(decided.unwrap().state.balance, 115);
    assert_eq!(counted.calls(Call::ReadStream) - before, 1);
    reads("after a decision", 1, 115).await;
    let both = (accounts.by_id("a"), accounts.by_id("b"));
    let moved = transact(both, |(a, b)| {
        a.record(a.withdraw(15)?);
        b.record(b.deposit(15)?);
        Ok::<_, TooLittle>(())
    });
    moved.await.unwrap();
    reads("after a decision over two", 1, 100).await;
    // and what is refused has been read, too
    slip_in(&store, "a", 1);
    slip_in(&store, "a", 1);
    let refused = async |reads: u64| {
        let before = counted.calls(Call::ReadStream);
        let both = (accounts.by_id("a"), accounts.by_id("c"));
        let refused = transact(both, |(a, _)| a.withdraw(1_000).map(drop)).await;
        assert!(matches!(refused, Err(CommandError::Rejected(TooLittle { balance: 102 }))));
        assert_eq!(counted.calls(Call::ReadStream) - before, reads);
    };
    refused(4).await;
    refused(2).await;
    reads("after a refusal", 1, 102).await;
    // the past is read as it was
    let third = accounts.load_at("a", es_core::execution::StreamVersion::new(3)).await.unwrap();
    assert_eq!(third.state.balance, 3);
}

#[tokio::test]
async fn who_was_used_least_recently_goes_first() {
    let store = store();
    let (counted, accounts) = counted(&store);
    for account in ["a", "b", "c"] {
        (0..4).for_each(|_| slip_in(&store, account, 1));
    }
    let two = accounts.clone().with_cache(2);
    let reads = async |accounts: &Repository<Account>, account: &str| {
        let before = counted.calls(Call::ReadStream);
        accounts.load(account).await.unwrap();
        counted.calls(Call::ReadStream) - before
    };
    let (known, unknown) = (1, 4);
    for (account, expected) in [
        ("a", unknown),
        ("b", unknown),
        ("a", known),
        ("c", unknown),
        ("a", known),
        ("b", unknown),
        ("b", known),
        ("c", unknown),
    ] {
        assert_eq!(reads(&two, account).await, expected, "{account}");
    }
    let none = two.with_cache(0);
    assert_eq!([reads(&none, "c").await, reads(&none, "c").await], [unknown; 2]);
}

#[tokio::test]
async fn what_a_restored_store_does_not_have_is_forgotten() {
    let swapped = Arc::new(Swapped(Mutex::new(MemoryStore::new())));
    let counted = Faults::new();
    let accounts = Repository::<Account>::new(counted.over(swapped.clone())).with_cache(10);
    accounts.by_id("a").decide(|account| account.deposit(1)).await.unwrap();
    *swapped.0.lock().unwrap() = MemoryStore::new();
    let mut reads = Vec::new();
    for _ in 0..2 {
        let before = counted.calls(Call::ReadStream);
        assert_eq!(accounts.load("a").await.unwrap().state.balance, 0);
        reads.push(counted.calls(Call::ReadStream) - before);
    }
    assert_eq!(reads, [2, 1], "from its last event, and from the first");
}

#[tokio::test]
async fn who_creates_what_is_there_by_now_begins_at_what_is_known() {
    let store = store();
    let (counted, accounts) = counted(&store);
    let accounts = accounts.with_cache(10);
    let create = |cents| {
        let new = accounts.by_id("a").expecting(ExpectedVersion::NoStream);
        new.decide(move |_| MoneyDeposited { cents }).idempotency_key("k")
    };
    let before = AtomicU64::new(0);
    let new = accounts.by_id("a").expecting(ExpectedVersion::NoStream);
    let slower = new.decide(|_| {
        let twin = create(1).into_future().now_or_never().expect("a memory store never waits");
        assert!(!twin.unwrap().is_repeat());
        (0..4).for_each(|_| slip_in(&store, "a", 1));
        accounts.load("a").now_or_never().expect("a memory store never waits").unwrap();
        before.store(counted.calls(Call::ReadStream), Ordering::Relaxed);
        MoneyDeposited { cents: 1 }
    });
    let slower = slower.idempotency_key("k").await.unwrap();
    assert!(slower.is_repeat());
    assert_eq!((slower.state.balance, slower.version.as_u64()), (5, 5));
    let reads = counted.calls(Call::ReadStream) - before.load(Ordering::Relaxed);
    assert_eq!(reads, 2, "the last known event, and that of the first time");
}

#[derive(Debug, Clone)]
enum Step {
    /// By which repository, on which account.
    Decide {
        cached: bool,
        account: usize,
    },
    Load {
        account: usize,
    },
    /// The store is restored to its first events of each stream.
    Restore {
        events: usize,
    },
}

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0..3_usize).prop_map(|(cached, account)| Step::Decide { cached, account }),
        2 => (0..3_usize).prop_map(|account| Step::Load { account }),
        1 => (0..6_usize).prop_map(|events| Step::Restore { events }),
    ]
}

/// What a backup holds that was made when no stream had more events.
async fn backup(store: &MemoryStore, events: usize) -> MemoryStore {
    let restored = MemoryStore::new();
    for account in ACCOUNTS {
        let read = ReadStream::new(stream(account));
        let kept = store.read_stream(&read).await.unwrap().events.into_iter().take(events);
        let kept = kept.map(|event| {
            NewEvent::new(event.event_id, event.event_type.as_str(), event.payload)
                .with_metadata(event.metadata)
        });
        let kept: Vec<_> = kept.collect();
        if !kept.is_empty() {
            let request = AppendRequest::to(stream(account), ExpectedVersion::NoStream, kept);
            restored.append(request).await.unwrap();
        }
    }
    restored
}

async fn play(steps: &[Step], capacity: usize) {
    let swapped = Arc::new(Swapped(Mutex::new(MemoryStore::new())));
    let plain = Repository::<Account>::new(swapped.clone());
    let cached = plain.clone().with_cache(capacity);
    for (nth, step) in (1..).zip(steps) {
        match step {
            Step::Decide { cached: is_cached, account } => {
                let accounts = if *is_cached { &cached } else { &plain };
                let before = plain.load(ACCOUNTS[*account]).await.unwrap();
                let decision = accounts.by_id(ACCOUNTS[*account]);
                let decided = decision.decide(|account| account.deposit(nth)).await.unwrap();
                assert_eq!(decided.state.balance, before.state.balance + nth);
                assert_eq!(decided.version, before.version.next());
            }
            Step::Load { account } => drop(cached.load(ACCOUNTS[*account]).await.unwrap()),
            Step::Restore { events } => {
                let restored = backup(&swapped.now(), *events).await;
                *swapped.0.lock().unwrap() = restored;
            }
        }
        let account = ACCOUNTS[nth as usize % 3];
        let (plain, cached) = (plain.load(account).await.unwrap(), cached.load(account).await);
        assert_eq!(cached.unwrap(), plain, "after step {nth}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_cache_changes_no_answer_also_where_a_store_is_restored(
        steps in proptest::collection::vec(any_step(), 1..40),
        capacity in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(&steps, capacity));
    }
}
