//! Commands: what is decided again, what is answered, what is recorded.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use es_core::environment::Jitter;
use es_core::{
    DecodeError, Environment, EventStore, EventVersion, ExecuteError, ExpectedVersion,
    IdempotencyKey, LoadError, Metadata, MetadataField, Retry, StoreErrorKind, StreamVersion,
};
use es_memory::MemoryStore;
use es_testing::ManualClock;
use es_testing::fault::{Call, FaultStore};
use futures_util::FutureExt;
use serde_json::json;

use super::account::*;

const REQUEST_ID: MetadataField<u64> = MetadataField::new("request_id");

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

#[tokio::test]
async fn a_decision_is_run_again_on_the_state_that_the_other_writer_left() {
    let store = store();
    let seen = std::sync::Mutex::new(Vec::new());
    let executed = accounts(&store)
        .update(&id("a"), |account| {
            let mut seen = seen.lock().unwrap();
            if seen.len() < 2 {
                slip_in(&store, "a", 5);
            }
            seen.push(account.balance);
            account.deposit(account.balance * 100)
        })
        .retries(2)
        .await
        .unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 5, 10]);
    assert_eq!(executed.events, [MoneyDeposited { cents: 1000 }]);
    assert_eq!((executed.state.balance, executed.version.as_u64()), (1010, 3));
}

#[tokio::test]
async fn a_conflict_is_returned_when_no_retry_is_left() {
    let store = store();
    let calls = AtomicU32::new(0);
    for (retries, expected_calls) in [(0, 1), (3, 4)] {
        calls.store(0, Ordering::Relaxed);
        let error = accounts(&store)
            .update(&id("a"), |account| {
                calls.fetch_add(1, Ordering::Relaxed);
                slip_in(&store, "a", 1);
                account.deposit(1)
            })
            .retries(retries)
            .await
            .unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), expected_calls);
        let ExecuteError::Conflict(conflict) = &error else { panic!("{error:?}") };
        let ExpectedVersion::Exact(expected) = conflict.expected else { panic!("{error:?}") };
        assert_eq!(conflict.actual, expected.next());
        assert!(error.is_transient() && !error.is_outcome_unknown());
    }
}

#[tokio::test]
async fn delays_between_attempts_come_from_the_jitter() {
    #[derive(Debug)]
    struct None(Arc<AtomicU32>);
    impl Jitter for None {
        fn fraction(&self) -> f64 {
            self.0.fetch_add(1, Ordering::Relaxed);
            0.0
        }
    }
    let (store, asked) = (store(), Arc::new(AtomicU32::new(0)));
    let environment = Environment::default().with_jitter(None(asked.clone()));
    let accounts = accounts(&store).with_environment(environment);
    let command = accounts.update(&id("a"), |account| {
        slip_in(&store, "a", 1);
        account.deposit(1)
    });
    command.retry(Retry::times(7)).await.unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn a_rejection_is_a_value_and_writes_nothing() {
    let store = store();
    let error = accounts(&store).update(&id("a"), |account| account.withdraw(1)).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Rejected(TooLittle { balance: 0 })), "{error:?}");
    assert!(events(&store, "a").await.is_empty());
}

#[tokio::test]
async fn a_decision_without_events_writes_nothing_and_records_no_key() {
    let store = store();
    let nothing = |_: &Account| Ok::<_, TooLittle>(Vec::new());
    let accounts = accounts(&store);
    let executed = accounts.update(&id("a"), nothing).idempotency_key(key("k")).await.unwrap();
    assert_eq!((executed.appended, executed.version), (None, StreamVersion::EMPTY));
    assert_eq!(store.find_append(&stream("a"), &key("k")).await.unwrap(), None);
}

#[tokio::test]
async fn creating_sees_no_state_and_is_never_retried() {
    let store = store();
    let accounts = accounts(&store);
    let open = || Ok::<_, TooLittle>(MoneyDeposited { cents: 7 });
    assert_eq!(accounts.create(&id("a"), open).await.unwrap().state.balance, 7);
    let error = accounts.create(&id("a"), open).retries(9).await.unwrap_err();
    assert!(!error.is_transient());
    let ExecuteError::Exists { version, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*version, StreamVersion::FIRST);
    assert_eq!(error.to_string(), "account/a exists already, at version 1");
    assert_eq!(events(&store, "a").await.len(), 1);
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_first_result_and_decides_nothing() {
    let store = store();
    let accounts = accounts(&store);
    let pay = accounts.update(&id("a"), |account| account.deposit(5));
    let first = pay.idempotency_key(key("pay/1")).await.unwrap();
    slip_in(&store, "a", 10);
    let repeat = accounts.update(&id("a"), |_| -> Result<AccountEvent, TooLittle> {
        panic!("a repeat must not decide")
    });
    let repeat = repeat.idempotency_key(key("pay/1")).await.unwrap();
    assert!(repeat.is_repeat() && !first.is_repeat());
    assert_eq!(repeat.cause(), first.cause());
    let (first, again) = (first.appended.unwrap(), repeat.appended.unwrap());
    assert_eq!(first.streams, again.streams);
    assert!(again.repeated && !first.repeated);
    assert_eq!(repeat.state.balance, 15);
    assert_eq!(repeat.events, [MoneyDeposited { cents: 5 }], "those of the first command");
}

#[tokio::test]
async fn the_same_command_that_won_the_race_is_found_after_the_conflict() {
    for slipped in [0, 3] {
        let store = store();
        let accounts = accounts(&store);
        let other = accounts.clone();
        let is_first = std::sync::atomic::AtomicBool::new(true);
        // the rival decides on another state, so the content under the key differs too
        let executed = accounts
            .update(&id("a"), |account| {
                if is_first.swap(false, Ordering::Relaxed) {
                    use futures_util::FutureExt;
                    if slipped > 0 {
                        slip_in(&store, "a", slipped);
                    }
                    let rival =
                        other.update(&id("a"), |account| account.deposit(account.balance + 1));
                    let rival = rival.idempotency_key(key("k")).into_future();
                    rival.now_or_never().expect("a memory store never waits").unwrap();
                }
                account.deposit(account.balance + 1)
            })
            .idempotency_key(key("k"))
            .await
            .unwrap();
        assert!(executed.appended.unwrap().repeated);
        assert_eq!(executed.state.balance, slipped * 2 + 1);
    }
}

#[tokio::test]
async fn a_lost_answer_is_repaired_under_a_key_and_reported_without_one() {
    let memory = store();
    let faulty = Arc::new(FaultStore::new(memory.clone()));
    let accounts = es_core::Repository::<Account>::new(faulty.clone());
    faulty.lose_answer(1);
    let deposit = accounts.update(&id("a"), |account| account.deposit(5));
    let executed = deposit.idempotency_key(key("k")).retries(1).await.unwrap();
    assert!(executed.appended.unwrap().repeated);
    assert_eq!(events(&memory, "a").await.len(), 1);

    faulty.lose_answer(1);
    let deposit = accounts.update(&id("a"), |account| account.deposit(5));
    let error = deposit.retries(5).await.unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(events(&memory, "a").await.len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_before_writing_is_told_with_its_kind() {
    let faulty = Arc::new(FaultStore::new(store()));
    let accounts = es_core::Repository::<Account>::new(faulty.clone());
    faulty.fail_append(1, StoreErrorKind::Busy);
    let error = accounts.update(&id("a"), |account| account.deposit(5)).await.unwrap_err();
    let ExecuteError::Store(store) = &error else { panic!("{error:?}") };
    assert_eq!(store.kind(), StoreErrorKind::Busy);
    assert!(error.is_transient());
}

#[tokio::test]
async fn what_the_caller_saw_must_be_there_still() {
    let store = store();
    let accounts = accounts(&store);
    let deposit = |account: &Account| account.deposit(1);
    let seen = accounts.update(&id("a"), deposit).await.unwrap().version;
    accounts.update(&id("a"), deposit).expecting(seen).await.unwrap();
    let error = accounts.update(&id("a"), deposit).expecting(seen).retries(9).await.unwrap_err();
    let ExecuteError::Stale { actual, .. } = &error else { panic!("{error:?}") };
    assert_eq!(*actual, seen.next());
    assert!(!error.is_transient(), "the same command will not succeed later");
}

#[tokio::test]
async fn creating_refuses_what_exists_whatever_else_is_asked() {
    let store = store();
    let accounts = accounts(&store);
    let open = || Ok::<_, TooLittle>(MoneyDeposited { cents: 7 });
    let seen = accounts.create(&id("a"), open).await.unwrap().version;
    let expecting = accounts.create(&id("a"), open).expecting(seen).await.unwrap_err();
    assert!(matches!(expecting, ExecuteError::Exists { .. }), "{expecting:?}");
    let nothing = accounts.create(&id("a"), || Ok::<Vec<AccountEvent>, TooLittle>(Vec::new()));
    let nothing = nothing.await.unwrap_err();
    assert!(matches!(nothing, ExecuteError::Exists { .. }), "{nothing:?}");
}

#[tokio::test]
async fn a_cause_stays_whatever_metadata_follows() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "a", 1);
    let cause = events(&store, "a").await.remove(0);
    let tenant = Metadata::new().with(TENANT, "t-1".to_owned());
    let caused = accounts.caused_by(&cause).with_metadata(tenant);
    caused.update(&id("b"), |account| account.deposit(1)).await.unwrap();
    let metadata = &events(&store, "b").await[0].metadata;
    assert_eq!(metadata.causation_id, Some(cause.event_id));
    assert_eq!(metadata.get(TENANT).as_deref(), Some("t-1"));
}

fn faulty() -> (Arc<MemoryStore>, Arc<FaultStore>, es_core::Repository<Account>) {
    let memory = store();
    let faulty = Arc::new(FaultStore::new(memory.clone()));
    (memory, faulty.clone(), es_core::Repository::new(faulty))
}

#[tokio::test]
async fn a_lost_answer_stays_unknown_when_asking_again_fails() {
    let (memory, faulty, accounts) = faulty();
    faulty.lose_answer(1);
    // the first look-up is that of the first attempt; those that follow ask again
    (2..=4).for_each(|nth| faulty.fail(Call::FindAppend, nth, StoreErrorKind::Unavailable));
    let deposit = accounts.update(&id("a"), |account| account.deposit(5));
    let error = deposit.idempotency_key(key("k")).retries(3).await.unwrap_err();
    assert_eq!(events(&memory, "a").await.len(), 1, "it was written");
    assert!(error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(faulty.calls(Call::FindAppend), 4, "each failed look-up used up one attempt");
}

#[tokio::test]
async fn a_failed_read_uses_up_an_attempt() {
    for call in [Call::FindAppend, Call::Read] {
        for (failures, retries) in [(2, 2), (3, 2)] {
            let (memory, faulty, accounts) = faulty();
            (1..=failures).for_each(|nth| faulty.fail(call, nth, StoreErrorKind::Unavailable));
            let deposit = accounts.update(&id("a"), |account| account.deposit(5));
            let done = deposit.idempotency_key(key("k")).retries(retries).await;
            assert_eq!(done.is_ok(), failures <= u64::from(retries), "{call:?}: {done:?}");
            assert!(done.err().is_none_or(|error| error.is_transient()));
            assert_eq!(events(&memory, "a").await.len(), usize::from(failures == 2));
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_after_failed_reads() {
    let (memory, faulty, accounts) = faulty();
    faulty.lose_answer(1);
    (2..=3).for_each(|nth| faulty.fail(Call::FindAppend, nth, StoreErrorKind::Unavailable));
    let deposit = accounts.update(&id("a"), |account| account.deposit(5));
    let done = deposit.idempotency_key(key("k")).retries(3).await.unwrap();
    assert!(done.is_repeat());
    assert_eq!(events(&memory, "a").await.len(), 1);
}

#[tokio::test]
async fn an_append_that_wrote_nothing_is_retried_without_a_key() {
    for kind in [StoreErrorKind::Busy, StoreErrorKind::Unavailable] {
        let (memory, faulty, accounts) = faulty();
        faulty.fail_append(1, kind);
        accounts.update(&id("a"), |account| account.deposit(5)).retries(1).await.unwrap();
        assert_eq!(events(&memory, "a").await.len(), 1);
        faulty.fail_append(1, StoreErrorKind::OutcomeUnknown);
        let lost = accounts.update(&id("a"), |account| account.deposit(5)).retries(9).await;
        assert!(lost.unwrap_err().is_outcome_unknown(), "without a key nobody can ask again");
    }
}

#[tokio::test]
async fn a_refusal_because_of_what_the_same_command_did_is_a_repeat() {
    let (memory, faulty, accounts) = faulty();
    accounts.update(&id("a"), |account| account.deposit(5)).await.unwrap();
    let twin = es_core::Repository::<Account>::new(memory.clone());
    let withdraw = |account: &Account| account.withdraw(5);
    let withdrawn = accounts
        .update(&id("a"), |account| {
            // the same command came twice, and the other one is quicker
            let other = twin.update(&id("a"), withdraw).idempotency_key(key("k"));
            other.into_future().now_or_never().expect("a memory store never waits").unwrap();
            Err(TooLittle { balance: account.balance }).and_then(|()| withdraw(account))
        })
        .idempotency_key(key("k"))
        .await;
    assert!(withdrawn.unwrap().is_repeat());
    assert_eq!((events(&memory, "a").await.len(), faulty.appends()), (2, 1));
}

#[tokio::test]
async fn a_metadata_field_that_does_not_fit_makes_nothing_unreadable() {
    let store = store();
    let accounts = accounts(&store);
    let odd = r#"{"event_version":"draft","causation_id":"x"}"#;
    let odd: Metadata = serde_json::from_str(odd).unwrap();
    accounts.update(&id("a"), |account| account.deposit(1)).metadata(odd).await.unwrap();
    assert_eq!(accounts.load(&id("a")).await.unwrap().state.balance, 1);
    let metadata = &events(&store, "a").await[0].metadata;
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
    assert_eq!(metadata.document("causation_id").unwrap().as_str(), r#""x""#);
    let again: Metadata = serde_json::from_str(&serde_json::to_string(metadata).unwrap()).unwrap();
    assert_eq!(again, *metadata);
}

#[derive(es_core::Event, Debug, Clone, PartialEq)]
enum Measured {
    #[event(name = "temperature_measured")]
    TemperatureMeasured {
        celsius: f64,
        #[event(metadata)]
        duration_ms: Option<u64>,
    },
}

#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Station {
    spent: u64,
}

impl es_core::Aggregate for Station {
    const TYPE: &'static str = "station";
    type Id = String;
    type Event = Measured;
    fn evolve(&mut self, Measured::TemperatureMeasured { duration_ms, .. }: &Measured) {
        self.spent += duration_ms.unwrap_or(0);
    }
}

#[tokio::test]
async fn an_event_that_is_no_json_is_not_written() {
    let store = store();
    let stations = es_core::Repository::<Station>::new(store.clone());
    let measure =
        |celsius| move |_: &Station| Measured::TemperatureMeasured { celsius, duration_ms: None };
    let error = stations.record(&id("s"), measure(f64::NAN)).await.unwrap_err();
    let ExecuteError::Encode(error) = error else { panic!("{error:?}") };
    assert_eq!(error.event_type, "temperature_measured");
    assert!(stations.load(&id("s")).await.unwrap().existing().is_none());
}

#[tokio::test]
async fn metadata_that_are_no_json_are_refused_by_the_name_of_the_field() {
    const MEAN: MetadataField<f64> = MetadataField::new("mean");
    let store = store();
    let metadata = Metadata::new().with(MEAN, f64::INFINITY);
    let accounts = accounts(&store);
    let refused = accounts.update(&id("a"), |account| account.deposit(1));
    let error = refused.metadata(metadata).retries(3).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains("the metadata field `mean` is no JSON"), "{error}");
    assert_eq!(events(&store, "a").await, []);
}

#[tokio::test]
async fn the_state_that_is_answered_is_the_state_that_is_loaded() {
    let store = store();
    let stations = es_core::Repository::<Station>::new(store.clone());
    let measure = |_: &Station| Measured::TemperatureMeasured { celsius: 1.0, duration_ms: None };
    // the event decides that there is none, whatever the command's metadata says
    for duration in [json!(77), json!("soon")] {
        let mut metadata = Metadata::new();
        metadata.set_document("duration_ms", duration);
        let executed = stations.record(&id("s"), measure).metadata(metadata).await.unwrap();
        assert_eq!(executed.state, stations.load(&id("s")).await.unwrap().state);
        assert_eq!(executed.state.spent, 0);
    }
}

#[tokio::test]
async fn metadata_of_the_command_stands_before_that_of_the_repository() {
    let store = store();
    let base = Metadata::new().with(TENANT, "t".to_owned()).with(REQUEST_ID, 1);
    let accounts = accounts(&store).with_metadata(base);
    let own = Metadata::new().with(REQUEST_ID, 2);
    accounts.update(&id("a"), |account| account.deposit(1)).metadata(own).await.unwrap();
    let metadata = &events(&store, "a").await[0].metadata;
    assert_eq!(metadata.get(REQUEST_ID), Some(2));
    assert_eq!(metadata.get(TENANT).as_deref(), Some("t"));
    assert_eq!(metadata.event_version, Some(EventVersion::new(1)));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named() {
    let store = store();
    let accounts = accounts(&store);
    accounts.update(&id("a"), |account| account.deposit(1)).await.unwrap();
    let foreign = es_core::NewEvent::new(
        Environment::default().event_ids.next_id(),
        "account_renamed",
        es_core::Payload::of("x").unwrap(),
    );
    let any = ExpectedVersion::Any;
    store.append(es_core::AppendRequest::to(stream("a"), any, vec![foreign])).await.unwrap();
    let error = accounts.load(&id("a")).await.unwrap_err();
    let LoadError::Decode { version, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(version.as_u64(), 2);
    assert!(matches!(source, DecodeError::UnknownType { .. }));
    assert_eq!(error.to_string(), "event 2 of account/a cannot be read");
    assert!(source.to_string().contains("money_deposited"), "{source}");
}

#[tokio::test]
async fn an_id_that_can_name_no_stream_is_refused_before_anything_happens() {
    let accounts = accounts(&store());
    for bad in ["", "a\0b", &"x".repeat(300)] {
        let update = accounts.update(&id(bad), |account| account.deposit(1)).await;
        assert!(matches!(update, Err(ExecuteError::Invalid(_))), "{update:?}");
        assert!(matches!(accounts.load(&id(bad)).await, Err(LoadError::InvalidId(_))));
    }
}

#[tokio::test]
async fn states_of_the_past_are_prefixes_of_the_stream() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(Arc::new(clock.clone())));
    let accounts = accounts(&store);
    let mut instants = Vec::new();
    for cents in [1, 10, 100] {
        instants.push(clock.step(std::time::Duration::from_secs(1)));
        accounts.update(&id("a"), |account| account.deposit(cents)).await.unwrap();
    }
    for (version, balance) in [(0, 0), (1, 1), (2, 11), (3, 111), (9, 111)] {
        let loaded = accounts.load_at_version(&id("a"), StreamVersion::new(version)).await.unwrap();
        assert_eq!(loaded.state.balance, balance);
    }
    for (instant, balance) in instants.iter().zip([1, 11, 111]) {
        assert_eq!(accounts.load_at(&id("a"), *instant).await.unwrap().state.balance, balance);
    }
    assert!(accounts.load(&id("b")).await.unwrap().existing().is_none());
}
