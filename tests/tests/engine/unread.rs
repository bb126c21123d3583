//! Decisions that begin at a cached state without reading: one call of the store, and every answer that
//! of a decision that reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use es_core::ExpectedVersion::{Exact, NoStream, StreamExists};
use es_core::backend::{InvalidRequest, StoreErrorKind};
use es_core::execution::{Member, Retry, StreamVersion};
use es_core::{CommandError, Repository, transact};
use es_memory::MemoryStore;
use es_testing::fault::{Call, Faults};
use proptest::prelude::*;

use super::account::*;

/// How often the store was asked for a page, for a key, and to append.
fn calls(faults: &Faults) -> [u64; 3] {
    [Call::ReadStream, Call::FindAppend, Call::Append].map(|call| faults.calls(call))
}

fn since(faults: &Faults, before: [u64; 3]) -> [u64; 3] {
    let now = calls(faults);
    [0, 1, 2].map(|call| now[call] - before[call])
}

/// A store, its faults, and accounts in it that are decided on from the cache, after one deposit of 5
/// into `a` and `b`; nothing is tried again.
async fn known() -> (Arc<MemoryStore>, Faults, Repository<Account>) {
    let (memory, faults, accounts) = faulty();
    let accounts = accounts.with_retry(Retry::NONE).with_cache(10).deciding_from_cache();
    for account in ["a", "b"] {
        accounts.by_id(account).decide(|account| account.deposit(5)).await.unwrap();
    }
    (memory, faults, accounts)
}

#[tokio::test]
async fn a_command_on_a_known_state_is_one_append() {
    let (_, faults, accounts) = known().await;
    let before = calls(&faults);
    let account = accounts.by_id("a");
    let plain = account.decide(|account| account.withdraw(1)).await.unwrap();
    assert_eq!((plain.state.balance, plain.version.as_u64()), (4, 2));
    let keyed = account.decide(|account| account.withdraw(1)).idempotency_key("k").await.unwrap();
    assert_eq!((keyed.state.balance, keyed.version.as_u64()), (3, 3));
    for expected in [Exact(keyed.version), StreamExists] {
        let expecting = account.clone().expecting(expected);
        expecting.decide(|account| account.deposit(1)).await.unwrap();
    }
    let both = (account.clone(), vec![accounts.by_id("b")]);
    let moved = transact(both, |(a, b)| {
        let b = &mut b[0];
        a.record(a.withdraw(5)?);
        b.record(b.deposit(5)?);
        Ok::<_, TooLittle>(a.balance)
    });
    let moved = moved.await.unwrap();
    assert_eq!((moved.reply, moved.state.1[0].balance), (Some(0), 10));
    let new = accounts.by_id("new").expecting(NoStream);
    new.decide(|account| account.deposit(1)).idempotency_key("new").await.unwrap();
    assert_eq!(since(&faults, before), [0, 0, 6]);
}

#[tokio::test]
async fn what_another_process_wrote_meanwhile_is_seen_by_every_answer() {
    let (memory, faults, accounts) = known().await;
    let (account, plain) = (accounts.by_id("a"), Repository::<Account>::new(memory.clone()));
    // an append in vain, and what is new is read
    slip_in(&memory, "a", 10);
    let before = calls(&faults);
    let accepted = account.decide(|account| account.withdraw(account.balance)).await.unwrap();
    assert_eq!((accepted.events, accepted.state.balance), (vec![MoneyWithdrawn { cents: 15 }], 0));
    assert_eq!(since(&faults, before), [1, 0, 2]);
    // what the known state would refuse is not refused
    slip_in(&memory, "a", 7);
    let before = calls(&faults);
    account.decide(|account| account.withdraw(7)).await.unwrap();
    assert_eq!(since(&faults, before), [1, 0, 1]);
    // nor answered with nothing
    slip_in(&memory, "a", 3);
    let rich = |account: &Account| (account.balance > 0).then_some(MoneyWithdrawn { cents: 3 });
    assert_eq!(account.decide(rich).await.unwrap().events.len(), 1);
    // nor is a version expected in vain, and one that was expected is not there any more
    slip_in(&memory, "a", 1);
    let seen = plain.load("a").await.unwrap().version;
    let now = account.clone().expecting(seen).decide(|account| account.deposit(1)).await.unwrap();
    assert_eq!(now.version, seen.next());
    slip_in(&memory, "a", 1);
    let old = account.clone().expecting(now.version).decide(|account| account.deposit(1)).await;
    let CommandError::PreconditionFailed(conflict) = old.unwrap_err() else { panic!("it is") };
    assert_eq!(conflict.actual, now.version.next());
    // a refusal rests on what is there
    let known = account.decide(|account| account.deposit(1)).await.unwrap().state.balance;
    slip_in(&memory, "a", 1);
    let refused = account.decide(|account| account.withdraw(1_000)).await.unwrap_err();
    let CommandError::Rejected(told) = refused else { panic!("{refused:?}") };
    assert_eq!(told.balance, known + 1);
}

#[tokio::test]
async fn a_function_that_cannot_take_an_old_state_gets_the_present_one() {
    let (memory, faults, accounts) = known().await;
    slip_in(&memory, "a", 10);
    let before = calls(&faults);
    // who decides has seen the balance of 15
    let down_to_ten = |account: &Account| MoneyWithdrawn {
        cents: account.balance.checked_sub(10).expect("the deposit is there"),
    };
    let account = accounts.by_id("a");
    let done = account.decide(down_to_ten).await.unwrap();
    assert_eq!((done.events, done.state.balance), (vec![MoneyWithdrawn { cents: 5 }], 10));
    assert_eq!(since(&faults, before), [1, 0, 1]);
    // and what was read is known from then on
    let before = calls(&faults);
    account.decide(down_to_ten).await.unwrap();
    assert_eq!(since(&faults, before), [0, 0, 1]);
}

#[tokio::test]
async fn a_member_without_an_event_is_read() {
    let (memory, faults, accounts) = known().await;
    slip_in(&memory, "b", 100);
    let before = calls(&faults);
    // what is recorded in one rests on the other, which no append checks
    let both = (accounts.by_id("a"), accounts.by_id("b"));
    let copied = transact(both, |(a, b)| {
        a.record(a.deposit(b.balance)?);
        Ok::<_, TooLittle>(())
    });
    assert_eq!(copied.await.unwrap().state.0.balance, 5 + 105);
    assert_eq!(since(&faults, before), [2, 0, 1]);
    let nothing = accounts.by_id("b").decide(|_| None).await.unwrap();
    assert_eq!(nothing.state.balance, 105);
}

#[tokio::test]
async fn only_after_an_append_of_ones_own_nothing_is_read() {
    let (memory, faults, accounts) = known().await;
    let (deposit, account) = (|account: &Account| account.deposit(1), accounts.by_id("a"));
    for (is_read, reads) in [(false, 0), (true, 1), (false, 0)] {
        if is_read {
            slip_in(&memory, "a", 1);
            accounts.load("a").await.unwrap();
        }
        let before = calls(&faults);
        account.decide(deposit).await.unwrap();
        assert_eq!(since(&faults, before), [reads, 0, 1]);
    }
    // a load that finds nothing new changes nothing
    accounts.load("a").await.unwrap();
    let before = calls(&faults);
    account.decide(deposit).await.unwrap();
    assert_eq!(since(&faults, before), [0, 0, 1]);
    // what may be rolled back is read for, and so is what is only looked at
    drop(account.decide(deposit).prepare().await.unwrap());
    accounts.load("a").await.unwrap();
    assert_eq!(since(&faults, before), [2, 0, 1]);
    // without a cache nothing is known
    let without = accounts.clone().with_cache(0);
    without.by_id("a").decide(deposit).await.unwrap();
    assert_eq!(since(&faults, before), [3, 0, 2]);
}

#[tokio::test]
async fn a_state_that_was_let_go_and_is_read_again_is_ones_own_still() {
    let (memory, faults, accounts) = known().await;
    let accounts = accounts.with_cache(1);
    let deposit = |account: &Account| account.deposit(1);
    accounts.by_id("a").decide(deposit).await.unwrap();
    for (is_written_to, reads) in [(false, 0), (true, 1), (false, 0)] {
        accounts.by_id("b").decide(deposit).await.unwrap();
        if is_written_to {
            slip_in(&memory, "a", 1);
        }
        accounts.load("a").await.unwrap();
        let before = calls(&faults);
        accounts.by_id("a").decide(deposit).await.unwrap();
        assert_eq!(since(&faults, before), [reads, 0, 1]);
    }
}

#[tokio::test]
async fn a_key_answers_as_ever() {
    let (memory, faults, accounts) = known().await;
    let plain = Repository::<Account>::new(memory.clone());
    let (a, twin) = (accounts.by_id("a"), plain.by_id("a"));
    let first = a.decide(|account| account.withdraw(1)).idempotency_key("k").await.unwrap();
    // whatever is decided now: the same, something else, a refusal, nothing
    let before = calls(&faults);
    let same = a.decide(|_| MoneyWithdrawn { cents: 1 }).idempotency_key("k").await.unwrap();
    let other = a.decide(|account| account.deposit(7)).idempotency_key("k").await.unwrap();
    let refused = a.decide(|account| account.withdraw(99)).idempotency_key("k").await.unwrap();
    let nothing = a.decide(|_| None).idempotency_key("k").await.unwrap();
    for repeat in [same, other, refused, nothing] {
        assert!(repeat.is_repeat());
        assert_eq!((&repeat.events, repeat.state.balance), (&first.events, 4));
        assert_eq!(repeat.position(), first.position());
    }
    assert_eq!(since(&faults, before)[2], 2, "those that had something to append");
    // another process was quicker
    let quick = twin.decide(|account| account.deposit(2)).idempotency_key("quick").await.unwrap();
    let slow = a.decide(|account| account.deposit(3)).idempotency_key("quick").await.unwrap();
    assert!(slow.is_repeat());
    assert_eq!((slow.events, slow.state.balance), (quick.events, 6));
    // a key of an append that touched others is that of another command
    let both = (plain.by_id("a"), plain.by_id("b"));
    let both = transact(both, |(a, b)| {
        a.record(a.deposit(1)?);
        b.record(b.deposit(1)?);
        Ok::<_, TooLittle>(())
    });
    both.idempotency_key("both").await.unwrap();
    for one in [&a, &twin] {
        let reused = one.decide(|account| account.deposit(1)).idempotency_key("both").await;
        assert!(matches!(reused, Err(CommandError::KeyReused { .. })), "{reused:?}");
    }
    // and one of which this command touches more is the same command
    let members = |accounts: &Repository<Account>| (accounts.by_id("a"), accounts.by_id("b"));
    for accounts in [&accounts, &plain] {
        let more = transact(members(accounts), |(a, b)| {
            a.record(a.deposit(1)?);
            b.record(b.deposit(1)?);
            Ok::<_, TooLittle>(())
        });
        assert!(more.idempotency_key("k").await.unwrap().is_repeat());
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_ever() {
    let (memory, faults, accounts) = known().await;
    let account = accounts.by_id("a");
    let deposit = || account.decide(|account| account.deposit(1));
    let count = async || events(&memory, "a").await.len();
    // the attempt that reads tells of a failure that wrote nothing
    faults.fail_each(Call::Append, Some(StoreErrorKind::Busy));
    let error = deposit().await.unwrap_err();
    assert!(error.is_transient() && !error.is_outcome_unknown(), "{error:?}");
    faults.fail_each(Call::Append, None);
    faults.fail(Call::Append, 1, StoreErrorKind::Busy);
    deposit().await.unwrap();
    assert_eq!(count().await, 2);
    // without a key nobody can ask again
    faults.lose_answer(Call::Append, 1);
    let lost = deposit().retry(Retry::times(9)).await.unwrap_err();
    assert!(lost.is_outcome_unknown(), "{lost:?}");
    assert_eq!(count().await, 3);
    deposit().await.unwrap();
    faults.lose_answer(Call::Append, 1);
    let lost = deposit().idempotency_key("k").await.unwrap_err();
    assert!(lost.is_outcome_unknown(), "{lost:?}");
    assert_eq!(count().await, 5);
    deposit().await.unwrap();
    faults.lose_answer(Call::Append, 1);
    let found = deposit().idempotency_key("l").retry(Retry::times(1)).await.unwrap();
    assert!(found.is_repeat());
    assert_eq!((count().await, faults.left()), (7, vec![]));
}

#[tokio::test]
async fn a_decision_over_nothing_is_made_once() {
    let times = AtomicU64::new(0);
    let nothing: Vec<Member<Account>> = Vec::new();
    let decision = transact(nothing, |_| {
        times.fetch_add(1, Ordering::Relaxed);
        Ok::<_, TooLittle>(7)
    });
    assert_eq!(decision.await.unwrap().reply, Some(7));
    assert_eq!(times.into_inner(), 1);
}

#[tokio::test]
async fn a_store_that_takes_no_appends_answers_what_needs_none() {
    let (memory, faults, accounts) = known().await;
    let account = accounts.by_id("a");
    let deposit = || account.decide(|account| account.deposit(1)).idempotency_key("k");
    let first = deposit().await.unwrap();
    slip_in(&memory, "a", 10);
    faults.fail_each(Call::Append, Some(StoreErrorKind::ReadOnly));
    // a repeat
    let repeat = deposit().await.unwrap();
    assert!(repeat.is_repeat());
    assert_eq!((repeat.events, repeat.state.balance), (first.events, 16));
    // and what is to be done on the old state only
    let other = accounts.by_id("b");
    slip_in(&memory, "b", 15);
    let poor = |account: &Account| (account.balance < 20).then_some(MoneyDeposited { cents: 1 });
    assert_eq!(other.decide(poor).await.unwrap().state.balance, 20);
    let error = other.decide(|account| account.deposit(1)).await.unwrap_err();
    let CommandError::Store(error) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), StoreErrorKind::ReadOnly);
}

#[tokio::test]
async fn one_that_must_not_exist_and_does_is_refused() {
    let (_, faults, accounts) = known().await;
    let open = || accounts.by_id("a").expecting(NoStream);
    let before = calls(&faults);
    let times = AtomicU64::new(0);
    let deposit = |account: &Account| {
        times.fetch_add(1, Ordering::Relaxed);
        account.deposit(1)
    };
    let error = open().decide(deposit).await.unwrap_err();
    let CommandError::PreconditionFailed(conflict) = &error else { panic!("{error:?}") };
    assert_eq!((conflict.expected, conflict.actual), (NoStream, StreamVersion::FIRST));
    assert_eq!(since(&faults, before), [0, 0, 1]);
    assert_eq!(times.into_inner(), 1);
    let error = open().decide(|_| None).await.unwrap_err();
    assert!(matches!(error, CommandError::PreconditionFailed(_)), "{error:?}");
    let odd = accounts.by_id("a").decide(|_| None).idempotency_key("").await.unwrap_err();
    assert!(matches!(odd, CommandError::Invalid(InvalidRequest::Key { .. })), "{odd:?}");
}

#[derive(Debug, Clone)]
struct Step {
    /// Whether the process that reads first sends it, or which of the two that do not.
    by: usize,
    accounts: Vec<usize>,
    cents: u64,
    key: Option<u8>,
}

const ACCOUNTS: [&str; 3] = ["a", "b", "c"];

fn any_step() -> impl Strategy<Value = Step> {
    let accounts = proptest::sample::subsequence(vec![0, 1, 2], 1..=2);
    let key = proptest::option::weighted(0.3, 0..4_u8);
    (0..3_usize, accounts, 0..20_u64, key).prop_map(|(by, accounts, cents, key)| Step {
        by,
        accounts,
        cents,
        key,
    })
}

/// What a command answers, as a text: withdraws from the first, and gives to the last what is even.
async fn sent(repository: &Repository<Account>, step: &Step) -> String {
    let members: Vec<_> = step.accounts.iter().map(|at| repository.by_id(ACCOUNTS[*at])).collect();
    let cents = step.cents;
    let decision = transact(members, move |accounts| {
        let first = &mut accounts[0];
        match cents % 3 {
            0 => first.record(first.deposit(cents)?),
            _ => first.record(first.withdraw(cents)?),
        }
        if cents.is_multiple_of(2)
            && let Some(last) = accounts.last_mut()
        {
            last.record(last.deposit(1)?);
        }
        Ok::<_, TooLittle>(accounts.iter().map(|account| account.balance).collect::<Vec<_>>())
    });
    let done = match step.key {
        Some(key) => decision.idempotency_key(format!("k-{key}")).await,
        None => decision.await,
    };
    match done {
        Ok(done) => {
            let is_repeat = done.is_repeat();
            format!("{:?}", (done.state, done.version, done.events, done.reply, is_repeat))
        }
        Err(error) => format!("{error}"),
    }
}

async fn play(steps: &[Step]) {
    // the same commands on two stores, where all are read for on one
    let (store, model) = (store(), store());
    let from_cache = || accounts(&store).with_cache(2).deciding_from_cache();
    let processes = [accounts(&store), from_cache(), from_cache()];
    let plain = accounts(&model);
    for (nth, step) in steps.iter().enumerate() {
        let answer = sent(&processes[step.by], step).await;
        assert_eq!(answer, sent(&plain, step).await, "step {nth}: {step:?}");
    }
    for account in ACCOUNTS {
        let (here, there) = (events(&store, account).await, events(&model, account).await);
        let told = |events: &[es_core::event::RecordedEvent]| {
            events.iter().map(|event| event.payload.clone()).collect::<Vec<_>>()
        };
        assert_eq!(told(&here), told(&there));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nobody_can_tell_from_an_answer_whether_it_was_read_for(
        steps in proptest::collection::vec(any_step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(play(&steps));
    }
}
