//! What every way of giving a command is answered, whole and in words: `12 at 2: +5 as 2` is a balance
//! of 12 at version 2, and a deposit of 5 that is event 2. The answers stay, however commands are
//! written. Conflicts, refusals and lost answers of single commands are in `commands`.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use es_core::ExpectedVersion::NoStream;
use es_core::backend::Appended;
use es_core::execution::{Decision, Member, StreamVersion};
use es_core::{CommandError, Decided, Draft, Repository, transact};

use super::account::*;

type One = Member<Account>;
type Both = (One, One);

fn withdraw(cents: u64) -> impl Fn(&Account) -> Result<Vec<AccountEvent>, TooLittle> {
    move |account| match cents {
        0 => Ok(Vec::new()),
        cents => Ok(vec![account.withdraw(cents)?]),
    }
}

fn open() -> AccountEvent {
    MoneyDeposited { cents: 7 }
}

fn deposits(_: &Account) -> [AccountEvent; 2] {
    [MoneyDeposited { cents: 1 }, MoneyDeposited { cents: 2 }]
}

fn both(accounts: &Repository<Account>) -> Both {
    (accounts.by_id("a"), accounts.by_id("b"))
}

/// Answers what is left.
fn transfer(
    from: &mut Draft<Account>,
    to: &mut Draft<Account>,
    cents: u64,
) -> Result<u64, TooLittle> {
    from.record(from.withdraw(cents)?);
    to.record(to.deposit(cents)?);
    Ok(from.balance)
}

fn creating(
    accounts: &Repository<Account>,
    account: &str,
) -> Decision<'static, One, (), Infallible> {
    accounts.by_id(account).expecting(NoStream).decide(|_| open())
}

fn events(events: &[AccountEvent]) -> String {
    let words = events.iter().map(|event| match event {
        MoneyDeposited { cents } => format!("+{cents}"),
        MoneyWithdrawn { cents } => format!("-{cents}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn places(appended: Option<&Appended>) -> String {
    let Some(appended) = appended else { return "nothing".to_owned() };
    let places = appended.streams.iter().flat_map(|part| &part.events);
    let places: Vec<_> = places.map(|event| event.version.to_string()).collect();
    format!(" as {}{}", places.join(" "), if appended.repeated { ", a repeat" } else { "" })
}

fn one(done: &Decided<One>) -> String {
    let (events, places) = (events(&done.events), places(done.appended.as_ref()));
    assert_eq!(done.reply.is_none(), done.is_repeat());
    format!("{} at {}: {events}{places}", done.state.balance, done.version)
}

fn two(done: &Decided<Both, u64>) -> String {
    let ((from, to), places) = (&done.state, places(done.appended.as_ref()));
    let told = events(&done.events.0) + " " + &events(&done.events.1);
    let reply = done.reply.map_or_else(String::new, |left| format!(", {left} is left"));
    format!("{} and {}: {told}{places}{reply}", from.balance, to.balance)
}

#[tokio::test]
async fn what_is_new_is_answered_as_recorded() {
    let store = store();
    let accounts = accounts(&store);
    let a = accounts.by_id("a");
    assert_eq!(one(&creating(&accounts, "a").await.unwrap()), "7 at 1: +7 as 1");
    let updated = a.decide(|account| account.deposit(5)).await.unwrap();
    assert_eq!(one(&updated), "12 at 2: +5 as 2");
    assert_eq!(one(&a.decide(deposits).await.unwrap()), "15 at 4: +1 +2 as 3 4");
    assert_eq!(one(&a.decide(withdraw(4)).await.unwrap()), "11 at 5: -4 as 5");
    let moved = transact(both(&accounts), |(from, to)| transfer(from, to, 3)).await.unwrap();
    assert_eq!(two(&moved), "8 and 3: -3 +3 as 6 1, 8 is left");
}

#[tokio::test]
async fn a_repeat_is_answered_with_what_was_recorded_first_and_the_state_of_now() {
    let store = store();
    let accounts = accounts(&store);
    let [u, r, e] = ["u", "r", "e"].map(|account| accounts.by_id(account));
    slip_in(&store, "e", 9);
    slip_in(&store, "a", 100);
    let (mut answers, mut moved) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let created = creating(&accounts, "c").idempotency_key("k").await.unwrap();
        let updated = u.decide(|account| account.deposit(5)).idempotency_key("k").await.unwrap();
        let recorded = r.decide(deposits).idempotency_key("k").await.unwrap();
        let executed = e.decide(withdraw(4)).idempotency_key("k").await.unwrap();
        answers.push([created, updated, recorded, executed].map(|done| one(&done)));
        let unit = transact(both(&accounts), |(from, to)| transfer(from, to, 30));
        moved.push(two(&unit.idempotency_key("k").await.unwrap()));
        for account in ["c", "u", "r", "e", "b"] {
            slip_in(&store, account, 10);
        }
    }
    let first = ["7 at 1: +7 as 1", "5 at 1: +5 as 1", "3 at 2: +1 +2 as 1 2", "5 at 2: -4 as 2"];
    let again = [
        "17 at 2: +7 as 1, a repeat",
        "15 at 2: +5 as 1, a repeat",
        "13 at 3: +1 +2 as 1 2, a repeat",
        "15 at 3: -4 as 2, a repeat",
    ];
    assert_eq!(answers, [first, again]);
    let units = ["70 and 30: -30 +30 as 2 1, 70 is left", "70 and 40: -30 +30 as 2 1, a repeat"];
    assert_eq!(moved, units);
}

#[tokio::test]
async fn a_unit_that_succeeds_after_a_conflict_is_answered_as_decided_last() {
    let store = store();
    slip_in(&store, "a", 100);
    let is_first = AtomicBool::new(true);
    let everything = transact(both(&accounts(&store)), |(from, to)| {
        if is_first.swap(false, Ordering::Relaxed) {
            slip_in(&store, "a", 5);
        }
        let all = from.balance;
        transfer(from, to, all)
    });
    assert_eq!(two(&everything.await.unwrap()), "0 and 105: -105 +105 as 3 1, 0 is left");
}

#[tokio::test]
async fn who_decides_nothing_or_is_refused_leaves_no_trace() {
    let store = store();
    let accounts = accounts(&store);
    let (a, b) = (accounts.by_id("a"), accounts.by_id("b"));
    slip_in(&store, "a", 3);
    let new = b.clone().expecting(NoStream);
    assert_eq!(one(&new.decide(|_| None).await.unwrap()), "0 at 0: nothing");
    assert_eq!(one(&a.decide(|_| None).await.unwrap()), "3 at 1: nothing");
    assert_eq!(one(&a.decide(withdraw(0)).await.unwrap()), "3 at 1: nothing");
    let refused = a.decide(withdraw(4)).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(TooLittle { balance: 3 })), "{refused:?}");
    assert_eq!(refused.to_string(), "the balance is 3", "the text is the rejection's own");
    assert_eq!(refused.into_rejection().unwrap(), TooLittle { balance: 3 });
    let refused = |_: &Account| Err::<AccountEvent, _>(TooLittle { balance: 9 });
    let refused = new.decide(refused).await.unwrap_err();
    assert!(matches!(refused, CommandError::Rejected(TooLittle { balance: 9 })), "{refused:?}");
    assert_eq!(accounts.load("a").await.unwrap().version, StreamVersion::FIRST);
    assert_eq!(accounts.load("b").await.unwrap().version, StreamVersion::EMPTY);
}
