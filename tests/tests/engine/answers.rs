//! What every way of giving a command is answered, whole and in words: `12 at 2: +5 as 2` is a balance
//! of 12 at version 2, and a deposit of 5 that is event 2. The answers stay, however commands are
//! written. Conflicts, refusals and lost answers of single commands are in `commands`.

use std::sync::atomic::{AtomicBool, Ordering};

use es_core::{
    Appended, Decide, ExecuteError, Executed, ExecutedUnit, IdempotencyKey, Member, StreamVersion,
};

use super::account::*;

type Both = (Member<Account>, Member<Account>);
type Moved = (Vec<AccountEvent>, Vec<AccountEvent>);

struct Withdraw(u64);

impl Decide<Withdraw> for Account {
    type Rejection = TooLittle;

    fn decide(&self, Withdraw(cents): &Withdraw) -> Result<Vec<AccountEvent>, TooLittle> {
        match cents {
            0 => Ok(Vec::new()),
            cents => Ok(vec![self.withdraw(*cents)?]),
        }
    }
}

fn open() -> Result<AccountEvent, TooLittle> {
    Ok(MoneyDeposited { cents: 7 })
}

fn deposits(_: &Account) -> [AccountEvent; 2] {
    [MoneyDeposited { cents: 1 }, MoneyDeposited { cents: 2 }]
}

fn key() -> IdempotencyKey {
    IdempotencyKey::new("k").unwrap()
}

fn both() -> Both {
    (Member::new(id("a")), Member::new(id("b")))
}

fn transfer(cents: u64) -> impl Fn(&(Account, Account)) -> Result<Moved, TooLittle> {
    move |(from, to)| Ok((vec![from.withdraw(cents)?], vec![to.deposit(cents)?]))
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

fn one(done: &Executed<Account>) -> String {
    let (events, places) = (events(&done.events), places(done.appended.as_ref()));
    format!("{} at {}: {events}{places}", done.state.balance, done.version)
}

/// The events of a repeat are left out.
fn two(done: &ExecutedUnit<Both>) -> String {
    let ((from, to), places) = (&done.states, places(done.appended.as_ref()));
    let told = done.events.as_ref().filter(|_| !done.is_repeat());
    let told = told.map_or_else(String::new, |(from, to)| events(from) + " " + &events(to));
    format!("{} and {}: {told}{places}", from.balance, to.balance)
}

#[tokio::test]
async fn what_is_new_is_answered_as_recorded() {
    let store = store();
    let accounts = accounts(&store);
    let a = id("a");
    assert_eq!(one(&accounts.create(&a, open).await.unwrap()), "7 at 1: +7 as 1");
    let updated = accounts.update(&a, |account| account.deposit(5)).await.unwrap();
    assert_eq!(one(&updated), "12 at 2: +5 as 2");
    assert_eq!(one(&accounts.record(&a, deposits).await.unwrap()), "15 at 4: +1 +2 as 3 4");
    assert_eq!(one(&accounts.execute(&a, Withdraw(4)).await.unwrap()), "11 at 5: -4 as 5");
    let moved = accounts.unit_of_work().decide(both(), transfer(3)).await.unwrap();
    assert_eq!(two(&moved), "8 and 3: -3 +3 as 6 1");
}

#[tokio::test]
async fn a_repeat_is_answered_with_what_was_recorded_first_and_the_state_of_now() {
    let store = store();
    let accounts = accounts(&store);
    let [c, u, r, e] = ["c", "u", "r", "e"].map(id);
    slip_in(&store, "e", 9);
    slip_in(&store, "a", 100);
    let (mut answers, mut moved) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let created = accounts.create(&c, open).idempotency_key(key()).await.unwrap();
        let updated = accounts.update(&u, |account| account.deposit(5)).idempotency_key(key());
        let recorded = accounts.record(&r, deposits).idempotency_key(key()).await.unwrap();
        let executed = accounts.execute(&e, Withdraw(4)).idempotency_key(key()).await.unwrap();
        answers.push([created, updated.await.unwrap(), recorded, executed].map(|done| one(&done)));
        let unit = accounts.unit_of_work().decide(both(), transfer(30)).idempotency_key(key());
        moved.push(two(&unit.await.unwrap()));
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
    assert_eq!(moved, ["70 and 30: -30 +30 as 2 1", "70 and 40:  as 2 1, a repeat"]);
}

#[tokio::test]
async fn a_unit_that_succeeds_after_a_conflict_is_answered_as_decided_last() {
    let store = store();
    slip_in(&store, "a", 100);
    let is_first = AtomicBool::new(true);
    let everything = accounts(&store).unit_of_work().decide(both(), |states| {
        if is_first.swap(false, Ordering::Relaxed) {
            slip_in(&store, "a", 5);
        }
        transfer(states.0.balance)(states)
    });
    let moved = everything.retries(1).await.unwrap();
    assert_eq!(two(&moved), "0 and 105: -105 +105 as 3 1");
}

#[tokio::test]
async fn who_decides_nothing_or_is_refused_leaves_no_trace() {
    let store = store();
    let accounts = accounts(&store);
    let (a, b) = (id("a"), id("b"));
    slip_in(&store, "a", 3);
    let none = || Ok::<_, TooLittle>(None::<AccountEvent>);
    assert_eq!(one(&accounts.create(&b, none).await.unwrap()), "0 at 0: nothing");
    let recorded = accounts.record(&a, |_| None::<AccountEvent>).await.unwrap();
    assert_eq!(one(&recorded), "3 at 1: nothing");
    assert_eq!(one(&accounts.execute(&a, Withdraw(0)).await.unwrap()), "3 at 1: nothing");
    let refused = accounts.execute(&a, Withdraw(4)).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Rejected(TooLittle { balance: 3 })), "{refused:?}");
    let refused = || Err::<AccountEvent, _>(TooLittle { balance: 9 });
    let refused = accounts.create(&b, refused).await.unwrap_err();
    assert!(matches!(refused, ExecuteError::Rejected(TooLittle { balance: 9 })), "{refused:?}");
    assert_eq!(accounts.load(&a).await.unwrap().version, StreamVersion::FIRST);
    assert_eq!(accounts.load(&b).await.unwrap().version, StreamVersion::EMPTY);
}
