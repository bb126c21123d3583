//! Imports: history of another system with its times, however often it is begun again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use es_core::ExpectedVersion::{Any, NoStream, StreamExists};
use es_core::backend::{
    AppendRequest, EventStore, InvalidRequest, KeyDifference, NewEvent, Position, ReadLog,
    StoreErrorKind, Timestamp,
};
use es_core::environment::{Clock, Environment, EventIds};
use es_core::event::{EventId, EventVersion, Metadata, Payload, RecordedEvent};
use es_core::execution::{EventError, IdempotencyKey, Imported, Retry, StreamVersion};
use es_core::layer::{scoped, traced};
use es_core::{CommandError, ErrorKind, ExpectedVersion, Repository, Store};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::{Call, Faults};

use super::account::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn deposit(seconds: i64, cents: u64) -> Imported<AccountEvent> {
    Imported::new(MoneyDeposited { cents }, at(seconds))
}

/// Four appends: the second and third event are of one time.
fn history() -> [Imported<AccountEvent>; 5] {
    [deposit(10, 1), deposit(20, 2), deposit(20, 3), deposit(30, 4), deposit(40, 5)]
}

/// What is stored of an account, without what differs from one run to the next.
async fn told(store: &MemoryStore) -> Vec<(u64, Timestamp, AccountEvent)> {
    let events = events(store, "a").await.into_iter();
    events
        .map(|event| (event.version.as_u64(), event.recorded_at, event.decode_one().unwrap()))
        .collect()
}

fn faulty() -> (Arc<MemoryStore>, Faults, Repository<Account>) {
    let (memory, faults) = (store(), Faults::new());
    let accounts = Repository::new(faults.over(memory.clone()));
    (memory, faults, accounts)
}

fn id_of(number: u64) -> EventId {
    format!("0193a1d4-0000-7000-8000-{number:012}").parse().unwrap()
}

#[tokio::test]
async fn events_come_in_the_order_that_is_given_with_their_times_ids_and_metadata() {
    let store = store();
    let of_all = Metadata::new().with(TENANT, "acme".to_owned());
    let accounts = accounts(&store).with_metadata(of_all);
    let mut own = Metadata::new().with(TENANT, "of the old system".to_owned());
    own.causation_id = Some(id_of(1));
    // the version that the old system gave to its own shape
    own.event_version = Some(EventVersion::new(7));
    let history = [
        deposit(100, 5).event_id(id_of(1)),
        Imported::new(MoneyWithdrawn { cents: 2 }, at(100)).metadata(own),
        deposit(50, 1),
    ];
    let version = accounts.by_id("a").import(history).await.unwrap();
    assert_eq!(version, StreamVersion::new(3));
    let expected = [
        (1, at(100), MoneyDeposited { cents: 5 }),
        (2, at(100), MoneyWithdrawn { cents: 2 }),
        (3, at(50), MoneyDeposited { cents: 1 }),
    ];
    assert_eq!(told(&store).await, expected);

    let written = events(&store, "a").await;
    assert_eq!(written[0].event_id, id_of(1));
    let causes: Vec<_> = written.iter().map(|event| event.metadata.causation_id).collect();
    assert_eq!(causes, [None, Some(id_of(1)), None]);
    let tenants = written.iter().map(|event| event.metadata.get(TENANT).unwrap());
    assert_eq!(tenants.collect::<Vec<_>>(), ["acme", "of the old system", "acme"]);
    for event in &written {
        assert_eq!(event.metadata.event_version, Some(EventVersion::new(1)));
    }
    // each append begins a correlation
    let correlations = written.iter().map(|event| event.metadata.correlation_id.clone().unwrap());
    let begun = [0, 0, 2].map(|first: usize| written[first].event_id.to_string());
    assert_eq!(correlations.collect::<Vec<_>>(), begun);

    let loaded = accounts.load("a").await.unwrap();
    assert_eq!((loaded.state.balance, loaded.version), (4, version));
    // the prefix before the first event that is of a later time
    for (instant, version) in [(at(99), 0), (at(100), 3)] {
        let then = accounts.load_at("a", instant).await.unwrap();
        assert_eq!(then.version, StreamVersion::new(version), "{instant}");
    }
}

/// Counts, so that two stores get the same ids.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl EventIds for Counting {
    fn next_id(&self) -> EventId {
        id_of(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[tokio::test]
async fn what_is_imported_is_stored_as_what_was_decided_at_that_time() {
    let stored = async |is_import: bool| -> Vec<RecordedEvent> {
        let clock = ManualClock::new();
        let then = clock.now();
        let store = MemoryStore::with_clock(Arc::new(clock.clone()));
        let environment = Environment::default().with_event_ids(Counting::default());
        let accounts = Repository::<Account>::new(store.clone())
            .with_environment(environment)
            .with_metadata(Metadata::new().with(TENANT, "acme".to_owned()));
        let decided = [MoneyDeposited { cents: 5 }, MoneyWithdrawn { cents: 2 }];
        if is_import {
            clock.step(Duration::from_secs(86_400));
            let history = decided.map(|event| Imported::new(event, then));
            accounts.by_id("a").import(history).await.unwrap();
        } else {
            accounts.by_id("a").decide(|_| decided.clone()).await.unwrap();
        }
        store.read_log(&ReadLog::from_start()).await.unwrap().events
    };
    let (imported, decided) = (stored(true).await, stored(false).await);
    assert_eq!(imported.len(), 2);
    assert_eq!(imported, decided);
}

#[tokio::test]
async fn what_is_of_one_time_is_one_append_of_a_thousand_events_at_most() {
    let (memory, faults, accounts) = faulty();
    let times = std::iter::repeat_n(1, 2_500).chain([2, 1, 1]);
    let history = times.map(|seconds| deposit(seconds, 1));
    let version = accounts.by_id("a").import(history).await.unwrap();
    assert_eq!(version, StreamVersion::new(2_503));
    // 1,000 and 1,000 and 500 of the first time, one of the second, two of the first again
    assert_eq!(faults.calls(Call::Append), 3 + 1 + 1);
    assert_eq!(faults.calls(Call::ReadStream) + faults.calls(Call::FindAppend), 0);
    for (first, events) in [(1, 1_000), (1_001, 1_000), (2_001, 500), (2_501, 1), (2_502, 2)] {
        let key = IdempotencyKey::new(&format!("import/{first}")).unwrap();
        let part = memory.find_append(&stream("a"), &key).await.unwrap().unwrap();
        assert_eq!(part.streams[0].events.len(), events, "{key}");
    }
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 2_503);
}

#[tokio::test]
async fn an_import_that_is_run_again_writes_nothing_and_is_answered_alike() {
    let (memory, faults, accounts) = faulty();
    let account = accounts.by_id("a");
    let first = account.import(history()).await.unwrap();
    let written = events(&memory, "a").await;
    assert_eq!(account.import(history()).await.unwrap(), first);
    assert_eq!(events(&memory, "a").await, written);
    assert_eq!(faults.calls(Call::Append), 8);
    // also when the stream went on, and with metadata that somebody has found since
    slip_in(&memory, "a", 100);
    let again = history().map(|one| one.metadata(Metadata::new().with(TENANT, "t".to_owned())));
    assert_eq!(account.import(again).await.unwrap(), first);
    assert_eq!(events(&memory, "a").await[..5], written);
    assert_eq!(memory.end_of_log().await.unwrap().to_sequence(), 6);

    // nothing is asked for a history without events
    let appends = faults.calls(Call::Append);
    let nothing = || std::iter::empty::<Imported<AccountEvent>>();
    assert_eq!(account.import(nothing()).await.unwrap(), StreamVersion::EMPTY);
    let known = account.clone().expecting(first);
    assert_eq!(known.import(nothing()).await.unwrap(), first);
    assert_eq!(faults.calls(Call::Append), appends);
}

#[tokio::test]
async fn a_history_that_went_on_is_imported_from_where_it_was() {
    let store = store();
    let account = accounts(&store).by_id("a");
    account.import(history()).await.unwrap();
    let longer = history().into_iter().chain([deposit(50, 6)]);
    assert_eq!(account.import(longer).await.unwrap(), StreamVersion::new(6));
    let parts = account.clone().expecting(StreamVersion::new(6));
    assert_eq!(parts.import([deposit(60, 7)]).await.unwrap(), StreamVersion::new(7));
    assert_eq!(parts.import([deposit(60, 7)]).await.unwrap(), StreamVersion::new(7));
    let cents = told(&store).await.into_iter().map(|(_, _, event)| match event {
        MoneyDeposited { cents } | MoneyWithdrawn { cents } => cents,
    });
    assert_eq!(cents.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn another_history_under_the_same_versions_is_refused() {
    let store = store();
    let account = accounts(&store).by_id("a");
    account.import(history()).await.unwrap();
    let before = events(&store, "a").await;
    let withdrawn = Imported::new(MoneyWithdrawn { cents: 2 }, at(20));
    let [first, second, third, ..] = history();
    for (other, expected) in [
        (vec![first.clone(), deposit(20, 9), third.clone()], KeyDifference::Payload),
        (vec![first.clone(), withdrawn, third.clone()], KeyDifference::EventType),
        (vec![first.clone(), second.clone()], KeyDifference::EventCount),
        (vec![first, second, third, deposit(20, 4)], KeyDifference::EventCount),
    ] {
        let error = account.import(other).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyReused);
        let CommandError::KeyReused { key, stream, difference } = error else {
            panic!("{error:?}")
        };
        assert_eq!((key.as_str(), stream.to_string().as_str()), ("import/2", "account/a"));
        assert_eq!(difference, expected);
    }
    assert_eq!(events(&store, "a").await, before);
}

#[tokio::test]
async fn after_a_crash_anywhere_the_same_import_ends_as_if_there_had_been_none() {
    let whole = store();
    accounts(&whole).by_id("a").import(history()).await.unwrap();
    let expected = told(&whole).await;
    for nth in 1..=4 {
        for is_written in [false, true] {
            let (memory, faults, accounts) = faulty();
            match is_written {
                true => faults.lose_answer(Call::Append, nth),
                false => faults.fail(Call::Append, nth, StoreErrorKind::Unavailable),
            }
            let account = accounts.with_retry(Retry::NONE).by_id("a");
            let failed = account.import(history()).await.unwrap_err();
            assert_eq!(failed.is_outcome_unknown(), is_written, "{failed:?}");
            let left = events(&memory, "a").await;
            // whole appends, and nothing after the one that failed
            let appends = [0, 1, 3, 4, 5];
            let done = usize::try_from(nth).unwrap() - usize::from(!is_written);
            assert_eq!(left.len(), appends[done], "{nth} {is_written}");
            assert_eq!(account.import(history()).await.unwrap(), StreamVersion::new(5));
            assert_eq!(told(&memory).await, expected, "{nth} {is_written}");
            assert_eq!(events(&memory, "a").await[..left.len()], left);
        }
    }
}

#[tokio::test]
async fn failures_that_pass_and_lost_answers_use_up_the_retries_of_one_append() {
    let (memory, faults, accounts) = faulty();
    faults.lose_answer(Call::Append, 1);
    for nth in [2, 3, 5, 6] {
        faults.fail(Call::Append, nth, StoreErrorKind::Busy);
    }
    let account = accounts.clone().with_retry(Retry::times(3)).by_id("a");
    assert_eq!(account.import(history()).await.unwrap(), StreamVersion::new(5));
    assert_eq!((events(&memory, "a").await.len(), faults.calls(Call::Append)), (5, 4 + 5));

    // what was lost stays unknown when asking again fails
    let account = accounts.with_retry(Retry::times(1)).by_id("b");
    faults.lose_answer(Call::Append, 1);
    faults.fail(Call::Append, 2, StoreErrorKind::Busy);
    let lost = account.import(history()).await.unwrap_err();
    assert!(lost.is_outcome_unknown() && !lost.is_transient(), "{lost:?}");
    assert_eq!(events(&memory, "b").await.len(), 1);
}

#[tokio::test]
async fn a_stream_that_exists_is_refused_unless_its_version_is_expected() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "a", 100);
    let account = accounts.by_id("a");
    for expected in [Any, NoStream, ExpectedVersion::Exact(StreamVersion::EMPTY)] {
        let refused = account.clone().expecting(expected).import(history()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{expected}");
        assert_eq!(refused.to_string(), "account/a exists already, at version 1");
        assert!(!refused.is_transient());
    }
    let stale = account.clone().expecting(StreamVersion::new(9));
    let stale = stale.import(history()).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    assert_eq!(stale.to_string(), "account/a is at version 1, not at 9 any more; look at it again");
    let absent = accounts.by_id("b").expecting(StreamVersion::FIRST).import(history()).await;
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    // nobody could tell it from its repeat
    for id in ["a", "b"] {
        let unknown = accounts.by_id(id).expecting(StreamExists).import(history()).await;
        let unknown = unknown.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Broken);
        let CommandError::Invalid(InvalidRequest::ImportWithoutVersion { stream }) = unknown else {
            panic!("{unknown:?}");
        };
        assert_eq!(stream.aggregate_id(), id);
    }
    assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 1);

    let known = account.expecting(StreamVersion::FIRST);
    for _ in 0..2 {
        assert_eq!(known.import(history()).await.unwrap(), StreamVersion::new(6));
    }
    assert_eq!(accounts.load("a").await.unwrap().state.balance, 115);
}

#[tokio::test]
async fn history_is_never_put_behind_what_it_does_not_follow() {
    let (memory, faults, accounts) = faulty();
    let payload = Payload::of(&serde_json::json!({ "cents": 100 })).unwrap();
    let other = NewEvent::new(id_of(1), "money_deposited", payload);
    faults.overtake(2, AppendRequest::to(stream("a"), Any, vec![other]));
    // the second time finds what the other writer left
    for _ in 0..2 {
        let error = accounts.by_id("a").import(history()).await.unwrap_err();
        let CommandError::PreconditionFailed(conflict) = &error else { panic!("{error:?}") };
        assert_eq!(conflict.expected, ExpectedVersion::Exact(StreamVersion::FIRST));
        assert_eq!(conflict.actual, StreamVersion::new(2));
        assert_eq!(events(&memory, "a").await.len(), 2);
    }
}

#[tokio::test]
async fn a_time_that_is_still_to_come_is_refused_until_it_has_come() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let account = accounts(&store).by_id("a");
    let (now, ahead) = (clock.now(), clock.now().plus(Duration::from_micros(1)));
    let of = |time| Imported::new(MoneyDeposited { cents: 1 }, time);
    let history = || [now, ahead, at(0)].map(of);
    let refused = account.import(history()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let CommandError::Invalid(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused, InvalidRequest::TimeAhead { original: ahead, now });
    assert_eq!(events(&store, "a").await.len(), 1, "what happened before it is there");
    clock.step(Duration::from_micros(1));
    assert_eq!(account.import(history()).await.unwrap(), StreamVersion::new(3));
    let times: Vec<_> = told(&store).await.into_iter().map(|(_, time, _)| time).collect();
    assert_eq!(times, [now, ahead, at(0)]);
}

#[tokio::test]
async fn an_id_that_is_used_already_is_refused() {
    let store = store();
    let accounts = accounts(&store);
    accounts.by_id("a").import([deposit(1, 1).event_id(id_of(1))]).await.unwrap();
    // of the same history it is the same event
    accounts.by_id("a").import([deposit(1, 1).event_id(id_of(1))]).await.unwrap();
    let used = accounts.by_id("b").import([deposit(1, 1).event_id(id_of(1))]).await.unwrap_err();
    let CommandError::DuplicateEvent { event_id } = used else { panic!("{used:?}") };
    assert_eq!(event_id, id_of(1));
    let twice = [deposit(1, 1), deposit(1, 2)].map(|one| one.event_id(id_of(2)));
    let twice = accounts.by_id("b").import(twice).await.unwrap_err();
    let is_told = matches!(twice, CommandError::Invalid(InvalidRequest::EventIdTwice { .. }));
    assert!(is_told, "{twice:?}");
    assert_eq!(store.end_of_log().await.unwrap().to_sequence(), 1);
}

#[derive(es_core::Event, Debug, Clone, PartialEq)]
enum Measured {
    TemperatureMeasured { celsius: f64 },
}

#[derive(Debug, Clone, Default)]
struct Station;

impl es_core::Aggregate for Station {
    const TYPE: &'static str = "station";
    type Id = String;
    type Event = Measured;

    fn evolve(&mut self, _: &Measured) {}
}

#[tokio::test]
async fn nothing_is_written_if_one_of_the_events_cannot_be() {
    let store = store();
    let stations = Repository::<Station>::new(store.clone());
    let measured = |celsius, time| Imported::new(Measured::TemperatureMeasured { celsius }, time);
    let history = [measured(1.5, at(1)), measured(f64::NAN, at(2))];
    let refused = stations.by_id("s").import(history).await.unwrap_err();
    let is_told = matches!(refused, CommandError::Event(EventError::Encode(_)));
    assert!(is_told, "{refused:?}");
    let nowhere = stations.by_id("").import([measured(1.5, at(1))]).await.unwrap_err();
    let is_told = matches!(nowhere, CommandError::Invalid(InvalidRequest::Stream(_)));
    assert!(is_told, "{nowhere:?}");
    assert_eq!(store.end_of_log().await.unwrap(), Position::START);
}

#[tokio::test]
async fn layers_pass_the_times_on() {
    let (memory, faults) = (store(), Faults::new());
    let tenant = scoped(traced(faults.over(memory.clone())), "acme").unwrap();
    for (store, id) in [(tenant, "acme/a"), (Store::from(memory.clone()), "a")] {
        let accounts = Repository::<Account>::new(store);
        let version = accounts.by_id("a").import(history()).await.unwrap();
        assert_eq!(version, StreamVersion::new(5));
        let times: Vec<_> = events(&memory, id).await.iter().map(|it| it.recorded_at).collect();
        assert_eq!(times, [at(10), at(20), at(20), at(30), at(40)], "{id}");
        let other = accounts.by_id("a").import([deposit(10, 9)]).await.unwrap_err();
        assert!(other.to_string().contains("on stream account/a for"), "{other}");
    }
    assert_eq!(faults.calls(Call::Append), 5);
}
