//! Commands: what is decided again, what is answered, what is recorded.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use es_core::ExpectedVersion::{NoStream, StreamExists};
use es_core::backend::{EventStore, InvalidRequest, PageLimit, Position, StoreErrorKind};
use es_core::environment::{Environment, Jitter};
use es_core::event::Metadata;
use es_core::execution::{IdempotencyKey, Retry, StreamVersion};
use es_core::{CommandError, ExpectedVersion};
use es_testing::fault::Call;

use super::account::*;

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

#[tokio::test]
async fn a_decision_is_run_again_on_the_state_that_the_other_writer_left() {
    let store = store();
    let seen = std::sync::Mutex::new(Vec::new());
    let executed = accounts(&store)
        .by_id("a")
        .decide(|account| {
            let mut seen = seen.lock().unwrap();
            if seen.len() < 2 {
                slip_in(&store, "a", 5);
            }
            seen.push(account.balance);
            account.deposit(account.balance * 100)
        })
        .retry(Retry::times(2))
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
            .by_id("a")
            .decide(|account| {
                calls.fetch_add(1, Ordering::Relaxed);
                slip_in(&store, "a", 1);
                account.deposit(1)
            })
            .retry(Retry::times(retries))
            .await
            .unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), expected_calls);
        let CommandError::Conflict(conflict) = &error else { panic!("{error:?}") };
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
    let command = accounts.by_id("a").decide(|account| {
        slip_in(&store, "a", 1);
        account.deposit(1)
    });
    command.retry(Retry::times(7)).await.unwrap_err();
    assert_eq!(asked.load(Ordering::Relaxed), 7);
}

#[tokio::test]
async fn a_rejection_is_a_value_and_writes_nothing() {
    let store = store();
    let error =
        accounts(&store).by_id("a").decide(|account| account.withdraw(1)).await.unwrap_err();
    assert!(matches!(error, CommandError::Rejected(TooLittle { balance: 0 })), "{error:?}");
    assert!(events(&store, "a").await.is_empty());
}

#[tokio::test]
async fn a_decision_without_events_writes_nothing_and_records_no_key() {
    let store = store();
    let nothing = |_: &Account| Ok::<_, TooLittle>(Vec::new());
    let accounts = accounts(&store);
    let executed = accounts.by_id("a").decide(nothing).idempotency_key("k").await.unwrap();
    assert_eq!(executed.position(), Position::START);
    assert_eq!((executed.appended, executed.version), (None, StreamVersion::EMPTY));
    assert_eq!(store.find_append(&stream("a"), &key("k")).await.unwrap(), None);
}

#[tokio::test]
async fn creating_sees_no_state_and_is_never_retried() {
    let store = store();
    let accounts = accounts(&store);
    let calls = AtomicU32::new(0);
    let open = || {
        accounts.by_id("a").expecting(NoStream).decide(|account| {
            calls.fetch_add(1, Ordering::Relaxed);
            assert_eq!(account.balance, 0);
            MoneyDeposited { cents: 7 }
        })
    };
    assert_eq!(open().await.unwrap().state.balance, 7);
    let error = open().retry(Retry::times(9)).await.unwrap_err();
    assert!(!error.is_transient());
    let CommandError::PreconditionFailed(conflict) = &error else { panic!("{error:?}") };
    assert_eq!((conflict.expected, conflict.actual), (NoStream, StreamVersion::FIRST));
    assert_eq!(error.to_string(), "account/a exists already, at version 1");
    assert_eq!(events(&store, "a").await.len(), 1);
    assert_eq!(calls.load(Ordering::Relaxed), 2, "it is decided once each time");
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_first_result_and_decides_nothing() {
    let store = store();
    let accounts = accounts(&store);
    let pay = accounts.by_id("a").decide(|account| account.deposit(5));
    let first = pay.idempotency_key("pay/1").await.unwrap();
    assert_eq!(first.position(), store.end_of_log().await.unwrap());
    slip_in(&store, "a", 10);
    let repeat = accounts
        .by_id("a")
        .decide(|_| -> Result<AccountEvent, TooLittle> { panic!("a repeat must not decide") });
    let repeat = repeat.idempotency_key("pay/1").await.unwrap();
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
            .by_id("a")
            .decide(|account| {
                if is_first.swap(false, Ordering::Relaxed) {
                    use futures_util::FutureExt;
                    if slipped > 0 {
                        slip_in(&store, "a", slipped);
                    }
                    let rival =
                        other.by_id("a").decide(|account| account.deposit(account.balance + 1));
                    let rival = rival.idempotency_key("k").into_future();
                    rival.now_or_never().expect("a memory store never waits").unwrap();
                }
                account.deposit(account.balance + 1)
            })
            .idempotency_key("k")
            .await
            .unwrap();
        assert!(executed.appended.unwrap().repeated);
        assert_eq!(executed.state.balance, slipped * 2 + 1);
    }
}

#[tokio::test]
async fn a_lost_answer_is_repaired_under_a_key_and_reported_without_one() {
    let (memory, faults, accounts) = faulty();
    faults.lose_answer(Call::Append, 1);
    let deposit = accounts.by_id("a").decide(|account| account.deposit(5));
    let executed = deposit.idempotency_key("k").retry(Retry::times(1)).await.unwrap();
    assert!(executed.appended.unwrap().repeated);
    assert_eq!(events(&memory, "a").await.len(), 1);

    faults.lose_answer(Call::Append, 1);
    let deposit = accounts.by_id("a").decide(|account| account.deposit(5));
    let error = deposit.retry(Retry::times(5)).await.unwrap_err();
    assert!(error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(events(&memory, "a").await.len(), 2);
}

#[tokio::test]
async fn a_store_that_fails_before_writing_is_told_with_its_kind() {
    let (_, faults, accounts) = faulty();
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    let accounts = accounts.with_retry(Retry::NONE);
    let error = accounts.by_id("a").decide(|account| account.deposit(5)).await.unwrap_err();
    let CommandError::Store(store) = &error else { panic!("{error:?}") };
    assert_eq!(store.kind(), StoreErrorKind::Busy);
    assert!(error.is_transient());
}

#[tokio::test]
async fn what_the_caller_saw_must_be_there_still() {
    let store = store();
    let accounts = accounts(&store);
    let deposit = |account: &Account| account.deposit(1);
    let seen = accounts.by_id("a").decide(deposit).await.unwrap().version;
    let account = accounts.by_id("a").expecting(seen);
    account.decide(deposit).await.unwrap();
    let error = account.decide(deposit).retry(Retry::times(9)).await.unwrap_err();
    let CommandError::PreconditionFailed(conflict) = &error else { panic!("{error:?}") };
    assert_eq!(conflict.actual, seen.next());
    let told = "account/a is at version 2, not at 1 any more; look at it again";
    assert_eq!(error.to_string(), told);
    assert!(!error.is_transient(), "the same command will not succeed later");
    // nor if it changes between the look and the append
    let calls = AtomicU32::new(0);
    let account = account.expecting(seen.next());
    let error = account.decide(|account| {
        calls.fetch_add(1, Ordering::Relaxed);
        slip_in(&store, "a", 1);
        account.deposit(1)
    });
    let error = error.await.unwrap_err();
    let CommandError::PreconditionFailed(conflict) = &error else { panic!("{error:?}") };
    assert_eq!(conflict.expected, ExpectedVersion::Exact(seen.next()));
    assert_eq!((conflict.actual.as_u64(), calls.load(Ordering::Relaxed)), (3, 1));
}

#[tokio::test]
async fn what_is_expected_last_counts_also_where_nothing_is_decided() {
    let store = store();
    let accounts = accounts(&store);
    let new = accounts.by_id("a").expecting(NoStream);
    assert_eq!(new.decide(|_| None).await.unwrap().version, StreamVersion::EMPTY);
    let seen = new.decide(|account| account.deposit(7)).await.unwrap().version;
    // nothing is appended, and still it must not exist
    let nothing = new.decide(|_| None).await.unwrap_err();
    assert!(matches!(nothing, CommandError::PreconditionFailed(_)), "{nothing:?}");
    let known = new.clone().expecting(seen);
    assert_eq!(known.decide(|_| None).await.unwrap().state.balance, 7);
    let new = known.clone().expecting(NoStream);
    let error = new.decide(|account| account.deposit(7)).await.unwrap_err();
    assert!(matches!(error, CommandError::PreconditionFailed(_)), "{error:?}");
    known.expecting(StreamExists).decide(|account| account.deposit(1)).await.unwrap();
    let absent = accounts.by_id("b").expecting(StreamExists);
    let absent = absent.decide(|account| account.deposit(1)).await.unwrap_err();
    assert_eq!(absent.to_string(), "account/b does not exist");
    let gone = accounts.by_id("b").expecting(seen).decide(|_| None).await.unwrap_err();
    assert_eq!(gone.to_string(), "account/b does not exist");
    assert_eq!(events(&store, "b").await, []);
}

#[tokio::test]
async fn a_header_of_http_says_what_must_be_there() {
    let store = store();
    let account = accounts(&store).by_id("a");
    let absent = account.clone().if_match(None::<&[u8]>).decide(|_| None).await.unwrap_err();
    assert!(matches!(absent, CommandError::PreconditionFailed(_)), "{absent:?}");
    let seen = account.decide(|account| account.deposit(1)).await.unwrap().version;
    let tag = seen.etag();
    let weak = format!("W/{tag}");
    for header in [None, Some("*"), Some(" * "), Some(tag.as_str()), Some(weak.as_str())] {
        let decided = account.clone().if_match(header).decide(|_| None).await;
        assert_eq!(decided.unwrap().state.balance, 1, "{header:?}");
    }
    for stale in ["\"0\"", "\"2\""] {
        let stale = account.clone().if_match(Some(stale)).decide(|_| None).await.unwrap_err();
        assert!(matches!(stale, CommandError::PreconditionFailed(_)), "{stale:?}");
    }
    for odd in ["", "1", "\"\"", "\"x\"", "\"1\", \"2\""] {
        let odd = account.clone().if_match(Some(odd)).decide(|_| None).await.unwrap_err();
        assert!(matches!(odd, CommandError::Invalid(InvalidRequest::IfMatch { .. })), "{odd:?}");
    }
}

#[tokio::test]
async fn after_a_conflict_only_what_is_new_is_read() {
    let (memory, faults, accounts) = faulty();
    (0..6).for_each(|_| slip_in(&memory, "a", 1));
    let accounts = accounts.with_page_limit(PageLimit::events(1));
    let calls = AtomicU32::new(0);
    let decided = accounts.by_id("a").decide(|account| {
        if calls.fetch_add(1, Ordering::Relaxed) < 2 {
            slip_in(&memory, "a", 10);
        }
        account.deposit(account.balance)
    });
    let decided = decided.await.unwrap();
    assert_eq!((decided.state.balance, decided.version.as_u64()), (52, 9));
    // the six; and twice the last of those that are known, and a new one
    assert_eq!(faults.calls(Call::ReadStream), 6 + 2 + 2);
}

#[tokio::test]
async fn keys_are_given_as_texts_and_what_is_none_is_refused_before_anything_is_read() {
    let (memory, faults, accounts) = faulty();
    let deposit = || accounts.by_id("a").decide(|account| account.deposit(1));
    let text = "k".to_owned();
    for decision in [
        deposit().idempotency_key("k"),
        deposit().idempotency_key(text),
        deposit().idempotency_key(b"k".as_slice()),
        deposit().idempotency_key(key("k")),
    ] {
        decision.await.unwrap();
    }
    assert_eq!(events(&memory, "a").await.len(), 1, "all are one key");
    let calls = (faults.calls(Call::FindAppend), faults.calls(Call::ReadStream));
    for odd in [&b""[..], b"a\nb", b"\xff", &[b'x'; 256]] {
        let refused = deposit().idempotency_key(odd).await.unwrap_err();
        let is_told = matches!(&refused, CommandError::Invalid(InvalidRequest::Key { .. }));
        assert!(is_told, "{refused:?}");
    }
    let refused = deposit().idempotency_key("reaction/fulfilment/1").await.unwrap_err();
    let is_told = matches!(&refused, CommandError::Invalid(InvalidRequest::KeyOfReactions { .. }));
    assert!(is_told, "{refused:?}");
    assert_eq!((faults.calls(Call::FindAppend), faults.calls(Call::ReadStream)), calls);
}

#[tokio::test]
async fn what_a_client_sends_names_its_command_and_no_other() {
    let store = store();
    let a = accounts(&store).by_id("a");
    let deposit =
        |sent: Option<&[u8]>| a.decide(|account| account.deposit(5)).client_key("deposit", sent);
    let withdraw =
        |sent: Option<&[u8]>| a.decide(|account| account.withdraw(1)).client_key("withdraw", sent);
    let long = [b'k'; 1_000];
    for sent in [&b"k"[..], b"\xff", b"reaction/fulfilment/1", &long] {
        for is_repeat in [false, true] {
            assert_eq!(deposit(Some(sent)).await.unwrap().is_repeat(), is_repeat);
            assert_eq!(withdraw(Some(sent)).await.unwrap().is_repeat(), is_repeat);
        }
    }
    // who sends none asks for another one each time
    assert!(!deposit(None).await.unwrap().is_repeat());
    assert_eq!(deposit(None).await.unwrap().state.balance, 4 * (5 - 1) + 2 * 5);
    let empty = deposit(Some(b"")).await.unwrap_err();
    assert!(matches!(empty, CommandError::Invalid(InvalidRequest::Key { .. })), "{empty:?}");
}

#[tokio::test]
async fn a_cause_stays_whatever_metadata_follows() {
    let store = store();
    let accounts = accounts(&store);
    slip_in(&store, "a", 1);
    let cause = events(&store, "a").await.remove(0);
    let tenant = Metadata::new().with(TENANT, "t-1".to_owned());
    let caused = accounts.caused_by(&cause).with_metadata(tenant);
    caused.by_id("b").decide(|account| account.deposit(1)).await.unwrap();
    let metadata = &events(&store, "b").await[0].metadata;
    assert_eq!(metadata.causation_id, Some(cause.event_id));
    assert_eq!(metadata.get(TENANT).as_deref(), Some("t-1"));
}
