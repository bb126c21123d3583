//! Other logic over the whole of history: what would differ, and nothing else.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use es_core::backend::{
    AppendRequest, EventStore, LogPage, NewEvent, PageLimit, Position, ReadLog, ReadStream,
    StoreError, StreamPage,
};
use es_core::environment::Environment;
use es_core::event::{Payload, RecordedEvent};
use es_core::layer::{Layered, StoreLayer};
use es_core::replay::{Logic, Replay, ReplayReport, Verdict};
use es_core::{Aggregate, Event, ExpectedVersion};
use es_memory::MemoryStore;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::account::*;

async fn write(store: &MemoryStore, account: usize, event: &AccountEvent) {
    let (name, cents) = match event {
        MoneyDeposited { cents } => ("money_deposited", cents),
        MoneyWithdrawn { cents } => ("money_withdrawn", cents),
    };
    write_raw(store, &format!("account/{account}"), name, json!({ "cents": cents })).await;
}

async fn write_raw(store: &MemoryStore, stream: &str, name: &str, payload: serde_json::Value) {
    let event_id = Environment::default().event_ids.next_id();
    let event = NewEvent::new(event_id, name, Payload::of(&payload).unwrap());
    let stream = stream.parse().unwrap();
    store.append(AppendRequest::to(stream, ExpectedVersion::Any, vec![event])).await.unwrap();
}

/// The events of several accounts, one after the other as their writers took turns.
async fn filled(histories: &[(usize, AccountEvent)]) -> Arc<MemoryStore> {
    let store = store();
    for (account, event) in histories {
        write(&store, *account, event).await;
        // other aggregates are no concern of the comparison
        write_raw(&store, &format!("note/{account}"), "note_taken", json!({})).await;
    }
    store
}

fn replay(store: &Arc<MemoryStore>) -> Replay<Account> {
    Replay::new(store.clone())
}

/// The accounts that differ, by number, each with its places and values as text.
fn told(report: &ReplayReport) -> Vec<(usize, String)> {
    let told = report.differing.iter().map(|compared| {
        let differences = match &compared.verdict {
            Verdict::Differs(differences) => differences.iter().map(ToString::to_string).collect(),
            other => vec![format!("{other:?}")],
        };
        (compared.stream.aggregate_id().parse().unwrap(), differences.join("; "))
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

fn any_event() -> impl Strategy<Value = AccountEvent> {
    let cents = 1_u64..50;
    prop_oneof![
        cents.clone().prop_map(|cents| MoneyDeposited { cents }),
        cents.prop_map(|cents| MoneyWithdrawn { cents }),
    ]
}

fn any_histories() -> impl Strategy<Value = Vec<(usize, AccountEvent)>> {
    proptest::collection::vec((0_usize..12, any_event()), 0..120)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn logic_that_is_the_present_one_differs_nowhere(
        histories in any_histories(), parallel in 1_usize..6, page in 1_usize..8
    ) {
        let (same, with) = block_on(async {
            let store = filled(&histories).await;
            let replay = replay(&store)
                .parallel(NonZeroUsize::new(parallel).unwrap())
                .page_limit(PageLimit::events(page));
            let same = replay.compare::<Account>().report().await.unwrap();
            (same, replay.compare_with(Account::evolve).report().await.unwrap())
        });
        let accounts: BTreeSet<_> = histories.iter().map(|(account, _)| account).collect();
        for report in [same, with] {
            prop_assert_eq!(told(&report), []);
            prop_assert_eq!(report.aggregates, accounts.len() as u64);
            prop_assert_eq!(report.events, histories.len() as u64);
        }
    }

    #[test]
    fn a_planted_difference_is_found_in_exactly_the_aggregates_that_meet_it(
        histories in any_histories(), planted in 1_u64..50
    ) {
        // a deposit of this size counts once more
        let candidate = move |account: &mut Account, event: &AccountEvent| {
            account.evolve(event);
            if *event == (MoneyDeposited { cents: planted }) {
                account.balance += 1_000_000;
            }
        };
        let fold = |account: usize, evolve: &dyn Fn(&mut Account, &AccountEvent)| {
            let mut state = Account::default();
            let own = histories.iter().filter(|(of, _)| *of == account);
            own.for_each(|(_, event)| evolve(&mut state, event));
            state.balance
        };
        let expected: Vec<_> = (0..12)
            .map(|account| (account, fold(account, &Account::evolve), fold(account, &candidate)))
            .filter(|(_, present, candidate)| present != candidate)
            .map(|(account, present, candidate)| {
                (account, format!("/balance: {present} -> {candidate}"))
            })
            .collect();
        let report = block_on(async {
            replay(&filled(&histories).await).compare_with(candidate).report().await.unwrap()
        });
        prop_assert_eq!(told(&report), expected);
    }
}

/// An account of another shape, which knows deposits only.
#[derive(Clone, Default, Serialize)]
struct Deposits {
    balance: u64,
    count: u32,
}

#[derive(Event)]
enum Deposit {
    MoneyDeposited { cents: u64 },
}

impl Aggregate for Deposits {
    const TYPE: &'static str = "deposits";
    type Id = String;
    type Event = Deposit;

    fn evolve(&mut self, Deposit::MoneyDeposited { cents }: &Deposit) {
        self.balance += cents;
        self.count += 1;
    }
}

#[tokio::test]
async fn another_type_is_compared_in_its_shape_and_what_it_cannot_read_is_told() {
    let store = filled(&[
        (1, MoneyDeposited { cents: 5 }),
        (1, MoneyDeposited { cents: 6 }),
        (2, MoneyDeposited { cents: 7 }),
        (2, MoneyWithdrawn { cents: 1 }),
    ])
    .await;
    let before = store.end_of_log().await.unwrap();
    let report = replay(&store).compare::<Deposits>().report().await.unwrap();
    assert_eq!(report.aggregates, 2);
    let [first, second] = &report.differing[..] else { panic!("{report:?}") };
    match &first.verdict {
        Verdict::Differs(found) => {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, ["/count: - -> 2"]);
        }
        other => panic!("{other:?}"),
    }
    match &second.verdict {
        Verdict::Unreadable { by: Logic::Candidate, version, source } => {
            assert_eq!(version.as_u64(), 2);
            assert!(source.to_string().contains("money_withdrawn"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.end_of_log().await.unwrap(), before, "a replay writes nothing");
    assert_ne!(before, Position::START);
}

#[tokio::test]
async fn every_aggregate_is_in_exactly_one_slice() {
    let histories: Vec<_> = (0..200).map(|n| (n, MoneyDeposited { cents: 1 })).collect();
    let store = filled(&histories).await;
    let count = NonZeroU64::new(3).unwrap();
    let mut found = BTreeSet::new();
    for index in 0..3 {
        let slice = replay(&store).slice(index, count);
        let compared: Vec<_> = slice.compare::<Account>().aggregates().try_collect().await.unwrap();
        assert!(compared.len() > 200 / 6, "slice {index} has {} of 200", compared.len());
        for one in compared {
            assert!(found.insert(one.stream.to_string()), "{} is in two slices", one.stream);
        }
    }
    assert_eq!(found.len(), 200);
}

/// Slices are compared on tasks of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_run_in_tasks_of_their_own() {
    let histories: Vec<_> = (0..40).map(|n| (n, MoneyDeposited { cents: n as u64 })).collect();
    let store = filled(&histories).await;
    let count = NonZeroU64::new(2).unwrap();
    let tasks = [0, 1].map(|index| {
        let slice = replay(&store).slice(index, count);
        tokio::spawn(async move {
            let candidate = |account: &mut Account, _: &AccountEvent| account.balance = 7;
            slice.compare_with(candidate).report().await.unwrap()
        })
    });
    let (mut aggregates, mut differing) = (0, 0);
    for task in tasks {
        let report = task.await.unwrap();
        aggregates += report.aggregates;
        differing += report.differing.len();
    }
    assert_eq!((aggregates, differing), (40, 39), "one account has 7 cents");
}

/// Counts how many streams are being read, and answers each only after the others had their turn.
struct Turns {
    inner: Arc<dyn EventStore>,
    reading: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl StoreLayer for Turns {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let reading = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(reading, Ordering::SeqCst);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        self.reading.fetch_sub(1, Ordering::SeqCst);
        self.inner.read_stream(read).await
    }
}

#[tokio::test]
async fn as_many_streams_are_read_side_by_side_as_was_said_and_no_more() {
    let histories: Vec<_> = (0..30).map(|n| (n, MoneyDeposited { cents: 1 })).collect();
    for parallel in [1, 5] {
        let inner = filled(&histories).await;
        let store = Arc::new(Layered(Turns { inner, reading: 0.into(), most: 0.into() }));
        let replay = Replay::<Account>::new(store.clone());
        let replay = replay.parallel(NonZeroUsize::new(parallel).unwrap());
        assert_eq!(replay.compare::<Account>().report().await.unwrap().aggregates, 30);
        assert_eq!(store.0.most.load(Ordering::SeqCst), parallel);
    }
}

/// A store that has lost some events of one account.
struct Lossy {
    inner: Arc<dyn EventStore>,
    lost: RangeInclusive<u64>,
}

impl Lossy {
    fn left(&self, events: &mut Vec<RecordedEvent>) {
        let is_lost = |event: &RecordedEvent| {
            event.stream.to_string() == "account/1" && self.lost.contains(&event.version.as_u64())
        };
        events.retain(|event| !is_lost(event));
    }
}

#[async_trait]
impl StoreLayer for Lossy {
    fn inner(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    async fn read_stream(&self, read: &ReadStream) -> Result<StreamPage, StoreError> {
        let mut page = self.inner.read_stream(read).await?;
        self.left(&mut page.events);
        Ok(page)
    }
    async fn read_log(&self, read: &ReadLog) -> Result<LogPage, StoreError> {
        let mut page = self.inner.read_log(read).await?;
        self.left(&mut page.events);
        Ok(page)
    }
}

#[tokio::test]
async fn a_stream_with_a_missing_event_is_told_and_not_folded_over_the_hole() {
    let histories: Vec<_> = (0..12).map(|n| (n % 3, MoneyDeposited { cents: 1 })).collect();
    for (lost, version, next) in [(1..=1, 1, 2), (2..=2, 2, 3), (1..=3, 1, 4), (2..=3, 2, 4)] {
        let store = Arc::new(Layered(Lossy { inner: filled(&histories).await, lost }));
        let replay = Replay::<Account>::new(store);
        let report = replay.compare::<Account>().report().await.unwrap();
        assert_eq!(report.aggregates, 3);
        let gap =
            format!("Gap {{ version: StreamVersion({version}), next: StreamVersion({next}) }}");
        assert_eq!(told(&report), [(1, gap)]);
    }
}
