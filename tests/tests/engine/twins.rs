//! A command that comes twice, of which the other one is written between the look for its key and the
//! load of its members.

use std::convert::Infallible;
use std::time::Duration;

use es_core::backend::StoreErrorKind;
use es_core::execution::{Decision, Member, NotAppended, Retry};
use es_core::{Repository, Store, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults, Gate};
use futures_util::future::join;

use super::account::*;

type One = Member<Account>;
type Both = (One, One);

/// Pays out what there is, if there is something.
fn pay_out(accounts: &Repository<Account>) -> Decision<'static, One, (), Infallible> {
    let all = |account: &Account| match account.balance {
        0 => None,
        cents => Some(MoneyWithdrawn { cents }),
    };
    accounts.by_id("a").decide(all).idempotency_key("k")
}

/// Takes from the first account that has something.
fn take_one(accounts: &Repository<Account>) -> Decision<'static, Both, (), TooLittle> {
    let both = (accounts.by_id("a"), accounts.by_id("b"));
    let take = transact(both, |(a, b)| {
        let from = if a.balance > 0 { a } else { b };
        from.record(from.withdraw(1)?);
        Ok::<_, TooLittle>(())
    });
    take.idempotency_key("k")
}

/// What is answered if something happens before the nth read of a stream from now.
async fn overtaken<T>(
    faults: &Faults,
    nth: u64,
    command: impl IntoFuture<Output = T>,
    before: impl Future<Output = ()>,
) -> T {
    let gate = Gate::new();
    faults.delay(Call::ReadStream, nth, gate.clone());
    let first = async {
        assert!(faults.calls(Call::ReadStream) >= nth, "its members are being read");
        before.await;
        gate.open();
    };
    join(command.into_future(), first).await.0
}

async fn balance(store: &MemoryStore, account: &str) -> u64 {
    let accounts = Repository::<Account>::new(store.clone());
    accounts.load(account).await.unwrap().state.balance
}

#[tokio::test]
async fn nothing_left_to_do_is_a_repeat_if_the_same_command_has_done_it() {
    let (memory, faults, accounts) = faulty();
    slip_in(&memory, "a", 7);
    let plain = super::account::accounts(&memory);
    let twin = async { assert!(!pay_out(&plain).await.unwrap().is_repeat()) };
    let answer = overtaken(&faults, 1, pay_out(&accounts), twin).await.unwrap();
    assert!(answer.is_repeat());
    assert_eq!(answer.events, [MoneyWithdrawn { cents: 7 }], "those of the first time");
    assert_eq!(answer.appended.unwrap().streams[0].events.len(), 1);
}

#[tokio::test]
async fn what_is_prepared_knows_that_it_was_done_meanwhile() {
    let (memory, faults, accounts) = faulty();
    slip_in(&memory, "a", 7);
    let plain = super::account::accounts(&memory);
    let twin = async { assert!(!pay_out(&plain).await.unwrap().is_repeat()) };
    let prepared = overtaken(&faults, 1, pay_out(&accounts).prepare(), twin).await.unwrap();
    assert!(prepared.reply().is_none());
    let home = Store::from(memory).capabilities().identity.clone();
    let refused = prepared.request_for(&home).unwrap_err();
    assert!(matches!(refused, NotAppended::Repeated { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_decision_that_would_go_on_with_another_member_is_a_repeat() {
    let (memory, faults, accounts) = faulty();
    slip_in(&memory, "a", 1);
    slip_in(&memory, "b", 1);
    let plain = super::account::accounts(&memory);
    let twin = async { assert!(!take_one(&plain).await.unwrap().is_repeat()) };
    let answer = overtaken(&faults, 1, take_one(&accounts), twin).await.unwrap();
    assert!(answer.is_repeat());
    assert_eq!((balance(&memory, "a").await, balance(&memory, "b").await), (0, 1));
}

#[tokio::test]
async fn an_append_of_its_own_that_arrives_late_is_found() {
    let (memory, faults, accounts) = faulty();
    slip_in(&memory, "a", 7);
    let plain = super::account::accounts(&memory);
    // it is under way when its sender gives it up, and arrives when the second attempt has looked
    faults.fail(Call::Append, 1, StoreErrorKind::OutcomeUnknown);
    let late = async {
        assert_eq!((faults.calls(Call::Append), faults.calls(Call::FindAppend)), (1, 2));
        pay_out(&plain).await.unwrap();
    };
    let at_once = Retry { base: Duration::ZERO, ..Retry::times(1) };
    let answer = overtaken(&faults, 2, pay_out(&accounts).retry(at_once), late).await.unwrap();
    assert!(answer.is_repeat());
    assert_eq!(answer.events, [MoneyWithdrawn { cents: 7 }]);
    assert_eq!(events(&memory, "a").await.len(), 2);
}

#[tokio::test]
async fn it_is_looked_for_again_only_where_no_append_does_so() {
    let (memory, faults, accounts) = faulty();
    slip_in(&memory, "a", 7);
    let looks = async |command: Decision<'static, Both, (), TooLittle>| {
        let before = faults.calls(Call::FindAppend);
        command.await.unwrap();
        faults.calls(Call::FindAppend) - before
    };
    let both = || (accounts.by_id("a"), accounts.by_id("b"));
    let move_one = transact(both(), |(a, b)| {
        a.record(a.withdraw(1)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    assert_eq!(looks(move_one.idempotency_key("both")).await, 2, "once under each");
    assert_eq!(looks(take_one(&accounts)).await, 4, "and once more");
    let unkeyed = transact(both(), |_| Ok::<_, TooLittle>(()));
    assert_eq!(looks(unkeyed).await, 0);
}
