//! Commands over a store whose calls fail: what is answered, and what was done.

use std::future::IntoFuture;
use std::sync::Arc;

use es_core::backend::{AppendRequest, EventStore, NewEvent, StoreErrorKind};
use es_core::environment::{Environment, EventIds, Jitter, UuidV7Ids};
use es_core::event::Payload;
use es_core::execution::Retry;
use es_core::{CommandError, ErrorKind, ExpectedVersion};
use es_memory::MemoryStore;
use es_testing::fault::Call;
use futures_util::FutureExt;

use super::account::*;

#[tokio::test]
async fn a_lost_answer_stays_unknown_when_asking_again_fails() {
    let (memory, faults, accounts) = faulty();
    faults.lose_answer(Call::Append, 1);
    // the first look-up is that of the first attempt; those that follow ask again
    (2..=4).for_each(|nth| faults.fail(Call::FindAppend, nth, StoreErrorKind::Unavailable));
    let deposit = accounts.by_id("a").decide(|account| account.deposit(5));
    let error = deposit.idempotency_key("k").retry(Retry::times(3)).await.unwrap_err();
    assert_eq!(events(&memory, "a").await.len(), 1, "it was written");
    assert!(error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(faults.calls(Call::FindAppend), 4, "each failed look-up used up one attempt");
}

/// While it waits before the next attempt, a newer program appends an event that this one cannot read.
#[derive(Debug)]
struct NewerProgram(Arc<MemoryStore>);

impl Jitter for NewerProgram {
    fn fraction(&self) -> f64 {
        let payload = Payload::of(&()).unwrap();
        let event = NewEvent::new(UuidV7Ids.next_id(), "account_renamed", payload);
        let request = AppendRequest::to(stream("a"), ExpectedVersion::Any, vec![event]);
        self.0.append(request).now_or_never().expect("a memory store never waits").unwrap();
        0.0
    }
}

#[tokio::test]
async fn a_lost_answer_stays_unknown_when_what_it_left_cannot_be_read() {
    let (memory, faults, accounts) = faulty();
    let environment = Environment::default().with_jitter(NewerProgram(memory.clone()));
    let accounts = accounts.with_environment(environment);
    let deposit = || accounts.by_id("a").decide(|account| account.deposit(5));
    faults.lose_answer(Call::Append, 1);
    let error = deposit().idempotency_key("k").retry(Retry::times(1)).await.unwrap_err();
    assert_eq!(events(&memory, "a").await.len(), 2, "it was written");
    assert!(error.is_outcome_unknown() && !error.is_transient(), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "event 2 of account/a cannot be read");
    // who asks later is told that it cannot be read, and no more
    let error = deposit().idempotency_key("k").await.unwrap_err();
    assert!(matches!(error, CommandError::Load(_)) && !error.is_outcome_unknown(), "{error:?}");
}

#[tokio::test]
async fn a_failed_read_uses_up_an_attempt() {
    for call in [Call::FindAppend, Call::ReadStream] {
        for (failures, retries) in [(2, 2), (3, 2)] {
            let (memory, faults, accounts) = faulty();
            (1..=failures).for_each(|nth| faults.fail(call, nth, StoreErrorKind::Unavailable));
            let deposit = accounts.by_id("a").decide(|account| account.deposit(5));
            let done = deposit.idempotency_key("k").retry(Retry::times(retries)).await;
            assert_eq!(done.is_ok(), failures <= u64::from(retries), "{call:?}: {done:?}");
            assert!(done.err().is_none_or(|error| error.is_transient()));
            assert_eq!(events(&memory, "a").await.len(), usize::from(failures == 2));
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_after_failed_reads() {
    let (memory, faults, accounts) = faulty();
    faults.lose_answer(Call::Append, 1);
    (2..=3).for_each(|nth| faults.fail(Call::FindAppend, nth, StoreErrorKind::Unavailable));
    let deposit = accounts.by_id("a").decide(|account| account.deposit(5));
    let done = deposit.idempotency_key("k").retry(Retry::times(3)).await.unwrap();
    assert!(done.is_repeat());
    assert_eq!(events(&memory, "a").await.len(), 1);
}

#[tokio::test]
async fn an_append_that_wrote_nothing_is_retried_without_a_key() {
    for kind in [StoreErrorKind::Busy, StoreErrorKind::Unavailable] {
        let (memory, faults, accounts) = faulty();
        faults.fail(Call::Append, 1, kind);
        accounts
            .by_id("a")
            .decide(|account| account.deposit(5))
            .retry(Retry::times(1))
            .await
            .unwrap();
        assert_eq!(events(&memory, "a").await.len(), 1);
        faults.fail(Call::Append, 1, StoreErrorKind::OutcomeUnknown);
        let lost =
            accounts.by_id("a").decide(|account| account.deposit(5)).retry(Retry::times(9)).await;
        assert!(lost.unwrap_err().is_outcome_unknown(), "without a key nobody can ask again");
    }
}

#[tokio::test]
async fn a_refusal_because_of_what_the_same_command_did_is_a_repeat() {
    let (memory, faults, accounts) = faulty();
    accounts.by_id("a").decide(|account| account.deposit(5)).await.unwrap();
    let twin = es_core::Repository::<Account>::new(memory.clone());
    let withdraw = |account: &Account| account.withdraw(5);
    let withdrawn = accounts
        .by_id("a")
        .decide(|account| {
            // the same command came twice, and the other one is quicker
            let other = twin.by_id("a").decide(withdraw).idempotency_key("k");
            other.into_future().now_or_never().expect("a memory store never waits").unwrap();
            Err(TooLittle { balance: account.balance }).and_then(|()| withdraw(account))
        })
        .idempotency_key("k")
        .await;
    assert!(withdrawn.unwrap().is_repeat());
    assert_eq!((events(&memory, "a").await.len(), faults.calls(Call::Append)), (2, 1));
}
